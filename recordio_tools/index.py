"""The `.idx` text ↔ int64 arrays.

One line a record, in file order: `key TAB byte-offset`. Keys are whole numbers in any order; in InsightFace
sets key 0, the header record, stands near the end. An offset points at the head of a record, so it is a
multiple of 4.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recordio_tools import _index_cache
from recordio_tools._digits import parse_even_lines
from recordio_tools.errors import IndexMismatchError, MissingKeyError, SourceError
from recordio_tools.whole import write_whole

Int64s = NDArray[np.int64]

_CHUNK = 1 << 18
_LINES = 1 << 16
_TAB, _NEWLINE, _ZERO, _NINE = b"\t\n09"
_MOST_DIGITS = 18  # every number of 18 digits fits int64
LONGEST_LINE = 2 * _MOST_DIGITS + 3
LINE = re.compile(rb"[0-9]{1,18}\t[0-9]{1,18}\n")
_SPARSEST = 4  # a lookup table is used while keys fill at least a quarter of it


class Index:
    """Which key stands where: two int64 arrays in file order, and the way from a key to its position.

    Attributes:
        keys: The keys, in the order of the index file.
        offsets: Byte offset of each key's record.
        path: Where the index was read from, for messages.
        stated_ends: Where each record ends, given with an index that leaves records of its file out; None where each
            ends at the next one's offset.
    """

    def __init__(self, keys: Int64s, offsets: Int64s, path: Path, stated_ends: Int64s | None = None) -> None:
        self.keys = keys
        self.offsets = offsets
        self.path = path
        self.stated_ends = stated_ends
        self._table: memoryview | None = None
        self._sparse: dict[int, int] | None = None
        _check_unique(keys, path)

    @classmethod
    def load(cls, path: str | Path, *, cache: bool = False) -> "Index":
        """Read an index file.

        Args:
            path: The text.
            cache: Read the arrays from the cache beside the text, where there is one that was made from just this
                text; else make it. See `_index_cache`.

        Raises:
            SourceError: There is no such file.
            IndexMismatchError: A line is not `key TAB offset`, a key stands twice, an offset is not a
                multiple of 4.
        """
        path = Path(path)
        try:
            keys, offsets = _index_cache.load(path, _parse) if cache else _parse(path)
        except FileNotFoundError:
            raise SourceError(
                f"{path}: not there; if the record file is, make it with: recordio index {path.with_suffix('.rec')}"
            ) from None
        return cls(keys, offsets, path)

    def __len__(self) -> int:
        return len(self.keys)

    def __getstate__(self) -> tuple[Int64s, Int64s, Path, Int64s | None]:
        return self.keys, self.offsets, self.path, self.stated_ends

    def __setstate__(self, state: tuple[Int64s, Int64s, Path, Int64s | None]) -> None:
        self.keys, self.offsets, self.path, self.stated_ends = state
        self._table = self._sparse = None

    @property
    def table(self) -> memoryview:
        """Position by key, -1 where there is none; empty where keys are too sparse for a table."""
        return self._table if self._table is not None else self._make_table()

    def position(self, key: int) -> int:
        """The position of `key` in `keys` and `offsets`.

        Raises:
            MissingKeyError: The index does not hold `key`.
        """
        table = self.table
        if self._sparse is not None:
            position = self._sparse.get(key, -1)
        else:
            position = table[key] if 0 <= key < len(table) else -1
        if position < 0:
            raise MissingKeyError(f"{self.path}: no key {key}; {self._summary()}")
        return position

    def positions(self, keys: Int64s) -> Int64s:
        """The positions of many keys at once; -1 where the index does not hold one."""
        table = np.asarray(self.table)
        if len(table):
            return np.where((keys >= 0) & (keys < len(table)), table[np.clip(keys, 0, len(table) - 1)], -1)
        if not len(self):
            return np.full(len(keys), -1, np.int64)
        order = np.argsort(self.keys)
        ascending = self.keys[order]
        slots = np.minimum(np.searchsorted(ascending, keys), len(order) - 1)
        return np.where(ascending[slots] == keys, order[slots], -1)

    def ends(self, size: int) -> Int64s:
        """Where each record ends: as stated, else at the next one's offset, the last with the file of `size` bytes."""
        if self.stated_ends is not None:
            return self.stated_ends
        order = np.argsort(self.offsets, kind="stable")
        ends = np.empty(len(self), np.int64)
        ends[order] = np.append(self.offsets[order], size)[1:]
        return ends

    def save(self, path: str | Path) -> None:
        """Write the index as text, whole or not at all."""
        write_whole(Path(path), self._text())

    def _text(self) -> Iterator[bytes]:
        for start in range(0, len(self), _LINES):
            part = slice(start, start + _LINES)
            lines = map("%d\t%d\n".__mod__, zip(self.keys[part].tolist(), self.offsets[part].tolist(), strict=True))
            yield "".join(lines).encode()

    def _make_table(self) -> memoryview:
        room = int(self.keys.max(initial=-1)) + 1
        dense = room <= _SPARSEST * len(self.keys)
        table = np.full(room if dense else 0, -1, np.int32)
        if dense:
            for start in range(0, len(self.keys), _CHUNK):  # in pieces, or the positions would double the table
                keys = self.keys[start : start + _CHUNK]
                table[keys] = np.arange(start, start + len(keys), dtype=np.int32)
        else:
            self._sparse = {key: position for position, key in enumerate(self.keys.tolist())}
        self._table = table.data
        return self._table

    def _summary(self) -> str:
        if not len(self.keys):
            return "it is empty"
        return f"it holds {len(self.keys):,} keys from {self.keys.min()} to {self.keys.max()}"


