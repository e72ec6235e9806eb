"""Open-set figures against scikit-learn, against slow loops, and against numbers that the OLTR authors published."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from facerec_oltr.errors import MetricError
from facerec_oltr.metrics.open_set import UNKNOWN, average_precision, decide, detection, f_measures, fpr_at_tpr, oscr

Case = tuple[np.ndarray, np.ndarray, np.ndarray]


def case(seed: int) -> Case:
    """Top classes, scores with many ties, labels with strangers."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, 6, 200)
    top = np.where(rng.random(200) < 0.6, np.maximum(labels, 0), rng.integers(0, 8, 200))  # 6 and 7 are never tested
    scores = np.round(rng.random(200) + 0.4 * (top == labels), 1)
    return top, scores, labels


@pytest.mark.parametrize("seed", range(5))
def test_the_authors_f_equals_their_loop(seed: int) -> None:
    """Their definition, sample by sample: a known that is wrong or rejected is FP, an accepted stranger FN."""
    top, scores, labels = case(seed)
    decided = decide(top, scores, 0.7)
    TP = FP = FP_2019 = FN = 0
    for p, y in zip(decided.tolist(), labels.tolist(), strict=True):
        TP += p == y and y != -1
        FP += p != y and y != -1
        FP_2019 += p != y and y != -1 and p != -1
        FN += p != y and y == -1
    found = f_measures(decided, labels)
    precision, recall = TP / (TP + FP), TP / (TP + FN)
    assert found.authors == pytest.approx(2 * precision * recall / (precision + recall))
    precision = TP / (TP + FP_2019)
    assert found.authors_2019 == pytest.approx(2 * precision * recall / (precision + recall))


@pytest.mark.parametrize("seed", range(5))
def test_the_usual_f1_equals_scikit_learn(seed: int) -> None:
    top, scores, labels = case(seed)
    decided = decide(top, scores, 0.7)
    found = f_measures(decided, labels)
    assert found.micro == pytest.approx(f1_score(labels, decided, labels=range(8), average="micro"))
    assert found.macro == pytest.approx(f1_score(labels, decided, labels=range(6), average="macro"))


@pytest.mark.parametrize(
    ("accuracy", "knowns", "strangers", "published"),
    [(0.307, 50_000, 18_000, 0.368), (0.351, 36_500, 6_600, 0.458)],
)
def test_the_papers_openmax_rows_are_the_never_reject_line(
    accuracy: float, knowns: int, strangers: int, published: float
) -> None:
    """The closed accuracies of Range Loss give the F that the paper's table prints for OpenMax on it."""
    labels = np.r_[np.zeros(knowns, int), np.full(strangers, UNKNOWN)]
    top = np.zeros(len(labels), int)
    top[: knowns - round(accuracy * knowns)] = 1
    assert f_measures(top, labels).authors == pytest.approx(published, abs=0.001)


def test_the_form_of_2019_rises_with_every_rejection_and_the_correct_one_does_not() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 3000)
    labels[2000:] = UNKNOWN
    top = np.where(rng.random(3000) < 0.5, np.maximum(labels, 0), rng.integers(0, 5, 3000))
    scores = np.clip(rng.random(3000) * 0.6 + 0.3 * (top == labels), 0, 0.999)
    forms = [f_measures(decide(top, scores, T), labels) for T in (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)]
    wrong, right = [f.authors_2019 for f in forms], [f.authors for f in forms]
    assert wrong == sorted(wrong)
    assert wrong[-1] > wrong[0] + 0.1
    assert right != sorted(right)


def test_degenerate_decisions_have_defined_figures() -> None:
    rejected = f_measures([-1, -1, -1], [0, 1, -1])  # the authors' code divides by zero here
    assert (rejected.authors, rejected.authors_2019, rejected.micro, rejected.macro) == (0, 0, 0, 0)
    strangers_only = f_measures([0, -1], [-1, -1])
    assert np.isnan([strangers_only.authors, strangers_only.micro, strangers_only.macro]).all()
    assert f_measures([0, 1], [0, 1]).macro == 1
    with pytest.raises(MetricError, match="shape"):
        f_measures([0], [0, 1])


def test_decisions_accept_at_the_threshold_and_refuse_damaged_scores() -> None:
    assert decide([3, 4, 5], [0.5, 0.49, -np.inf], 0.5).tolist() == [3, -1, -1]
    assert decide([3], [-np.inf], -np.inf).tolist() == [-1]
    with pytest.raises(MetricError, match="NaN"):
        decide([3], [np.nan], 0.5)


def slow_curves(known: np.ndarray, right: np.ndarray, strangers: np.ndarray) -> tuple[float, float]:
    """OSCR by trapezoids and FPR95, over every threshold, one after the other."""
    points, fpr95 = [(0.0, 0.0)], None
    for T in sorted({*known.tolist(), *strangers.tolist()}, reverse=True):
        accepted = sum(u >= T for u in strangers) / len(strangers)
        points.append((accepted, sum(r and k >= T for k, r in zip(known, right, strict=True)) / len(known)))
        if fpr95 is None and sum(k >= T for k in known) >= 0.95 * len(known):
            fpr95 = accepted
    area = sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in itertools.pairwise(points))
    assert fpr95 is not None
    return area, fpr95


@pytest.mark.parametrize("seed", range(5))
def test_figures_without_a_threshold(seed: int) -> None:
    top, scores, labels = case(seed)
    known = labels != UNKNOWN
    right = (top == labels)[known]
    found = detection(scores[known], right, scores[~known])
    area, fpr95 = slow_curves(scores[known], right, scores[~known])
    assert found.oscr == pytest.approx(area)
    assert found.fpr95 == pytest.approx(fpr95)
    assert found.aupr_known == pytest.approx(average_precision_score(known, scores))
    assert found.aupr_unknown == pytest.approx(average_precision_score(~known, -scores))


def test_empty_sides_are_nan_and_nobody_right_is_zero() -> None:
    for known, strangers in (([], [0.1]), ([0.1], [])):
        figures = detection(known, [True] * len(known), strangers)
        assert np.isnan(list(vars(figures).values())).all()
    assert oscr([0.5, 0.6], [False, False], [0.1]) == 0


def test_perfect_and_all_tied() -> None:
    assert vars(detection([2, 3], [True, True], [0, 1])) == {
        "auroc": 1, "aupr_known": 1, "aupr_unknown": 1, "fpr95": 0, "oscr": 1,
    }  # fmt: skip
    assert average_precision([1, 1], [1, 1]) == 0.5
    assert fpr_at_tpr([1, 1], [1, 1], 0.95) == 1
    assert oscr([1, 1], [True, False], [1]) == 0.25
    with pytest.raises(MetricError, match="true positive rate"):
        fpr_at_tpr([1], [1], 0)
    assert fpr_at_tpr(np.arange(20), [0.5], 0.95) == 0  # 19 of 20 are 0.95, whatever the floats say
