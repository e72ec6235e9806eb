"""OpenMax against a slow loop from its paper, its Weibull fit against libMR's own numbers, a bisection and scipy."""

import math

import numpy as np
import pytest
from scipy.spatial import distance as spd
from scipy.special import softmax
from scipy.stats import weibull_min

from facerec_oltr.errors import DataError
from facerec_oltr.metrics.open_set import UNKNOWN, decide
from facerec_oltr.open_set import OpenMaxConfig, Outputs
from facerec_oltr.open_set.openmax import Measure
from facerec_oltr.weibull import Tail, fit_tail, tail_scores

DISTANCES = [0.31, 0.29, 0.35, 0.4, 0.22, 0.27, 0.52, 0.33, 0.41, 0.38,
             0.25, 0.3, 0.36, 0.45, 0.28, 0.34, 0.61, 0.26, 0.32, 0.39]  # fmt: skip


def omega(distances: list[float], tail: Tail) -> np.ndarray:
    return tail_scores(np.array(distances), *(np.full(len(distances), value) for value in tail))


def test_the_fit_is_libmrs() -> None:
    """Numbers printed by libMR's C++ sources, compiled: FitHigh(DISTANCES, 20, 5), its parameters and W_score."""
    tail = fit_tail(np.array(DISTANCES), 5)
    assert tail is not None
    assert tail.smallest == 0.4
    assert tail.scale == pytest.approx(1.11619410028135913, rel=1e-5)
    assert tail.shape == pytest.approx(13.8311635676203011, rel=1e-5)
    expected = [
        0.00018673992941442563, 0.0099348095288174232, 0.077002194947750624, 0.15238567997283126,
        0.19637870480631148, 0.55823761152148421, 0.95278137287012554, 1,
    ]  # fmt: skip
    np.testing.assert_allclose(omega([0, 0.2, 0.33, 0.38, 0.4, 0.5, 0.61, 2], tail), expected, atol=1e-5)


def test_the_fit_of_two_distances_is_libmrs() -> None:
    """FitHigh({0.3, 0.4}, 2, 2) of libMR's sources."""
    tail = fit_tail(np.array([0.3, 0.4]), 2)
    assert tail is not None
    assert tail[1:] == pytest.approx((1.07382568871756945, 25.1741973991865251), rel=1e-5)
    expected = [0.15332929705772425, 0.84015593929693333, 0.99999992384192493]
    np.testing.assert_allclose(omega([0.3, 0.4, 0.5], tail), expected, atol=1e-5)


def slow_fit(largest: list[float]) -> tuple[float, float]:
    """λ and k by bisection on the likelihood equations, written out."""
    y = [d - min(largest) + 1 for d in largest]

    def slope(k: float) -> float:
        return sum(v**k * math.log(v) for v in y) / sum(v**k for v in y) - 1 / k - sum(map(math.log, y)) / len(y)

    low, high = 1e-6, 700 / math.log(max(y))  # beyond it y^k overflows
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return (sum(v**low for v in y) / len(y)) ** (1 / low), low


@pytest.mark.parametrize("seed", range(6))
def test_the_fit_is_the_maximum_of_the_likelihood(seed: int) -> None:
    rng = np.random.default_rng(seed)
    distances = rng.gamma(2, [0.2, 1, 5][seed % 3], 50)
    tail = fit_tail(distances, 20)
    assert tail is not None
    largest = np.sort(distances)[-20:]
    assert tail[1:] == pytest.approx(slow_fit(largest.tolist()), rel=1e-8)
    shape, _, scale = weibull_min.fit(largest - largest[0] + 1, floc=0)
    assert tail[1:] == pytest.approx((scale, shape), rel=1e-3)
    cdf = weibull_min.cdf(distances - largest[0] + 1, tail.shape, 0, tail.scale)
    np.testing.assert_allclose(omega(distances.tolist(), tail), cdf, atol=1e-12)


def test_scores_at_the_ends_and_below_the_shift() -> None:
    tail = Tail(5.0, 1.2, 50.0)
    assert omega([0, 3.9, 4.0, 1e300], tail).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("distances", [[], [0.3], [0.3, 0.3, 0.3], [0, 0], [0.3, 0.3 + 1e-16], [1e-15, 2e-15]])
