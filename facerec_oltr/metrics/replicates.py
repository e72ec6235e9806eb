"""All figures of a set of searches on a thousand resamples of it, without writing any of them out.

A resample is how often each search was drawn, by ``intervals.draws_by_identity``. With scores in falling order and the
weights summed along them, every rate at any threshold is one look-up, and so is the threshold that a resample of the
strangers chooses. The outcome is that of ``identification`` on the searches written out as often, to the last bit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from facerec_oltr.metrics.identification import Searches, allowed_searches
from facerec_oltr.metrics.intervals import draws_by_identity

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Weights = npt.NDArray[np.float32]  # whole numbers, whose sums float32 holds exactly up to 2^24

_CHUNK = 1 << 22  # weights looked at in one go, 16 MiB
_KEPT = 1 << 25  # weights kept from one set of scores to the next, 64 MiB of uint16


class SearchDraws:
    """The same draws of M mated and U non-mated searches whenever they are asked for, so that figures are paired.

    Each side has a stream of chance of its own: the same people are drawn beside whichever strangers.

    Args:
        mated: (M,) whom each mated search is of.
        nonmated: (U,) whom each other one is of; drawn apart. Either side may be empty.
        replicates: how many, R.
        seed: of all draws.
    """

    def __init__(self, mated: npt.ArrayLike, nonmated: npt.ArrayLike, *, replicates: int = 1000, seed: int = 0) -> None:
        self._sides = [np.asarray(mated), np.asarray(nonmated)]
        self._replicates, self._seed = replicates, seed
        self._kept: list[tuple[npt.NDArray[np.uint16], ...]] = []

    def __len__(self) -> int:
        return self._replicates

    def __iter__(self) -> Iterator[tuple[Weights, Weights]]:
        """How often each search is there, (r, M) and (r, U), some replicates at a time."""
        sizes = [len(side) for side in self._sides]
        chunks = self._kept or self._chunks(max(1, _CHUNK // max(1, sum(sizes))))
        keep = not self._kept and self._replicates * sum(sizes) <= _KEPT
        seen = []
        for chunk in chunks:
            if keep:
                seen.append(chunk)
            yield chunk[0].astype(np.float32), chunk[1].astype(np.float32)
        if keep:
            self._kept = seen

    def _chunks(self, rows: int) -> Iterator[tuple[npt.NDArray[np.uint16], ...]]:
        sides = [
            draws_by_identity([side], np.random.default_rng([self._seed, place]), self._replicates)
            for place, side in enumerate(self._sides)
            if len(side)
        ]
        for start in range(0, self._replicates, rows):
            size = min(rows, self._replicates - start)
            chunk = tuple(np.zeros((size, len(side)), np.uint16) for side in self._sides)
            for draws, part in zip(sides, (part for part in chunk if part.shape[1]), strict=True):
                for row, (places,) in enumerate(islice(draws, size)):
                    part[row] = np.bincount(places, minlength=part.shape[1])
            yield chunk


@dataclass(frozen=True, eq=False)
class Replicates:
    """Figures of R resamples; NaN where a resample has nothing to measure.

    Attributes:
        fpir: (K, R) at each threshold.
        tpir: (G, K, R) of each group of mated searches, rank 1.
        misidentification: (G, K, R) of each group.
        ranks: (G, L, R) shares of mated searches whose own identity is among so many best.
        fnir: (F, R) at each FPIR of the curve.
        auroc: (R,) of the best scores, whoever the best is.
        oscr: (R,) area under TPIR against FPIR.
    """

    fpir: Floats
    tpir: Floats
    misidentification: Floats
    ranks: Floats
    fnir: Floats
    auroc: Floats
    oscr: Floats


def replicate_searches(
    searches: Searches,
    draws: SearchDraws,
    *,
    targets: Sequence[float] = (),
    thresholds: Sequence[float] = (),
    groups: Sequence[Flags] = (),
    ranks: Sequence[int] = (1,),
    curve: Sequence[float] = (),
) -> Replicates:
    """Measure every resample.

    Args:
        searches: M mated and U non-mated.
        draws: of them.
        targets: FPIRs for which each resample's strangers choose a threshold.
        thresholds: that other people have chosen; they follow the targets in the K of the result.
        groups: (M,) masks; the first group of the result is all, then come these.
        ranks: L of them.
        curve: F FPIRs for which FNIR is wanted, by the resample's own thresholds.
    """
    masks = [np.ones(len(searches.ranks), bool), *groups]
    work = _Work(searches, masks, (*targets, *curve), np.asarray(thresholds, np.float64), ranks)
    parts = [work.measure(mated, nonmated) for mated, nonmated in draws]
    fpir, tpir, wrong, ranked, auroc, oscr = (np.concatenate(some, axis=-1) for some in zip(*parts, strict=True))
    on_curve = slice(len(targets), len(targets) + len(curve))
    fnir = 1 - tpir[0, on_curve]
    fpir, tpir, wrong = (np.delete(rates, on_curve, axis=-2) for rates in (fpir, tpir, wrong))
    return Replicates(fpir, tpir, wrong, ranked, fnir, auroc, oscr)


class _Falling:
    """Some scores in falling order, and the columns of weights that they belong to."""

    def __init__(self, scores: Floats, mask: Flags) -> None:
        columns = np.flatnonzero(mask)
        self.columns = columns[np.argsort(-scores[columns], kind="stable")]
        self.scores = scores[self.columns]

    def sums(self, weights: Weights) -> Weights:
        """(r, n + 1) weight of the i highest scores."""
        result = np.zeros((len(weights), len(self.columns) + 1), np.float32)
        np.cumsum(weights[:, self.columns], axis=1, out=result[:, 1:])
        return result

    def above(self, weights: Weights, limits: Floats) -> Floats:
        """(r, K) weight of the scores above each limit (r, K)."""
        counts = np.searchsorted(-self.scores, -limits, side="left")
        return np.take_along_axis(self.sums(weights), counts, axis=1).astype(np.float64)


class _Work:
    def __init__(
        self, searches: Searches, masks: list[Flags], targets: Sequence[float], fixed: Floats, ranks: Sequence[int]
    ) -> None:
        own, best = searches.true_scores, np.maximum(searches.true_scores, searches.best_others)
        first, there = searches.ranks == 1, own > -np.inf
        self._targets, self._masks = targets, masks
        self._fixed = np.nextafter(fixed, -np.inf)  # at or above the threshold is above the number before it
        self._strangers = _Falling(searches.nonmated_maxima, np.ones(len(searches.nonmated_maxima), bool))
        self._found = [_Falling(own, mask & first & there) for mask in masks]
        self._wrong = [_Falling(searches.best_others, mask & ~first) for mask in masks]
        marks = [mask & there & (searches.ranks <= rank) for mask in masks for rank in ranks]
        self._marks = np.column_stack([*marks, *masks]).astype(np.float32)
        self._shape = len(masks), len(ranks)
        self._right = first & there
        self._below = [np.searchsorted(-self._strangers.scores, -best, side=side) for side in ("left", "right")]

    def measure(self, mated: Weights, nonmated: Weights) -> tuple[Floats, ...]:
        """The figures of some replicates; the last axis counts them."""
        sums = self._strangers.sums(nonmated)
        U = nonmated.sum(axis=1, dtype=np.float64)
        limits = np.column_stack([self._limits(sums, U), np.broadcast_to(self._fixed, (len(U), len(self._fixed)))])
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: nothing was there to measure
            fpir = self._strangers.above(nonmated, limits) / U[:, None]
            G, L = self._shape
            counted = (mated @ self._marks).astype(np.float64)
            M = counted[:, G * L :]
            ranked = counted[:, : G * L].reshape(-1, G, L) / M[:, :, None]
            found, wrong = (
                np.stack([some.above(mated, limits) for some in kind], axis=1) / M[:, :, None]
                for kind in (self._found, self._wrong)
            )
            auroc, oscr = self._areas(mated, sums, U, M[:, 0])
        blank = np.isnan(limits)
        fpir[blank] = np.nan
        for rates in (found, wrong):
            rates[np.broadcast_to(blank[:, None], rates.shape)] = np.nan
        return fpir.T, found.transpose(1, 2, 0), wrong.transpose(1, 2, 0), ranked.transpose(1, 2, 0), auroc, oscr

    def _limits(self, sums: Weights, U: Floats) -> Floats:
        """(r, K) the highest score that each target keeps out; NaN without strangers."""
        result = np.full((len(U), len(self._targets)), np.nan)
        scores = np.append(self._strangers.scores, -np.inf)
        for row, total in enumerate(U.astype(np.int64).tolist()):
            if total:
                allowed = [allowed_searches(total, target) for target in self._targets]
                result[row] = scores[np.searchsorted(sums[row, 1:], allowed, side="right")]
        return result

    def _areas(self, mated: Weights, sums: Weights, U: Floats, M: Floats) -> tuple[Floats, Floats]:
        """AUROC and OSCR: how often a mated search scores above a stranger, a tie counting half."""
        not_below, above = (sums[:, places] for places in reversed(self._below))  # strangers at least as high; higher
        beaten = mated * (2 * U[:, None].astype(np.float32) - not_below - above)
        pairs = 2 * U * M
        return beaten.sum(axis=1, dtype=np.float64) / pairs, beaten[:, self._right].sum(
            axis=1, dtype=np.float64
        ) / pairs
