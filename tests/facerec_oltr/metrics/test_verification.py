"""1:1 figures against scikit-learn's ROC, slow loops and numbers worked out by hand."""

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from facerec_oltr.errors import MetricError
from facerec_oltr.metrics.verification import equal_error_rate, far, fold_accuracy, tar, tar_at_far

INF = float("inf")


def scores(seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    genuine, impostor = rng.normal(1, 1, 300), rng.normal(-1, 1, 500)
    return (genuine.round(1), impostor.round(1)) if ties else (genuine, impostor)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("target", [0.0, 0.001, 0.01, 0.1, 0.5, 1.0])
def test_tar_at_far_is_the_best_point_of_the_roc_that_keeps_the_far(target: float, ties: bool) -> None:
    genuine, impostor = scores(0, ties)
    fpr, tpr, _ = roc_curve(np.repeat([1, 0], [300, 500]), np.concatenate([genuine, impostor]), drop_intermediate=False)
    found = tar_at_far(genuine, impostor, target)
    assert found.tar == pytest.approx(tpr[fpr <= target].max())
    assert found.threshold.achieved <= target
    assert found.threshold.measurable == (target * 500 >= 1)
    assert far(impostor, found.threshold.value) == found.threshold.achieved
    assert tar(genuine, found.threshold.value) == found.tar


def test_by_hand() -> None:
    """Genuine 0.9 0.8 0.3, impostor 0.5 0.2 0.1: at 0.5 one of three is wrong on either side."""
    genuine, impostor = [0.9, 0.8, 0.3], [0.5, 0.2, 0.1]
    assert tar_at_far(genuine, impostor, 0.1).tar == pytest.approx(2 / 3)
    assert tar_at_far(genuine, impostor, 1 / 3).tar == 1
    assert equal_error_rate(genuine, impostor) == (pytest.approx(1 / 3), 0.5)
    assert equal_error_rate([1.0, 0.9], [0.2, 0.1]) == (0.0, 0.9)
    assert equal_error_rate([0.0], [1.0]) == (1.0, 1.0)


@pytest.mark.parametrize("ties", [False, True])
def test_equal_error_rate_is_that_of_a_loop_over_thresholds(ties: bool) -> None:
    genuine, impostor = scores(1, ties)
    points = []
    for T in [*np.unique(np.concatenate([genuine, impostor])), INF]:
        fmr, fnmr = np.mean(impostor >= T), np.mean(genuine < T)
        points.append((abs(fmr - fnmr), fmr + fnmr, T))
    _, total, T = min(points)
    assert equal_error_rate(genuine, impostor) == (pytest.approx(total / 2), T)


def test_sides_without_a_pair_and_pairs_without_a_score() -> None:
    for genuine, impostor in (([], [1.0]), ([1.0], [])):
        assert np.isnan(equal_error_rate(genuine, impostor)).all()
        assert np.isnan(tar_at_far(genuine, impostor, 0.1).tar)
    assert tar([-INF, 1.0], -INF) == 0.5  # no face was found in one of the pair: never accepted
    assert far([-INF], -INF) == 0
    assert equal_error_rate([-INF, 1.0], [0.0, 0.5]) == (0.5, 0.5)
    with pytest.raises(MetricError, match="NaN"):
        equal_error_rate([np.nan], [0.0])


def by_loop(values: np.ndarray, same: np.ndarray, folds: int) -> list[float]:
    """The most right answers that any threshold gives on the other folds; then a middle one of those on this fold."""
    fold = np.arange(len(values)) // (len(values) // folds)
    means = []
    for f in range(folds):
        others, own = fold != f, fold == f
        distinct = np.unique(values[others])
        candidates = [distinct[0], *((distinct[1:] + distinct[:-1]) / 2), np.nextafter(distinct[-1], INF)]
        right = [np.sum((values[others] >= T) == same[others]) for T in candidates]
        best = [T for T, r in zip(candidates, right, strict=True) if r == max(right)]
        T = best[(len(best) - 1) // 2]
        means.append(np.mean((values[own] >= T) == same[own]))
    return means


@pytest.mark.parametrize("ties", [False, True])
def test_accuracy_by_folds_is_that_of_a_loop(ties: bool) -> None:
    genuine, impostor = scores(2, ties)
    values, same = np.concatenate([genuine, impostor]), np.repeat([True, False], [300, 500])
    order = np.random.default_rng(0).permutation(800)
    found = fold_accuracy(values[order], same[order])
    expected = by_loop(values[order], same[order], 10)
    np.testing.assert_allclose(found.accuracies, expected)
    assert found.mean == pytest.approx(np.mean(expected))
    assert found.sd == pytest.approx(np.std(expected, ddof=1))


def test_a_threshold_lies_in_the_middle_of_a_gap() -> None:
    values = np.tile([0.9, 0.1], 10)
    found = fold_accuracy(values, values > 0.5)
    assert found.mean == 1
    np.testing.assert_allclose(found.thresholds, 0.5)


def test_pairs_that_are_all_of_one_kind_and_without_scores() -> None:
    assert fold_accuracy([0.1, 0.2, 0.3, 0.4], [False] * 4, folds=2).mean >= 0.5
    assert fold_accuracy([-INF] * 4, [False] * 4, folds=2).mean == 1
    assert fold_accuracy([-INF] * 4, [True] * 4, folds=2).mean == 0


@pytest.mark.parametrize(
    ("values", "same", "folds", "said"),
    [
        ([1.0, 2, 3], [True] * 3, 2, "3 pairs and 2 folds, expected at least 2 folds of equally many pairs"),
        ([], [], 10, "0 pairs and 10 folds"),
        ([1.0, 2], [True] * 2, 1, "2 pairs and 1 folds"),
        ([1.0, 2], [True], 2, r"scores of shape \(2,\) and flags of shape \(1,\)"),
    ],
)
def test_pairs_that_cannot_be_dealt(values: list[float], same: list[bool], folds: int, said: str) -> None:
    with pytest.raises(MetricError, match=said):
        fold_accuracy(values, same, folds)


def test_folds_of_unequal_size_are_dealt_as_they_are_given():
    # Fold 0 has one pair, fold 1 two, fold 2 three. Without fold 0 the best threshold lies between 0.4 and 0.6, without
    # fold 1 between 0.3 and 0.7, without fold 2 between 0.4 and 0.9; only fold 2's genuine 0.6 falls below the last.
    scores, same = [0.9, 0.4, 0.95, 0.3, 0.6, 0.7], [True, False, True, False, True, True]
    found = fold_accuracy(scores, same, [0, 1, 1, 2, 2, 2])
    assert found.thresholds == pytest.approx([0.5, 0.45, 0.65])
    assert found.accuracies == pytest.approx([1, 1, 2 / 3])
    assert found.mean == pytest.approx(8 / 9)
    equal = fold_accuracy(scores, same, 3)
    assert fold_accuracy(scores, same, np.repeat(np.arange(3), 2)).accuracies.tolist() == equal.accuracies.tolist()
    for wrong in ([0] * 6, [0, 1], [0, 2, 2, 2, 0, 0]):
        with pytest.raises(MetricError, match="expected 2 or more, each with a pair"):
            fold_accuracy(scores, same, wrong)
