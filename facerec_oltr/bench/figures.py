"""What an outcome means: every figure of a search set with its bounds.

Bounds are of a two-level bootstrap over people. A threshold that the same strangers chose is chosen again in every
replicate; one that other people chose stays. All models and rules are measured on the same draws, so that a gain is of
the same searches. Of no case at all, or of nothing else, a bootstrap knows no chance: the open side of such a rate is
the rule of three, over people.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from facerec_oltr.bench.arena import Arena, Ints
from facerec_oltr.bench.results import ChosenBy, Curve, Figure, Group, Histogram, Part, Point, SearchResult
from facerec_oltr.bench.searches import Outcome
from facerec_oltr.metrics.identification import (
    OperatingPoint,
    Searches,
    Threshold,
    cmc,
    operating_point,
    rank_k,
    threshold_at_fpir,
    tpir,
)
from facerec_oltr.metrics.intervals import Interval, percentile_interval, rule_of_three
from facerec_oltr.metrics.open_set import oscr
from facerec_oltr.metrics.ranking import auroc
from facerec_oltr.metrics.replicates import Replicates, SearchDraws, replicate_searches
from facerec_oltr.protocols import PARTS, Protocol
from facerec_oltr.protocols.shots import ShotRule, shot_groups, true_counts

Flags = npt.NDArray[np.bool_]
Shots = Mapping[
    tuple[ShotRule, str], Flags
]  # masks of mated probes by how the shots were counted, and the group's name

RANKS = (1, 5, 10)
_MOST_RANKS = 20  # of the curve
_BINS = 50
_PER_DECADE = 10  # points of the DET curve


@dataclass(frozen=True)
class Choices:
    """What decides the figures of a search set, beside the searches.

    Attributes:
        targets: wanted FPIRs, each above 0 and below 1.
        replicates: of the intervals.
        seed: of the replicates.
    """

    targets: tuple[float, ...]
    replicates: int
    seed: int


@dataclass(frozen=True, eq=False)
class SetRows:
    """The rows of an arena's probes that play a part in a search set."""

    mated: Ints
    strangers: Ints
    calibration: Ints

    @classmethod
    def of(cls, protocol: Protocol, search_set: str, arena: Arena) -> "SetRows":
        """Those of a protocol's set."""
        parts = protocol.searches[search_set]
        return cls(arena.part(parts.mated), arena.part(parts.strangers), arena.part(parts.calibration))

    def enrolled_in(self, arena: Arena, size: int) -> "SetRows":
        """Without the mated probes of people who are not in a smaller gallery; who failed to be enrolled stays."""
        return SetRows(self.mated[arena.own[self.mated] < size], self.strangers, self.calibration)


@dataclass(frozen=True, eq=False)
class Measured:
    """The searches of a set in a gallery of one size, and all of their replicates.

    Attributes:
        searches: mated and strangers.
        people: whom the mated searches show.
        strangers: how many people the others show.
        thresholds: what the strangers chose for each target, then what the calibration people chose, if there are any.
        replicates: of these, in this order.
        curve: the FPIRs of the DET curve.
        groups: the replicates' groups after the first.
    """

    searches: Searches
    people: Ints
    strangers: int
    thresholds: tuple[Threshold, ...]
    replicates: Replicates
    curve: tuple[float, ...]
    groups: Shots = field(default_factory=dict)


class Measure:
    """Measures the outcomes of one arena; draws are made once.

    Args:
        arena: where.
        choices: what is wanted.
    """

    def __init__(self, arena: Arena, choices: Choices) -> None:
        self._arena, self._choices = arena, choices
        self._draws: dict[bytes, SearchDraws] = {}

    def measured(self, outcome: Outcome, rows: SetRows, groups: Shots | None = None) -> Measured:
        """Choose the thresholds and measure all replicates.

        Args:
            outcome: of a rule.
            rows: of the set.
            groups: masks over the mated rows.
        """
        searches, targets = outcome.searches(rows.mated, rows.strangers), self._choices.targets
        chosen = tuple(threshold_at_fpir(searches.nonmated_maxima, target) for target in targets)
        if len(rows.calibration):
            maxima = outcome.searches(rows.mated[:0], rows.calibration).nonmated_maxima
            chosen += tuple(threshold_at_fpir(maxima, target) for target in targets)
        curve = _fpirs(len(rows.strangers))
        replicates = replicate_searches(
            searches,
            self._draws_of(rows),
            targets=targets,
            thresholds=[one.value for one in chosen[len(targets) :]],
            groups=list((groups or {}).values()),
            ranks=tuple(range(1, max(RANKS[-1], _MOST_RANKS) + 1)),
            curve=curve,
        )
        people, strangers = (self._arena.people[part] for part in (rows.mated, rows.strangers))
        return Measured(searches, people, len(np.unique(strangers)), chosen, replicates, curve, groups or {})

    def _draws_of(self, rows: SetRows) -> SearchDraws:
        key = rows.mated.tobytes() + b"|" + rows.strangers.tobytes()
        if key not in self._draws:
            people = self._arena.people
            self._draws[key] = SearchDraws(
                people[rows.mated],
                people[rows.strangers],
                replicates=self._choices.replicates,
                seed=self._choices.seed,
            )
        return self._draws[key]


