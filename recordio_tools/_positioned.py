"""Records fetched with one positioned read each: for a cold file of which only few records are wanted.

A mapped file is read ahead by the system, page by page, which on a cold disk costs several reads a record or far more
bytes than wanted. A positioned read asks for just the record, keeps no place in the file, and so serves many threads
and forked processes through one descriptor.
"""

import os
import weakref
from pathlib import Path

from recordio_tools.errors import SourceError
from recordio_tools.framing import HEAD, MAGIC_WORD, MAX_LENGTH

_FIRST = 64 << 10  # no more at once before the head has said that it is one record: an index may leave many out


class PositionedFile:
    """A record file of which whole records are read by their offset.

    Attributes:
        size: Of the file in bytes, when it was opened.
        close: Gives the descriptor back; it is called when the object goes, too.

    Raises:
        SourceError: There is no such file, or it is a folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise SourceError(f"{path}: not there; expected a record file") from None
        if path.is_dir():
            os.close(self._descriptor)
            raise SourceError(f"{path}: is a folder, expected a record file")
        self.size = os.fstat(self._descriptor).st_size
        self.close = weakref.finalize(self, os.close, self._descriptor)

    def fetch(self, offset: int, end: int) -> memoryview | None:
        """The payload of the whole record that stands from `offset` to `end`; None where anything else stands there."""
        data = os.pread(self._descriptor, min(end - offset, _FIRST), offset)
        if len(data) < HEAD.size:
            return None
        magic, length = HEAD.unpack_from(data)
        if magic != MAGIC_WORD or length > MAX_LENGTH or offset + HEAD.size + (length + 3 & ~3) != end:
            return None
        if len(data) < end - offset:
            data += os.pread(self._descriptor, end - offset - len(data), offset + len(data))
        return memoryview(data)[HEAD.size : HEAD.size + length] if len(data) == end - offset else None
