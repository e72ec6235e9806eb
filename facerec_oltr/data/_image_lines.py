"""List files of images: one `<relative path> <label>` a line, as most long-tailed sets are published.

Blank lines are skipped; a path has no space in it; a stranger's label is −1.
"""

import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facerec_oltr.data._base import STRANGER
from facerec_oltr.errors import DataError

_LABEL = re.compile(r"(-1|[0-9]{1,9})", re.ASCII)


class Lines(NamedTuple):
    """A list file as read.

    Attributes:
        source: the file.
        paths: of the images, as listed.
        labels: (N,) int64.
        numbers: (N,) of the lines, from 1.
    """

    source: Path
    paths: list[str]
    labels: npt.NDArray[np.int64]
    numbers: list[int]

    def place(self, position: int) -> str:
        """Where an entry stands, for an error."""
        return f"{self.source}, line {self.numbers[position]}"


def read_lines(source: Path) -> Lines:
    """Read a list file.

    Raises:
        DataError: it cannot be read, is empty, or a line is not what it should be: two columns, a path that stays
            inside the root and stands there once, a whole number from −1 on.
    """
    try:
        text = source.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(
            f"{source}: cannot be read ({error.strerror}), expected a list file with lines of <relative path> <label>"
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{source}: is no text in UTF-8 (byte {error.start}), expected a list file") from None
    seen: dict[str, int] = {}
    labels: list[int] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not (columns := line.split()):
            continue
        path, label = _checked(columns, f"{source}, line {number}")
        if path in seen:
            raise DataError(f"{source}, line {number}: {path} stands in line {seen[path]} too; remove one of them")
        seen[path] = number
        labels.append(label)
    if not labels:
        raise DataError(f"{source}: is empty, expected lines of <relative path> <label>")
    return Lines(source, list(seen), np.array(labels, np.int64), list(seen.values()))


def check_known(lines: Lines, classes: int | None) -> None:
    """Labels of known classes: not negative, and below `classes` where that is given.

    Raises:
        DataError: naming the first line that is wrong.
    """
    wrong = lines.labels < 0
    if classes is not None:
        wrong |= lines.labels >= classes
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        expected = "0 or more" if classes is None else f"those of training, 0 to {classes - 1}"
        raise DataError(
            f"{lines.place(first)}: found label {lines.labels[first]}, expected {expected}; "
            "strangers belong in the list of an open split"
        )


def check_strangers(lines: Lines) -> None:
    """Labels of strangers: all −1.

    Raises:
        DataError: naming the first line that is wrong.
    """
    if (known := np.flatnonzero(lines.labels != STRANGER)).size:
        first = int(known[0])
        raise DataError(
            f"{lines.place(first)}: found label {lines.labels[first]}, expected {STRANGER} in an open split: "
            "nobody in it may be of a known class"
        )


def _checked(columns: list[str], place: str) -> tuple[str, int]:
    if len(columns) != 2:
        raise DataError(
            f"{place}: found {len(columns)} columns, expected 2: <relative path> <label>, the path without spaces"
        )
    path, label = columns
    if not _LABEL.fullmatch(label):
        raise DataError(f"{place}: found the label {label!r}, expected a whole number from -1 to 999999999")
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\0" in path or not pure.parts:
        raise DataError(f"{place}: found the path {path!r}, expected one that stays inside the images' root")
    return path, int(label)
