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

_LONGEST = 1 << 16  # characters of a line; a file of another kind may have no line break at all
_BREAK = re.compile("[\t\n\r]")


@dataclass(frozen=True, slots=True)
class Listed:
    """One line: an image's source and its class label.

    Attributes:
        path: As it is written.
        label: The class; in the im2rec dialect the first of the labels.
        aligned: Whether the image is a crop that needs no further alignment; the im2rec dialect does not say.
    """

    path: str
    label: int
    aligned: bool = True

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
        for number, line in enumerate(iter(lambda: file.readline(_LONGEST), ""), 1):
            try:
                lines.append(parse_line(line))
            except ValueError:
                raise _bad_line(line.rstrip("\r\n"), path, number) from None
    return lines


def parse_line(line: str) -> Listed:
    """One line of either dialect.

    Raises:
        ValueError: It fits neither.
    """
    fields = line.rstrip("\r\n").split("\t")
    place, label = _parse_fields(fields)
    return Listed(fields[place], label, place != 1 or fields[0] != "0")


def read_fields(fields: Sequence[str], path: Path, number: int) -> tuple[int, int]:
    """(which column holds the path, label) of line `number` of `path`.

    Raises:
        FaceSetError: The line fits neither dialect.
    """
    try:
        return _parse_fields(fields)
    except ValueError:
        raise _bad_line("\t".join(fields), path, number) from None


def _parse_fields(fields: Sequence[str]) -> tuple[int, int]:
    if len(fields) < 3:
        raise ValueError
    try:
        label = float(fields[1])
    except ValueError:
        return 1, _whole(float(fields[2]))
    return len(fields) - 1, _whole(label)


def _bad_line(line: str, path: Path, number: int) -> FaceSetError:
    return FaceSetError(
        f"{path}: line {number:,}: found {line[:60]!r}, expected: 1 TAB path TAB label, or index TAB label TAB path"
    )


def _whole(label: float) -> int:
    if not (label.is_integer() and 0 <= label <= FLOAT32_EXACT):
        raise ValueError
    return int(label)
