"""Thresholds against a loop over every cut, and what is defined at ties, empty sides and damaged scores."""

import math
from fractions import Fraction

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from sklearn.metrics import roc_curve

from facerec_oltr.errors import DataError
from facerec_oltr.metrics.open_set import UNKNOWN, decide, f_measures
from facerec_oltr.open_set import (
    FixedThreshold,
    Judgement,
    KnownShareThreshold,
    Outputs,
    PseudoOpenThreshold,
    ThresholdConfig,
    hold_out,
)


def case(seed: int) -> tuple[Judgement, np.ndarray]:
    """Scores with many ties; knowns are 3 of 4."""
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random(160) < 0.25, UNKNOWN, rng.integers(0, 4, 160))
    top = np.where(rng.random(160) < 0.7, np.maximum(labels, 0), rng.integers(0, 4, 160))
    scores = np.round(rng.normal(size=160) + 1.2 * (labels != UNKNOWN), 1)
    return Judgement(top, scores), labels


def of(scores: list[float], labels: list[int]) -> tuple[Judgement, np.ndarray]:
    return Judgement(np.maximum(labels, 0), np.array(scores)), np.array(labels)


def test_the_papers_threshold_is_a_tenth_whatever_the_images() -> None:
    T = FixedThreshold().choose(*of([], []))
    assert T == 0.1
    assert decide([0, 0], [0.1, 0.0999], T).tolist() == [0, UNKNOWN]
    assert FixedThreshold(value=-3.5).choose(*of([math.nan], [0])) == -3.5


def test_the_share_of_knowns_is_held_and_no_higher_threshold_holds_it() -> None:
    assert KnownShareThreshold().choose(*of(list(range(20)), [0] * 20)) == 1  # 19 of 20 are 95 %
    assert KnownShareThreshold(share=1.0).choose(*of([3, 1, 2, -9], [0, 1, 0, -1])) == 1  # the stranger's is no matter
    for seed in range(5):
        judged, labels = case(seed)
        known = judged.scores[labels != UNKNOWN]
        for share in (0.5, 0.9, 0.95):
            T = KnownShareThreshold(share=share).choose(judged, labels)
            assert np.mean(known >= T) >= share > np.mean(known > T)


@pytest.mark.parametrize("seed", range(5))
def test_pseudo_open_thresholds_are_the_best_of_a_loop_over_all_cuts(seed: int) -> None:
    judged, labels = case(seed)
    youden, authors_f = {}, {}
    for T in sorted(set(judged.scores.tolist())):
        decided = decide(*judged, T)
        known = labels != UNKNOWN
        accepted = [int(np.sum(decided[group] != UNKNOWN)) for group in (known, ~known)]
        youden[T] = Fraction(accepted[0], int(known.sum())) - Fraction(accepted[1], int((~known).sum()))
        authors_f[T] = f_measures(decided, labels).authors
    T = PseudoOpenThreshold().choose(judged, labels)
    assert max(youden, key=youden.__getitem__) == T
    fpr, tpr, _ = roc_curve(labels != UNKNOWN, judged.scores)
    assert float(youden[T]) == pytest.approx(np.max(tpr - fpr), abs=1e-12)
    assert PseudoOpenThreshold(criterion="authors_f").choose(judged, labels) == max(
        authors_f, key=authors_f.__getitem__
    )


def test_the_lowest_of_equally_good_thresholds_is_taken() -> None:
    # 4 and 2 both accept what J = 1/2 asks: one known and no stranger, or both knowns and one of two strangers
    assert PseudoOpenThreshold().choose(*of([4, 2, 3, 1], [0, 1, -1, -1])) == 2
    assert PseudoOpenThreshold().choose(*of([5, 5, 5], [0, -1, 1])) == 5
    worthless = of([1, 2, 8, 9], [0, 1, -1, -1])
    assert PseudoOpenThreshold().choose(*worthless) == 1  # nothing is better than to reject nobody
    judged, labels = of([4, 3, 2], [0, 0, -1])
    nobody_right = judged._replace(top=np.array([1, 1, 1]))
    assert PseudoOpenThreshold(criterion="authors_f").choose(nobody_right, labels) == 2


def test_a_score_of_minus_infinity_is_never_a_threshold() -> None:
    assert PseudoOpenThreshold().choose(*of([-math.inf, 2, -math.inf], [0, 1, -1])) == 2
    with pytest.raises(DataError, match="every validation score is -inf"):
        PseudoOpenThreshold().choose(*of([-math.inf, -math.inf], [0, -1]))


def test_missing_sides_and_damaged_scores_are_refused() -> None:
    for labels in ([0, 1], [-1, -1]):
        with pytest.raises(DataError, match="needs both: hold out some classes"):
            PseudoOpenThreshold().choose(*of([1, 2], labels))
    with pytest.raises(DataError, match="found none"):
        KnownShareThreshold().choose(*of([1, 2], [-1, -1]))
    for chooser in (KnownShareThreshold(), PseudoOpenThreshold()):
        with pytest.raises(DataError, match="1 of 2 validation scores are NaN"):
            chooser.choose(*of([1, math.nan], [0, -1]))
        with pytest.raises(DataError, match="shape"):
            chooser.choose(Judgement(np.zeros(1, np.int64), np.zeros(1)), [0, -1])


def test_configs_are_read_by_their_way_of_choosing() -> None:
    read = TypeAdapter(ThresholdConfig).validate_python
    assert read({"by": "pseudo_open", "criterion": "authors_f"}) == PseudoOpenThreshold(criterion="authors_f")
    for wrong in ({"by": "known_share", "share": 0.0}, {"by": "fixed", "value": math.nan}, {"by": "guess"}, {}):
        with pytest.raises(ValidationError):
            read(wrong)


def test_held_out_classes_leave_the_logits_and_become_strangers() -> None:
    outputs = Outputs(np.arange(5.0)[:, None], np.arange(20.0).reshape(5, 4))
    left, labels = hold_out(outputs, [0, 1, 2, 3, -1], [2, 0, 2])
    assert labels.tolist() == [-1, 0, -1, 1, -1]
    assert left.logits.tolist() == [[1, 3], [5, 7], [9, 11], [13, 15], [17, 19]]
    np.testing.assert_array_equal(left.features, outputs.features)


@pytest.mark.parametrize("held_out", [[], [0, 1, 2, 3], [4], [-1]])
def test_classes_to_hold_out_are_some_of_those_there_are(held_out: list[int]) -> None:
    with pytest.raises(DataError, match="hold out some of 0 to 3"):
        hold_out(Outputs(np.zeros((2, 1)), np.zeros((2, 4))), [0, 1], held_out)


def test_held_out_labels_that_are_no_class_are_refused() -> None:
    with pytest.raises(DataError, match="labels from -2 to 7"):
        hold_out(Outputs(np.zeros((2, 1)), np.zeros((2, 4))), [-2, 7], [0])
