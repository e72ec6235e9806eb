"""The `.lst` of a large face set: labels as an array, and each path read from the mapped text when it is asked for.

MS1M's list has 5.8 million lines; an object a line would be a gigabyte. The lines that this package and
InsightFace write are taken many at once; a piece with any other line goes through `listing`, line by line.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from recordio_tools._mapped import map_file
from recordio_tools.index import Int64s
from recordio_tools.listing import name_in, read_fields

_PIECE = 1 << 24
_TAB, _NEWLINE, _SLASH, _ZERO, _NINE = b"\t\n/09"
_MOST_DIGITS = 7  # the label of a line taken many at once


class ListedPaths(Sequence[str]):
    """Where each image of a face set came from.

    Args:
        path: A `.lst` file, see `listing`.

    Attributes:
        labels: The class label of each line.

    Raises:
        FaceSetError: A line fits neither dialect.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = map_file(path)
        parts = [np.empty((3, 0), np.int64)]
        lines = 0
        for start, end in _pieces(self._text):
            part = _take_many(np.frombuffer(self._text, np.uint8, end - start, start))
            if part is None:
                part = _take_each(self._text[start:end], path, lines)
            part[:2] += start
            parts.append(part)
            lines += part.shape[1]
        self._starts, self._ends, self.labels = np.concatenate(parts, axis=1)

    def __len__(self) -> int:
        return len(self.labels)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [self[line] for line in range(*at.indices(len(self)))]
        return bytes(self._text[self._starts[at] : self._ends[at]]).decode(errors="surrogateescape")

    def __getstate__(self) -> tuple[Path, Int64s, Int64s, Int64s]:
        return self._path, self._starts, self._ends, self.labels

    def __setstate__(self, state: tuple[Path, Int64s, Int64s, Int64s]) -> None:
        self._path, self._starts, self._ends, self.labels = state
        self._text = map_file(self._path)

    def take(self, lines: Int64s) -> "ListedPaths":
        """Some of the lines, in the order given."""
        taken = object.__new__(ListedPaths)
        taken.__setstate__((self._path, self._starts[lines], self._ends[lines], self.labels[lines]))
        return taken

    def of(self, lines: Int64s) -> list[str]:
        """The paths of many lines."""
        text = self._text
        return [
            bytes(text[start:end]).decode(errors="surrogateescape")
            for start, end in zip(self._starts[lines].tolist(), self._ends[lines].tolist(), strict=True)
        ]

    def listed(self, lines: Int64s, labels: Sequence[int]) -> bytes:
        """Many lines of the face dialect, as `listing.format_line` writes them, with other labels."""
        text = self._text
        starts, ends = self._starts[lines].tolist(), self._ends[lines].tolist()
        rows = zip(starts, ends, labels, strict=True)
        return b"".join([b"1\t%b\t%d\n" % (text[start:end], label) for start, end, label in rows])

    def names(self, classes: int) -> list[str]:
        """The name of each class: the folder that its first photo lay in; empty for a class without images."""
        names = [""] * classes
        labels, firsts = np.unique(self.labels, return_index=True)
        for label, path in zip(labels.tolist(), self.of(firsts), strict=True):
            names[label] = name_in(path)
        return names


def _pieces(text: memoryview) -> Iterator[tuple[int, int]]:
    """[start, end) of pieces that end with their last line's newline, or with the text."""
    start = 0
    while start < len(text):
        end = min(start + _PIECE, len(text))
        while end < len(text):
            cut = bytes(text[start:end]).rfind(b"\n") + 1
            if cut:
                end = start + cut
                break
            end = min(end + _PIECE, len(text))  # one line longer than a piece
        yield start, end
        start = end


def _take_many(text: NDArray[np.uint8]) -> Int64s | None:
    """(start, end) of each path and the label, (3, lines), where every line is `number TAB path TAB label`.

    A path with a slash cannot be mistaken for a number. None where a line is of another kind.
    """
    marks = np.flatnonzero(text < _NEWLINE + 1)
    if len(marks) % 3 or not len(marks) or text[-1] != _NEWLINE:
        return None
    first, second, third = marks.reshape(-1, 3).T
    if (text[first] != _TAB).any() or (text[second] != _TAB).any() or (text[third] != _NEWLINE).any():
        return None
    slashes = np.flatnonzero(text == _SLASH)
    inside = np.searchsorted(slashes, second) > np.searchsorted(slashes, first)
    digits = third - second - 1
    if not inside.all() or digits.min() < 1 or digits.max() > _MOST_DIGITS:
        return None
    labels = np.zeros(len(third), np.int64)
    for place in range(int(digits.max())):
        there = digits > place
        figures = text[second[there] + 1 + place].astype(np.int64) - _ZERO
        if ((figures < 0) | (figures > 9)).any():
            return None
        labels[there] = 10 * labels[there] + figures
    return np.stack([first + 1, second, labels])


def _take_each(text: memoryview, path: Path, before: int) -> Int64s:
    """As `_take_many`, for lines of every kind; `before` lines of the file stand ahead of them."""
    rows = []
    start = 0
    for number, line in enumerate(io.BytesIO(text), before + 1):
        fields = line.rstrip(b"\r\n").split(b"\t")
        place, label = read_fields([field.decode(errors="surrogateescape") for field in fields], path, number)
        first = start + sum(len(field) + 1 for field in fields[:place])
        rows.append((first, first + len(fields[place]), label))
        start += len(line)
    return np.array(rows, np.int64).reshape(-1, 3).T
