"""Closed-set accuracy by how many training images a class has: many, medium and few shot.

Four conventions are in circulation, and the same predictions get other figures under each, so none is the silent
default of a table: name the one that was used.

    paper          many > 100, 20 < medium <= 100, few < 20: a class of exactly 20 is in no bin
    decoupling     many > 100, 20 <= medium <= 100, few < 20: most of the literature since Kang et al. (ICLR 2020)
    authors_2019   many >= 100, 20 < medium < 100, few <= 20: the OLTR authors' code since August 2019
    faces          many >= 5, 2 <= medium <= 4, few = 1: OLTR's for MS1M-LT, where it calls the last two few-shot and
                   one-shot, here by true counts
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import MetricError

Convention = Literal["paper", "decoupling", "authors_2019", "faces"]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ShotAccuracies:
    """Accuracies from 0 to 1, NaN where nothing was there to measure.

    Attributes:
        many: mean over the bin's classes of the accuracy on each class.
        medium: the same.
        few: the same.
        micro: share of all images.
        macro: mean over all classes that have test images.
    """

    many: float
    medium: float
    few: float
    micro: float
    macro: float


def shot_bins(train_counts: npt.ArrayLike, convention: Convention) -> dict[str, npt.NDArray[np.bool_]]:
    """Which classes are many, medium and few shot, each as a (C,) mask.

    Args:
        train_counts: (C,) training images of each class.
        convention: see the module's words.
    """
    n = np.asarray(train_counts)
    if convention == "paper":
        return {"many": n > 100, "medium": (n > 20) & (n <= 100), "few": n < 20}
    if convention == "decoupling":
        return {"many": n > 100, "medium": (n >= 20) & (n <= 100), "few": n < 20}
    if convention == "authors_2019":
        return {"many": n >= 100, "medium": (n > 20) & (n < 100), "few": n <= 20}
    if convention == "faces":
        return {"many": n >= 5, "medium": (n >= 2) & (n < 5), "few": n == 1}
    raise MetricError(
        f"unknown convention of shot bins {convention!r}; expected one of {', '.join(get_args(Convention))}"
    )


def class_accuracies(decided: npt.ArrayLike, labels: npt.ArrayLike, classes: int) -> npt.NDArray[np.float64]:
    """The accuracy on each class, (C,); NaN for a class without test images.

    Args:
        decided: (N,) the class that was decided for; -1, a rejection, is wrong.
        labels: (N,) in [0, C).
        classes: C.

    Raises:
        MetricError: sizes that do not fit, or a label out of range; leave images of strangers out.
    """
    decided, labels = np.asarray(decided, np.int64), np.asarray(labels, np.int64)
    if decided.shape != labels.shape or labels.ndim != 1:
        raise MetricError(f"found decisions of shape {decided.shape} for labels of shape {labels.shape}")
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise MetricError(
            f"found labels from {labels.min()} to {labels.max()}, expected 0 to {classes - 1}; leave strangers out"
        )
    right = np.bincount(labels[decided == labels], minlength=classes)
    images = np.bincount(labels, minlength=classes)
    return np.divide(right, images, out=np.full(classes, np.nan), where=images > 0)


def shot_accuracies(
    decided: npt.ArrayLike, labels: npt.ArrayLike, train_counts: npt.ArrayLike, convention: Convention
) -> ShotAccuracies:
    """Accuracy by bin, and over all; see ``class_accuracies`` and ``shot_bins``."""
    counts = np.asarray(train_counts)
    of_class = class_accuracies(decided, labels, len(counts))
    bins = {name: _mean(of_class[mask]) for name, mask in shot_bins(counts, convention).items()}
    return ShotAccuracies(
        **bins,
        micro=_mean((np.asarray(decided) == np.asarray(labels)).astype(np.float64)),
        macro=_mean(of_class),
    )


def _mean(values: npt.NDArray[np.float64]) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else float("nan")
