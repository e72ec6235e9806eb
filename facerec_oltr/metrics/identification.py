"""Open-set identification (1:N) as ISO/IEC 19795-1:2021 and NIST FRTE 1:N define it.

A gallery holds N identities. A probe is mated if its identity is enrolled, else non-mated (a stranger). With
s(p, g) the score of probe p against identity g, fused over the templates of g before anything is ranked:

    FPIR(N, T)    = |{p non-mated : max_g s(p, g) >= T}| / |non-mated|
    FNIR(N, R, T) = |{p mated : rank(y) > R  or  s(p, y) < T}| / |mated|
    TPIR          = 1 - FNIR,      CMC(R) = 1 - FNIR(N, R, T = -inf)

An enrolled person accepted under a wrong name counts in FNIR, not in FPIR, and once more in
``misidentification_rate``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import MetricError
from facerec_oltr.metrics._scores import checked_scores, rejected_at, share

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Searches:
    """What the metrics need of M mated and U non-mated searches in a gallery of N identities.

    Attributes:
        true_scores: (M,) score of the probe's own identity; -inf where there was nothing to compare.
        ranks: (M,) rank of the own identity, 1 = best. Pessimistic: 1 + the number of other identities with a
            score >= the own one, so that a tie never counts as a find.
        best_others: (M,) highest score among the other identities; -inf where there is none.
        nonmated_maxima: (U,) highest score over the gallery; -inf where the gallery is empty.
    """

    true_scores: Floats
    ranks: npt.NDArray[np.int64]
    best_others: Floats
    nonmated_maxima: Floats

    @classmethod
    def from_scores(cls, scores: npt.ArrayLike, gallery_ids: npt.ArrayLike, probe_ids: npt.ArrayLike) -> Self:
        """Reduce the scores of P probes against N identities.

        Args:
            scores: (P, N), one column an identity: fuse templates first, see ``fuse_templates``.
            gallery_ids: (N,) identity of each column, all different.
            probe_ids: (P,) identity of each probe; one that no column has makes the search non-mated.

        Raises:
            MetricError: a NaN or +inf score, sizes that do not fit, or an identity with two columns.
        """
        scores, gallery_ids = np.asarray(scores, np.float64), np.asarray(gallery_ids)
        probe_ids = np.asarray(probe_ids)
        if scores.shape != (len(probe_ids), len(gallery_ids)):
            raise MetricError(
                f"scores have shape {scores.shape}, but there are {len(probe_ids)} probes and "
                f"{len(gallery_ids)} gallery identities"
            )
        checked_scores(scores)
        if len(np.unique(gallery_ids)) != len(gallery_ids):
            raise MetricError("an identity has several columns of scores; fuse them first with fuse_templates")
        if len(gallery_ids) == 0:
            return cls(np.empty(0), np.empty(0, np.int64), np.empty(0), np.full(len(probe_ids), -np.inf))

        order = np.argsort(gallery_ids)
        place = np.minimum(np.searchsorted(gallery_ids, probe_ids, sorter=order), len(order) - 1)
        column = order[place]
        mated = gallery_ids[column] == probe_ids

        others = scores[mated]  # a copy, so that the own score can be struck out
        rows, own = np.arange(len(others)), column[mated]
        true_scores = others[rows, own].copy()
        at_least_as_good = np.count_nonzero(others >= true_scores[:, None], axis=1)  # counts the own score too
        others[rows, own] = -np.inf
        return cls(true_scores, at_least_as_good.astype(np.int64), others.max(axis=1), scores[~mated].max(axis=1))

    def take(self, mated: npt.NDArray[np.int64], nonmated: npt.NDArray[np.int64]) -> Self:
        """The searches at these places, repeats allowed: one replicate of a bootstrap."""
        return type(self)(
            self.true_scores[mated],
            self.ranks[mated],
            self.best_others[mated],
            self.nonmated_maxima[nonmated],
        )

    @classmethod
    def join(cls, parts: Sequence["Searches"]) -> Self:
        """Pool searches made in several galleries, such as the two of IJB-C, into one set."""
        return cls(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("true_scores", "ranks", "best_others", "nonmated_maxima")
            )
        )


@dataclass(frozen=True)
class Threshold:
    """A threshold chosen for a wanted FPIR.

    Attributes:
        target: the FPIR that was asked for.
        value: accept a search if and only if its score >= value; NaN where there was no search to choose by.
        achieved: the FPIR of the searches it was chosen by, at most the target; NaN where there was none.
        measurable: whether the searches were enough to show the target: target >= 1 / their number. If not,
            the value lies just above the best stranger, and what it holds back below 1 / U nobody has seen.
    """

    target: float
    value: float
    achieved: float
    measurable: bool


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and all the rates at it; NaN where a side is empty."""

    threshold: Threshold
    fpir: float
    fnir: float
    tpir: float
    misidentification: float


