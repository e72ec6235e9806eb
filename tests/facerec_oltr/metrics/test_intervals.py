"""Intervals against textbook formulas and the variance that a two-level bootstrap must have."""

import math

import numpy as np
import pytest

from facerec_oltr.errors import MetricError
from facerec_oltr.metrics.intervals import bootstrap_by_identity, rate_by_identity, rule_of_three, spread


def test_spread_by_hand():
    # 2 4 4 4 5 5 7 9: mean 5, squares of deviations sum to 32, and 32 / 7 with the divisor n - 1
    found = spread([2, 4, 4, 4, 5, 5, 7, 9])
    assert (found.mean, found.splits) == (5, 8)
    assert found.sd == pytest.approx(math.sqrt(32 / 7))


def test_spread_of_too_few_is_nan():
    assert math.isnan(spread([0.5]).sd)
    assert math.isnan(spread([]).mean)
    assert math.isnan(spread([0.5, math.nan]).mean)


def test_rule_of_three():
    assert rule_of_three(300) == 0.01
    assert rule_of_three(1) == 1
    assert math.isnan(rule_of_three(0))
    assert rule_of_three(1000) == pytest.approx(1 - 0.05 ** (1 / 1000), rel=0.01)  # the exact bound


def test_bootstrap_variance_of_a_mean_is_that_of_two_level_sampling():
    # G people of m probes: a draw of G means has variance s_b² / G, and within each one drawn its m probes
    # add the mean of s_w² / m, again over G (variances with divisor n: the bootstrap's own world).
    rng = np.random.default_rng(1)
    G, m = 12, 10
    values = rng.normal(size=(G, 1)) + 0.5 * rng.normal(size=(G, m))
    expected = values.mean(axis=1).var() / G + values.var(axis=1).mean() / (G * m)
    people, flat = np.repeat(np.arange(G), m), values.ravel()
    shuffle = rng.permutation(len(flat))
    people, flat = people[shuffle], flat[shuffle]
    means = []

    def mean(places):
        means.append(flat[places].mean())
        return means[-1]

    found = bootstrap_by_identity(mean, [people], rng, replicates=4000)
    assert found.estimate == pytest.approx(flat.mean())
    assert np.var(means[1:]) == pytest.approx(expected, rel=0.1)  # 4000 draws know a variance within 2.2 %
    sd = math.sqrt(expected)
    assert (found.low, found.high) == pytest.approx((flat.mean() - 1.96 * sd, flat.mean() + 1.96 * sd), abs=sd / 4)
    probe_level = math.sqrt(flat.var() / len(flat))
    assert found.high - found.low > 2 * (2 * 1.96 * probe_level)


def test_sides_are_drawn_apart_and_whole_identities_are_drawn():
    seen = []

    def remember(mated, nonmated):
        seen.append((mated.copy(), nonmated.copy()))
        return 0.0

    mated, nonmated = np.array(["a", "b", "a", "c"]), np.array([7, 7, 7])
    bootstrap_by_identity(remember, [mated, nonmated], np.random.default_rng(0), replicates=50)
    sizes = {"a": 2, "b": 1, "c": 1}
    for left, right in seen[1:]:
        assert len(right) == 3  # the one stranger is always drawn, with three of his photos
        assert set(right) <= {0, 1, 2}
        assert all(np.count_nonzero(mated[left] == who) % size == 0 for who, size in sizes.items())
    assert len({tuple(right) for _, right in seen}) > 5


def test_same_seed_gives_the_same_interval():
    values = np.arange(10.0)

    def interval(seed):
        return bootstrap_by_identity(
            lambda i: float(values[i].mean()),
            [np.arange(10) // 2],
            np.random.default_rng(seed),
            replicates=50,
        )

    assert interval(3) == interval(3)
    assert interval(3) != interval(4)


def test_nothing_to_draw_from_is_an_error():
    with pytest.raises(MetricError, match="no search"):
        bootstrap_by_identity(lambda _: 0.0, [[]], np.random.default_rng(0))


def test_a_rate_by_identity_has_the_variance_of_a_ratio_of_sums():
    # Linearised (Cochran 1977): var = Σ (h − r n)² / (Σ n)², over people drawn with repeats.
    rng = np.random.default_rng(4)
    searches = rng.integers(1, 12, 200)
    hits = rng.binomial(searches, rng.beta(6, 2, 200))
    rate = hits.sum() / searches.sum()
    sd = math.sqrt(((hits - rate * searches) ** 2).sum()) / searches.sum()
    found = rate_by_identity(np.append(hits, 5), np.append(searches, 0), np.random.default_rng(0), replicates=4000)
    assert found.estimate == pytest.approx(rate)
    assert (found.low, found.high) == pytest.approx((rate - 1.96 * sd, rate + 1.96 * sd), abs=sd / 6)
    wider = rate_by_identity(hits, searches, np.random.default_rng(0), confidence=0.99)
    assert wider.low < found.low and wider.high > found.high


def test_a_paired_difference_is_surer_than_its_two_rates():
    rng = np.random.default_rng(5)
    searches = np.full(100, 10)
    base = rng.binomial(9, rng.beta(2, 2, 100))
    better = base + (rng.random(100) < 0.3)
    found = rate_by_identity(better - base, searches, rng)
    assert found.estimate == pytest.approx((better - base).sum() / 1000) and found.low > 0
    apart = rate_by_identity(base, searches, rng)
    assert found.high - found.low < (apart.high - apart.low) / 3
    same = rate_by_identity(base - base, searches, rng)
    assert (same.low, same.estimate, same.high) == (0, 0, 0)
    with pytest.raises(MetricError, match="nobody was searched"):
        rate_by_identity([0, 0], [0, 0], rng)
