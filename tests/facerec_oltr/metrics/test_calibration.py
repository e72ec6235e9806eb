"""Calibration against slow loops, textbook bounds, and worlds whose FPIR is known."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm

from facerec_oltr.errors import MetricError
from facerec_oltr.metrics.calibration import (
    NotMeasurableError,
    calibrate_threshold,
    expected_fpir,
    fpir_of_size,
    grown_fpir,
    needed_searches,
    upper_fpir,
)
from facerec_oltr.metrics.identification import threshold_at_fpir

World = Callable[[np.random.Generator, int, int, float], np.ndarray]


def beta_binomial(rng: np.random.Generator, people: int, photos: int, icc: float) -> np.ndarray:
    """Scores of which at any threshold the share above it, p, is beta-binomial a person, with this ICC; P(s < x) = x.

    A Pólya urn a person: a new score with probability M / (M + j), M = 1 / icc - 1, else one that the person had
    before. How many of a person's m photos lie above T is then Beta-Binomial(m; M p, M (1 - p)), p = 1 - T.
    """
    concentration = 1 / icc - 1
    scores = rng.random((people, photos))
    for j in range(1, photos):
        again = np.flatnonzero(rng.random(people) >= concentration / (concentration + j))
        scores[again, j] = scores[again, rng.integers(j, size=len(again))]
    return scores


def normal(rng: np.random.Generator, people: int, photos: int, icc: float) -> np.ndarray:
    """A person's mean and the deviation of a photo, both normal; P(s < x) = x."""
    own, photo = rng.normal(size=(people, 1)), rng.normal(size=(people, photos))
    return norm.cdf(math.sqrt(icc) * own + math.sqrt(1 - icc) * photo)


def coverage(
    world: World, people: int, photos: int, icc: float, target: float, trials: int, replicates: int = 200
) -> tuple[float, float, float]:
    """How often the bound lies above the true FPIR; the mean of the true one, and of what was expected."""
    rng = np.random.default_rng([people, photos, trials])
    who = np.repeat(np.arange(people), photos)
    covered, truths, expected = [], [], []
    for _ in range(trials):
        scores = world(rng, people, photos, icc).ravel()
        truth = 1 - min(max(threshold_at_fpir(scores, target).value, 0), 1)
        covered.append(upper_fpir(scores, who, target, rng=rng, replicates=replicates) >= truth)
        truths.append(truth)
        expected.append(expected_fpir(scores, who, target))
    return float(np.mean(covered)), float(np.mean(truths)), float(np.mean(expected))


def slow_expected(maxima: np.ndarray, people: np.ndarray, target: float) -> float:
    """Leave each person out, let the others choose, judge, one after the other."""
    U, let_in = len(maxima), 0.0
    allowed = max(k for k in range(U + 1) if k / U <= target)
    for person in np.unique(people):
        others, own = np.sort(maxima[people != person])[::-1], maxima[people == person]
        share = allowed * len(others) / U
        for k, weight in ((math.floor(share), 1 - share % 1), (math.floor(share) + 1, share % 1)):
            limit = others[k] if k < len(others) else -math.inf
            let_in += weight * sum(score > limit for score in own)
    return let_in / U


@pytest.mark.parametrize("seed", range(12))
def test_expected_is_that_of_leaving_each_person_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    people = rng.integers(0, 9, 80)
    maxima = rng.normal(size=80) + 0.7 * rng.normal(size=9)[people]
    if seed % 3 == 1:
        maxima = maxima.round(1)  # ties
    if seed % 3 == 2:
        maxima[rng.random(80) < 0.5] = -np.inf
    for target in (0.01, 0.05, 0.1, 0.29, 0.6, 0.99):
        assert expected_fpir(maxima, people, target) == pytest.approx(slow_expected(maxima, people, target))


def test_expected_by_hand() -> None:
    # Target .5. Without a: 7 3 1 0 → two may pass, above 1: a's 9 and 8. Without b: 9 8 1 0 → above 1: b's 7 and 3.
    # Without c: 9 8 7 3 → above 7: neither 1 nor 0. Four of six.
    maxima, people = [9, 8, 7, 3, 1, 0], ["a", "a", "b", "b", "c", "c"]
    assert expected_fpir(maxima, people, 0.5) == pytest.approx(4 / 6)


def test_needed_searches_are_the_rule_of_three() -> None:
    assert [needed_searches(f) for f in (0.1, 0.01, 0.001, 0.3, 0.07)] == [30, 300, 3000, 10, 43]


def test_a_target_below_what_the_strangers_can_show_is_refused() -> None:
    rng = np.random.default_rng(0)
    maxima, people = rng.random(120), np.repeat(np.arange(40), 3)
    with pytest.raises(
        NotMeasurableError,
        match=r"^not measurable: 40 strangers \(120 photos\), FPIR 0.001 needs about 3,000$",
    ):
        calibrate_threshold(maxima, people, 0.001, rng=rng)
    found = calibrate_threshold(maxima, people, 0.025, rng=rng)  # 3 / 120
    assert found.threshold == threshold_at_fpir(maxima, 0.025)
    assert (found.people, found.searches, found.confidence) == (40, 120, 0.95)
    assert found.threshold.achieved <= 0.025 < found.upper < 0.2


