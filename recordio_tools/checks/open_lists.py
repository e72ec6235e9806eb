"""The lists of the people whom a view leaves out, against the set that it looks into, and against one another."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recordio_tools.checks.findings import Findings
from recordio_tools.checks.groups import labels_of_groups
from recordio_tools.checks.lines import Lines
from recordio_tools.checks.loose_index import positions_of
from recordio_tools.errors import SourceError
from recordio_tools.faces import FaceSet
from recordio_tools.index import Int64s
from recordio_tools.listing import parse_line
from recordio_tools.set_writer import MANIFEST, OPEN_LISTS

_MOST_DIGITS = 18
_ENROLLED = ("gallery", "probe")  # of the same people


@dataclass(frozen=True)
class _Listed:
    """The good lines of all lists, one after another.

    Attributes:
        keys: Of the images, in the record file.
        labels: As the lists give them: those of the set that was cut, which may have been a view itself.
        roles: Which list each line is of, by its number in OPEN_LISTS.
        numbers: Which line of it, from 1.
    """

    keys: Int64s
    labels: Int64s
    roles: Int64s
    numbers: Int64s


def check_open_lists(folder: Path, said: Any, faces: FaceSet | None, keys: Int64s, kept: Int64s, out: Findings) -> None:
    """Look through the lists in `folder`.

    Args:
        folder: Of the view.
        said: What its manifest says under `open_roles`.
        faces: The set that it looks into; None where that cannot be opened, and no image be looked up.
        keys: The keys of the view's own images.
        kept: The labels, in that set, of the people whom the view keeps.
        out: Where the findings go.
    """
    if not isinstance(said, dict) or not ("none" in said or all(isinstance(said.get(r), dict) for r in OPEN_LISTS)):
        text = "does not say which people are left out, expected each list's images and identities under open_roles"
        out.add("view.manifest", folder / MANIFEST, text)
        said = {}
    if "none" in said:
        return
    listed = _read(folder, said, out)
    tell = _Teller(folder, listed, out)
    _check_alone(tell, keys)
    if faces is not None and len(faces):
        _check_people(tell, faces, kept)


class _Teller:
    def __init__(self, folder: Path, listed: _Listed, out: Findings) -> None:
        self.listed = listed
        self._paths = [folder / name for name in OPEN_LISTS.values()]
        self._out = out

    def lines(self, code: str, mask: NDArray[np.bool_], text: str | Callable[[int], str]) -> None:
        """One finding a line."""

        def add(at: int) -> None:
            said = text if isinstance(text, str) else text(at)
            line = f"line {self.listed.numbers[at]:,}: {said}"
            self._out.add(code, self._paths[self.listed.roles[at]], line, key=int(self.listed.keys[at]))

        places = np.flatnonzero(mask)
        self._out.add_each(code, places, len(places), add)

    def where(self, at: int) -> str:
        """The list and line of an entry."""
        return f"{self._paths[self.listed.roles[at]].name}, line {self.listed.numbers[at]:,}"


def _read(folder: Path, said: dict[str, Any], out: Findings) -> _Listed:
    parts = [np.empty((4, 0), np.int64)]
    for number, (role, name) in enumerate(OPEN_LISTS.items()):
        path = folder / name
        try:
            lines = Lines(path)
        except SourceError:
            out.add("open.missing", path, "is not there, or no file, expected one line an image of people left out")
            continue
        rows = [row for row in (_row(lines, line, number, path, out) for line in range(len(lines))) if row]
        part = np.array(rows, np.int64).reshape(-1, 4).T
        parts.append(part)
        if role in said:
            counts = {"images": len(lines), "identities": len(np.unique(part[1]))}
            for what, count in counts.items():
                if said[role].get(what) != count and len(part.T) == len(lines):
                    text = f"found {count:,} {what}, expected {str(said[role].get(what))[:20]} as {MANIFEST} says"
                    out.add("open.count", path, text)
    return _Listed(*np.concatenate(parts, axis=1))


def _row(lines: Lines, line: int, role: int, path: Path, out: Findings) -> tuple[int, int, int, int] | None:
    text = lines.text(line)
    key = text.partition("\t")[0]
    try:
        if not (key.isascii() and key.isdigit() and len(key) <= _MOST_DIGITS):
            raise ValueError
        return int(key), parse_line(text).label, role, line + 1
    except ValueError:
        said = f"line {line + 1:,}: found {text[:60]!r}, expected: key TAB label TAB path"
        out.add("open.bad-line", path, said)
        return None


def _check_alone(tell: _Teller, keys: Int64s) -> None:
    """No image stands twice in the lists, or in the view too."""
    listed = tell.listed
    _, firsts, inverse = np.unique(listed.keys, return_index=True, return_inverse=True)
    first = firsts[inverse.ravel()] if len(firsts) else np.empty(0, np.int64)
    tell.lines(
        "open.overlap",
        first != np.arange(len(first)),
        lambda at: f"found the image of {tell.where(int(first[at]))} again, expected each image once",
    )
    inside = positions_of(listed.keys, np.sort(keys)) >= 0
    tell.lines("open.overlap", inside, "found an image of the view itself, expected one of people left out")


def _check_people(tell: _Teller, faces: FaceSet, kept: Int64s) -> None:
    """Every line is an image of the set, one label is one person there, and no person plays two parts."""
    listed = tell.listed
    places = faces.find(listed.keys)
    there = places >= 0
    said = f"found no image of this key in {faces.reader.path}, expected one"
    tell.lines("open.key", ~there, said)
    people = np.where(there, faces.labels[np.maximum(places, 0)], -1)
    groups, most = labels_of_groups(listed.labels[there], people[there])
    expected = np.full(len(people), -1, np.int64)
    expected[there] = most[np.searchsorted(groups, listed.labels[there])] if len(groups) else -1
    tell.lines(
        "open.label",
        there & (people != expected),
        lambda at: (
            f"found label {listed.labels[at]:,}, but the image is of label {people[at]:,} in {faces.reader.path}, "
            f"expected {expected[at]:,} as the other images under this label have"
        ),
    )
    inside = there & np.isin(people, kept)
    tell.lines("open.overlap", inside, "found an image of a person whom the view keeps, expected people left out")
    names = list(OPEN_LISTS)
    parts = np.array([names.index(_ENROLLED[0]) if name in _ENROLLED else at for at, name in enumerate(names)])
    part = parts[listed.roles]
    first_part = np.full(int(people.max(initial=-1)) + 1, len(names), np.int64)
    np.minimum.at(first_part, people[there], part[there])
    again = there & (part != first_part[np.maximum(people, 0)] if len(first_part) else False)
    tell.lines(
        "open.overlap",
        again,
        lambda at: (
            f"found an image of a person whom {OPEN_LISTS[names[first_part[people[at]]]]} has too, expected different "
            "people"
        ),
    )
