"""The people whom a training split left out → gallery, probes, strangers and calibration.

Each person plays one part: some are enrolled, some are strangers, and some choose the threshold, which flatters
if it is chosen by those it is judged by. The photos of an enrolled person are split between the gallery and the
probes. No photo and no person is in two parts. Pure and seeded.
"""

from dataclasses import dataclass

import numpy as np

from recordio_tools.errors import PlanError
from recordio_tools.index import Int64s


@dataclass(frozen=True, slots=True)
class OpenSplit:
    """How the people left out are dealt.

    Attributes:
        enrolled: Share of them that is enrolled, above 0; only people with two photos or more can be.
        calibration: Share of them that chooses the threshold, above 0. All others are strangers.
        gallery_photos: Most photos an enrolled person has in the gallery; one is always left to be a probe.
        distinct: Look for images of the same bytes among the people left out, at the cost of reading them. Of
            several that one person has, one is dealt; one that several people have is not dealt at all.
    """

    enrolled: float = 0.5
    calibration: float = 0.25
    gallery_photos: int = 3
    distinct: bool = False

    def __post_init__(self) -> None:
        for name, share in (("enrolled", self.enrolled), ("calibration", self.calibration)):
            if not 0 < share < 1:
                raise PlanError(f"the share of {name} people {share} was given, expected a number between 0 and 1")
        if self.enrolled + self.calibration >= 1:
            raise PlanError(
                f"shares of {self.enrolled} enrolled and {self.calibration} for calibration leave no strangers; "
                "their sum must be below 1"
            )
        if self.gallery_photos < 1:
            raise PlanError(f"{self.gallery_photos} gallery photos were given, expected 1 or more")


@dataclass(frozen=True, slots=True, eq=False)
class OpenRoles:
    """Who plays which part: ascending positions of photos, no photo in two of them."""

    gallery: Int64s
    probe: Int64s
    stranger: Int64s
    calibration: Int64s


def why_none(counts: Int64s) -> str | None:
    """What keeps people with `counts` photos each from being dealt; None where nothing does."""
    people, rich = int((counts > 0).sum()), int((counts > 1).sum())
    if people >= 3 and rich:
        return None
    return (
        f"{people} people are left out, {rich} of them with two photos or more; expected 3 and 1 or more, "
        "for a person each to enrol, to calibrate and as a stranger"
    )


def deal(counts: Int64s, split: OpenSplit, rng: np.random.Generator) -> OpenRoles:
    """Deal the parts.

    Args:
        counts: Number of photos of each person; the photos stand one person after another. A person without
            photos plays no part.
        split: How many play which part. The shares are rounded, and each part gets one person at least. Where
            too few people have two photos the others share the rest in the proportion of their parts.
        rng: Where all randomness comes from.
    """
    assert why_none(counts) is None, "there are enough people"
    people = rng.permutation(np.flatnonzero(counts))
    rich = people[counts[people] > 1]
    enrolled = rich[: min(max(1, round(split.enrolled * len(people))), len(people) - 2)]
    others = people[~np.isin(people, enrolled)]
    calibrating = round(len(others) * split.calibration / (1 - split.enrolled))
    calibration, strangers = np.split(others, [min(max(1, calibrating), len(others) - 1)])
    owners = np.repeat(np.arange(len(counts)), counts)
    shuffled = np.lexsort((rng.random(len(owners)), owners))  # people stay together, their photos change order
    places = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    in_gallery = np.empty(len(owners), bool)
    in_gallery[shuffled] = places < np.minimum(split.gallery_photos, counts - 1)[owners]
    is_enrolled = np.isin(owners, enrolled)
    return OpenRoles(
        np.flatnonzero(is_enrolled & in_gallery),
        np.flatnonzero(is_enrolled & ~in_gallery),
        np.flatnonzero(np.isin(owners, strangers)),
        np.flatnonzero(np.isin(owners, calibration)),
    )