def test_what_the_demo_asks_for_is_measurable_and_the_bound_says_how_little_it_means() -> None:
    rng = np.random.default_rng(0)
    found = calibrate_threshold(beta_binomial(rng, 5, 10, 0.3).ravel(), np.repeat(np.arange(5), 10), 0.1, rng=rng)
    assert found.threshold.achieved <= 0.1 and found.upper > 0.2


def test_the_bound_of_independent_searches_is_the_exact_one_of_the_textbook() -> None:
    # Wilks 1941: the true rate above the k-th highest of n scores is Beta(k, n - k + 1). None let in: 1 - 0.05^(1/n).
    # Sharp scores keep the bootstrap, which is the other half of the bound, from reaching above it at k = 1.
    scores = np.linspace(0, 1, 2000)
    found = upper_fpir(scores, np.arange(2000), 0.0004, rng=np.random.default_rng(0), replicates=50)
    assert found == pytest.approx(1 - 0.05 ** (1 / 2000), rel=0.01)
    lenient = upper_fpir(scores, np.arange(2000), 0.05, rng=np.random.default_rng(0), replicates=400)
    assert lenient == pytest.approx(0.0589, abs=0.0015)  # Clopper-Pearson of 100 in 2,000


def test_a_clusters_bound_is_wider_and_copies_add_nothing() -> None:
    rng = np.random.default_rng(1)
    scores = rng.random(60)
    alone = upper_fpir(scores, np.arange(60), 0.1, rng=rng)
    copied = upper_fpir(np.repeat(scores, 10), np.repeat(np.arange(60), 10), 0.1, rng=rng)
    independent = upper_fpir(rng.random(600), np.arange(600), 0.1, rng=rng)
    assert copied == pytest.approx(alone, abs=0.03)
    assert independent < alone - 0.03


def test_one_person_can_show_nothing() -> None:
    found = calibrate_threshold(np.random.default_rng(0).random(50), np.zeros(50), 0.1, rng=np.random.default_rng(0))
    assert found.expected is None and found.upper >= 0.95
    with pytest.raises(MetricError, match="one person is left nobody"):
        expected_fpir([1.0, 2.0], [3, 3], 0.1)


def test_empty_galleries_and_bad_input() -> None:
    rng = np.random.default_rng(0)
    found = calibrate_threshold(np.full(40, -np.inf), np.arange(40), 0.1, rng=rng)
    assert found.threshold.achieved == 0 and found.expected == 0 and found.upper < 0.2
    for maxima, people, target, words in (
        ([math.nan], [0], 0.5, "NaN"),
        ([0.5, 0.6], [0], 0.5, "one of each a search"),
        ([], [], 0.5, "one of each a search"),
        ([0.5], [0], 0.0, "lies between 0 and 1"),
        ([0.5], [0], 1.0, "lies between 0 and 1"),
    ):
        with pytest.raises(MetricError, match=words):
            calibrate_threshold(maxima, people, target, rng=rng)


def test_the_bound_covers_and_the_expectation_is_nearer_the_truth_than_the_target() -> None:
    covered, truth, expected = coverage(beta_binomial, 12, 5, 0.2, 0.1, trials=120, replicates=60)
    assert covered >= 0.9
    assert truth > 0.105 and abs(expected - truth) < truth - 0.1 + 0.01


@pytest.mark.slow
@pytest.mark.parametrize("world", [beta_binomial, normal])
@pytest.mark.parametrize(
    ("people", "photos", "icc", "target"),
    [(5, 10, 0.3, 0.1), (12, 10, 0.1, 0.1), (40, 10, 0.3, 0.01), (100, 3, 0.3, 0.01), (300, 1, 0.1, 0.01)],
)
def test_upper_bound_coverage(world: World, people: int, photos: int, icc: float, target: float) -> None:
    covered, truth, expected = coverage(world, people, photos, icc, target, trials=1000)
    figures = f"covered {covered:.3f}, true {truth:.4f}, expected {expected:.4f}"
    assert covered >= 0.94, figures
    assert expected == pytest.approx(truth, rel=0.1), figures


def test_fpir_grows_with_the_gallery_as_searches_of_independent_comparisons_do() -> None:
    # A search of N identities, each compared apart: simulated, not by the formula.
    rng = np.random.default_rng(0)
    fmr, trials = 0.02, 40_000
    for N in (1, 5, 20, 60):
        simulated = np.mean((rng.random((trials, N)) < fmr).any(axis=1))
        assert fpir_of_size(fmr, N) == pytest.approx(simulated, abs=4 * math.sqrt(0.25 / trials))
    assert fpir_of_size(0.0213, 20) == pytest.approx(0.350, abs=0.001)  # (1 - .0213)^20 = .650
    assert grown_fpir(fpir_of_size(0.01, 7), 7, 100) == pytest.approx(fpir_of_size(0.01, 100))
    assert fpir_of_size(1e-12, 1000) == pytest.approx(1e-9)  # no digits lost