def search_result(
    names: tuple[str, str, str, str],
    parts: dict[str, Part],
    measured: Measured,
    reference: Measured | None,
    sizes: Sequence[tuple[int, Measured, Measured | None]],
    identities: int,
    candidates: int | None,
) -> SearchResult:
    """All figures of one set.

    Args:
        names: of protocol, search set, model and rule.
        parts: of the set.
        measured: in the whole gallery.
        reference: the cosine's; None for the cosine itself.
        sizes: of rising galleries, the same.
        identities: N.
        candidates: that the rule looked at; None for all.
    """
    searches, replicates = measured.searches, measured.replicates
    best = np.maximum(searches.true_scores, searches.best_others)
    right = (searches.ranks == 1) & (searches.true_scores > -np.inf)
    ranked = replicates.ranks[0]
    known = min(_MOST_RANKS, max(1, identities))
    return SearchResult(
        *names,
        parts,
        tuple((rank, _rate(rank_k(searches, rank), ranked[rank - 1], _people(measured))) for rank in RANKS),
        _figure(auroc(best, searches.nonmated_maxima), replicates.auroc),
        _figure(oscr(best, right, searches.nonmated_maxima), replicates.oscr),
        _points(measured, reference),
        _curve(np.arange(1.0, known + 1), cmc(searches, known), ranked[:known]),
        _det(measured),
        _histogram(searches),
        tuple(_group(measured, reference, place, key) for place, key in enumerate(measured.groups, 1)),
        tuple(_size(size, own, cosine) for size, own, cosine in sizes) if len(sizes) > 1 else (),
        candidates,
    )


def parts_of(protocol: Protocol, search_set: str, failed: Mapping[str, int]) -> dict[str, Part]:
    """How many play each part.

    Args:
        protocol: with the set.
        search_set: its name.
        failed: how many templates of each list failed.
    """
    found = {}
    for part in PARTS:
        counts = protocol.part(search_set, part).counts()
        names = getattr(protocol.searches[search_set], part)
        found[part] = Part(counts["people"], counts["templates"], sum(failed[name] for name in names))
    return found


def shots_of(protocol: Protocol, people: Sequence[str], similar: Ints | None) -> Shots:
    """Masks of the shot groups of mated probes, by both rules.

    Args:
        protocol: which may know how many training images its people have; else there are no groups by true counts.
        people: (M,) whom each probe shows.
        similar: (M,) training images similar to each probe; None where nobody compared them.
    """
    groups = shot_groups(true_counts(people, protocol.training_images))
    found: dict[tuple[ShotRule, str], Flags] = {}
    if not groups["zero_shot"].all():
        found |= {("true_counts", name): mask for name, mask in groups.items() if mask.any()}
    if similar is not None:
        found |= {("similarity", name): mask for name, mask in shot_groups(similar).items() if mask.any()}
    return found


def _points(measured: Measured, reference: Measured | None, group: int = 0) -> tuple[Point, ...]:
    """Every target by strangers, then every one by calibration people; calibration stands first in the result."""
    targets = len({one.target for one in measured.thresholds})
    order = [*range(targets, len(measured.thresholds)), *range(targets)]
    return tuple(
        _point(measured, reference, place, "calibration" if place >= targets else "strangers", group) for place in order
    )


def _point(measured: Measured, reference: Measured | None, place: int, chosen_by: ChosenBy, group: int) -> Point:
    threshold, rates = measured.thresholds[place], measured.replicates
    point, people = _at(measured, place, group), _people(measured, group)
    gain = None
    if reference is not None:
        difference = rates.tpir[group, place] - reference.replicates.tpir[group, place]
        gain = _figure(point.tpir - _at(reference, place, group).tpir, difference, people if group else None)
    return Point(
        threshold.target,
        chosen_by,
        None if np.isnan(threshold.value) else threshold.value,
        threshold.measurable,
        _rate(point.fpir, rates.fpir[place], measured.strangers),
        _rate(point.tpir, rates.tpir[group, place], people, in_group=group > 0),
        _rate(point.misidentification, rates.misidentification[group, place], people, in_group=group > 0),
        gain,
    )


