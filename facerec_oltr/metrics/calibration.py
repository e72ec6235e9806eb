"""A threshold for a wanted FPIR, and what may be claimed of it, from searches by people who are not enrolled.

The threshold itself is `identification.threshold_at_fpir`. Two questions are answered beside it: what FPIR people meet
whom it was not chosen by, and how high the true FPIR may be. Both count people, because photos of one person resemble
each other.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, ndtri, stdtrit  # scipy.stats takes half a second to import

from facerec_oltr.errors import MetricError
from facerec_oltr.metrics._scores import checked_scores
from facerec_oltr.metrics.identification import Threshold, allowed_searches, threshold_at_fpir
from facerec_oltr.metrics.intervals import bootstrap_by_identity

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class NotMeasurableError(MetricError):
    """A target FPIR that the strangers at hand are too few to show."""


@dataclass(frozen=True)
class CalibratedThreshold:
    """A threshold, and what may be claimed of it.

    Attributes:
        threshold: chosen by all searches.
        people: how many made them.
        searches: how many these were.
        expected: the FPIR on people whom a threshold was not chosen by; None where there is one person only.
        upper: an upper bound of the true FPIR of this threshold, see `upper_fpir`.
        confidence: of that bound.
    """

    threshold: Threshold
    people: int
    searches: int
    expected: float | None
    upper: float
    confidence: float


def calibrate_threshold(
    maxima: npt.ArrayLike,
    people: npt.ArrayLike,
    target: float,
    *,
    confidence: float = 0.95,
    rng: np.random.Generator,
    replicates: int = 1000,
) -> CalibratedThreshold:
    """The threshold for a target FPIR, refused where the searches are too few to show it.

    What is asked for is searches, about 3 / target of them (`needed_searches`): with fewer not even independent ones
    could. How many people made them does not refuse but widens `upper`. Refusing by people would refuse what can be
    shown where a person's photos differ as much as different people's do; refusing by an effective number of searches
    would hang on a correlation that a handful of people cannot tell: 50 photos of 5 people pass for a target of 0.1,
    and `upper` then says how little that means.

    Args:
        maxima: (U,) highest score over the gallery of each search by somebody who is not enrolled.
        people: (U,) who made each search, any numbers or names.
        target: the wanted FPIR, above 0 and below 1.
        confidence: of the bound.
        rng: the source of the bootstrap's draws.
        replicates: of the bootstrap.

    Raises:
        NotMeasurableError: too few searches for the target.
        MetricError: a target out of range, sizes that do not fit, a NaN or +inf score.
    """
    maxima, people = _checked(maxima, people)
    if not 0 < target < 1:
        raise MetricError(f"a target FPIR lies between 0 and 1, not {target:g}; try 0.01")
    strangers = len(np.unique(people))
    if (needed := needed_searches(target)) > len(maxima):
        raise NotMeasurableError(
            f"not measurable: {strangers:,} strangers ({len(maxima):,} photos), FPIR {target:g} needs about {needed:,}"
        )
    return CalibratedThreshold(
        threshold_at_fpir(maxima, target),
        strangers,
        len(maxima),
        expected_fpir(maxima, people, target) if strangers > 1 else None,
        upper_fpir(maxima, people, target, confidence=confidence, rng=rng, replicates=replicates),
        confidence,
    )


def needed_searches(target: float) -> int:
    """How many searches without a false alarm show an FPIR of at most the target at 95 %: the rule of three, 3 / f."""
    return math.ceil(3 / target - 1e-9)  # 3 / 0.3 is a little above 10


def expected_fpir(maxima: npt.ArrayLike, people: npt.ArrayLike, target: float) -> float:
    """The FPIR on people whom the threshold was not chosen by: each is left out, the others choose, all are judged.

    The others let in the same share of themselves as all together do. Where that is no whole number of searches, the
    whole ones below and above it are weighed: rounded down as a threshold must be, one of 300 who is left out would
    leave 2 in 299 let in where there were 3 in 300, a third less than what is asked about.

    Args:
        maxima: (U,) best score of each search.
        people: (U,) who made it, at least two people.
        target: as the threshold is chosen for.
    """
    maxima, people = _checked(maxima, people)
    _, who, photos = np.unique(people, return_inverse=True, return_counts=True)
    if len(photos) < 2:
        raise MetricError("one person is left nobody to choose a threshold for; search two people or more")
    order = np.lexsort([-maxima, who])  # a person's searches together, the best first
    place = np.empty(len(maxima), np.int64)  # in the falling order of all
    place[np.argsort(-maxima, kind="stable")] = np.arange(len(maxima))
    own_before = np.arange(len(maxima)) - np.repeat(np.cumsum(photos) - photos, photos)
    others_before = np.empty(len(maxima), np.int64)
    others_before[order] = np.sort(place[order] + len(maxima) * who[order]) - len(maxima) * who[order] - own_before
    share = allowed_searches(len(maxima), target) * (len(maxima) - photos) / len(maxima)
    below = np.floor(share + 1e-9).astype(np.int64)
    weight = (share - below).clip(min=0)[who]
    fewer, more = (_let_in(maxima, who, others_before, below + one) for one in (0, 1))
    return float(np.mean((1 - weight) * fewer + weight * more))


def _let_in(maxima: Floats, who: Ints, others_before: Ints, allowed: Ints) -> npt.NDArray[np.bool_]:
    """Which searches are let in by a threshold that lets in `allowed` (G,) searches of the people left."""
    # The limit is the score of the best search of others that must stay out; it stands among all behind those of the
    # person's own that are better, which are the ones with at most `allowed` others before them.
    falling = np.sort(maxima)[::-1]
    own = np.bincount(who, weights=others_before <= allowed[who], minlength=len(allowed)).astype(np.int64)
    last = allowed + own
    limit = np.where(last < len(maxima), falling[np.minimum(last, len(maxima) - 1)], -np.inf)
    return maxima > limit[who]


def upper_fpir(
    maxima: npt.ArrayLike,
    people: npt.ArrayLike,
    target: float,
    *,
    confidence: float = 0.95,
    rng: np.random.Generator,
    replicates: int = 1000,
) -> float:
    """An upper bound of the true FPIR of the threshold that these searches choose, clustered by person.

    It is the higher of two, since each fails where the other holds:

    - people are drawn with repeats, and searches within each one drawn; every draw chooses its own threshold, which
      is judged by all searches. As a draw's threshold is to the searches, so is the searches' to the world; the bound
      is that quantile. It knows nothing above the best search, so it is too low where the target lets few or none in.
    - the exact binomial bound (Clopper-Pearson) of the searches let in, for the effective number of searches
      (Korn and Graubard 1998): U / deff, less for few people by Student's t. With none let in and independent
      searches it is the exact rule of three, 1 - 0.05 ** (1 / U). A threshold just above the k-th highest of U scores
      has this bound though it was chosen by them (Wilks 1941).

    Held to a known truth, 95 % nominal, in the slow test of this name: it
    covered 95 to 96 % for 300 people with a photo each, and 97 to 99.7 % for 5, 12 and 40 people with 10 and 100 with 3
    (correlation .1 to .3 between a person's photos, targets .1 and .01, 1,000 trials each). For 5 people the bound is
    .4 where the threshold was chosen for .1: it is honest, not sharp.

    Args:
        maxima: (U,) best score of each search.
        people: (U,) who made it.
        target: as the threshold is chosen for.
        confidence: with which the true FPIR lies below.
        rng: the source of the draws.
        replicates: how often to draw.
    """
    maxima, people = _checked(maxima, people)
    rising, lowest = np.sort(maxima), float(np.finfo(np.float64).min)

    def judged(places: Ints) -> float:
        value = max(threshold_at_fpir(maxima[places], target).value, lowest)  # -inf is never let in
        return float(len(rising) - np.searchsorted(rising, value)) / len(rising)

    drawn = bootstrap_by_identity(judged, [people], rng, replicates=replicates, confidence=2 * confidence - 1)
    accepted = maxima >= threshold_at_fpir(maxima, target).value
    return max(drawn.high, _binomial_bound(accepted, _effective(maxima, accepted, people), confidence))


def fpir_of_size(fmr: float, identities: int) -> float:
    """FPIR(N) = 1 - (1 - FMR)^N: what a false match rate per identity comes to in a search of N of them.

    It takes the comparisons of one search for independent, which they are not: a photo that looks like one person
    looks like others too, so the true FPIR is lower. It serves to see that a threshold must be derived anew when a
    gallery grows, not to derive it.
    """
    return -math.expm1(identities * math.log1p(-fmr))


def grown_fpir(fpir: float, identities: int, to: int) -> float:
    """The FPIR that a threshold with this FPIR at N identities comes to at another number, by `fpir_of_size`."""
    return -math.expm1(to / identities * math.log1p(-fpir))


def _binomial_bound(accepted: npt.NDArray[np.bool_], effective: float, confidence: float) -> float:
    """Clopper and Pearson's upper bound of a rate, seen in an effective number of trials."""
    hits = float(accepted.mean()) * effective
    return float(betaincinv(hits + 1, effective - hits, confidence)) if hits < effective else 1.0


def _effective(maxima: Floats, accepted: npt.NDArray[np.bool_], people: npt.NDArray) -> float:
    """How many independent searches these are worth: U / deff, less for few people, at least 1.

    The design effect is that of the ranks of all scores, 1 + (m - 1) ICC, or that of who is let in, whichever is
    higher: the second is what counts, but with few or none let in it is not to be told.
    """
    U = len(maxima)
    _, who, photos = np.unique(people, return_inverse=True, return_counts=True)
    G = len(photos)
    if G == 1:
        return 1.0
    rate = float(accepted.mean())
    deff = max(1.0, _rank_design_effect(_ranks(maxima), who, photos))
    if 0 < rate < 1:
        deviations = np.bincount(who, weights=accepted) - rate * photos
        deff = max(deff, G / (G - 1) * float(deviations @ deviations) / (U * rate * (1 - rate)))
    few = float(stdtrit(G - 1, 0.95) / ndtri(0.95)) ** 2
    return max(1.0, U / (deff * few))


def _ranks(scores: Floats) -> Floats:
    """Ranks from 1, those that are level share the mean of theirs."""
    _, which, level = np.unique(scores, return_inverse=True, return_counts=True)
    return (np.cumsum(level) - (level - 1) / 2)[which]


def _rank_design_effect(ranks: Floats, who: Ints, photos: Ints) -> float:
    """1 + (m - 1) ICC of ranks, the ICC by one-way analysis of variance with unequal groups (Donner 1986)."""
    U, G = len(ranks), len(photos)
    if U == G:
        return 1.0
    means = np.bincount(who, weights=ranks) / photos
    between = float(photos @ (means - ranks.mean()) ** 2) / (G - 1)
    within = float(((ranks - means[who]) ** 2).sum()) / (U - G)
    typical = (U - float(photos @ photos) / U) / (G - 1)
    whole = between + (typical - 1) * within
    icc = (between - within) / whole if whole > 0 else 1.0  # all scores equal: one search is worth all
    return 1 + (float(photos @ photos) / U - 1) * icc


def _checked(maxima: npt.ArrayLike, people: npt.ArrayLike) -> tuple[Floats, npt.NDArray]:
    scores, who = np.asarray(maxima, np.float64), np.asarray(people)
    if scores.ndim != 1 or scores.shape != who.shape or not len(scores):
        raise MetricError(
            f"found maxima of shape {scores.shape} and people of shape {who.shape}, expected one of each a search"
        )
    checked_scores(scores)
    return scores, who