def _parse(path: Path) -> tuple[Int64s, Int64s]:
    """Both columns, read in pieces into arrays of the right size: little memory above the result."""
    with path.open("rb") as file:
        blocks = iter(lambda: file.read(_CHUNK), b"")
        count = 1 + sum(np.count_nonzero(np.frombuffer(block, np.uint8) == _NEWLINE) for block in blocks)
        file.seek(0)
        columns = np.empty((2, count), np.int64)
        lines = 0
        rest = b""
        for block in iter(lambda: file.read(_CHUNK), b""):
            data = rest + block
            if b"\r" in data:
                data = data.replace(b"\r\n", b"\n")
            cut = data.rfind(b"\n") + 1
            part = parse_lines(data[:cut], path, lines)
            columns[:, lines : lines + part.shape[1]] = part
            lines += part.shape[1]
            rest = data[cut:]
            if len(rest) > LONGEST_LINE:
                raise _bad_line(rest, path, lines)
        if rest:  # a last line without its newline is complete if it parses
            columns[:, lines : lines + 1] = parse_lines(rest.rstrip(b"\r") + b"\n", path, lines)
            lines += 1
    return columns[0, :lines], columns[1, :lines]


def parse_lines(data: bytes, path: Path, before: int) -> Int64s:
    """The two columns of whole lines; `before` lines of the file stand ahead of them.

    Raises:
        IndexMismatchError: A line is not `key TAB offset`, or its offset is not a multiple of 4.
    """
    columns = parse_even_lines(data)
    if columns is None:
        columns = _parse_uneven_lines(data, path, before)
    astray = np.flatnonzero(columns[1] % 4)
    if len(astray):
        key, offset = columns[:, astray[0]]
        raise IndexMismatchError(
            f"{path}: line {before + astray[0] + 1:,}: key {key} points to byte {offset:,}, expected a "
            f"multiple of 4, where records start; remake it with: recordio index {path.with_suffix('.rec')}"
        )
    return columns


def _parse_uneven_lines(data: bytes, path: Path, before: int) -> Int64s:
    """As `parse_lines`, whatever the widths of the numbers."""
    text = np.frombuffer(data, np.uint8)
    marks = np.flatnonzero(text < _ZERO)
    widths = np.diff(marks, prepend=-1) - 1
    sound = (
        len(marks) % 2 == 0
        and (text <= _NINE).all()
        and (text[marks[0::2]] == _TAB).all()
        and (text[marks[1::2]] == _NEWLINE).all()
        and ((widths > 0) & (widths <= _MOST_DIGITS)).all()
    )
    if not sound:
        lines = enumerate(data.splitlines(keepends=True), before)
        raise next(_bad_line(line, path, number) for number, line in lines if not LINE.fullmatch(line))
    return np.fromstring(data.decode("ascii"), np.int64, sep=" ").reshape(-1, 2).T


def _bad_line(line: bytes, path: Path, before: int) -> IndexMismatchError:
    shown = line[:60].rstrip(b"\r\n").decode("ascii", "backslashreplace")
    return IndexMismatchError(
        f"{path}: line {before + 1:,}: found {shown!r}, expected a key, a tab and a byte offset; "
        f"remake it with: recordio index {path.with_suffix('.rec')}"
    )


def _check_unique(keys: Int64s, path: Path) -> None:
    room = int(keys.max(initial=-1)) + 1
    if room <= _SPARSEST * len(keys):  # one byte a key, where sorting would take as much again as the index
        seen = np.zeros(room, bool)
        seen[keys] = True
        if np.count_nonzero(seen) == len(keys):
            return
    ascending = np.sort(keys)
    twice = np.flatnonzero(np.diff(ascending) == 0)
    if len(twice):
        raise IndexMismatchError(
            f"{path}: key {ascending[twice[0]]} stands more than once, expected once; "
            f" remake it with: recordio index {path.with_suffix('.rec')}"
        )
