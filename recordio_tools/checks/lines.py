"""The lines of a `.lst` one by one, from the mapped file: eight bytes a line are kept, whatever stands in it."""

from pathlib import Path

import numpy as np

from recordio_tools._mapped import map_file
from recordio_tools.index import Int64s
from recordio_tools.listing import Listed, parse_line

_WINDOW = 1 << 20
_LONGEST = 1 << 16
_NEWLINE = 10


class Lines:
    """Random access to the lines of the listing at `path`.

    Raises:
        SourceError: It is not there, or is a folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._buffer = map_file(path)
        self._ends = self._find_ends()

    def __len__(self) -> int:
        return len(self._ends)

    def text(self, number: int) -> str:
        """Line `number`, from 0; one that is absurdly long is cut."""
        start = int(self._ends[number - 1]) + 1 if number else 0
        end = min(int(self._ends[number]), start + _LONGEST)
        return bytes(self._buffer[start:end]).decode(errors="surrogateescape")

    def listed(self, number: int) -> Listed | None:
        """What line `number` says; None where it fits neither dialect."""
        try:
            return parse_line(self.text(number))
        except ValueError:
            return None

    def _find_ends(self) -> Int64s:
        ends = [np.empty(0, np.int64)]
        for start in range(0, len(self._buffer), _WINDOW):
            window = np.frombuffer(self._buffer[start : start + _WINDOW], np.uint8)
            ends.append(np.flatnonzero(window == _NEWLINE) + start)
        if len(self._buffer) and self._buffer[-1] != _NEWLINE:
            ends.append(np.array([len(self._buffer)]))
        return np.concatenate(ends)
