"""Classification figures of many resamples of one test set: how sure they are, and whether two methods differ.

What is drawn is the class, with all its test images: images of one class resemble each other, and where most classes
have one test image, drawing within classes would find no uncertainty at all. Classes are drawn with replacement among
those of their shot bin, so every bin keeps its size; strangers, whose classes no label tells, one by one. Thresholds
stay what validation chose, and networks what training made: neither's uncertainty is in these intervals.

A resample is a weight for each image, how often it was drawn; each figure here with weights equals the one of `shots`
and `open_set` on the images written out as often. Classes count as often as drawn in means over classes.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import MetricError
from facerec_oltr.metrics._scores import checked_scores
from facerec_oltr.metrics.open_set import UNKNOWN, positives_needed
from facerec_oltr.metrics.shots import Convention, shot_bins

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Weights(NamedTuple):
    """One resample.

    Attributes:
        classes: (C,) how often each class was drawn; 0 for a class without test images.
        images: (N,) how often each image is there, as float64.
    """

    classes: Floats
    images: Floats


class Resamples:
    """The same draws whenever they are asked for, so that figures of two methods on one test set are paired.

    Args:
        labels: (N,) of the test images; -1 for a stranger.
        train_counts: (C,) training images of each class.
        convention: of the shot bins within which classes are drawn; classes in no bin are drawn among themselves.
        replicates: how many resamples.
        seed: of the draws.

    Attributes:
        fingerprint: hex digest of all that decides the draws.

    Raises:
        MetricError: there is no image of a known class, or a label is none of theirs.
    """

    def __init__(
        self,
        labels: npt.ArrayLike,
        train_counts: npt.ArrayLike,
        convention: Convention,
        *,
        replicates: int = 1000,
        seed: int = 0,
    ) -> None:
        labels, counts = np.asarray(labels, np.int64), np.asarray(train_counts, np.int64)
        if labels.ndim != 1 or not (labels != UNKNOWN).any() or labels.min() < UNKNOWN or labels.max() >= len(counts):
            raise MetricError(
                f"found {labels.size} test labels, {np.count_nonzero(labels != UNKNOWN)} of them known, for "
                f"{len(counts)} classes; resampling needs known ones, from 0 to {len(counts) - 1}, strangers -1"
            )
        self._labels, self._classes = labels, len(counts)
        self._strangers = np.flatnonzero(labels == UNKNOWN)
        tested = np.zeros(len(counts), bool)
        tested[labels[labels != UNKNOWN]] = True
        bins = list(shot_bins(counts, convention).values())
        groups = [*bins, ~np.any(bins, axis=0)]
        self._groups = [places for group in groups if (places := np.flatnonzero(group & tested)).size]
        self._replicates, self._seed = replicates, seed
        digest = hashlib.sha256(f"{replicates} {seed} {convention}".encode())
        digest.update(labels.tobytes())
        digest.update(counts.tobytes())
        self.fingerprint = digest.hexdigest()

    def __len__(self) -> int:
        return self._replicates

    def __iter__(self) -> Iterator[Weights]:
        for replicate in range(self._replicates):
            rng = np.random.default_rng((self._seed, replicate))
            drawn = np.concatenate([rng.choice(group, len(group)) for group in self._groups])
            classes = np.bincount(drawn, minlength=self._classes).astype(np.float64)
            images = classes[self._labels]  # a stranger's place is the last class's; it gets its own below
            strangers = len(self._strangers)
            images[self._strangers] = np.bincount(rng.integers(strangers, size=strangers), minlength=strangers)
            yield Weights(classes, images)


class Figures(Protocol):
    """Some figures of one set of predictions, for any resample of their images."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the figures are called, as in `shots` and `open_set`."""
        ...

    def __call__(self, weights: Weights) -> Sequence[float]:
        """The figures, in the order of `names`; NaN where nothing was there to measure."""
        ...


class ShotFigures:
    """``shots.shot_accuracies`` of decisions (N,), with its names; images of strangers do not count."""

    names = ("many", "medium", "few", "micro", "macro")

    def __init__(
        self, decided: npt.ArrayLike, labels: npt.ArrayLike, train_counts: npt.ArrayLike, convention: Convention
    ) -> None:
        decided, labels, counts = np.asarray(decided), np.asarray(labels), np.asarray(train_counts)
        known = labels != UNKNOWN
        self._right = np.bincount(labels[known & (decided == labels)], minlength=len(counts)).astype(np.float64)
        self._images = np.bincount(labels[known], minlength=len(counts)).astype(np.float64)
        self._accuracy = np.divide(self._right, self._images, out=np.zeros(len(counts)), where=self._images > 0)
        self._bins = [*shot_bins(counts, convention).values(), np.ones(len(counts), bool)]

    def __call__(self, weights: Weights) -> Sequence[float]:
        """See `Figures`."""
        there = weights.classes * (self._images > 0)
        many, medium, few, macro = (_share(_dot(there[of], self._accuracy[of]), there[of].sum()) for of in self._bins)
        return many, medium, few, _share(_dot(there, self._right), _dot(there, self._images)), macro


