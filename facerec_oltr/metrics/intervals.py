"""How sure a figure is.

Searches of one person resemble each other, so the person, not the photo, is what was sampled: resampling
photos gives intervals that are far too narrow (a nominal 95 % covered 68 % on 12 people of 10 photos).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import MetricError

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Spread:
    """A figure measured on several splits.

    Attributes:
        mean: over the splits; NaN where there is none or one of them is NaN.
        sd: sample standard deviation (divisor n - 1); NaN below two splits.
        splits: n, how many there were.
    """

    mean: float
    sd: float
    splits: int


@dataclass(frozen=True)
class Interval:
    """A figure and the bounds between which it lies with the stated confidence."""

    estimate: float
    low: float
    high: float
    confidence: float


def spread(values: npt.ArrayLike) -> Spread:
    """Mean and standard deviation over splits."""
    values = np.asarray(values, np.float64).ravel()
    n = len(values)
    mean = float(values.mean()) if n else float("nan")
    sd = float(values.std(ddof=1)) if n > 1 else float("nan")
    return Spread(mean, sd, n)


def bootstrap_by_identity(
    statistic: Callable[..., float],
    identities: Sequence[npt.ArrayLike],
    rng: np.random.Generator,
    *,
    replicates: int = 1000,
    confidence: float = 0.95,
) -> Interval:
    """Percentile interval by a two-level bootstrap: draw identities, then searches within each one drawn.

    The sides, such as mated and non-mated, are drawn independently. A threshold that was chosen by the same
    searches must be chosen again inside the statistic, or its own uncertainty is lost.

    Args:
        statistic: is called with one array of places a side, such as
            ``lambda mated, nonmated: tpir_at_fpir(searches.take(mated, nonmated), 0.01).tpir``.
        identities: for each side, the identity of every search, (M,) and (U,).
        rng: the source of all draws.
        replicates: how often to draw.
        confidence: what share of replicates lies between the bounds.

    Returns:
        The figure of the searches as they are, and its bounds; NaN bounds if a replicate gave NaN.

    Raises:
        MetricError: a side without any search.
    """
    estimate = statistic(*(np.arange(np.size(side)) for side in identities))
    figures = [statistic(*places) for places in draws_by_identity(identities, rng, replicates)]
    return percentile_interval(estimate, np.array(figures, np.float64), confidence)


def draws_by_identity(
    identities: Sequence[npt.ArrayLike], rng: np.random.Generator, replicates: int
) -> Iterator[tuple[Places, ...]]:
    """The draws of ``bootstrap_by_identity``: of each replicate an array of places a side.

    Raises:
        MetricError: a side without any search.
    """
    sides = [_groups(side) for side in identities]
    for _ in range(replicates):
        yield tuple(_draw(*side, rng) for side in sides)


def rate_by_identity(
    hits: npt.ArrayLike,
    searches: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    replicates: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """A rate over people, Σ hits / Σ searches, with a percentile interval by drawing people with all their searches.

    A person who was searched in several draws of a protocol counts as one. With the difference of the hits of two
    methods on the same searches it is the paired interval of the difference of their rates. Few people give an
    interval that is too narrow: 12 of them, nominal 95 %, covered 87 %.

    Args:
        hits: (P,) of each person, or differences of them.
        searches: (P,) of each person; whoever has none is left out.
        rng: the source of all draws.
        replicates: how often to draw.
        confidence: what share of replicates lies between the bounds.

    Raises:
        MetricError: nobody was searched.
    """
    hits, searches = np.asarray(hits, np.float64), np.asarray(searches, np.float64)
    hits, searches = hits[searches > 0], searches[searches > 0]
    people = len(searches)
    if not people:
        raise MetricError("nobody was searched; a rate needs at least one person")
    rates = np.empty(replicates)
    step = max(1, (1 << 20) // people)
    for start in range(0, replicates, step):
        size = min(step, replicates - start)
        weights = rng.multinomial(people, np.full(people, 1 / people), size=size)
        rates[start : start + size] = (weights @ hits) / (weights @ searches)
    return percentile_interval(hits.sum() / searches.sum(), rates, confidence)


def percentile_interval(estimate: float, replicates: npt.NDArray[np.float64], confidence: float = 0.95) -> Interval:
    """A figure with the bounds between which that share of its replicates (R,) lies; NaN if one is NaN, or R is 0."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail]) if len(replicates) else (np.nan, np.nan)
    return Interval(float(estimate), float(low), float(high), confidence)


def rule_of_three(n: int) -> float:
    """Upper 95 % bound of a rate of which n independent trials showed no case: about 3 / n, at most 1.

    Read backwards: claiming a rate of f takes about 3 / f trials without a case. NaN for n = 0.
    (Hanley and Lippman-Hand 1983; exactly it is 1 - 0.05 ** (1 / n).)
    """
    return min(1.0, 3 / n) if n else float("nan")


def _groups(identities: npt.ArrayLike) -> tuple[Places, Places, Places]:
    """Places ordered by identity, where each identity starts among them, and how many it has."""
    identities = np.asarray(identities)
    if identities.size == 0:
        raise MetricError("there is no search to draw from; an interval needs at least one on each side")
    order = np.argsort(identities, kind="stable")
    _, starts, counts = np.unique(identities[order], return_index=True, return_counts=True)
    return order, starts, counts


def _draw(order: Places, starts: Places, counts: Places, rng: np.random.Generator) -> Places:
    drawn = rng.integers(len(starts), size=len(starts))
    sizes = np.repeat(counts[drawn], counts[drawn])
    within = rng.integers(sizes)
    return order[np.repeat(starts[drawn], counts[drawn]) + within]
