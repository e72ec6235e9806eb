"""Open-set recognition: classify the known, reject strangers (label and decision -1).

An F-measure alone hides what it measures: on the OLTR benchmarks most published figures equal that of a system which
rejects nothing. So ``f_measures`` gives each F with its "never reject" line, and the figures without a threshold
(``detection``: AUROC, AUPR, FPR at 95 % TPR, OSCR) stand beside them.

With TP knowns classified rightly, K_mis accepted under a wrong class, K_rej rejected, O_acc strangers accepted:

    authors         2 TP / (2 TP + K_mis + K_rej + O_acc)     the OLTR authors' code, after OpenMax's definition
    authors_2019    2 TP / (2 TP + K_mis + O_acc)             theirs from March 2019 to January 2020: rejecting a known
                                                              costs nothing, so it rises with every rejection; a bug
    micro           2 TP / (2 TP + 2 K_mis + K_rej + O_acc)   the usual F1 pooled over the known classes
    macro           mean over the known classes that are tested of the usual F1 of each

F is 0 where there are knowns and none is right, NaN where no known is tested.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import MetricError
from facerec_oltr.metrics._scores import checked_scores, rejected_at
from facerec_oltr.metrics.ranking import auroc

UNKNOWN = -1

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FMeasures:
    """Four open-set F-measures of one set of decisions; see the module's words."""

    authors: float
    authors_2019: float
    micro: float
    macro: float


@dataclass(frozen=True)
class Detection:
    """How well a score tells knowns (high) from strangers (low), without a threshold; NaN where a side is empty.

    Attributes:
        auroc: area under the ROC curve.
        aupr_known: average precision with the knowns as the positives.
        aupr_unknown: average precision with the strangers as the positives, scored by their unfamiliarity.
        fpr95: share of strangers accepted by the strictest threshold that accepts 95 % of the knowns.
        oscr: area under the correct-classification rate against the share of accepted strangers.
    """

    auroc: float
    aupr_known: float
    aupr_unknown: float
    fpr95: float
    oscr: float


def decide(top: npt.ArrayLike, scores: npt.ArrayLike, threshold: float) -> Ints:
    """The class on top (N,) where its score (N,) >= the threshold, else UNKNOWN; a score of -inf never passes."""
    scores = np.asarray(scores, np.float64)
    checked_scores(scores)
    return np.where(rejected_at(scores, threshold), UNKNOWN, np.asarray(top, np.int64))


def f_measures(decided: npt.ArrayLike, labels: npt.ArrayLike) -> FMeasures:
    """All F-measures of decisions (N,) on images with labels (N,), where -1 stands for a rejection and a stranger.

    Give it the top classes without a threshold and it returns the "never reject" line.

    Raises:
        MetricError: sizes that do not fit.
    """
    decided, labels = np.asarray(decided, np.int64), np.asarray(labels, np.int64)
    if decided.shape != labels.shape or labels.ndim != 1:
        raise MetricError(f"found decisions of shape {decided.shape} for labels of shape {labels.shape}")
    known, accepted, right = labels != UNKNOWN, decided != UNKNOWN, decided == labels
    TP = int(np.count_nonzero(known & right))
    K_mis = int(np.count_nonzero(known & accepted & ~right))
    K_rej = int(np.count_nonzero(known & ~accepted))
    O_acc = int(np.count_nonzero(~known & accepted))
    if not known.any():
        return FMeasures(np.nan, np.nan, np.nan, np.nan)
    return FMeasures(
        authors=_f(TP, K_mis + K_rej + O_acc),
        authors_2019=_f(TP, K_mis + O_acc),
        micro=_f(TP, 2 * K_mis + K_rej + O_acc),
        macro=_macro_f1(decided, labels),
    )


def detection(known: npt.ArrayLike, right: npt.ArrayLike, strangers: npt.ArrayLike) -> Detection:
    """All figures without a threshold.

    Args:
        known: (K,) scores of the knowns; higher is more familiar.
        right: (K,) whether each known's top class is its own.
        strangers: (U,) scores of the strangers.
    """
    known, strangers = np.asarray(known, np.float64), np.asarray(strangers, np.float64)
    return Detection(
        auroc(known, strangers),
        average_precision(known, strangers),
        average_precision(-strangers, -known),
        fpr_at_tpr(known, strangers, 0.95),
        oscr(known, right, strangers),
    )