class FFigures:
    """``open_set.f_measures`` of decisions (N,), with its names."""

    names = ("authors", "authors_2019", "micro", "macro")

    def __init__(self, decided: npt.ArrayLike, labels: npt.ArrayLike, classes: int) -> None:
        decided, labels = np.asarray(decided, np.int64), np.asarray(labels, np.int64)
        known, accepted, right = labels != UNKNOWN, decided != UNKNOWN, decided == labels
        self._counted = np.stack(
            [known & right, known & accepted & ~right, known & ~accepted, ~known & accepted]
        ).astype(np.float64)
        self._right = np.bincount(labels[known & right], minlength=classes).astype(np.float64)
        self._images = np.bincount(labels[known], minlength=classes).astype(np.float64)
        self._decided, self._classes = decided + 1, classes  # rejections are counted at 0

    def __call__(self, weights: Weights) -> Sequence[float]:
        """See `Figures`."""
        TP, K_mis, K_rej, O_acc = (self._counted @ weights.images).tolist()
        if not TP + K_mis + K_rej:
            return (np.nan,) * len(self.names)
        guesses = np.bincount(self._decided, weights.images, self._classes + 1)[1 : self._classes + 1]
        there = weights.classes * (self._images > 0)
        parts = np.maximum(weights.classes * self._images + guesses, 1)
        return (
            _f(TP, K_mis + K_rej + O_acc),
            _f(TP, K_mis + O_acc),
            _f(TP, 2 * K_mis + K_rej + O_acc),
            _share(_dot(there, 2 * weights.classes * self._right / parts), there.sum()),
        )


class StrangersRejected:
    """The share of strangers that decisions (N,) reject."""

    names = ("strangers_rejected",)

    def __init__(self, decided: npt.ArrayLike, labels: npt.ArrayLike) -> None:
        strangers = np.asarray(labels) == UNKNOWN
        self._strangers, self._rejected = strangers, (np.asarray(decided) == UNKNOWN)[strangers]

    def __call__(self, weights: Weights) -> Sequence[float]:
        """See `Figures`."""
        images = weights.images[self._strangers]
        return (_share(images[self._rejected].sum(), images.sum()),)


class DetectionFigures:
    """``open_set.detection`` of scores (N,), with its names.

    Args:
        scores: of all images; none -inf, NaN or +inf.
        right: whether each image's top class is its own.
        labels: -1 for a stranger.
    """

    names = ("auroc", "aupr_known", "aupr_unknown", "fpr95", "oscr")

    def __init__(self, scores: npt.ArrayLike, right: npt.ArrayLike, labels: npt.ArrayLike) -> None:
        scores = checked_scores(np.asarray(scores, np.float64))
        self._order = np.argsort(-scores)
        known = (np.asarray(labels) != UNKNOWN)[self._order]
        self._known, self._right = known, known & np.asarray(right, bool)[self._order]
        falling = scores[self._order]
        self._ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))  # the last of equal scores
        # Made once: fresh arrays of this size cost more time than what is reckoned in them.
        self._images = np.empty((2, len(scores)))
        self._curves, self._steps = np.zeros((3, len(self._ends) + 1)), np.empty((3, len(self._ends)))

    def __call__(self, weights: Weights) -> Sequence[float]:
        """See `Figures`; the weights of images are whole numbers."""
        images, chosen = self._images
        known, right, strangers = self._curves  # how many reach each of the falling scores; first, how many reach none
        np.take(weights.images, self._order, out=images, mode="clip")
        for curve, which in ((known, self._known), (right, self._right), (strangers, ~self._known)):
            np.cumsum(np.multiply(images, which, out=chosen), out=chosen)
            np.take(chosen, self._ends, out=curve[1:], mode="clip")
        K, U = float(known[-1]), float(strangers[-1])
        if not (K and U):
            return (np.nan,) * len(self.names)
        more, others, part = self._steps
        np.subtract(known[1:], known[:-1], out=more)
        np.add(known[1:], strangers[1:], out=others)
        aupr_known = _dot(more, np.divide(known[1:], np.maximum(others, 1, out=others), out=part)) / K
        np.subtract(strangers[1:], strangers[:-1], out=more)
        np.add(known[:-1], strangers[:-1], out=others)
        np.maximum(np.subtract(K + U, others, out=others), 1, out=others)
        aupr_unknown = _dot(more, np.divide(np.subtract(U, strangers[:-1], out=part), others, out=part)) / U
        return (
            (_dot(more, known[1:]) + _dot(more, known[:-1])) / (2 * K * U),
            aupr_known,
            aupr_unknown,
            float(strangers[np.searchsorted(known, positives_needed(int(K), 0.95))]) / U,
            (_dot(more, right[1:]) + _dot(more, right[:-1])) / (2 * K * U),
        )


def replicate(
    resamples: Resamples,
    figures: Sequence[Figures],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> npt.NDArray[np.float64]:
    """The figures of every resample, (R, F): those of the first member, then those of the next.

    Args:
        resamples: R of them.
        figures: made of predictions on the images that are resampled.
        on_progress: called with (resamples done, R).
    """
    table = np.empty((len(resamples), sum(len(member.names) for member in figures)))
    for row, weights in enumerate(resamples):
        table[row] = [value for member in figures for value in member(weights)]
        on_progress(row + 1, len(resamples))
    return table


def percentile_interval(values: npt.ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """The bounds between which that share of the replicates (R,) lies; NaN where one is NaN or there is none."""
    values = np.asarray(values, np.float64)
    if not values.size or np.isnan(values).any():
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _dot(a: Floats, b: Floats) -> float:
    """The product a · b by one thread: many wait for each other on vectors this short."""
    return float(np.einsum("s,s", a, b))


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def _f(true: float, errors: float) -> float:
    return 2 * true / (2 * true + errors) if true else 0.0
