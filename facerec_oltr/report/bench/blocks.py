"""What a report is made of, before it is HTML or Markdown. All texts are plain: whoever writes them out escapes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recordio_tools.door import printable


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """Sentences, one a bullet."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Figures.

    Attributes:
        caption: what it shows, and in what unit.
        groups: (title, number of columns) above the columns behind the names; () where there is one line of heads.
        columns: their heads, those of the names first.
        rows: cells, as many as columns.
        names: how many columns at the left are the name of a row.
        marks: (row, column) of cells to be seen at once; what it means stands in their text too.
    """

    caption: str
    groups: tuple[tuple[str, int], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int = 2
    marks: frozenset[tuple[int, int]] = frozenset()

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows)
        assert not self.groups or sum(width for _, width in self.groups) == len(self.columns) - self.names


@dataclass(frozen=True)
class Picture:
    """A plot.

    Attributes:
        name: of its file, and what keeps it apart from the others.
        alt: what a person hears who cannot see it.
        caption: how to read it.
        draw: makes the matplotlib figure.
    """

    name: str
    alt: str
    caption: str
    draw: Callable[[], Any]


@dataclass(frozen=True)
class Photo:
    """Photos side by side as one image.

    Attributes:
        alt: what they are.
        words: what was decided.
        pixels: (height, width, 3) uint8 RGB.
    """

    alt: str
    words: str
    pixels: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Photos:
    """Photos of one kind; `name` keeps their files apart."""

    name: str
    caption: str
    photos: tuple[Photo, ...]


Block = Text | Bullets | Table | Picture | Photos


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it; `level` 2 or 3, `folded` where only some will open it."""

    title: str
    blocks: tuple[Block, ...]
    level: int = 2
    folded: bool = False


@dataclass(frozen=True)
class Document:
    """A report."""

    title: str
    sections: tuple[Section, ...]


def plain(text: str) -> str:
    """One line that any encoding and any markup language can hold: names may hold line ends and control characters."""
    return "".join(one if one.isprintable() else " " if one.isspace() else "\ufffd" for one in printable(text))
