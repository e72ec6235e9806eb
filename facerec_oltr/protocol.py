"""Who plays which part when identification is measured in an open world.

Some people are enrolled and come again as mated probes. Others are strangers, whom a threshold must reject. The
threshold is chosen by a third group, since one chosen by the strangers it is judged by flatters. None of them
was seen in training; that is the caller's part.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import DataError

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Roles:
    """One draw: positions of photos, no photo in two parts.

    Attributes:
        templates: the photos in the gallery.
        mated: the other photos of the enrolled people, all of them.
        calibration: all photos of the people who choose the threshold.
        strangers: all photos of the people who are to be rejected.
    """

    templates: Positions
    mated: Positions
    calibration: Positions
    strangers: Positions


@dataclass(frozen=True)
class Protocol:
    """How many people play each part, and how often it is drawn anew.

    Attributes:
        enrolled: people in the gallery, N.
        calibration: people who choose the threshold.
        strangers: people who are to be rejected.
        templates: photos an enrolled person has in the gallery, cycled over the enrolled people: with
            (1, 2, 3, 5) and five people, the fifth has one again.
        draws: how often the parts are dealt anew.
        seed: of all draws; draw k is the same whatever their number.

    Raises:
        DataError: a number below 1, or a negative seed.
    """

    enrolled: int = 5
    calibration: int = 5
    strangers: int = 5
    templates: tuple[int, ...] = (1, 2, 3, 5)
    draws: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("enrolled", "calibration", "strangers", "draws"):
            if getattr(self, name) < 1:
                raise DataError(f"{name}: found {getattr(self, name)}, expected 1 or more")
        if not self.templates or min(self.templates) < 1:
            raise DataError(f"templates: found {self.templates}, expected one number or more, each at least 1")
        if self.seed < 0:
            raise DataError(f"seed: found {self.seed}, expected 0 or more")

    def all_roles(self, people: npt.ArrayLike) -> Iterator[Roles]:
        """Every draw in order; see ``draw``."""
        for number in range(self.draws):
            yield self.draw(people, np.random.default_rng([self.seed, number]))

    def draw(self, people: npt.ArrayLike, rng: np.random.Generator) -> Roles:
        """Deal the parts once.

        Only people with a photo more than the most templates can be enrolled; everybody can be a stranger.

        Args:
            people: (P,) whose photo each one is, any numbers.
            rng: the source of the draw.

        Raises:
            DataError: too few people, or too few with enough photos.
        """
        people = np.asarray(people)
        each, counts = np.unique(people, return_counts=True)
        self._check_enough(counts)
        enrolled = rng.permutation(each[counts > max(self._templates_each())])[: self.enrolled]
        others = rng.permutation(np.setdiff1d(each, enrolled))
        templates, mated = [], []
        for person, number in zip(enrolled, self._templates_each(), strict=True):
            photos = rng.permutation(np.flatnonzero(people == person))
            templates.append(photos[:number])
            mated.append(photos[number:])
        calibration, strangers = np.split(others[: self.calibration + self.strangers], [self.calibration])
        return Roles(
            np.concatenate(templates),
            np.concatenate(mated),
            np.flatnonzero(np.isin(people, calibration)),
            np.flatnonzero(np.isin(people, strangers)),
        )

    def _templates_each(self) -> list[int]:
        return [self.templates[place % len(self.templates)] for place in range(self.enrolled)]

    def _check_enough(self, counts: npt.NDArray[np.int64]) -> None:
        wanted = self.enrolled + self.calibration + self.strangers
        if len(counts) < wanted:
            raise DataError(
                f"found {len(counts)} people who were not trained on, expected {wanted}: {self.enrolled} enrolled, "
                f"{self.calibration} for calibration, {self.strangers} strangers; ask for fewer of each"
            )
        photos = max(self._templates_each()) + 1
        if (rich := int((counts >= photos).sum())) < self.enrolled:
            raise DataError(
                f"found {rich} people with {photos} photos or more, expected {self.enrolled} to enrol: up to "
                f"{photos - 1} templates and a probe; enrol fewer people"
            )
