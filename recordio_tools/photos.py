"""Which photos become a face set, in which order and under which classes: from a folder or from a `.lst`.

Everything is known before the first photo is read, so that a fault in a name or a list is told at once.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from recordio_tools.errors import SourceError
from recordio_tools.images import list_people, read_image_file
from recordio_tools.index import Int64s
from recordio_tools.listing import Listed, format_line, read_listing

_MISSING = (-1, -1)


@dataclass(frozen=True)
class Photos:
    """Photos in the order of the set, one class after another. Columns, because there may be millions.

    Attributes:
        root: The folder below which they lie.
        sources: Path of each, relative to `root`, as the set's own listing will have it.
        labels: Class of each, 0 … K-1, never falling.
        stamps: (size, time of last change in ns) of each file; -1 where it could not be asked for.
        source_labels: Label that each class has in the `.lst`; empty for a folder.
    """

    root: Path
    sources: list[str]
    labels: Int64s
    stamps: Int64s
    source_labels: Int64s

    def __len__(self) -> int:
        return len(self.sources)

    def path(self, place: int) -> Path:
        """Where the photo lies."""
        return self.root / self.sources[place]

    def read(self, place: int) -> bytes:
        """The photo's bytes.

        Raises:
            SourceError: It cannot be read.
            ChangedError: It is no longer the file that was found when the photos were listed.
        """
        data = read_image_file(self.path(place))
        if _stamp(self.path(place)) != tuple(self.stamps[place].tolist()):
            raise ChangedError(
                f"{self.path(place)}: changed while it was packed; start again when nothing writes there"
            )
        return data

    def whose(self, label: int) -> str:
        """How to name a class in an error message."""
        place = int(np.searchsorted(self.labels, label))
        if len(self.source_labels):
            return f"label {self.source_labels[label]:,} ({self.path(place)} …)"
        return str(self.path(place).parent)


class ChangedError(SourceError):
    """A photo changed while it was packed: what is written may not be what is there."""


def photos_in_folder(folder: Path) -> Photos:
    """The photos of `list_people`, a class a person.

    Raises:
        SourceError: As `list_people`, or a name that cannot be listed.
    """
    sources, labels = [], []
    for label, person in enumerate(list_people(folder)):
        sources += [f"{person.name}/{path.name}" for path in person.paths]
        labels += [label] * len(person.paths)
    for source in sources:
        format_line(Listed(source, 0))  # raises now for what it would not write later
    stamps = [_stamp(folder / source) for source in sources]
    return Photos(folder, sources, np.array(labels), np.array(stamps), np.array([], np.int64))


def photos_in_listing(listing: Path, root: Path, *, missing_too: bool = False) -> Photos:
    """The photos that a `.lst` names below `root`.

    Classes are numbered 0 … K-1 in the order of the list's labels, so a list that has them already keeps them and
    a gap closes up. Photos of one class are brought together in the order of their lines; index numbers, boxes,
    landmarks and further labels are not used.

    Args:
        listing: In either dialect.
        root: The folder to which its paths are relative, and out of which none may lead.
        missing_too: Keep lines whose file is not there, for a packer that leaves them out and says so.

    Raises:
        SourceError: The list is missing or empty, or a line names a photo that is missing, named before, not
            aligned, or out of `root`.
        FaceSetError: A line fits neither dialect.
    """
    if not root.is_dir():
        raise SourceError(f"{root}: not a folder, expected the one to which the paths in {listing} are relative")
    try:
        lines = read_listing(listing)
    except OSError as error:
        raise SourceError(f"{listing}: cannot be read ({error.strerror}), expected a .lst file") from error
    if not lines:
        raise SourceError(f"{listing}: no line in it, expected one for each photo")
    stamps = _check_lines(listing, root, lines, missing_too)
    given = np.array([line.label for line in lines])
    order = np.argsort(given, kind="stable")
    source_labels, labels = np.unique(given[order], return_inverse=True)
    return Photos(root, [lines[place].path for place in order], labels, np.array(stamps)[order], source_labels)


def _check_lines(listing: Path, root: Path, lines: list[Listed], missing_too: bool) -> list[tuple[int, int]]:
    """The files' stamps, once every line may be packed."""
    inside = _inside(root)
    first: dict[str, int] = {}
    stamps = []
    for number, line in enumerate(lines, 1):
        same = str(PurePosixPath(line.path))
        problem = _problem(line)
        if not problem and same in first:
            problem = f"is line {first[same]:,} again; remove one of them"
        if not problem and not inside(line.path):
            problem = f"leads out of {root}; name a photo below it, or give another --root"
        if not problem:
            stamps.append(_stamp(root / line.path))
            if stamps[-1] == _MISSING and not missing_too:
                problem = f"is not a file in {root}; mend the list, or give the right --root"
        if problem:
            raise SourceError(f"{listing}: line {number:,}: {line.path!r} {problem}")
        first[same] = number
    return stamps


def _problem(line: Listed) -> str:
    if any(mark in line.path for mark in "\0\r\n"):
        return "holds a line break or a zero byte, which no set can list; rename it"
    if not line.aligned:
        return "is marked as not aligned (0), and pack does not align; align it first and mark it 1"
    return ""


def _inside(root: Path) -> Callable[[str], bool]:
    """Whether a path stays in `root`, links followed; the folders on the way are asked about once each."""
    real = os.path.realpath(root)
    known: dict[str, bool] = {"": True}

    def stays(path: str) -> bool:
        place = os.path.realpath(Path(real, path))
        return os.path.commonpath((real, place)) == real

    def inside(path: str) -> bool:
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts:
            return False
        folder = str(parts.parent)
        if folder not in known:
            known[folder] = stays(folder)
        return known[folder] and (not Path(real, path).is_symlink() or stays(path))

    return inside


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return _MISSING
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else _MISSING
