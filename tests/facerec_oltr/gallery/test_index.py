"""The flat index against brute force over Python's exact fractions, ties included."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.index import FlatIndex


def brute_force(vectors, ids, probe, k):
    """Dot products without any rounding, then the best k, equal ones by lowest id."""
    exact = [sum(Fraction(float(a)) * Fraction(float(b)) for a, b in zip(v, probe, strict=True)) for v in vectors]
    return sorted(zip([-score for score in exact], ids, strict=True))[:k]


@settings(deadline=None)
@given(st.data())
def test_equals_brute_force_with_ties(data):
    D, N, B = (data.draw(st.integers(1, top)) for top in (6, 30, 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    vectors, probes = (rng.integers(-1, 2, (n, D)).astype(np.float32) for n in (N, B))  # small whole: many ties
    ids = rng.permutation(3 * N)[:N]
    index = FlatIndex(D)
    index.add(vectors[: N // 2], ids[: N // 2])
    index.add(vectors[N // 2 :], ids[N // 2 :])
    gone = ids[rng.random(N) < 0.2]
    index.remove(gone)
    kept = ~np.isin(ids, gone)
    k = data.draw(st.integers(1, N + 2))
    scores, found = index.search(probes, k)
    assert scores.shape == found.shape == (B, min(k, kept.sum()))
    for b in range(B):
        expected = brute_force(vectors[kept], ids[kept].tolist(), probes[b], k)
        assert found[b].tolist() == [i for _, i in expected]
        assert scores[b].tolist() == [float(-s) for s, _ in expected]


def test_near_ties_are_ordered_right_where_a_float32_product_is_not():
    # Vectors that differ from the probe in the last bits only, far below what a float32 product resolves.
    rng = np.random.default_rng(0)
    probe = rng.normal(size=512).astype(np.float32)
    vectors = np.tile(probe, (200, 1))
    for n in range(200):
        vectors[n, rng.integers(512)] *= 1 + 2e-7 * rng.integers(-4, 5)
    exact = (vectors.astype(np.float64) @ probe.astype(np.float64)).astype(np.float32)
    index = FlatIndex(512)
    index.add(vectors, np.arange(200))
    scores, ids = index.search(probe[None], 200)
    assert scores[0].tolist() == sorted(exact.tolist(), reverse=True)
    for k in range(1, 200):  # none of the best is lost where the fast product would have left it out
        few, few_ids = index.search(probe[None], k)
        assert (few.tolist(), few_ids.tolist()) == (scores[:, :k].tolist(), ids[:, :k].tolist())
    assert all(a < b for a, b, equal in zip(ids[0], ids[0, 1:], np.diff(scores[0]) == 0, strict=False) if equal)


def test_a_score_does_not_depend_on_batch_or_neighbours():
    rng = np.random.default_rng(1)
    vectors, probes = (rng.normal(size=(n, 129)).astype(np.float32) for n in (300, 37))
    vectors[200] = vectors[7]
    index = FlatIndex(129)
    index.add(vectors, np.arange(300))
    scores, ids = index.search(probes, 300)
    for b in range(len(probes)):
        alone, alone_ids = index.search(probes[b : b + 1], 300)
        assert alone.tobytes() == scores[b : b + 1].tobytes()
        assert alone_ids.tolist() == ids[b : b + 1].tolist()
        row, where = ids[b].tolist(), scores[b]
        assert row.index(200) == row.index(7) + 1  # equal vectors, equal score, lowest id first
        assert where[row.index(200)] == where[row.index(7)]


def test_blocks_do_not_change_the_answer(monkeypatch):
    rng = np.random.default_rng(2)
    index = FlatIndex(8)
    index.add(rng.normal(size=(50, 8)), np.arange(50))
    probes = rng.normal(size=(20, 8))
    whole = index.search(probes, 5)
    monkeypatch.setattr("facerec_oltr.gallery.index._BLOCK", 120)
    blocked = index.search(probes, 5)
    assert [part.tolist() for part in whole] == [part.tolist() for part in blocked]


def test_empty_index_answers_nothing():
    scores, ids = FlatIndex(3).search(np.ones((2, 3)), 5)
    assert scores.shape == ids.shape == (2, 0)


def test_misuse_is_an_error():
    index = FlatIndex(2)
    index.add([[1, 0]], [7])
    with pytest.raises(GalleryError, match="twice or held"):
        index.add([[0, 1]], [7])
    with pytest.raises(GalleryError, match="twice or held"):
        index.add([[0, 1], [1, 1]], [8, 8])
    with pytest.raises(GalleryError, match="under 2 ids"):
        index.add([[0, 1]], [8, 9])
    with pytest.raises(GalleryError, match="no vector 9"):
        index.remove([7, 9])
    with pytest.raises(GalleryError, match=r"\(1, 3\)"):
        index.search([[1, 2, 3]], 1)
    with pytest.raises(GalleryError, match="NaN"):
        index.add([[np.nan, 1]], [8])
    assert index.ids.tolist() == [7]
