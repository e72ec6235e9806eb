"""1:N metrics against hand-worked examples, slow loops written from the definitions, and properties."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerec_oltr.errors import MetricError
from facerec_oltr.metrics.identification import (
    Searches,
    cmc,
    det_curve,
    fnir,
    fpir,
    fuse_templates,
    misidentification_rate,
    operating_point,
    rank_k,
    threshold_at_fpir,
    tpir,
    tpir_at_fpir,
)

# Worked by hand. Gallery a b c; probes of a, b, c and two strangers x, y.
#         a    b    c
HAND = [
    [0.9, 0.2, 0.1],  # a: own .9, rank 1
    [0.6, 0.6, 0.1],  # b: own .6 ties with a, so pessimistic rank 2, and a counts as the wrong best
    [0.5, 0.4, 0.3],  # c: own .3, rank 3
    [0.7, 0.1, 0.0],  # x: .7
    [0.2, 0.3, 0.1],  # y: .3
]
SEARCHES = Searches.from_scores(HAND, ["a", "b", "c"], ["a", "b", "c", "x", "y"])

few_values = st.integers(-3, 3).map(lambda i: i / 4)  # few, so that ties abound
score_lists = st.lists(few_values, min_size=1, max_size=40)


def test_hand_example_is_reduced_as_worked():
    assert SEARCHES.true_scores.tolist() == [0.9, 0.6, 0.3]
    assert SEARCHES.ranks.tolist() == [1, 2, 3]
    assert SEARCHES.best_others.tolist() == [0.2, 0.6, 0.5]
    assert SEARCHES.nonmated_maxima.tolist() == [0.7, 0.3]


def test_hand_example_rates():
    assert cmc(SEARCHES, 4).tolist() == [1 / 3, 2 / 3, 1, 1]
    assert rank_k(SEARCHES) == 1 / 3
    assert [fpir(SEARCHES, T) for T in (0.71, 0.7, 0.3, -9)] == [0, 0.5, 1, 1]  # accepted at exactly T
    assert [fnir(SEARCHES, T) for T in (0.95, 0.9, 0.0)] == [1, 2 / 3, 2 / 3]
    assert [fnir(SEARCHES, T, rank=2) for T in (0.61, 0.6, 0.0)] == [2 / 3, 1 / 3, 1 / 3]
    assert tpir(SEARCHES, 0.6, rank=2) == 2 / 3
    # b and c are led by another one, with .6 and .5
    assert [misidentification_rate(SEARCHES, T) for T in (0.61, 0.6, 0.5)] == [0, 1 / 3, 2 / 3]


def test_hand_example_det():
    # Rank 1: FNIR changes only at a's .9, FPIR at .7 and .3.
    det = det_curve(SEARCHES)
    assert det.thresholds.tolist() == [math.nextafter(0.9, 2), 0.9, 0.7, 0.3]
    assert det.fpir.tolist() == [0, 0, 0.5, 1]
    assert det.fnir.tolist() == [1, 2 / 3, 2 / 3, 2 / 3]


def slow_rates(scores, gallery, probes, T, R):
    """FPIR, FNIR and misidentification, as the definitions read."""
    false_alarms, strangers, misses, wrong, mated = 0, 0, 0, 0, 0
    for row, person in zip(scores, probes, strict=True):
        if person not in gallery:
            strangers += 1
            false_alarms += max(row) >= T
            continue
        mated += 1
        own = row[gallery.index(person)]
        others = [s for s, g in zip(row, gallery, strict=True) if g != person]
        rank = 1 + sum(s >= own for s in others)
        misses += rank > R or own < T
        wrong += any(s >= own and s >= T for s in others)
    return (
        false_alarms / strangers if strangers else math.nan,
        misses / mated if mated else math.nan,
        wrong / mated if mated else math.nan,
    )


def test_rates_equal_slow_loops_on_tied_scores():
    rng = np.random.default_rng(0)
    for _ in range(60):
        N, P = rng.integers(1, 7), rng.integers(1, 15)
        gallery, probes = rng.permutation(9)[:N].tolist(), rng.integers(0, 9, P).tolist()
        scores = rng.integers(0, 5, (P, N)) / 4
        searches = Searches.from_scores(scores, gallery, probes)
        for T in (-1, 0, 0.25, 0.6, 1, 2):
            for R in (1, 2, 3):
                ours = fpir(searches, T), fnir(searches, T, R), misidentification_rate(searches, T)
                slow = slow_rates(scores.tolist(), gallery, probes, T, R)
                assert ours == pytest.approx(slow, nan_ok=True)
                assert rank_k(searches, R) == pytest.approx(
                    1 - slow_rates(scores.tolist(), gallery, probes, -math.inf, R)[1], nan_ok=True
                )


def test_templates_are_fused_before_ranking():
    # By hand: templates a1 a2 b c; the probe of a finds both of its templates first, that of c finds b, a,
    # then c. Counting every template as a mate, as some libraries do, would give [.5, 1.0, 1.0].
    similarities = [[0.9, 0.8, 0.1, 0.0], [0.5, 0.4, 0.6, 0.3]]
    scores, identities = fuse_templates(similarities, ["a", "a", "b", "c"])
    assert identities.tolist() == ["a", "b", "c"]
    assert scores.tolist() == [[0.9, 0.1, 0.0], [0.5, 0.6, 0.3]]
    assert cmc(Searches.from_scores(scores, identities, ["a", "c"]), 3).tolist() == [0.5, 0.5, 1.0]


def test_fusion_in_any_order_and_by_mean():
    similarities = np.array([[0.25, 0.5, 0.75, 1.0, 0.0]], np.float32)
    scores, identities = fuse_templates(similarities, [7, 3, 7, 3, 5])
    assert (identities.tolist(), scores.tolist(), scores.dtype) == ([3, 5, 7], [[1, 0, 0.75]], np.float32)
    assert fuse_templates(similarities, [7, 3, 7, 3, 5], how="mean")[0].tolist() == [[0.75, 0, 0.5]]


def test_fusion_of_no_template_gives_no_identity():
    scores, identities = fuse_templates(np.empty((2, 0)), [])
    assert scores.shape == (2, 0)
    assert len(identities) == 0


@pytest.mark.parametrize(
    ("target", "value", "achieved", "measurable"),
    [
        # strangers .1 .2 .2 .3, so U = 4
        (0.0, math.nextafter(0.3, 1), 0.0, False),
        (0.2, math.nextafter(0.3, 1), 0.0, False),  # below 1/4: nothing to measure it by
        (0.25, math.nextafter(0.2, 1), 0.25, True),
        (0.5, math.nextafter(0.2, 1), 0.25, True),  # the tie at .2 would accept three
        (0.75, math.nextafter(0.1, 1), 0.75, True),
        (1.0, -math.inf, 1.0, True),
    ],
)
def test_threshold_by_hand(target, value, achieved, measurable):
    found = threshold_at_fpir([0.2, 0.1, 0.3, 0.2], target)
    assert (found.target, found.value, found.achieved, found.measurable) == (
        target,
        value,
        achieved,
        measurable,
    )


def test_threshold_is_not_misled_by_floating_point():
    scores = np.arange(100.0)
    assert 0.29 * 100 < 29
    assert threshold_at_fpir(scores, 0.29).achieved == 0.29


@settings(deadline=None)
@given(score_lists, st.floats(0, 1))
def test_threshold_holds_the_target_and_no_lower_one_does(scores, target):
    found = threshold_at_fpir(scores, target)
    searches = Searches(np.empty(0), np.empty(0, np.int64), np.empty(0), np.array(scores))
    assert fpir(searches, found.value) == found.achieved <= target
    for lower in [s for s in scores if s < found.value]:
        assert fpir(searches, lower) > target
    assert found.measurable == (target >= 1 / len(scores))


@settings(deadline=None)
@given(st.integers(1, 300), st.data())
def test_threshold_allows_exactly_as_many_as_the_target(U, data):
    c = data.draw(st.integers(0, U))
    assert threshold_at_fpir(np.arange(U), c / U).achieved == c / U


@settings(deadline=None)
@given(st.lists(st.tuples(few_values, st.integers(1, 3)), max_size=20), st.lists(few_values, max_size=20))
def test_det_is_monotone_and_holds_every_operating_point(mated, maxima):
    true = np.array([s for s, _ in mated])
    ranks = np.array([r for _, r in mated], np.int64)
    searches = Searches(true, ranks, true, np.array(maxima))
    det = det_curve(searches, rank=2)
    assert (np.diff(det.thresholds) < 0).all()
    assert not (np.diff(det.fpir) < 0).any()
    assert not (np.diff(det.fnir) > 0).any()
    for T, x, y in zip(det.thresholds, det.fpir, det.fnir, strict=True):
        assert (x, y) == pytest.approx((fpir(searches, T), fnir(searches, T, 2)), nan_ok=True)
    every = {(fpir(searches, T), fnir(searches, T, 2)) for T in [*true, *maxima, 9.0, -9.0]}
    if mated and maxima:
        on_curve = set(zip(det.fpir.tolist(), det.fnir.tolist(), strict=True))
        assert on_curve == every
        assert len(on_curve) == len(det.thresholds)


def test_operating_point_gives_all_rates():
    at = tpir_at_fpir(SEARCHES, 0.5)
    assert at.threshold.value == math.nextafter(0.3, 1)  # one of two strangers may pass
    assert (at.fpir, at.tpir, at.fnir, at.misidentification) == (0.5, 1 / 3, 2 / 3, 2 / 3)
    other = operating_point(SEARCHES, threshold_at_fpir([0.1, 0.95], 0.0))
    assert (other.fpir, other.tpir) == (0, 0)


def test_empty_sides_are_nan():
    only_strangers = Searches.from_scores([[0.5]], ["a"], ["x"])
    assert math.isnan(fnir(only_strangers, 0.1))
    assert math.isnan(rank_k(only_strangers))
    assert fpir(only_strangers, 0.5) == 1
    assert np.isnan(det_curve(only_strangers).fnir).all()
    only_mated = Searches.from_scores([[0.5]], ["a"], ["a"])
    assert math.isnan(fpir(only_mated, 0.1))
    assert np.isnan(det_curve(only_mated).fpir).all()
    at = tpir_at_fpir(only_mated, 0.1)
    assert math.isnan(at.threshold.value)
    assert math.isnan(at.tpir)
    assert not at.threshold.measurable


def test_empty_gallery_rejects_every_search():
    searches = Searches.from_scores(np.empty((3, 0)), [], ["a", "b", "c"])
    assert [fpir(searches, T) for T in (0.0, -math.inf)] == [0, 0]
    assert threshold_at_fpir(searches.nonmated_maxima, 1.0).achieved == 0
    # Known to be enrolled elsewhere, or no face found: a mated search without a score is a miss at every T.
    failed = Searches(np.array([-np.inf]), np.array([1]), np.array([-np.inf]), np.empty(0))
    assert [fnir(failed, T) for T in (0.0, -math.inf)] == [1, 1]


def test_one_identity_has_no_other():
    searches = Searches.from_scores([[0.5]], ["a"], ["a"])
    assert searches.best_others.tolist() == [-math.inf]
    assert misidentification_rate(searches, -math.inf) == 0


def test_taking_and_joining_searches():
    taken = SEARCHES.take(np.array([2, 2]), np.array([0]))
    assert (taken.true_scores.tolist(), taken.nonmated_maxima.tolist()) == ([0.3, 0.3], [0.7])
    joined = Searches.join([SEARCHES, taken])
    assert joined.ranks.tolist() == [1, 2, 3, 3, 3]
    assert fpir(joined, 0.7) == 2 / 3


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_broken_scores_are_an_error(bad):
    with pytest.raises(MetricError, match="NaN or \\+inf"):
        Searches.from_scores([[bad]], ["a"], ["a"])
    with pytest.raises(MetricError, match="NaN or \\+inf"):
        fuse_templates([[bad]], ["a"])
    with pytest.raises(MetricError, match="1 of 2 scores"):
        threshold_at_fpir([bad, 0.1], 0.1)


def test_misuse_is_an_error():
    with pytest.raises(MetricError, match="fuse them first"):
        Searches.from_scores([[0.1, 0.2]], ["a", "a"], ["a"])
    with pytest.raises(MetricError, match="shape"):
        Searches.from_scores([[0.1, 0.2]], ["a"], ["a"])
    with pytest.raises(MetricError, match="between 0 and 1"):
        threshold_at_fpir([0.1], 1.5)
    with pytest.raises(MetricError, match="threshold is NaN"):
        fpir(SEARCHES, math.nan)
    with pytest.raises(MetricError, match="2 templates"):
        fuse_templates([[0.1]], ["a", "b"])
