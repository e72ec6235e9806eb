"""The `.lst` text of a face set: which photo each image came from; two dialects are read, one written.

    face dialect    aligned TAB path TAB label [TAB box and landmarks]       (InsightFace's face2rec2)
    im2rec dialect  index TAB label [TAB more labels] TAB path               (mxnet's im2rec)

The second column tells them apart: a path does not parse as a number.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from recordio_tools.errors import FaceSetError, SourceError
from recordio_tools.header import FLOAT32_EXACT

_BREAK = re.compile("[\t\n\r]")


@dataclass(frozen=True, slots=True)
class Listed:
    """One line: an image's source and its class label."""

    path: str
    label: int

    @property
    def name(self) -> str:
        """The person's name: the folder that the photo lay in."""
        return name_in(self.path)


def name_in(path: str) -> str:
    """The name of the folder that the photo at `path` lay in; empty where it lay in none."""
    name = path.rpartition("/")[0].rpartition("/")[2]
    return name if name not in ("", ".") else PurePosixPath(path).parent.name


def format_line(line: Listed) -> bytes:
    """One line of the face dialect; the image is marked as aligned.

    Raises:
        SourceError: The path holds a tab or a line break, which the format cannot carry.
    """
    if _BREAK.search(line.path):
        raise SourceError(f"{line.path!r}: a tab or line break in a name cannot be listed; rename it")
    return f"1\t{line.path}\t{line.label}\n".encode(errors="surrogateescape")


def read_listing(path: Path) -> list[Listed]:
    """All lines, in order.

    Raises:
        FaceSetError: A line fits neither dialect.
    """
    lines = []
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        for number, line in enumerate(file, 1):
            fields = line.rstrip("\r\n").split("\t")
            place, label = read_fields(fields, path, number)
            lines.append(Listed(fields[place], label))
    return lines


def read_fields(fields: Sequence[str], path: Path, number: int) -> tuple[int, int]:
    """(which column holds the path, label) of line `number` of `path`.

    Raises:
        FaceSetError: The line fits neither dialect.
    """
    try:
        try:
            label = float(fields[1])
        except ValueError:
            return 1, _whole(float(fields[2]))
        if len(fields) < 3:
            raise ValueError
        return len(fields) - 1, _whole(label)
    except (ValueError, IndexError):
        line = "\t".join(fields)
        raise FaceSetError(
            f"{path}: line {number:,}: found {line[:60]!r}, expected: 1 TAB path TAB label, or index TAB label TAB path"
        ) from None


def _whole(label: float) -> int:
    if not (label.is_integer() and 0 <= label <= FLOAT32_EXACT):
        raise ValueError
    return int(label)