def average_precision(positive: npt.ArrayLike, negative: npt.ArrayLike) -> float:
    """Area under the precision-recall curve as a sum of steps, equal scores being one step.

    Args:
        positive: (m,) finite scores that should be high.
        negative: (n,) finite scores that should be low.

    Returns:
        Σ (R_i - R_{i-1}) P_i over the distinct scores, falling; NaN where a group is empty.
    """
    positive = checked_scores(np.asarray(positive, np.float64))
    negative = checked_scores(np.asarray(negative, np.float64))
    if not (positive.size and negative.size):
        return float("nan")
    steps = np.unique(positive)[::-1]
    hits = positive.size - np.searchsorted(np.sort(positive), steps, side="left")
    alarms = negative.size - np.searchsorted(np.sort(negative), steps, side="left")
    return float(np.sum(np.diff(hits, prepend=0) * hits / (hits + alarms)) / positive.size)


def fpr_at_tpr(positive: npt.ArrayLike, negative: npt.ArrayLike, tpr: float) -> float:
    """Share of negatives >= the highest threshold that at least `tpr` of the positives reach; nothing is interpolated.

    The positives are the knowns here; some libraries take the strangers, and get another figure.

    Raises:
        MetricError: `tpr` is not above 0 and at most 1.
    """
    threshold = threshold_at_tpr(positive, tpr)
    negative = checked_scores(np.asarray(negative, np.float64))
    return float(np.mean(negative >= threshold)) if negative.size and not np.isnan(threshold) else float("nan")


def threshold_at_tpr(positive: npt.ArrayLike, tpr: float) -> float:
    """The highest score that at least `tpr` of the positives (m,) reach; NaN where there are none.

    Raises:
        MetricError: `tpr` is not above 0 and at most 1.
    """
    positive = np.sort(checked_scores(np.asarray(positive, np.float64)))[::-1]
    if not 0 < tpr <= 1:
        raise MetricError(f"a true positive rate to hold lies above 0 and at most at 1, not {tpr}")
    if not positive.size:
        return float("nan")
    return float(positive[positives_needed(positive.size, tpr) - 1])


def positives_needed(positives: int, tpr: float) -> int:
    """The fewest of so many positives, at least one, whose share is `tpr` or more."""
    needed = int(np.ceil(tpr * positives))
    return needed - (needed > 1 and (needed - 1) / positives >= tpr)  # 0.95 * 20 may be a hair above 19


def oscr(known: npt.ArrayLike, right: npt.ArrayLike, strangers: npt.ArrayLike) -> float:
    """Area under the open-set classification rate curve (Dhamija et al. 2018).

    The curve is the share of knowns that are right and score >= T against the share of strangers that score >= T.
    Its area by trapezoids is the chance that a known is right and scores above a stranger, a tie counting half: the
    AUROC of the right ones times their share.
    """
    known, right = np.asarray(known, np.float64), np.asarray(right, np.bool_)
    if known.shape != right.shape:
        raise MetricError(f"found {len(known)} scores of knowns and {len(right)} marks of who is right")
    checked_scores(known)
    strangers = np.asarray(strangers, np.float64)
    if not (known.size and strangers.size):
        return float("nan")
    return float(right.mean()) * auroc(known[right], strangers) if right.any() else 0.0


def _f(true: int, errors: int) -> float:
    """2 TP / (2 TP + errors), and 0 where nothing was right."""
    return 2 * true / (2 * true + errors) if true else 0.0


def _macro_f1(decided: Ints, labels: Ints) -> float:
    tested, label_places = np.unique(labels[labels != UNKNOWN], return_inverse=True)
    images = np.bincount(label_places, minlength=len(tested))
    places = np.minimum(np.searchsorted(tested, decided), len(tested) - 1)
    into_tested = tested[places] == decided
    guesses = np.bincount(places[into_tested], minlength=len(tested))
    right = np.bincount(places[into_tested & (decided == labels)], minlength=len(tested))
    return float(np.mean(2 * right / (images + guesses)))
