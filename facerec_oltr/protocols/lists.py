"""Lists as text that a person can read and compare: TSV, one line an image, or a pair, or a trained person.

    NAME.tsv          template  person  medium  image  sha256      - where person or hash are not known
    NAME.pairs.tsv    fold  template  template  same                same is 1 or 0
    training.tsv      person  images                                how many each trained person was trained on

The first line names the columns. A file name that is not UTF-8 keeps its bytes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from facerec_oltr.errors import DataError
from facerec_oltr.protocols.records import PairSet
from facerec_oltr.protocols.templates import TemplateList

TEMPLATE_COLUMNS = ("template", "person", "medium", "image", "sha256")
PAIR_COLUMNS = ("fold", "first", "second", "same")
TRAINING_COLUMNS = ("person", "images")
UNKNOWN = "-"
_LONGEST_LINE = 1 << 16
_LINES_AT_ONCE = 1 << 16
_NUMBER = re.compile("[0-9]{1,18}")


def template_lines(templates: TemplateList) -> Iterator[bytes]:
    """The text of a list, in pieces."""
    yield _line(TEMPLATE_COLUMNS)
    owners, media = templates.owners.tolist(), templates.media.tolist()
    rows = (
        (templates.names[owner], templates.people[owner] or UNKNOWN, str(medium), image, digest or UNKNOWN)
        for owner, medium, image, digest in zip(owners, media, templates.images, templates.sha256, strict=True)
    )
    yield from _pieces(rows)


def read_templates(path: Path) -> TemplateList:
    """A list as it was written.

    Raises:
        DataError: the file is missing, or a line is not in the format; which, and what it should be.
    """
    names: list[str] = []
    people: list[str] = []
    images: list[str] = []
    hashes: list[str] = []
    media: list[int] = []
    starts: list[int] = []
    for number, (name, person, medium, image, digest) in _rows(path, TEMPLATE_COLUMNS):
        if not _NUMBER.fullmatch(medium):
            raise DataError(
                f"{path}: line {number:,}: found the medium {medium[:20]!r}, expected a whole number from 0"
            )
        owner = "" if person == UNKNOWN else person
        if not names or name != names[-1]:
            starts.append(len(images))
            names.append(name)
            people.append(owner)
        elif owner != people[-1]:
            raise DataError(
                f"{path}: line {number:,}: template {name!r} is of {person!r}, but of {people[-1]!r} on the line "
                "before, expected one person a template"
            )
        images.append(image)
        hashes.append("" if digest == UNKNOWN else digest)
        media.append(int(medium))
    return TemplateList(
        tuple(names),
        tuple(people),
        tuple(images),
        tuple(hashes),
        np.array(media, np.int64),
        np.array([*starts, len(images)], np.int64),
    )


def pair_lines(pairs: PairSet, names: Sequence[str]) -> Iterator[bytes]:
    """The text of a pair set, in pieces.

    Args:
        pairs: the pairs.
        names: of the templates that they number.
    """
    yield _line(PAIR_COLUMNS)
    for start in range(0, len(pairs), _LINES_AT_ONCE):
        block = slice(start, start + _LINES_AT_ONCE)
        columns = (pairs.folds[block], pairs.first[block], pairs.second[block], pairs.same[block])
        rows = zip(*(column.tolist() for column in columns), strict=True)
        yield from _pieces(
            (str(fold), str(names[one]), str(names[other]), str(int(same))) for fold, one, other, same in rows
        )


def read_pairs(path: Path, lists: tuple[str, ...], names: Sequence[str]) -> PairSet:
    """A pair set as it was written.

    Args:
        path: the file.
        lists: the names of the lists that it compares.
        names: of their templates.

    Raises:
        DataError: the file is missing, a line is not in the format, or names a template that the lists do not have.
    """
    places = {name: place for place, name in enumerate(names)}
    blocks: list[np.ndarray] = [np.empty((0, 4), np.int64)]
    block: list[tuple[int, int, int, int]] = []
    for number, (fold, one, other, same) in _rows(path, PAIR_COLUMNS):
        if not _NUMBER.fullmatch(fold) or same not in ("0", "1"):
            raise DataError(
                f"{path}: line {number:,}: found fold {fold[:20]!r} and same {same[:20]!r}, expected 0, 1 …"
            )
        for name in (one, other):
            if name not in places:
                raise DataError(
                    f"{path}: line {number:,}: names the template {name!r}, which is in none of {', '.join(lists)}; "
                    "correct the line"
                )
        block.append((int(fold), places[one], places[other], int(same)))
        if len(block) == _LINES_AT_ONCE:
            blocks.append(np.array(block, np.int64))
            block.clear()
    folds, first, second, flags = np.concatenate([*blocks, np.array(block, np.int64).reshape(-1, 4)]).T
    return PairSet(lists, first, second, flags == 1, folds)


def training_lines(images: Mapping[str, int]) -> Iterator[bytes]:
    """The text of the training counts, in pieces."""
    yield _line(TRAINING_COLUMNS)
    yield from _pieces((person, str(count)) for person, count in images.items())


def read_training(path: Path) -> dict[str, int]:
    """The training counts as they were written.

    Raises:
        DataError: the file is missing, or a line is not in the format, or names a person again.
    """
    found: dict[str, int] = {}
    for number, (person, count) in _rows(path, TRAINING_COLUMNS):
        if not _NUMBER.fullmatch(count) or int(count) < 1:
            raise DataError(f"{path}: line {number:,}: found {count[:20]!r} images, expected a whole number from 1")
        if person in found:
            raise DataError(f"{path}: line {number:,}: names {person!r} again, expected each person once")
        found[person] = int(count)
    return found


def _line(fields: Sequence[str]) -> bytes:
    return ("\t".join(fields) + "\n").encode(errors="surrogateescape")


def _pieces(rows: Iterable[Sequence[str]]) -> Iterator[bytes]:
    lines: list[str] = []
    for row in rows:
        lines.append("\t".join(row))
        if len(lines) == _LINES_AT_ONCE:
            yield _line(["\n".join(lines)])
            lines.clear()
    if lines:
        yield _line(["\n".join(lines)])


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """The lines after the first, by number from 2, as as many fields as there are columns."""
    if not path.is_file():
        what = "is no file" if path.exists() else "not there"
        raise DataError(f"{path}: {what}, but manifest.json names it; make the protocol again")
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        head = file.readline(_LONGEST_LINE).rstrip("\r\n").split("\t")
        if tuple(head) != columns:
            raise DataError(f"{path}: line 1: found {' TAB '.join(head)[:80]!r}, expected {' TAB '.join(columns)!r}")
        for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), ""), 2):
            fields = line.rstrip("\r\n").split("\t")
            if len(fields) != len(columns) or not all(fields):
                raise DataError(
                    f"{path}: line {number:,}: found {line.rstrip()[:80]!r}, expected {len(columns)} fields: "
                    f"{' TAB '.join(columns)}"
                )
            yield number, fields