@dataclass(frozen=True, eq=False)
class DetCurve:
    """The K operating points of a set of searches, from the strictest threshold to the most lenient.

    Attributes:
        thresholds: (K,) strictly falling; the first accepts nothing.
        fpir: (K,) rising from 0 to 1; NaN without non-mated searches.
        fnir: (K,) falling from 1; NaN without mated searches.
    """

    thresholds: Floats
    fpir: Floats
    fnir: Floats


def fuse_templates(
    similarities: npt.ArrayLike, template_ids: npt.ArrayLike, how: Literal["max", "mean"] = "max"
) -> tuple[npt.NDArray[np.floating], npt.NDArray]:
    """Make one score an identity of the scores of its templates, as must happen before ranking.

    Ranking templates instead lets one person's second template push another person down the list, and
    counts a mate once a template.

    Args:
        similarities: (P, T) probe against template.
        template_ids: (T,) identity of each template, in any order.
        how: ``max``, the score of the best template, or ``mean`` over the templates.

    Returns:
        Scores (P, N), in the type of the similarities for ``max`` and float64 for ``mean``, and the N
        identities in rising order.
    """
    similarities, template_ids = np.asarray(similarities), np.asarray(template_ids)
    if similarities.ndim != 2 or similarities.shape[1] != len(template_ids):
        raise MetricError(f"similarities have shape {similarities.shape}, but there are {len(template_ids)} templates")
    checked_scores(similarities)
    order = np.argsort(template_ids, kind="stable")
    identities, starts = np.unique(template_ids[order], return_index=True)
    if len(identities) == 0:
        return similarities, identities
    grouped = similarities[:, order]
    if how == "max":
        return np.maximum.reduceat(grouped, starts, axis=1), identities
    counts = np.diff(starts, append=len(order))
    return np.add.reduceat(grouped.astype(np.float64), starts, axis=1) / counts, identities


def found(searches: Searches, threshold: float, rank: int = 1) -> npt.NDArray[np.bool_]:
    """(M,) which mated searches find their identity: at this rank or better, with a score >= the threshold."""
    return ~rejected_at(searches.true_scores, threshold) & (searches.ranks <= rank)


def let_in(searches: Searches, threshold: float) -> npt.NDArray[np.bool_]:
    """(U,) which non-mated searches have any score >= the threshold."""
    return ~rejected_at(searches.nonmated_maxima, threshold)


def fpir(searches: Searches, threshold: float) -> float:
    """False positive identification rate: the share of non-mated searches with any score >= the threshold."""
    return share(let_in(searches, threshold))


def fnir(searches: Searches, threshold: float, rank: int = 1) -> float:
    """False negative identification rate: mated searches below the threshold or beyond the rank."""
    return share(~found(searches, threshold, rank))


def tpir(searches: Searches, threshold: float, rank: int = 1) -> float:
    """True positive identification rate, 1 - FNIR; also called DIR or hit rate."""
    return share(found(searches, threshold, rank))


def misidentification_rate(searches: Searches, threshold: float) -> float:
    """The share of mated searches whose best identity is another one, with a score >= the threshold."""
    wrong = (searches.ranks > 1) & ~rejected_at(searches.best_others, threshold)
    return share(wrong)


