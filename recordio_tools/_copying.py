"""Copies many image records of a face set at once with new class numbers and keys: what makes build-lt fast.

A record's class and key stand in its first 36 bytes, so records that lie together in the source are copied
together and the new numbers are put into the copy. The bytes are those that `SetWriter.add` would write. A block
that holds anything else than whole records with two labels or more is left to it.
"""

from typing import NamedTuple

import numpy as np

from recordio_tools.faces import FaceSet
from recordio_tools.framing import MAGIC_WORD, MAX_LENGTH
from recordio_tools.index import Int64s

BLOCK = 1 << 22
_HEAD_WORDS = 10  # magic, length, flag, label, id (2), id2 (2), two labels


class Block(NamedTuple):
    """Consecutive records, ready to be written.

    Attributes:
        data: Their bytes.
        offsets: Where in `data` each of them starts.
    """

    data: memoryview
    offsets: Int64s


class RecordCopier:
    """Gathers records of `faces` into a buffer of `BLOCK` bytes, which every block shares."""

    def __init__(self, faces: FaceSet) -> None:
        self.faces = faces
        self._source = faces.reader.buffer
        self._words = np.frombuffer(self._source, "<u4", len(self._source) // 4)
        self._offsets = faces.offsets()
        self._room = bytearray(BLOCK)

    def blocks(self, positions: Int64s) -> list[tuple[int, int]]:
        """[start, end) of the blocks in which to copy `positions`; one record may be larger than the buffer."""
        at = self._offsets[positions] // 4
        last = len(self._words) - 1
        lengths = self._words[np.minimum(at + 1, last)].astype(np.int64) & MAX_LENGTH
        ends = np.cumsum(_spans(lengths))
        blocks, start = [], 0
        while start < len(positions):
            before = int(ends[start - 1]) if start else 0
            end = max(start + 1, int(np.searchsorted(ends, before + BLOCK, "right")))
            blocks.append((start, end))
            start = end
        return blocks

    def copy(self, positions: Int64s, labels: Int64s, first_key: int) -> Block | None:
        """The records at `positions` under the keys from `first_key`; None where they need the slow way."""
        offsets = self._offsets[positions]
        at = offsets // 4
        if (at + _HEAD_WORDS > len(self._words)).any():
            return None
        magics, words, flags = (self._words[at + place].astype(np.int64) for place in (0, 1, 2))
        spans = _spans(words & MAX_LENGTH)
        ends = np.cumsum(spans)
        plain = (magics == MAGIC_WORD) & (words <= MAX_LENGTH) & (flags >= 2) & (words >= 24 + 4 * flags)
        if not plain.all() or ends[-1] > BLOCK or (offsets + spans > len(self._source)).any():
            return None
        room = memoryview(self._room)
        breaks = np.flatnonzero(offsets[1:] != (offsets + spans)[:-1]) + 1
        firsts = np.concatenate(([0], breaks))
        lasts = np.concatenate((breaks, [len(offsets)])) - 1
        starts = ends - spans
        for to, end, origin in zip(
            starts[firsts].tolist(), ends[lasts].tolist(), offsets[firsts].tolist(), strict=True
        ):
            room[to:end] = self._source[origin : origin + end - to]
        data = room[: int(ends[-1])]
        copied = np.frombuffer(data, "<u4")
        if np.count_nonzero(copied == MAGIC_WORD) != len(positions):
            return None  # a magic that a writer has to cut at
        heads = starts // 4
        copied[heads + 3] = copied[heads + 5] = copied[heads + 6] = copied[heads + 7] = 0
        copied[heads + 4] = np.arange(first_key, first_key + len(positions))
        copied[heads + 8] = labels.astype("<f4").view("<u4")
        odd = words % 4 != 0  # padding is zeros, whatever the source has there
        copied[ends[odd] // 4 - 1] &= ((1 << 8 * (words[odd] % 4)) - 1).astype(np.uint32)
        return Block(data, starts)


def _spans(lengths: Int64s) -> Int64s:
    """Bytes of records with payloads of `lengths` bytes, heads and padding included."""
    return 8 + (lengths + 3 & ~3)
