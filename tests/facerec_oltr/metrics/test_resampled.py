"""Weighted figures against the plain ones on images written out, and the spread of resamples against formulas."""

import numpy as np
import pytest

from facerec_oltr.errors import MetricError
from facerec_oltr.metrics.open_set import UNKNOWN, detection, f_measures
from facerec_oltr.metrics.resampled import (
    DetectionFigures,
    FFigures,
    Resamples,
    ShotFigures,
    StrangersRejected,
    Weights,
    percentile_interval,
    replicate,
)
from facerec_oltr.metrics.shots import Convention, class_accuracies, shot_accuracies, shot_bins

TRAIN_COUNTS = np.array([200, 150, 90, 40, 20, 7, 3, 5])  # "paper" leaves the class of 20 out; 7 is never tested
C = len(TRAIN_COUNTS)


def case(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decisions with rejections, scores with many ties, labels with strangers; class 7 is guessed, not tested."""
    rng = np.random.default_rng(seed)
    labels = np.r_[np.arange(7), rng.integers(-1, 7, 150)]
    top = np.where(rng.random(len(labels)) < 0.6, np.maximum(labels, 0), rng.integers(0, C, len(labels)))
    scores = np.round(rng.random(len(labels)) + 0.4 * (top == labels), 1)
    return np.where(scores >= 0.5, top, UNKNOWN), scores, labels


def image_weights(seed: int, labels: np.ndarray) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, len(labels)).astype(float)


@pytest.mark.parametrize("seed", range(5))
def test_detection_equals_that_of_images_written_out(seed: int) -> None:
    decided, scores, labels = case(seed)
    weights = image_weights(seed, labels)
    many = np.repeat(np.arange(len(labels)), weights.astype(int))
    right = decided == labels
    known = labels[many] != UNKNOWN
    expected = detection(scores[many][known], right[many][known], scores[many][~known])
    found = DetectionFigures(scores, right, labels)(Weights(np.ones(C), weights))
    assert dict(zip(DetectionFigures.names, found, strict=True)) == pytest.approx(vars(expected))


@pytest.mark.parametrize("seed", range(5))
def test_f_measures_equal_those_of_images_written_out(seed: int) -> None:
    decided, _, labels = case(seed)
    (weights,) = list(Resamples(labels, TRAIN_COUNTS, "decoupling", replicates=1, seed=seed))
    many = np.repeat(np.arange(len(labels)), weights.images.astype(int))
    expected = f_measures(decided[many], labels[many])
    found = dict(zip(FFigures.names, FFigures(decided, labels, C)(weights), strict=True))
    for name in ("authors", "authors_2019", "micro"):
        assert found[name] == pytest.approx(getattr(expected, name))
    (rejected,) = StrangersRejected(decided, labels)(weights)
    assert rejected == pytest.approx(np.mean(decided[many][labels[many] == UNKNOWN] == UNKNOWN))


def slow_macro(decided: list[int], labels: list[int], drawn: list[int]) -> float:
    """Class by class as often as drawn, of the images of all classes drawn and all strangers once."""
    total = 0.0
    images = [(d, y) for c in drawn for d, y in zip(decided, labels, strict=True) if y == c]
    images += [(d, y) for d, y in zip(decided, labels, strict=True) if y == UNKNOWN]
    for c in drawn:
        right = sum(d == y == c for d, y in images)
        total += 2 * right / (sum(y == c for _, y in images) + sum(d == c for d, _ in images))
    return total / len(drawn)


@pytest.mark.parametrize("seed", range(3))
def test_macro_f1_counts_a_class_as_often_as_it_was_drawn(seed: int) -> None:
    decided, _, labels = case(seed)
    drawn = [0, 0, 2, 5, 5, 5]
    classes = np.bincount(drawn, minlength=C).astype(float)
    weights = Weights(classes, np.where(labels == UNKNOWN, 1.0, classes[labels]))
    found = FFigures(decided, labels, C)(weights)[FFigures.names.index("macro")]
    assert found == pytest.approx(slow_macro(decided.tolist(), labels.tolist(), drawn))


@pytest.mark.parametrize("convention", ["paper", "decoupling", "authors_2019", "faces"])
def test_with_every_class_once_the_figures_are_the_plain_ones(convention: Convention) -> None:
    decided, scores, labels = case(7)
    known = labels != UNKNOWN
    ones = Weights(np.ones(C), np.ones(len(labels)))
    shots = ShotFigures(decided, labels, TRAIN_COUNTS, convention)(ones)
    expected = shot_accuracies(decided[known], labels[known], TRAIN_COUNTS, convention)
    assert dict(zip(ShotFigures.names, shots, strict=True)) == pytest.approx(vars(expected), nan_ok=True)
    found = dict(zip(FFigures.names, FFigures(decided, labels, C)(ones), strict=True))
    assert found == pytest.approx(vars(f_measures(decided, labels)))
    assert StrangersRejected(decided, labels)(ones) == (np.mean(decided[~known] == UNKNOWN),)
    right = decided == labels
    plain = detection(scores[known], right[known], scores[~known])
    found = DetectionFigures(scores, right, labels)(ones)
    assert dict(zip(DetectionFigures.names, found, strict=True)) == pytest.approx(vars(plain))


def test_means_over_classes_count_a_class_as_often_as_it_was_drawn() -> None:
    decided, _, labels = case(1)
    classes = np.array([2.0, 0, 1, 0, 3, 0, 1, 0])
    of_class = class_accuracies(decided[labels >= 0], labels[labels >= 0], C)
    found = ShotFigures(decided, labels, TRAIN_COUNTS, "decoupling")(Weights(classes, np.ones(len(labels))))
    assert found[0] == pytest.approx(of_class[0])  # of many, class 0 twice and class 1 never
    assert found[1] == pytest.approx((of_class[2] + 3 * of_class[4]) / 4)
    images = np.bincount(labels[labels >= 0], minlength=C) * classes
    assert found[3] == pytest.approx(np.nansum(of_class * images) / images.sum())
    assert found[4] == pytest.approx(np.nansum(of_class * classes) / 7)


def test_draws_keep_the_size_of_every_bin_and_the_number_of_strangers() -> None:
    _, _, labels = case(3)
    for convention in ("paper", "decoupling"):
        bins = shot_bins(TRAIN_COUNTS, convention)
        tested = np.arange(C) != 7
        for classes, images in Resamples(labels, TRAIN_COUNTS, convention, replicates=20):
            assert classes[7] == 0
            assert classes.sum() == 7
            assert all(classes[mask].sum() == np.count_nonzero(mask & tested) for mask in bins.values())
            assert images[labels == UNKNOWN].sum() == np.count_nonzero(labels == UNKNOWN)
            np.testing.assert_array_equal(images[labels >= 0], classes[labels[labels >= 0]])


def test_the_draws_are_the_same_each_time_and_known_by_what_decides_them() -> None:
    _, _, labels = case(3)
    first, again = (Resamples(labels, TRAIN_COUNTS, "decoupling", replicates=3) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.images, other.images)
    assert first.fingerprint == again.fingerprint
    others = (
        Resamples(labels, TRAIN_COUNTS, "paper", replicates=3),
        Resamples(labels, TRAIN_COUNTS, "decoupling", replicates=4),
        Resamples(labels, TRAIN_COUNTS, "decoupling", replicates=3, seed=1),
        Resamples(labels[::-1], TRAIN_COUNTS, "decoupling", replicates=3),
        Resamples(labels, TRAIN_COUNTS + 1, "decoupling", replicates=3),
    )
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 6


def test_the_variance_is_that_of_drawing_classes_within_bins() -> None:
    # Each bin's mean over n classes has the variance s² / n of its classes' accuracies (divisor n).
    rng = np.random.default_rng(0)
    counts, labels = np.repeat([200, 50, 5], [30, 20, 40]), np.repeat(np.arange(90), 10)
    decided = np.where(rng.random(900) < rng.random(90)[labels], labels, UNKNOWN)
    figures = replicate(
        Resamples(labels, counts, "decoupling", replicates=4000),
        [ShotFigures(decided, labels, counts, "decoupling")],
    )
    of_class = class_accuracies(decided, labels, 90)
    for place, mask in enumerate(shot_bins(counts, "decoupling").values()):
        values = of_class[mask]
        assert figures[:, place].mean() == pytest.approx(values.mean(), abs=0.01)
        assert figures[:, place].var() == pytest.approx(values.var() / len(values), rel=0.1)


def test_intervals_cover_where_every_class_has_one_image() -> None:
    # 200 classes of one test image, right with chance 0.8: of 200 worlds about 95 % cover (19 in 20, ± 2 sd = 3 %).
    rng, covered, labels, counts = np.random.default_rng(0), 0, np.arange(200), np.full(200, 3)
    for _ in range(200):
        decided = np.where(rng.random(200) < 0.8, labels, UNKNOWN)
        figures = replicate(
            Resamples(labels, counts, "decoupling", replicates=100),
            [ShotFigures(decided, labels, counts, "decoupling")],
        )
        low, high = percentile_interval(figures[:, 2])
        covered += low <= 0.8 <= high
    assert 0.91 <= covered / 200 <= 0.99


def test_nothing_to_measure_is_nan_and_nobody_right_is_zero() -> None:
    ones = Weights(np.ones(C), np.ones(3))
    only_known = np.array([0, 1, 2])
    assert np.isnan(DetectionFigures([0.1, 0.2, 0.3], [True] * 3, only_known)(ones)).all()
    assert np.isnan(DetectionFigures([0.1, 0.2, 0.3], [False] * 3, [-1] * 3)(ones)).all()
    assert set(FFigures([-1, -1, -1], only_known, C)(ones)) == {0}
    assert np.isnan(StrangersRejected([-1, -1, -1], only_known)(ones)).all()
    assert np.isnan(FFigures([-1] * 3, [-1] * 3, C)(ones)).all()
    assert DetectionFigures([3, 2, 1], [False] * 3, [0, 1, -1])(ones)[-1] == 0


def test_bounds_are_percentiles_and_nan_with_a_nan_among_them() -> None:
    assert percentile_interval(np.arange(101), 0.9) == pytest.approx((5, 95))
    assert np.isnan(percentile_interval([1.0, np.nan])).all()
    assert np.isnan(percentile_interval([])).all()


@pytest.mark.parametrize(("labels", "counts"), [([-1, -1], [3]), ([], [3]), ([0, 1], [3]), ([-2, 0], [3])])
def test_resampling_needs_known_classes(labels: list[int], counts: list[int]) -> None:
    with pytest.raises(MetricError, match="resampling needs known ones"):
        Resamples(np.array(labels, int), counts, "decoupling")
