"""A seeded open-set protocol of any people: who is enrolled, who is a stranger, who chooses the threshold.

Every person plays one part. Who is enrolled must have a photo more than go into the gallery; everybody can play the
other parts, with all of their photos.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

from facerec_oltr.errors import DataError
from facerec_oltr.protocols.checks import check_protocol
from facerec_oltr.protocols.photos import Photos
from facerec_oltr.protocols.records import Protocol, SearchSet
from facerec_oltr.protocols.templates import Int64s

SEARCH_SET = "open"


@dataclass(frozen=True)
class OpenSetRule:
    """How many people play each part.

    Attributes:
        enrolled: people in the gallery who are looked for, N.
        calibration: people who choose the threshold.
        strangers: people who are to be rejected.
        distractors: people who are enrolled too, whom nobody looks for.
        templates: photos in the gallery of each enrolled person, cycled over them: with (1, 2, 3, 5) and five people,
            the fifth has one again.
        probes: most probes of each enrolled person; None for all other photos.
        seed: where all chance comes from.

    Raises:
        DataError: a number that is too small.
    """

    enrolled: int
    calibration: int
    strangers: int
    distractors: int = 0
    templates: tuple[int, ...] = (3,)
    probes: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        fewest = {"enrolled": 1, "calibration": 1, "strangers": 1, "distractors": 0, "probes": 1, "seed": 0}
        for name, least in fewest.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise DataError(f"{name}: found {value}, expected {least} or more")
        if not self.templates or min(self.templates) < 1:
            raise DataError(f"templates: found {self.templates}, expected one number or more, each at least 1")

    @property
    def templates_each(self) -> Int64s:
        """(enrolled,) photos in the gallery of each enrolled person."""
        return np.resize(self.templates, self.enrolled)


class Dealt(NamedTuple):
    """Ascending positions of photos, no photo and no person in two parts, except that mated follows the gallery."""

    gallery: Int64s
    mated: Int64s
    strangers: Int64s
    calibration: Int64s
    distractors: Int64s


def draw_open_set(photos: Photos, rule: OpenSetRule, *, name: str = SEARCH_SET) -> Protocol:
    """Draw a protocol; photos of the same bytes are left out first, see ``Photos.distinct``.

    Raises:
        DataError: too few people, or too few with enough photos.
    """
    places, twice, several = photos.distinct()
    dealt = deal(photos.owners[places], rule)
    parts = {part: places[chosen] for part, chosen in dealt._asdict().items() if len(chosen)}
    lists = {part: photos.list_of(chosen) for part, chosen in parts.items()}
    choices = {key: value for key, value in asdict(rule).items() if key != "seed"}
    return check_protocol(
        Protocol(
            name,
            photos.source,
            lists,
            {SEARCH_SET: SearchSet(**{part: (part,) for part in lists})},
            made_by="facerec protocol make",
            seed=rule.seed,
            choices=choices | {"same_person_twice": twice, "several_people": several},
        )
    )


def deal_often(owners: Int64s, rule: OpenSetRule, draws: int) -> Iterator[Dealt]:
    """Deal anew as often as `draws` says; draw k is the same whatever their number. Raises as ``deal``."""
    for number in range(draws):
        yield deal(owners, rule, np.random.default_rng([rule.seed, number]))


def deal(owners: Int64s, rule: OpenSetRule, rng: np.random.Generator | None = None) -> Dealt:
    """Deal the parts once.

    Args:
        owners: (N,) whose photo each one is, any numbers.
        rule: how many people play each part.
        rng: the source of the draw, if it is not the rule's seed.

    Raises:
        DataError: too few people, or too few with enough photos.
    """
    rng = rng or np.random.default_rng(rule.seed)
    each, which, counts = np.unique(owners, return_inverse=True, return_counts=True)
    _check_enough(counts, rule)
    enrolled = rng.permutation(np.flatnonzero(counts > rule.templates_each.max()))[: rule.enrolled]
    others = rng.permutation(np.setdiff1d(np.arange(len(each)), enrolled))
    ends = np.cumsum([rule.calibration, rule.strangers, rule.distractors])
    calibration, strangers, distractors = np.split(others[: ends[-1]], ends[:-1])
    in_gallery = np.zeros(len(each), np.int64)
    in_gallery[enrolled] = rule.templates_each
    place = place_of_photo(which, rng)
    last = np.full(len(each), np.iinfo(np.int64).max) if rule.probes is None else in_gallery + rule.probes
    is_enrolled = np.isin(which, enrolled)
    return Dealt(
        np.flatnonzero(place < in_gallery[which]),
        np.flatnonzero(is_enrolled & (place >= in_gallery[which]) & (place < last[which])),
        *(np.flatnonzero(np.isin(which, people)) for people in (strangers, calibration, distractors)),
    )


def place_of_photo(owners: Int64s, rng: np.random.Generator) -> Int64s:
    """(N,) the place of each photo in a random order of its owner's photos: 0, 1 …; owners are 0 … K - 1."""
    shuffled = np.lexsort((rng.random(len(owners)), owners))  # people stay together, their photos change order
    counts = np.bincount(owners)
    places = np.empty(len(owners), np.int64)
    places[shuffled] = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    return places


def _check_enough(counts: Int64s, rule: OpenSetRule) -> None:
    wanted = rule.enrolled + rule.calibration + rule.strangers + rule.distractors
    if len(counts) < wanted:
        more = f", {rule.distractors:,} distractors" if rule.distractors else ""
        raise DataError(
            f"found {len(counts):,} people, expected {wanted:,}: {rule.enrolled:,} enrolled, {rule.calibration:,} for "
            f"calibration, {rule.strangers:,} strangers{more}; ask for fewer of each"
        )
    photos = int(rule.templates_each.max()) + 1
    if (rich := int((counts >= photos).sum())) < rule.enrolled:
        raise DataError(
            f"found {rich:,} people with {photos:,} different photos or more, expected {rule.enrolled:,} to enrol: "
            f"{photos - 1:,} for the gallery and a probe; enrol fewer people, or fewer photos of each"
        )
