"""A growing column of rows of equal size, in memory or in a file.

Files are written by ``pwrite`` and read as memory: a full disk is then an error, where a store into a map is a crash.
"""

import contextlib
import mmap
import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_LEAST = 1024  # rows that a column has room for from the first on
_GROWTH = 1.25
_PIECE = 1 << 22  # bytes written at once


class Column(Protocol):
    """Rows (n, width) of one type."""

    def array(self, rows: int) -> Array:
        """The first rows, where they lie; not to be kept beyond the next change."""
        ...

    def write(self, start: int, values: Array) -> None:
        """Put rows at a place, and make room for them."""
        ...

    def cut(self, rows: int) -> None:
        """Nothing remains of what comes after the first rows."""
        ...

    def sync(self) -> None:
        """All of it is on the disk when this returns."""
        ...

    def drop(self) -> None:
        """Remove the column with all that it holds."""
        ...


class MemoryColumn:
    """A column in memory."""

    def __init__(self, dtype: str, width: int) -> None:
        self._rows = np.zeros((0, width), dtype)

    def array(self, rows: int) -> Array:
        """See Column."""
        return self._rows[:rows]

    def write(self, start: int, values: Array) -> None:
        """See Column."""
        if start + len(values) > len(self._rows):
            grown = np.zeros((_room(start + len(values), len(self._rows)), self._rows.shape[1]), self._rows.dtype)
            grown[: len(self._rows)] = self._rows
            self._rows = grown
        self._rows[start : start + len(values)] = values

    def cut(self, rows: int) -> None:
        """See Column."""
        self._rows = self._rows[:rows].copy()

    def sync(self) -> None:
        """See Column."""

    def drop(self) -> None:
        """See Column."""
        self._rows = self._rows[:0].copy()


class FileColumn:
    """A column in a file of nothing else: row after row, little-endian, and zeros after the last.

    Args:
        path: made if it is missing and may be written.
        dtype: of its numbers.
        width: how many a row.
        writable: otherwise the file must be there.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, dtype: str, width: int, *, writable: bool) -> None:
        self.path = path
        self._dtype, self._width = np.dtype(dtype), width
        self._size = self._dtype.itemsize * width  # bytes a row
        flags = os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY
        self._file = os.open(path, flags | os.O_CLOEXEC, 0o666)
        self._map: Array = np.zeros((0, width), self._dtype)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)

    def rows(self) -> int:
        """How many rows the file has room for."""
        return os.fstat(self._file).st_size // self._size

    def array(self, rows: int) -> Array:
        """See Column."""
        if rows > len(self._map):
            there = self.rows()
            assert rows <= there, f"{self.path}: {rows} rows are asked for, {there} are there"
            memory = mmap.mmap(self._file, there * self._size, access=mmap.ACCESS_READ)
            self._map = np.frombuffer(memory, self._dtype).reshape(there, self._width)
        return self._map[:rows]

    def forget(self) -> None:
        """Map the file anew when it is next read: another process may have cut it."""
        self._map = self._map[:0]

    def write(self, start: int, values: Array) -> None:
        """See Column."""
        there = self.rows()
        if start + len(values) > there:
            os.ftruncate(self._file, _room(start + len(values), there) * self._size)  # a hole: no disk is taken yet
        data = memoryview(np.ascontiguousarray(values, self._dtype).tobytes())
        place = start * self._size
        while data:
            written = os.pwrite(self._file, data[:_PIECE], place)
            data, place = data[written:], place + written

    def cut(self, rows: int) -> None:
        """See Column."""
        self.forget()
        os.ftruncate(self._file, rows * self._size)

    def sync(self) -> None:
        """See Column."""
        os.fdatasync(self._file)

    def drop(self) -> None:
        """See Column."""
        self.cut(0)
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


def _room(needed: int, there: int) -> int:
    return needed if needed <= there else max(needed, int(there * _GROWTH), _LEAST)
