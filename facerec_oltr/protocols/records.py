"""What a protocol is: lists of templates, and which list plays which part in which search set.

- The *gallery* holds the templates of the enrolled people; *distractors* are enrolled beside them, but nobody looks
  for them: they make the gallery large.
- *Mated* probes show enrolled people, *strangers* show people who are not enrolled: FNIR is of the first, FPIR of the
  second.
- *Calibration* templates are of a third group of people. They choose the threshold, since one chosen by the strangers
  that it is judged by flatters.

Several sets may share lists: in O1, O2 and O3 of LFW's open-set protocol the same people are enrolled.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from facerec_oltr.protocols.templates import Int64s, TemplateList

SourceKind = Literal["folder", "face_set", "lists"]


class SearchSet(NamedTuple):
    """1:N: the names of the lists that play each part; an empty part is one that the protocol leaves empty."""

    gallery: tuple[str, ...]
    mated: tuple[str, ...]
    strangers: tuple[str, ...] = ()
    calibration: tuple[str, ...] = ()
    distractors: tuple[str, ...] = ()


PARTS = SearchSet._fields


@dataclass(frozen=True, eq=False)
class PairSet:
    """1:1: P pairs of templates, and whether both show the same person.

    Attributes:
        lists: the names of the lists whose templates are compared.
        first: (P,) places in these lists, one list after another.
        second: (P,) the same.
        same: (P,) bool.
        folds: (P,) the fold of each pair, from 0 and never falling; all 0 where there are no folds.
    """

    lists: tuple[str, ...]
    first: Int64s
    second: Int64s
    same: npt.NDArray[np.bool_]
    folds: Int64s

    def __post_init__(self) -> None:
        assert len(self.first) == len(self.second) == len(self.same) == len(self.folds)

    def __len__(self) -> int:
        return len(self.same)


@dataclass(frozen=True)
class Source:
    """Where the images are.

    Attributes:
        kind: ``folder``, images are named by path; ``face_set``, by key; ``lists``, as the data set's own lists name
            them, wherever the images are.
        fingerprint: what the source is known by: 64 hexadecimal digits.
        images: in it, all of them.
        people: in it, all of them.
    """

    kind: SourceKind
    fingerprint: str
    images: int
    people: int


@dataclass(frozen=True, eq=False)
class Protocol:
    """A protocol whose lists have been checked against each other, see ``checks.check_protocol``.

    Attributes:
        name: what a person calls it.
        source: where its images are.
        lists: of templates, by name.
        searches: the search sets, by name.
        pairs: the pair sets, by name.
        training_images: number of images that each trained person was trained on; empty where nobody's is known.
        trained_on: the training images themselves, for shot groups by similarity; None where they are not told.
        made_by: the command or function that made it.
        seed: of the draw; None where nothing was drawn.
        choices: what else was chosen, as plain JSON values.
    """

    name: str
    source: Source
    lists: Mapping[str, TemplateList]
    searches: Mapping[str, SearchSet] = field(default_factory=dict)
    pairs: Mapping[str, PairSet] = field(default_factory=dict)
    training_images: Mapping[str, int] = field(default_factory=dict)
    made_by: str = ""
    seed: int | None = None
    choices: Mapping[str, Any] = field(default_factory=dict)
    trained_on: TemplateList | None = None

    def part(self, search: str, part: str) -> TemplateList:
        """The templates that play a part in a search set."""
        return self.joined(getattr(self.searches[search], part))

    def joined(self, names: tuple[str, ...]) -> TemplateList:
        """Lists, one after another."""
        return TemplateList.join(self.lists[name] for name in names)