def rank_k(searches: Searches, k: int = 1) -> float:
    """CMC(k): the share of mated searches whose own identity is among the best k, whatever its score."""
    return tpir(searches, -np.inf, k)


def cmc(searches: Searches, max_rank: int) -> Floats:
    """The cumulative match characteristic, (max_rank,): CMC(1) … CMC(max_rank)."""
    return np.array([rank_k(searches, k) for k in range(1, max_rank + 1)])


def threshold_at_fpir(nonmated_maxima: npt.ArrayLike, target: float) -> Threshold:
    """The lowest threshold whose FPIR on these searches is at most the target.

    It is the next number above the k-th highest score, with k - 1 the most searches that the target allows
    to be accepted. So the target holds with ties too, and nothing is interpolated between scores that were
    not seen.

    Args:
        nonmated_maxima: (U,) highest score of each non-mated search; with U = 0 the threshold is NaN.
        target: the wanted FPIR, from 0 to 1.
    """
    scores = checked_scores(np.asarray(nonmated_maxima, np.float64))
    if not 0 <= target <= 1:
        raise MetricError(f"a target FPIR lies between 0 and 1, not {target}")
    U = len(scores)
    if U == 0:
        return Threshold(target, np.nan, np.nan, measurable=False)
    allowed = allowed_searches(U, target)
    if allowed >= U:
        return Threshold(target, -np.inf, float(np.mean(scores > -np.inf)), measurable=True)
    kth = np.partition(scores, U - 1 - allowed)[U - 1 - allowed]
    value = float(np.nextafter(kth, np.inf))
    return Threshold(target, value, float(np.mean(scores >= value)), measurable=allowed >= 1)


def allowed_searches(searches: int, target: float) -> int:
    """How many of so many non-mated searches, at least one, may be accepted at a target FPIR."""
    allowed = int(target * searches)
    allowed += (allowed + 1) / searches <= target  # 0.29 * 100 is 28.999…, yet 29 of 100 is a rate of 0.29
    return allowed - (allowed / searches > target)


def operating_point(searches: Searches, threshold: Threshold, rank: int = 1) -> OperatingPoint:
    """All rates at a threshold, which may have been chosen by other searches than these."""
    if np.isnan(threshold.value):
        return OperatingPoint(threshold, np.nan, np.nan, np.nan, np.nan)
    T = threshold.value
    return OperatingPoint(
        threshold,
        fpir(searches, T),
        fnir(searches, T, rank),
        tpir(searches, T, rank),
        misidentification_rate(searches, T),
    )


def tpir_at_fpir(searches: Searches, target: float, rank: int = 1) -> OperatingPoint:
    """TPIR where the FPIR of the same searches is at most the target; see ``threshold_at_fpir``.

    A threshold chosen by the strangers it is then judged by flatters; choose it by others where there are
    any, with ``threshold_at_fpir`` and ``operating_point``.
    """
    return operating_point(searches, threshold_at_fpir(searches.nonmated_maxima, target), rank)


def det_curve(searches: Searches, rank: int = 1) -> DetCurve:
    """FPIR against FNIR at every distinct operating point, without interpolation.

    The thresholds are the scores at which a rate changes, and before them one that accepts nothing.
    """
    own = searches.true_scores[searches.ranks <= rank]
    maxima = searches.nonmated_maxima
    changes = np.unique(np.concatenate([own, maxima]))[::-1]
    changes = changes[changes > -np.inf]
    strictest = np.nextafter(changes[:1], np.inf) if len(changes) else np.array([np.inf])
    thresholds = np.concatenate([strictest, changes])
    return DetCurve(
        thresholds,
        _ratio(_at_least(maxima, thresholds), len(maxima)),
        _ratio(len(searches.ranks) - _at_least(own, thresholds), len(searches.ranks)),
    )


def _at_least(scores: Floats, thresholds: Floats) -> npt.NDArray[np.int64]:
    """#{scores >= T} for each threshold T."""
    return len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left")


def _ratio(counts: npt.NDArray[np.int64], total: int) -> Floats:
    return counts / total if total else np.full(len(counts), np.nan)
