"""Writes a record file and its index, byte for byte as mxnet 1.9.1 does. The mirror image of `reader`.

Both files are written beside their places and renamed when the writer closes: an exception, or a process that
is killed, leaves what was there before. The old index goes first and the new one comes last, so that a record
file never stands beside another file's index.
"""

import operator
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import numpy as np

from recordio_tools import framing
from recordio_tools._behind import FlushBehind
from recordio_tools.errors import LimitError, RecordIOError, SourceError
from recordio_tools.framing import MAGIC_WORD
from recordio_tools.header import FLOAT32_EXACT, pack_range
from recordio_tools.index import Int64s
from recordio_tools.whole import flush_folder, flush_to_disk, open_beside

_PAGE = 512
_RANGE_WORDS = 10  # magic, length, flag, label, id (2), id2 (2), start, end


class Writer:
    """Writes records to `path` and their index beside it.

    >>> with Writer("train.rec") as writer:
    ...     writer.write(1, payload)

    Nothing can be read until the block ends; if it ends by an exception, nothing was written.

    Args:
        path: The record file to make or to replace.
        index: The index file; by default `path` with the suffix `.idx`.
        unfinished: The name, in `path`'s folder, that the record file bears until it is whole; by default one
            that nobody else has. A file of this name stays when the writer gives up or is killed, and another
            writer may `take_over` what is in it.

    Raises:
        SourceError: The folder is not there.
    """

    def __init__(
        self, path: str | Path, index: str | Path | None = None, *, unfinished: str | Path | None = None
    ) -> None:
        self._process = os.getpid()
        self._open = False
        self.path = Path(path)
        self.index_path = Path(index) if index else self.path.with_suffix(".idx")
        if self.path == self.index_path:
            raise SourceError(f"{self.path}: is the name of the index too; give the record file the suffix .rec")
        if not (self.path.parent.is_dir() and self.index_path.parent.is_dir()):
            raise SourceError(f"{self.path}: its folder or that of its index is not there; make it first")
        self._seen: dict[int, bytearray] = {}
        self._offset = 0
        self._stays = unfinished is not None
        if unfinished is None:
            self._rec, self._rec_beside = open_beside(self.path)
        else:
            self._rec_beside = Path(unfinished)
            self._rec_beside.touch()
            self._rec = self._rec_beside.open("r+b")
        try:
            self._idx, self._idx_beside = open_beside(self.index_path)
        except BaseException:
            self._rec.close()
            if not self._stays:
                self._rec_beside.unlink()
            raise
        self._behind = FlushBehind(self._rec)
        self._open = True

    def write(self, key: int, payload: bytes | bytearray | memoryview) -> None:
        """Append one record.

        Raises:
            LimitError: `key` was written before, is negative or has more than 18 digits, or `payload` has
                2^29 bytes or more. The record is not written and the writer can go on.
        """
        if not self._open:
            raise RecordIOError(f"{self.path}: the writer is closed; open another")
        key = operator.index(key)
        if not 0 <= key < 10**18:
            raise LimitError(f"{self.path}: key {key} was given, expected 0 to 10^18 - 1")
        try:
            chunks = framing.encode(payload if isinstance(payload, bytes) else bytes(payload))
        except LimitError as error:
            raise LimitError(f"{self.path}: key {key}: {error}") from None
        self._remember(key)
        try:
            self._rec.writelines(chunks)
            self._idx.write(b"%d\t%d\n" % (key, self._offset))
        except BaseException:  # half a record may be out: nothing may follow it
            self.abort()
            raise
        self._offset += sum(map(len, chunks))

    def write_framed(self, keys: range, data: memoryview, offsets: Int64s) -> None:
        """Append whole records that are framed already, under consecutive keys.

        Args:
            keys: Their keys.
            data: The records.
            offsets: Where in `data` each of them starts.

        Raises:
            LimitError: A key was written before. Nothing more can be written.
        """
        if not self._open:
            raise RecordIOError(f"{self.path}: the writer is closed; open another")
        try:
            self._remember_run(keys)
            self._behind.write(data)
            places = (offsets + self._offset).tolist()
            self._idx.write("".join(map("%d\t%d\n".__mod__, zip(keys, places, strict=True))).encode())
        except BaseException:
            self.abort()
            raise
        self._offset += len(data)

    def take_over(self, keys: Sequence[int], offsets: Int64s, end: int) -> None:
        """Begin with whole records that stand under `unfinished` already; what follows byte `end` is cut off.

        Args:
            keys: Of the records, in their order.
            offsets: Where each of them starts.
            end: Where the last of them ends.
        """
        assert self._open and self._stays and not self._offset, "only the first thing that a writer does"
        for key in keys:
            self._remember(key)
        self._idx.write("".join(map("%d\t%d\n".__mod__, zip(keys, offsets.tolist(), strict=True))).encode())
        self._rec.truncate(end)
        self._rec.seek(end)
        self._offset = end

    def flush(self) -> int:
        """All records written so far are on the disk when this returns; the number of their bytes."""
        flush_to_disk(self._rec)
        return self._offset

    def write_range(self, key: int, start: int, end: int) -> None:
        """Append a record that stands for the keys [start, end): a face set's header record, or an identity.

        Raises:
            LimitError: The range passes 2^24, where float32 rounds keys, or is empty.
        """
        try:
            payload = pack_range(start, end, key)
        except LimitError as error:
            raise LimitError(f"{self.path}: key {key}: {error}") from None
        self.write(key, payload)

    def write_ranges(self, keys: range, bounds: Sequence[int]) -> None:
        """As `write_range`, for many keys and the ranges between their `bounds`, which rise.

        Raises:
            LimitError: A range passes 2^24.
        """
        if bounds[-1] > FLOAT32_EXACT or (keys and keys[-1] >= FLOAT32_EXACT):
            for key, start, end in zip(keys, bounds, bounds[1:], strict=False):
                self.write_range(key, start, end)  # says which
            return
        words = np.zeros((len(keys), _RANGE_WORDS), "<u4")
        words[:, 0], words[:, 1], words[:, 2] = MAGIC_WORD, 4 * (_RANGE_WORDS - 2), 2  # 2 labels
        words[:, 4] = keys
        words[:, 8:] = np.stack([bounds[:-1], bounds[1:]], axis=1).astype("<f4").view("<u4")
        self.write_framed(keys, words.reshape(-1).view(np.uint8).data, np.arange(len(keys)) * 4 * _RANGE_WORDS)

    def close(self) -> None:
        """Flush both files to the disk and put them in their places; closing twice does nothing more."""
        if not self._open:
            return
        try:
            self._behind.close()
            self._rec.truncate(self._offset)  # of an unfinished file that nobody took over more may be there
            for file in (self._rec, self._idx):
                flush_to_disk(file)
                file.close()
            self.index_path.unlink(missing_ok=True)
            self._rec_beside.replace(self.path)
            self._idx_beside.replace(self.index_path)
            flush_folder(self.path.parent)
        except BaseException:
            self.abort()
            raise
        self._open = False

    def abort(self) -> None:
        """Give up: remove what was written, unless it was to stay; the places keep what they held before."""
        if self._open and self._process == os.getpid():  # a forked child that drops its copy removes nothing
            self._open = False
            with suppress(OSError):  # what could not be written is removed now
                self._behind.close()
            for file in (self._rec, self._idx):
                with suppress(OSError):  # a full disk does not take the last bytes either
                    file.close()
            self._idx_beside.unlink(missing_ok=True)
            if not self._stays:
                self._rec_beside.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def __del__(self) -> None:
        self.abort()

    def _remember(self, key: int) -> None:
        """Note that `key` is taken: one byte a key in pages of 512, whatever the order of the keys."""
        page = self._seen.get(key // _PAGE)
        if page is None:
            page = self._seen[key // _PAGE] = bytearray(_PAGE)
        if page[key % _PAGE]:
            raise LimitError(f"{self.path}: key {key} was written before, expected each key once")
        page[key % _PAGE] = 1

    def _remember_run(self, keys: range) -> None:
        """As `_remember`, for consecutive keys, a page at a time."""
        for start in range(keys.start - keys.start % _PAGE, keys.stop, _PAGE):
            page = self._seen.setdefault(start // _PAGE, bytearray(_PAGE))
            own = slice(max(keys.start - start, 0), min(keys.stop - start, _PAGE))
            if any(page[own]):
                self._remember(start + own.start + page[own].index(1))  # says which was written before
            page[own] = bytes([1]) * (own.stop - own.start)