def _people(measured: Measured, group: int = 0) -> int:
    """How many people the mated searches show, or those of a group."""
    if not group:
        return len(np.unique(measured.people))
    return len(np.unique(measured.people[list(measured.groups.values())[group - 1]]))


def _at(measured: Measured, place: int, group: int) -> OperatingPoint:
    return operating_point(_of_group(measured, group), measured.thresholds[place])


def _of_group(measured: Measured, group: int) -> Searches:
    """The searches of a group's mated probes and of all strangers."""
    if not group:
        return measured.searches
    mask = list(measured.groups.values())[group - 1]
    return measured.searches.take(np.flatnonzero(mask), np.arange(len(measured.searches.nonmated_maxima)))


def _group(measured: Measured, reference: Measured | None, place: int, key: tuple[ShotRule, str]) -> Group:
    people = _people(measured, place)
    return Group(
        key[1],
        people,
        int(measured.groups[key].sum()),
        _rate(rank_k(_of_group(measured, place), 1), measured.replicates.ranks[place, 0], people, in_group=True),
        _points(measured, reference, place),
        key[0],
    )


def _size(size: int, measured: Measured, reference: Measured | None) -> Group:
    people = _people(measured)
    return Group(
        str(size),
        people,
        len(measured.people),
        _rate(rank_k(measured.searches, 1), measured.replicates.ranks[0, 0], people),
        _points(measured, reference),
    )


def _rate(estimate: float, replicates: npt.NDArray[np.float64], people: int, *, in_group: bool = False) -> Figure:
    """A share of searches with its bounds; without any case, or without any other, up to three in so many people."""
    figure = _figure(estimate, replicates, people if in_group else None)
    if figure.low == figure.high == figure.value == 0:
        return replace(figure, high=rule_of_three(people))
    if figure.low == figure.high == figure.value == 1:
        return replace(figure, low=1 - rule_of_three(people))
    return figure


def _figure(estimate: float, replicates: npt.NDArray[np.float64], people: int | None = None) -> Figure:
    """A figure with its bounds.

    Args:
        estimate: of the searches as they are; NaN where there was nothing to measure.
        replicates: (R,).
        people: of a group: replicates that drew none of them say nothing of it, and one alone has no bounds.
    """
    if people is not None:
        replicates = replicates[~np.isnan(replicates)] if people > 1 else replicates[:0]
    made = percentile_interval(estimate, replicates)
    return Figure.of(made if made.estimate == made.estimate else Interval(np.nan, np.nan, np.nan, made.confidence))


def _curve(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], replicates: npt.NDArray[np.float64]) -> Curve:
    low, high = np.quantile(replicates, [0.025, 0.975], axis=1)
    as_tuple = (tuple(map(float, values)) for values in (x, y, low, high))
    return Curve(*as_tuple)


def _fpirs(strangers: int) -> tuple[float, ...]:
    """From what so many strangers can show to 1, the same distance apart on a scale of powers."""
    if not strangers:
        return ()
    count = max(2, round(_PER_DECADE * np.log10(strangers)) + 1)
    return tuple(float(x) for x in np.unique(np.geomspace(1 / strangers, 1, count).clip(max=1)))


def _det(measured: Measured) -> Curve:
    if not measured.curve:
        return Curve((), ())
    chosen = [threshold_at_fpir(measured.searches.nonmated_maxima, x) for x in measured.curve]
    y = np.array([1 - tpir(measured.searches, one.value) for one in chosen])
    return _curve(np.array(measured.curve), y, measured.replicates.fnir)


def _histogram(searches: Searches) -> Histogram:
    """Over the range of the scores that there are; failed searches have none."""
    sides = [scores[scores > -np.inf] for scores in (searches.true_scores, searches.nonmated_maxima)]
    both = np.concatenate(sides)
    low, high = (float(both.min()), float(both.max())) if len(both) else (0.0, 1.0)
    edges = np.linspace(low, np.nextafter(high, np.inf) if high > low else low + 1, _BINS + 1)
    counts = [np.histogram(side, edges)[0].tolist() for side in sides]
    return Histogram(tuple(edges.tolist()), tuple(counts[0]), tuple(counts[1]))
