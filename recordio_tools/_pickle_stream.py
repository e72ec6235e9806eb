"""The arguments of pickle's operations, read from a file whose end is always in sight.

A length is compared with what is left of the file before anything is read or allocated.
"""

import re
from typing import BinaryIO

from recordio_tools.errors import DamageError

_LONGEST_NUMBER = 24
_LONGEST_NAME = 256
_DECIMAL = re.compile(rb"-?(?:0|[1-9][0-9]{0,17})")  # no 010, which Python's own readers disagree about
# what Python 2's repr writes; possessive, so that a long string is matched without a stack of ways back
_REPR = re.compile(rb"""(?:[ -\[\]-~]++|\\(?:x[0-9a-f]{2}|[\\'"nrt]))*+""")


class Stream:
    """Reads a pickle's bytes in order.

    Attributes:
        at: How many bytes were read.
        size: How many there are.

    Raises:
        DamageError: Every method, where the file ends or holds something else.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.at = 0
        self.size = size

    @property
    def left(self) -> int:
        """How many bytes are still to be read."""
        return self.size - self.at

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        data = self._file.read(count) if count <= self.left else b""
        if len(data) != count:
            raise DamageError.of(f"{self.left:,} byte(s) before the end of the file", f"{count:,} more")
        self.at += count
        return data

    def number(self, width: int, *, signed: bool = False) -> int:
        """A little-endian number of `width` bytes."""
        if width > 8:
            raise DamageError.of(f"a number of {width} bytes", "8 at most")
        return int.from_bytes(self.take(width), "little", signed=signed)

    def counted(self, width: int) -> bytes:
        """As many bytes as the number of `width` bytes before them says."""
        return self.take(self.number(width))

    def text(self, width: int) -> str:
        """UTF-8, counted."""
        try:
            return self.counted(width).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise DamageError.of("text that is not UTF-8", "UTF-8") from None

    def decimal(self) -> int:
        """A line with a whole number, or with 00 or 01, which is how protocols 0 and 1 write flags."""
        line = self._line(_LONGEST_NUMBER)
        if line in (b"00", b"01"):
            return line == b"01"
        digits = line.removesuffix(b"L")
        if not _DECIMAL.fullmatch(digits):
            raise DamageError.of(repr(line), "a whole number")
        return int(digits)

    def quoted(self) -> bytes:
        """A line with a string of Python 2, in quotes and with escapes."""
        line = self._line(self.size)
        if len(line) < 2 or line[:1] not in b"'\"" or line[:1] != line[-1:] or not _REPR.fullmatch(line[1:-1]):
            raise DamageError.of("a line that is no string", "a string in quotes, as Python 2 writes it")
        return line[1:-1].decode("unicode_escape").encode("latin-1")

    def raw_text(self) -> str:
        r"""A line of text in which some characters are written as \uhhhh."""
        try:
            return self._line(self.size).decode("raw-unicode-escape")
        except UnicodeDecodeError:
            raise DamageError.of("text with a broken escape", "text as Python writes it") from None

    def name(self) -> str:
        """A line with a module's or a function's name."""
        return self._line(_LONGEST_NAME).decode("ascii", "replace")

    def _line(self, most: int) -> bytes:
        line = self._file.readline(min(most, self.left))
        if not line.endswith(b"\n"):
            raise DamageError.of(f"no end of line in {len(line):,} byte(s)", "a line")
        self.at += len(line)
        return line[:-1]