def test_no_tail_fits_fewer_than_two_distinct_distances(distances: list[float]) -> None:
    assert fit_tail(np.array(distances), 20) is None


def test_a_tail_beyond_the_distances_takes_them_all_and_a_steep_one_does_not_overflow() -> None:
    assert fit_tail(np.array(DISTANCES), 500) == fit_tail(np.array(DISTANCES), 20)
    steep = fit_tail(np.array([0.3, 0.3, 0.3, 0.30001]), 4)
    assert steep is not None
    scores = omega([0.2, 0.3, 0.4], steep)
    assert scores[0] == 0
    assert 0 < scores[1] < 0.5
    assert scores[2] == 1


C = 6


def training(seed: int) -> tuple[Outputs, np.ndarray]:
    """Long-tailed logits around 10 on the own class, a third of them wrongly classified; class 5 is always wrong."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(C), [60, 40, 25, 12, 8, 5])
    logits = rng.normal(size=(len(labels), C)) * 2
    logits[np.arange(len(labels)), labels] += np.where(rng.random(len(labels)) < 0.7, 10, 0)
    logits[labels == 5, 5] = -20
    return Outputs(np.zeros((len(labels), 2), np.float32), logits), labels


def slow_distance(v: np.ndarray, mean: np.ndarray, measure: Measure) -> float:
    euclidean, cosine = spd.euclidean(v, mean) / 200, spd.cosine(v, mean)
    return {"eucos": euclidean + cosine, "euclidean": euclidean, "cosine": cosine}[measure]


def slow_openmax(outputs: Outputs, labels: np.ndarray, tail: int, alpha: int, measure: Measure, v: np.ndarray) -> list:
    """v̂_1 … v̂_C and v̂_0 of one image, from the paper's two algorithms."""
    revised, unknown = v.tolist(), 0.0
    for place, c in enumerate(sorted(range(C), key=lambda c: -v[c])[:alpha]):
        right = [z for z, y in zip(outputs.logits, labels, strict=True) if y == c and z.argmax() == c]
        if len(right) < 2:
            continue
        mean = np.mean(right, axis=0)
        largest = sorted(slow_distance(z, mean, measure) for z in right)[-tail:]
        scale, shape = slow_fit(largest)
        w = 1 - math.exp(-(((slow_distance(v, mean, measure) - min(largest) + 1) / scale) ** shape))
        revised[c] = v[c] * (1 - w * (alpha - place) / alpha)
        unknown += v[c] - revised[c]
    return [*revised, unknown]


@pytest.mark.parametrize("measure", ["eucos", "euclidean", "cosine"])
@pytest.mark.parametrize(("tail", "alpha"), [(5, 1), (20, 3), (3, 6)])
def test_the_revised_logits_are_the_slow_loops(measure: Measure, tail: int, alpha: int) -> None:
    outputs, labels = training(0)
    test = np.random.default_rng(1).normal(size=(20, C)) * 6
    rule = OpenMaxConfig(tail=tail, alpha=alpha, measure=measure).fit(outputs, labels, classes=C)
    revised, unknown = rule.revise(test)
    slow = np.array([slow_openmax(outputs, labels, tail, alpha, measure, v) for v in test])
    np.testing.assert_allclose(np.c_[revised, unknown], slow, rtol=1e-6, atol=1e-9)
    assert np.abs(slow[:, :-1] - test).max() > 1  # something was revised


def test_the_three_scores_and_the_top_class_are_of_the_softmax_over_one_class_more() -> None:
    outputs, labels = training(0)
    v = np.random.default_rng(2).normal(size=(200, C)) * 5
    test = Outputs(np.zeros((200, 2)), v)
    given = {}
    for score in ("log_odds", "margin", "paper"):
        rule = OpenMaxConfig(score=score, alpha=3).fit(outputs, labels, classes=C)
        given[score] = rule.judge(test)
        P = softmax(np.c_[rule.revise(v)], axis=1)
        np.testing.assert_array_equal(given[score].top, P[:, :C].argmax(axis=1))
    unknown_on_top = P.argmax(axis=1) == C
    assert 0 < unknown_on_top.mean() < 1
    np.testing.assert_allclose(given["log_odds"].scores, np.log(P[:, :C].sum(axis=1) / P[:, C]), rtol=1e-9)
    np.testing.assert_allclose(given["margin"].scores, np.log(P[:, :C].max(axis=1) / P[:, C]), rtol=1e-9)
    paper = np.where(unknown_on_top, -P[:, C], P[:, :C].max(axis=1))
    np.testing.assert_allclose(given["paper"].scores, paper, rtol=1e-9)
    on_top = np.where(unknown_on_top, UNKNOWN, P[:, :C].argmax(axis=1))
    for score in ("margin", "paper"):
        np.testing.assert_array_equal(decide(given[score].top, given[score].scores, 0), on_top)
    assert (given["log_odds"].top != v.argmax(axis=1)).any()  # the revision moved another class to the top


