"""Reads a record file: by key, by position, or all of it in file order. The mirror image of `writer`.

The file is mapped, not read: a record costs about two microseconds and no system call, and processes share
the page cache. For a cold file of which few records are wanted there are positioned reads instead, one a record. Either
is opened at first use, so a reader may be made in one process and used in others, after fork and after spawn, by many
threads at once. Nothing is cached between calls and no position is kept.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np

from recordio_tools import framing
from recordio_tools._mapped import map_file
from recordio_tools._positioned import PositionedFile
from recordio_tools.errors import DamageError, IndexMismatchError, MissingKeyError, RecordIOError
from recordio_tools.framing import HEAD, MAGIC_WORD, MAX_LENGTH
from recordio_tools.index import Index, Int64s

Access = Literal["mapped", "positioned"]

_unpack_head = HEAD.unpack_from


class Reader:
    """Random access to the records of `path` through the `.idx` beside it.

    >>> with Reader("train.rec") as reader:
    ...     payload = reader.read(17)
    ...     for key, payload in reader:
    ...         ...

    A damaged record raises DamageError with its file, key and byte offset in every case where mxnet returns
    None or another record's bytes: a record of several parts cut short, an illegal part flag, an offset into
    the middle of a record, an offset past the end.

    A mapped file must not be cut short while it is read; the system would end the process, as with every mapped
    file.

    Args:
        path: The record file.
        index: The index file; by default the one beside `path`, or an Index, for instance from `rebuild`.
        access: "mapped", the fastest for a file in memory and for reading in file order; or "positioned", one read of
            just the record, for random records of a cold file. What is read is the same. To visit all records of a
            cold file at random, see `order.block_shuffled`.
        cache: Keep the parsed index beside its text for the next time, see `Index.load`.

    Raises:
        SourceError: A file is not there.
        IndexMismatchError: The index cannot be parsed, or points past the end of the record file.
    """

    def __init__(
        self,
        path: str | Path,
        index: str | Path | Index | None = None,
        *,
        access: Access = "mapped",
        cache: bool = False,
    ) -> None:
        if access not in get_args(Access):
            raise RecordIOError(f"access {access!r} was given, expected one of: {', '.join(get_args(Access))}")
        self.path = Path(path)
        self.access: Access = access
        self._closed = False
        buffer = map_file(self.path)
        self._size = len(buffer)
        if not isinstance(index, Index):
            index = Index.load(index or self.path.with_suffix(".idx"), cache=cache)
        self.index = index
        self._check_offsets()
        follow = self.index.stated_ends is None and bool((np.diff(self.index.offsets) > 0).all())
        self._own_ends = None if follow else self.index.ends(self._size)
        self._take_tables()
        self._let_go()
        if access == "mapped":  # else mapped again only where somebody asks for `buffer`
            self._keep(buffer)

    @property
    def keys(self) -> Int64s:
        """The keys in the order of the index."""
        return self.index.keys

    @property
    def buffer(self) -> memoryview:
        """The whole file as bytes, for readers that gather many headers at once."""
        return self._buffer if self._buffer is not None else self._open()

    def __len__(self) -> int:
        return len(self.index)

    def __contains__(self, key: int) -> bool:
        try:
            self.index.position(key)
        except MissingKeyError:
            return False
        return True

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """(key, payload) of every record in file order."""
        offsets = self.index.offsets
        order = np.argsort(offsets, kind="stable")
        for position in order.tolist():
            yield int(self.index.keys[position]), self.read_at(position)

    def read(self, key: int) -> bytes:
        """The payload of `key`'s record, copied.

        Raises:
            MissingKeyError: The index does not hold `key`; it is a KeyError too.
            DamageError: The record breaks the format.
        """
        table = self._places
        if 0 <= key < len(table):
            payload = _whole_record(self._quick_bytes, self._offsets, self._ends, table[key])
            if payload is not None:
                return payload
        return bytes(self._judged(self._position(key)))

    def view(self, key: int) -> memoryview:
        """The payload of `key`'s record without a copy; it keeps the file mapped for as long as it lives.

        A record of several parts has to be joined and is a view of its own bytes.
        """
        table = self._places
        if 0 <= key < len(table):
            payload = _whole_record(self._quick, self._offsets, self._ends, table[key])
            if payload is not None:
                return payload
        return self._judged(self._position(key))

    def read_many(self, keys: Sequence[int] | Int64s) -> list[bytes]:
        """As `read`, for many keys at once, in their order."""
        return [self.read_at(position) for position in self._positions(keys)]

    def view_many(self, keys: Sequence[int] | Int64s) -> list[memoryview]:
        """As `view`, for many keys at once, in their order."""
        return [self.view_at(position) for position in self._positions(keys)]

    def read_at(self, position: int) -> bytes:
        """As `read`, for the record that stands at `position` in the index."""
        payload = _whole_record(self._quick_bytes, self._offsets, self._ends, position)
        return payload if payload is not None else bytes(self._judged(position))

    def view_at(self, position: int) -> memoryview:
        """As `view`, for the record that stands at `position` in the index."""
        payload = _whole_record(self._quick, self._offsets, self._ends, position)
        return payload if payload is not None else self._judged(position)

    def damage(self, error: DamageError, position: int) -> DamageError:
        """`error`, found in the record at `position`, with this file's name, the key and what to do next."""
        advice = f"if the file is whole its index is another file's, remake it with: recordio index {self.path}"
        return error.located(self.path, int(self.keys[position]), self._offsets[position], advice)

    def close(self) -> None:
        """Let go of the file; views that were handed out stay valid and keep it mapped."""
        self._closed = True
        if self._file is not None:
            self._file.close()
        self._let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, object]:
        state = self.__dict__.copy()
        for name in ("_places", "_offsets", "_ends", "_buffer", "_quick", "_quick_bytes", "_file"):
            del state[name]  # not to be pickled; taken anew
        return state

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._take_tables()
        self._let_go()

    def _take_tables(self) -> None:
        """Views of the arrays: their elements come as int, at a third of the time that an array's take."""
        self._places = memoryview(b"")  # key -> position; the index makes it for the first key that is asked for
        self._offsets = self.index.offsets.data
        self._ends = self._offsets[1:] if self._own_ends is None else self._own_ends.data

    def _keep(self, buffer: memoryview) -> None:
        self._buffer = buffer
        if self.access == "mapped":
            self._quick, self._quick_bytes = buffer, buffer.obj

    def _let_go(self) -> None:
        self._buffer: memoryview | None = None  # what `buffer` gives
        self._quick: memoryview | None = None  # the same, if records are taken from it
        self._quick_bytes: Any = None  # the mmap behind it, whose slices are bytes
        self._file: PositionedFile | None = None

    def _position(self, key: int) -> int:
        position = self.index.position(key)
        self._places = self.index.table
        return position

    def _positions(self, keys: Sequence[int] | Int64s) -> list[int]:
        wanted = np.asarray(keys, np.int64)
        places = self.index.positions(wanted)
        for missing in np.flatnonzero(places < 0)[:1]:
            self.index.position(int(wanted[missing]))  # which says what the index holds
        return places.tolist()

    def _end(self, position: int) -> int:
        """Where the index says that the record ends; the file ends with the last one of a file in file order."""
        return self._ends[position] if position < len(self._ends) else self._size

    def _judged(self, position: int) -> memoryview:
        """The payload of any record: of several parts, the last one, read from a file not mapped, or damaged."""
        offset, end = self._offsets[position], self._end(position)
        if self.access == "positioned" and (payload := self._positioned().fetch(offset, end)) is not None:
            return payload  # anything but a whole record is read, or refused, as in a mapped file
        try:
            return memoryview(self._decode(self.buffer, offset, end))
        except DamageError as error:
            raise self.damage(error, position) from None

    def _decode(self, buffer: memoryview, offset: int, end: int) -> bytes | memoryview:
        """A record of several parts, or one that does not end where the index says, judged by its bytes.

        The index may leave records out, or be wrong about the next one. But a record that ends where none starts, or
        has the whole of another one inside, has a damaged length; mxnet would return another record's bytes.
        """
        payload, after = framing.decode(buffer, offset)
        if after != end:
            framing.check_end(buffer, offset, after)
        return payload

    def _open(self) -> memoryview:
        """Map the file in a process that received this reader; racing threads map it twice, which is harmless."""
        if self._closed:
            raise RecordIOError(f"{self.path}: the reader is closed; open another")
        buffer = map_file(self.path)
        self._check_size(len(buffer))
        self._keep(buffer)
        return buffer

    def _positioned(self) -> PositionedFile:
        """The file for positioned reads, opened at first use."""
        if self._file is None:
            if self._closed:
                raise RecordIOError(f"{self.path}: the reader is closed; open another")
            file = PositionedFile(self.path)
            self._check_size(file.size)
            self._file = file
        return self._file

    def _check_size(self, size: int) -> None:
        if size != self._size:
            raise IndexMismatchError(
                f"{self.path}: has {size:,} bytes, expected the {self._size:,} of when it was opened; open it anew"
            )

    def _check_offsets(self) -> None:
        beyond = np.flatnonzero(self.index.offsets > self._size - 8)
        if len(beyond):
            position = int(beyond[0])
            raise IndexMismatchError(
                f"{self.index.path}: key {self.keys[position]} points to byte {self.index.offsets[position]:,} "
                f"but {self.path} has {self._size:,}; if that file is whole, remake the index with: "
                f"recordio index {self.path}"
            )


def _whole_record(source: Any, offsets: memoryview, ends: memoryview, position: int) -> Any:
    """The payload at `position` if it is a record of one part that ends just where the index says, else None.

    This is the hot path: no call that it can do without. A slice of a mmap is bytes, one of a memoryview a view.
    """
    if source is None or position < 0:
        return None
    try:
        magic, length = _unpack_head(source, offset := offsets[position])  # offsets are checked to leave 8 bytes
        start = offset + 8
        if magic == MAGIC_WORD and length <= MAX_LENGTH and 0 <= ends[position] - start - length < 4:  # the padding
            return source[start : start + length]
    except IndexError:
        pass  # the last record has no end in the index
    return None
