"""Replicates by weights against the metrics on the searches written out, draw by draw."""

import numpy as np
import pytest

from facerec_oltr.metrics.identification import (
    Searches,
    fpir,
    misidentification_rate,
    rank_k,
    threshold_at_fpir,
    tpir_at_fpir,
)
from facerec_oltr.metrics.intervals import draws_by_identity, percentile_interval
from facerec_oltr.metrics.open_set import oscr
from facerec_oltr.metrics.ranking import auroc
from facerec_oltr.metrics.replicates import SearchDraws, replicate_searches

INF = float("inf")
TARGETS, CURVE, RANKS = (0.3, 0.1, 0.001), (0.05, 0.5, 1.0), (1, 2, 5)


def example(seed: int) -> tuple[Searches, np.ndarray, np.ndarray, np.ndarray]:
    """Coarse scores, so that most are tied; some searches found nothing. With people, and a group of mated probes."""
    rng = np.random.default_rng(seed)
    M, U = 60, 45
    own, others = (rng.integers(0, 12, M) / 4.0 for _ in range(2))
    maxima = rng.integers(-2, 9, U) / 4.0
    own[rng.random(M) < 0.1] = -INF
    others[rng.random(M) < 0.05] = -INF
    maxima[rng.random(U) < 0.1] = -INF
    ranks = np.where(own > others, 1, rng.integers(2, 7, M))
    return Searches(own, ranks, others, maxima), rng.integers(0, 9, M), rng.integers(0, 14, U), rng.random(M) < 0.4


@pytest.mark.parametrize("seed", range(3))
def test_each_replicate_equals_the_metrics_on_the_searches_written_out(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facerec_oltr.metrics.replicates._CHUNK", 105 * 7)  # seven replicates at a time
    searches, mated, strangers, group = example(seed)
    fixed, R = (0.75, 1.5), 40
    draws = SearchDraws(mated, strangers, replicates=R, seed=seed)
    found = replicate_searches(
        searches, draws, targets=TARGETS, thresholds=fixed, groups=[group], ranks=RANKS, curve=CURVE
    )
    streams = [
        draws_by_identity([side], np.random.default_rng([seed, place]), R)
        for place, side in enumerate((mated, strangers))
    ]
    for row, ((those,), (these,)) in enumerate(zip(*streams, strict=True)):
        whole = searches.take(those, these)
        thresholds = [threshold_at_fpir(whole.nonmated_maxima, target).value for target in TARGETS] + [*fixed]
        assert found.fpir[:, row].tolist() == [fpir(whole, T) for T in thresholds]
        for place, some in enumerate((those, those[group[those]])):
            part = searches.take(some, these)
            assert found.misidentification[place, :, row].tolist() == [
                misidentification_rate(part, T) for T in thresholds
            ]
            assert found.tpir[place, :, row].tolist() == [
                float(np.mean((part.true_scores >= T) & (part.true_scores > -INF) & (part.ranks == 1)))
                for T in thresholds
            ]
            assert found.ranks[place, :, row].tolist() == [rank_k(part, rank) for rank in RANKS]
        assert found.fnir[:, row].tolist() == [1 - tpir_at_fpir(whole, x).tpir for x in CURVE]
        best = np.maximum(whole.true_scores, whole.best_others)
        right = (whole.ranks == 1) & (whole.true_scores > -INF)
        assert found.auroc[row] == pytest.approx(auroc(best, whole.nonmated_maxima), rel=1e-12)
        assert found.oscr[row] == pytest.approx(oscr(best, right, whole.nonmated_maxima), rel=1e-12)


def test_chunks_and_keeping_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    searches, mated, strangers, _ = example(5)
    draws = SearchDraws(mated, strangers, replicates=50)
    first, again = (replicate_searches(searches, draws, targets=TARGETS).tpir for _ in range(2))
    monkeypatch.setattr("facerec_oltr.metrics.replicates._CHUNK", 1)
    monkeypatch.setattr("facerec_oltr.metrics.replicates._KEPT", 0)
    alone = replicate_searches(searches, SearchDraws(mated, strangers, replicates=50), targets=TARGETS).tpir
    assert np.array_equal(first, again)
    assert np.array_equal(first, alone)


def test_the_same_mated_searches_are_drawn_beside_other_strangers() -> None:
    searches, mated, strangers, _ = example(6)
    few = Searches(searches.true_scores, searches.ranks, searches.best_others, searches.nonmated_maxima[:9])
    one = replicate_searches(searches, SearchDraws(mated, strangers, replicates=30), thresholds=[1.0])
    other = replicate_searches(few, SearchDraws(mated, strangers[:9], replicates=30), thresholds=[1.0])
    assert np.array_equal(one.tpir, other.tpir)
    assert not np.array_equal(one.fpir, other.fpir)


def test_without_strangers_nothing_of_theirs_is_measured() -> None:
    searches, mated, _, _ = example(7)
    alone = Searches(searches.true_scores, searches.ranks, searches.best_others, np.empty(0))
    found = replicate_searches(alone, SearchDraws(mated, [], replicates=10), targets=[0.1], thresholds=[1.0])
    assert np.isnan(found.fpir).all() and np.isnan(found.auroc).all() and np.isnan(found.oscr).all()
    assert np.isnan(found.tpir[:, 0]).all()  # nobody chose a threshold
    assert np.isfinite(found.tpir[:, 1]).all() and np.isfinite(found.ranks).all()


def test_an_interval_is_that_of_numpy_and_nan_spreads() -> None:
    values = np.arange(101.0)
    found = percentile_interval(7, values)
    assert (found.estimate, found.low, found.high) == pytest.approx((7, 2.5, 97.5))
    values[3] = np.nan
    assert np.isnan(percentile_interval(7, values).low)