def test_classes_without_a_right_image_or_with_one_move_nothing() -> None:
    logits = np.array([[9.0, 0, 0], [8, 0, 1], [7, 2, 0], [0, 9, 0], [9, 0, 0]])
    rule = OpenMaxConfig(alpha=3).fit(Outputs(np.zeros((5, 1)), logits), np.array([0, 0, 0, 1, 2]), classes=3)
    assert rule.without_tail.tolist() == [1, 2]
    revised, unknown = rule.revise(np.array([[3.0, 100, 90]]))
    assert revised[0, 1:].tolist() == [100, 90]
    assert unknown[0] == pytest.approx(3 - revised[0, 0])
    assert 0 < unknown[0] <= 3 / 3


def test_where_no_tail_acts_it_is_a_softmax_with_one_more_logit_0() -> None:
    """Every class has one right image, so no tail is fitted."""
    rule = OpenMaxConfig(score="paper").fit(Outputs(np.zeros((C, 1)), np.eye(C)), np.arange(C), classes=C)
    assert len(rule.without_tail) == C
    v = np.abs(np.random.default_rng(0).normal(size=(9, C)))
    given = rule.judge(Outputs(np.zeros((9, 1)), v))
    P = softmax(np.c_[v, np.zeros(9)], axis=1)
    np.testing.assert_array_equal(given.top, v.argmax(axis=1))
    np.testing.assert_allclose(given.scores, P[:, :C].max(axis=1), rtol=1e-12)
    np.testing.assert_allclose(given.scores / (1 - P[:, C]), softmax(v, axis=1).max(axis=1), rtol=1e-12)


def test_a_constant_on_all_logits_changes_openmax_though_not_softmax() -> None:
    outputs, labels = training(0)
    v = Outputs(np.zeros((1, 2)), np.array([[6.0, 1, 0, 0, 0, 0]]))
    config = OpenMaxConfig(measure="euclidean")
    plain = config.fit(outputs, labels, classes=C).score(v)
    moved = config.fit(outputs._replace(logits=outputs.logits + 5), labels, classes=C)
    assert moved.score(v._replace(logits=v.logits + 5)) != pytest.approx(plain, abs=0.1)


def test_a_negative_logit_among_the_top_is_raised() -> None:
    outputs, labels = training(0)
    rule = OpenMaxConfig(alpha=6).fit(outputs, labels, classes=C)
    revised, _ = rule.revise(np.array([[-1.0, -2, -3, -4, -5, -6]]))
    assert revised[0, 0] > -1


def test_a_far_image_goes_to_the_unknown_class_and_a_mean_does_not() -> None:
    outputs, labels = training(0)
    rule = OpenMaxConfig(score="margin").fit(outputs, labels, classes=C)
    far = np.full((1, C), 30.0)
    judged = rule.judge(Outputs(np.zeros((4, 2)), np.r_[rule.means[:3], far]))
    assert decide(*judged, 0).tolist() == [0, 1, 2, UNKNOWN]


def test_logits_of_thousands_do_not_overflow() -> None:
    outputs, labels = training(0)
    rule = OpenMaxConfig(score="paper").fit(outputs, labels, classes=C)
    judged = rule.judge(Outputs(np.zeros((2, 2)), np.array([[5000.0] * C, [-5000.0] * C])))
    assert judged.scores[0] == -1
    assert np.isfinite(judged.scores).all()


def test_a_model_that_is_never_right_is_refused() -> None:
    with pytest.raises(DataError, match="of 3 none is: train the model first"):
        OpenMaxConfig().fit(Outputs(np.zeros((3, 1)), np.eye(3)), np.array([1, 2, 0]), classes=3)
