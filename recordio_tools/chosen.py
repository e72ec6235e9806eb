"""A list of what to keep, written by hand or by another program → Plan.

A line names one image or one person, in its first column; whatever follows a tab is passed over, so that the
lines of an im2rec `.lst` do, among them those of the open lists. Empty lines are passed over. What the lines name
is said with the list and never guessed, since the name of a person may be a number:

    keys     images, by their key in the source
    labels   people, by their class number in the source; all of their images
    names    people, by the name of their folder as the source's `.lst` has it; all of their images
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from recordio_tools.errors import SourceError
from recordio_tools.faces import FaceSet
from recordio_tools.index import Int64s

ListOf = Literal["keys", "labels", "names"]
_MOST_DIGITS = 18  # every number of 18 digits fits int64
_LONGEST_LINE = 1 << 16


@dataclass(frozen=True, slots=True)
class ChosenList:
    """A list of what to keep.

    Attributes:
        path: The file.
        of: What its lines name.
    """

    path: Path
    of: ListOf = "keys"

    def facts(self) -> dict[str, Any]:
        """What a manifest says of it, in the place of a rule."""
        with self.path.open("rb") as file:
            return {
                "law": "list",
                "file": self.path.name,
                "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
                "of": self.of,
            }


def chosen_positions(faces: FaceSet, chosen: ChosenList) -> Int64s:
    """Positions in `faces` of the images that the list names, ascending.

    Raises:
        SourceError: The list is missing or empty, or a line names nothing in the set, or what an earlier line
            named; the message says which line.
    """
    if chosen.of not in get_args(ListOf):
        raise SourceError(f"a list of {chosen.of!r} is unknown, expected one of: {', '.join(get_args(ListOf))}")
    if chosen.of == "keys":
        keys, lines = _numbers(chosen.path, "key of an image")
        places = faces.find(keys)
        _check(chosen, keys, lines, places < 0, lambda key: _astray(faces, key))
        return np.sort(places)
    if chosen.of == "labels":
        labels, lines = _numbers(chosen.path, "class number")
    else:
        labels, lines = _named(faces, chosen.path)
    counts = faces.counts()
    absent = (labels >= len(counts)) | (counts[np.minimum(labels, len(counts) - 1)] == 0)
    _check(chosen, labels, lines, absent, lambda label: f"{faces.path} has no image of class {label}")
    return np.flatnonzero(np.isin(faces.labels, labels))


def _check(chosen: ChosenList, numbers: Int64s, lines: Int64s, absent: np.ndarray, say: Callable[[int], str]) -> None:
    """Every line names something, and no two the same."""
    if absent.any():
        first = int(np.flatnonzero(absent)[0])
        raise SourceError(f"{chosen.path}: line {lines[first]:,}: {say(int(numbers[first]))}; correct the list")
    order = np.argsort(numbers, kind="stable")
    again = order[1:][numbers[order[1:]] == numbers[order[:-1]]]
    if len(again):
        line = int(again.min())
        before = int(lines[np.flatnonzero(numbers == numbers[line])[0]])
        hint = "; a face .lst has no keys in its first column" if chosen.of == "keys" else ""
        raise SourceError(
            f"{chosen.path}: line {lines[line]:,}: names again what line {before:,} names, expected each once{hint}"
        )


def _astray(faces: FaceSet, key: int) -> str:
    if key in faces.reader:
        return f"key {key} is no image of {faces.path} but a record of its tables"
    return f"{faces.path} has no key {key}"


def _numbers(path: Path, what: str) -> tuple[Int64s, Int64s]:
    """(number, line) of each line."""
    rows = []
    for number, column in _columns(path):
        if not (column.isascii() and column.isdigit() and len(column) <= _MOST_DIGITS):
            raise SourceError(f"{path}: line {number:,}: found {column[:60]!r}, expected the {what}; see --list-of")
        rows.append((int(column), number))
    return _arrays(rows, path)


def _named(faces: FaceSet, path: Path) -> tuple[Int64s, Int64s]:
    """(class, line) of each line's name."""
    if faces.names is None:
        raise SourceError(f"{faces.path}: has no train.lst, so its people have no names; list labels or keys instead")
    labels: dict[str, int] = {}
    twice = set()
    for label, name in enumerate(faces.names):
        if name and labels.setdefault(name, label) != label:
            twice.add(name)
    rows = []
    for number, column in _columns(path):
        if column not in labels:
            raise SourceError(f"{path}: line {number:,}: {faces.path} has nobody named {column[:60]!r}")
        if column in twice:
            raise SourceError(
                f"{path}: line {number:,}: {faces.path} has several people named {column[:60]!r}; list labels instead"
            )
        rows.append((labels[column], number))
    return _arrays(rows, path)


def _arrays(rows: list[tuple[int, int]], path: Path) -> tuple[Int64s, Int64s]:
    if not rows:
        raise SourceError(f"{path}: is empty, expected a line for each image or person to keep")
    numbers, lines = np.array(rows, np.int64).T
    return numbers, lines


def _columns(path: Path) -> Iterator[tuple[int, str]]:
    """(line, first column) of each line that is not empty."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise SourceError(f"{path}: not there; expected a list of what to keep") from None
    except IsADirectoryError:
        raise SourceError(f"{path}: is a folder, expected a list of what to keep") from None
    with file:
        number = 0
        while line := file.readline(_LONGEST_LINE):
            number += 1
            if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
                raise SourceError(
                    f"{path}: line {number:,}: has 65,536 bytes or more; expected a list, one entry a line"
                )
            column = line.rstrip(b"\r\n").split(b"\t")[0].decode(errors="surrogateescape")
            if line.strip():
                yield number, column
