"""Looking for bytes in files of any size, many at once, in bounded memory."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

SHORTEST = 4  # bytes; anything shorter is found everywhere

_BLOCK = 4 << 20
_MULTIPLIER = np.uint32(2654435761)  # Knuth's, of multiplicative hashing
_BETWEEN = bytes(range(240, 256))  # what no text has, so that two values next to each other make no third


class Needles:
    """Byte strings to look for, each of at least ``SHORTEST`` bytes.

    Each is known by four of its bytes. A table of hashed fours tells for every place of a block, by a few passes of
    numpy, whether any needle can be there; only such places are compared. So the time hardly depends on how many
    needles there are.
    """

    def __init__(self, needles: Collection[bytes]) -> None:
        self._by_anchor: defaultdict[int, list[tuple[int, bytes]]] = defaultdict(list)
        for needle in set(needles):
            # Not the beginning: paths have that in common, nor the very end, where they have their suffix.
            offset = max(0, len(needle) - 2 * SHORTEST)
            anchor = int.from_bytes(needle[offset : offset + SHORTEST], "little")
            self._by_anchor[anchor].append((offset, needle))
        self.longest = max(map(len, needles), default=0)
        self._anchors = np.array(sorted(self._by_anchor), np.uint32)
        bits = min(24, max(16, len(self._anchors).bit_length() + 4))
        self._drop = np.uint32(32 - bits)
        self._possible = np.zeros(1 << bits, bool)
        self._possible[self._hashed(self._anchors)] = True

    def count_in_file(self, path: Path) -> Counter[bytes]:
        """How often each one is in a file; none where there is no file."""
        found: Counter[bytes] = Counter()
        if not path.exists() or not self._by_anchor:
            return found
        carried = b""
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                buffer = carried + block
                # What begins in the last bytes may end in the next block, and is counted there.
                settled = max(0, len(buffer) - self.longest + 1)
                found.update(needle for place, needle in self._places(buffer) if place < settled)
                carried = buffer[settled:]
        found.update(needle for _, needle in self._places(carried))
        return found

    def found_in(self, values: Iterable[bytes]) -> set[bytes]:
        """Which of them any of the values holds."""
        found: set[bytes] = set()
        waiting: list[bytes] = []
        size = 0
        for value in values:
            waiting.append(value)
            size += len(value) + len(_BETWEEN)
            if size >= _BLOCK:
                found.update(needle for _, needle in self._places(_BETWEEN.join(waiting)))
                waiting, size = [], 0
        found.update(needle for _, needle in self._places(_BETWEEN.join(waiting)))
        return found

    def _places(self, buffer: bytes) -> Iterator[tuple[int, bytes]]:
        for shift in range(min(SHORTEST, max(0, len(buffer) - SHORTEST + 1))):
            fours = np.frombuffer(buffer, "<u4", (len(buffer) - shift) // SHORTEST, shift)
            likely = np.flatnonzero(self._possible[self._hashed(fours)])
            likely = likely[np.isin(fours[likely], self._anchors)]
            for where in likely.tolist():
                place = where * SHORTEST + shift
                for offset, needle in self._by_anchor[int(fours[where])]:
                    if place >= offset and buffer.startswith(needle, place - offset):
                        yield place - offset, needle

    def _hashed(self, fours: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        return (fours * _MULTIPLIER) >> self._drop
