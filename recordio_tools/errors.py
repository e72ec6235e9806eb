"""The errors of recordio_tools: one small tree, so that a caller can catch all of it or one branch.

Every message is one line that says what was found, what was expected and what to do next. Each class can be
made from its message alone, so that an error crosses a process border (pickle, a data loader) as itself.
"""

from pathlib import Path


class RecordIOError(Exception):
    """The root: everything that this package raises on purpose."""


class DamageError(RecordIOError):
    """A file's bytes break the format: a wrong magic, a record cut short, an illegal part.

    Attributes:
        found: What the bytes hold.
        expected: What the format asks for.
        offset: Byte offset of the damage: in the file once `path` is known, else in the buffer that was read.
        path: The damaged file, None while only a buffer is known.
        key: The record's key, None where none is known.
    """

    def __init__(
        self,
        message: str,
        *,
        found: str = "",
        expected: str = "",
        offset: int | None = None,
        path: Path | None = None,
        key: int | None = None,
    ) -> None:
        super().__init__(message)
        self.found = found
        self.expected = expected
        self.offset = offset
        self.path = path
        self.key = key

    @classmethod
    def of(cls, found: str, expected: str, offset: int | None = None) -> "DamageError":
        """Damage in a buffer whose file is not known here; `located` adds the place."""
        where = "" if offset is None else f"byte {offset:,}: "
        message = f"{where}found {found}, expected {expected}"
        return cls(message, found=found, expected=expected, offset=offset)

    def located(self, path: Path, key: int | None, offset: int, advice: str) -> "DamageError":
        """The same damage with its file, key, byte offset in that file, and what to do next."""
        name = "" if key is None else f"key {key}, "
        message = f"{path}: {name}byte {offset:,}: found {self.found}, expected {self.expected}; {advice}"
        return DamageError(message, found=self.found, expected=self.expected, offset=offset, path=path, key=key)


class IndexMismatchError(RecordIOError):
    """An index and its record file do not belong together, or the index cannot be parsed."""


class MissingKeyError(RecordIOError, KeyError):
    """A key that the index does not hold. Also a KeyError, as a mapping's reader expects."""

    __str__ = Exception.__str__  # KeyError's own shows the repr of the message, in quotes


class LimitError(RecordIOError):
    """A value that the format cannot hold: a record of 2^29 bytes, a label that float32 would round."""


class FaceSetError(RecordIOError):
    """A face set's contents contradict its own tables: identity ranges, labels, property."""


class SourceError(RecordIOError):
    """Input to build from is missing, empty or unreadable: a folder, a list file, an image."""


class PlanError(RecordIOError):
    """A long-tail plan asks for what the source cannot give."""
