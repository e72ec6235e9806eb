"""One photo against another (1:1): is it the same person?

Genuine pairs show one person, impostor pairs two. A pair is accepted if and only if its score >= T.

    FMR(T)   share of impostor pairs with a score >= T      false match rate; FAR in the face literature
    FNMR(T)  share of genuine pairs with a score < T        false non-match rate; TAR = 1 - FNMR

As in ISO/IEC 19795-1, without interpolation: a FAR that is asked for is never exceeded. (arcface_torch's ``eval_ijbc``
takes the nearest point of the curve, which may lie above it.)
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import MetricError
from facerec_oltr.metrics._scores import checked_scores, rejected_at, share
from facerec_oltr.metrics.identification import Threshold, threshold_at_fpir

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class VerificationPoint:
    """A threshold chosen for a wanted FAR, and the TAR at it; NaN where a side has no pair.

    Attributes:
        threshold: with the FAR that was wanted and the one that it has, as `target` and `achieved`.
        tar: true accept rate.
    """

    threshold: Threshold
    tar: float


@dataclass(frozen=True)
class FoldAccuracy:
    """Accuracy by cross-validation, as LFW and the verification packs are reported.

    Attributes:
        mean: of the folds.
        sd: their sample standard deviation (divisor folds - 1); NaN for one fold.
        accuracies: of each fold, at a threshold that the others chose.
        thresholds: those.
    """

    mean: float
    sd: float
    accuracies: Floats
    thresholds: Floats


def far(impostor: npt.ArrayLike, threshold: float) -> float:
    """FMR, the share of impostor scores (n,) that are accepted; NaN for none."""
    return share(~rejected_at(_scores(impostor), threshold))


def tar(genuine: npt.ArrayLike, threshold: float) -> float:
    """1 - FNMR, the share of genuine scores (m,) that are accepted; NaN for none."""
    return share(~rejected_at(_scores(genuine), threshold))


def tar_at_far(genuine: npt.ArrayLike, impostor: npt.ArrayLike, target: float) -> VerificationPoint:
    """TAR at the lowest threshold whose FAR on these impostor pairs is at most the target.

    Args:
        genuine: (m,) scores.
        impostor: (n,) scores. With fewer than 1 / target of them no pair may be accepted, and the threshold says that
            it was not `measurable`.
        target: the wanted FAR, from 0 to 1.
    """
    threshold = threshold_at_fpir(impostor, target)
    nothing = np.isnan(threshold.value)
    return VerificationPoint(threshold, float("nan") if nothing else tar(genuine, threshold.value))


def equal_error_rate(genuine: npt.ArrayLike, impostor: npt.ArrayLike) -> tuple[float, float]:
    """(EER, threshold): the mean of FMR and FNMR where they are nearest to each other.

    Both are steps, so they need not meet; the thresholds looked at are all scores, and of several that are as near the
    one with the lowest mean counts, then the lowest. NaN where a side has no pair.
    """
    positive = np.sort(_scores(genuine))
    negative = np.sort(_scores(impostor))
    if not len(positive) or not len(negative):
        return float("nan"), float("nan")
    thresholds = np.unique(np.concatenate([positive, negative]))
    thresholds = np.append(thresholds[thresholds > -np.inf], np.inf)  # and one that accepts nothing
    fmr = 1 - np.searchsorted(negative, thresholds) / len(negative)
    fnmr = np.searchsorted(positive, thresholds) / len(positive)
    best = np.lexsort([thresholds, fmr + fnmr, np.abs(fmr - fnmr)])[0]
    return float((fmr[best] + fnmr[best]) / 2), float(thresholds[best])


def fold_accuracy(scores: npt.ArrayLike, same: npt.ArrayLike, folds: int | npt.ArrayLike = 10) -> FoldAccuracy:
    """Accuracy of each fold of the pairs, at the threshold that is best on the others.

    The protocol of LFW (Huang et al., 2007), with every score a candidate instead of a grid of distances. Where
    several thresholds are as good on the others, the middle of them is taken: the first or last would lie at the edge
    of a gap.

    Args:
        scores: (P,) in the order of the pack, whose folds are stretches of it.
        same: (P,) bool.
        folds: how many equal stretches, at least 2, of which P must be a multiple; or (P,) the fold of each pair, each
            of 0, 1 … with a pair at least.

    Raises:
        MetricError: the pairs cannot be dealt so.
    """
    values, same = _scores(scores), np.asarray(same, bool)
    if values.shape != same.shape or values.ndim != 1:
        raise MetricError(
            f"scores of shape {values.shape} and flags of shape {same.shape}, expected one of each a pair"
        )
    fold = _equal_folds(len(values), folds) if isinstance(folds, int) else np.asarray(folds, np.int64)
    count = int(fold.max(initial=-1)) + 1
    if fold.shape != values.shape or count < 2 or not np.bincount(fold, minlength=count).all():
        raise MetricError(
            f"{len(values):,} pairs and folds of shape {fold.shape}, expected 2 or more, each with a pair"
        )
    thresholds = np.array([_best_threshold(values[fold != f], same[fold != f]) for f in range(count)])
    accuracies = np.array(
        [(~rejected_at(values[fold == f], T) == same[fold == f]).mean() for f, T in enumerate(thresholds)]
    )
    return FoldAccuracy(float(accuracies.mean()), float(accuracies.std(ddof=1)), accuracies, thresholds)


def _equal_folds(pairs: int, folds: int) -> npt.NDArray[np.int64]:
    if folds < 2 or not pairs or pairs % folds:
        raise MetricError(f"{pairs:,} pairs and {folds} folds, expected at least 2 folds of equally many pairs")
    return np.repeat(np.arange(folds), pairs // folds)


def _best_threshold(scores: Floats, same: npt.NDArray[np.bool_]) -> float:
    """The threshold with the most right answers, in the middle of a gap between scores."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]) & (ordered > -np.inf))  # of equals the first
    impostors_below = np.concatenate([[0], np.cumsum(~same[order])])
    genuine_from = np.concatenate([np.cumsum(same[order][::-1])[::-1], [0]])
    candidates = np.append(starts, len(ordered))
    right = impostors_below[candidates] + genuine_from[candidates]
    best = np.flatnonzero(right == right.max())
    place = candidates[best[(len(best) - 1) // 2]]
    if place == len(ordered):  # nothing is to be accepted
        return float(np.nextafter(ordered[-1], np.inf)) if ordered[-1] > -np.inf else float("inf")
    below = ordered[place - 1] if place and ordered[place - 1] > -np.inf else ordered[place]
    middle = below + (ordered[place] - below) / 2
    return float(middle) if below < middle else float(ordered[place])


def _scores(values: npt.ArrayLike) -> Floats:
    return checked_scores(np.asarray(values, np.float64)).astype(np.float64, copy=False)
