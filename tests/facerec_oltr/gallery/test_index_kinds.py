"""What every kind of index promises, against brute force: in exact fractions, ties included, or double precision."""

import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.index import KINDS, choose_kind, lost_mates

kinds = pytest.mark.parametrize("kind", KINDS)


def brute_force(vectors, ids, probe, k):
    """Dot products without any rounding, then the best k, equal ones by lowest id."""
    exact = [sum(Fraction(float(a)) * Fraction(float(b)) for a, b in zip(v, probe, strict=True)) for v in vectors]
    return sorted(zip([-score for score in exact], ids, strict=True))[:k]


def in_double(vectors, ids, probes, k):
    """The same in double precision, rounded to float32, for more vectors."""
    scores = np.stack([(vectors.astype(float) * p.astype(float)).sum(axis=1) for p in probes]).astype(np.float32)
    order = np.stack([np.lexsort((ids, -row))[:k] for row in scores])
    return np.take_along_axis(scores, order, 1), ids[order]


def units(rng, n, D):
    """Vectors of length 1, some directions more common than others."""
    vectors = rng.normal(size=(n, D)) * np.arange(1, D + 1) ** -0.35
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@kinds
@settings(deadline=None, max_examples=40)
@given(st.data())
def test_equals_brute_force_with_ties(kind, data):
    D, N, B = (data.draw(st.integers(1, top)) for top in (6, 30, 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    vectors, probes = (rng.integers(-1, 2, (n, D)).astype(np.float32) for n in (N, B))  # small whole: many ties
    ids = rng.permutation(3 * N)[:N]
    index = KINDS[kind](D)
    index.add(vectors[: N // 2], ids[: N // 2])
    index.add(vectors[N // 2 :], ids[N // 2 :])
    gone = ids[rng.random(N) < 0.4]
    index.remove(gone)
    back = gone[::2]  # some come again
    index.add(vectors[np.isin(ids, back)], ids[np.isin(ids, back)])
    kept = ~np.isin(ids, np.setdiff1d(gone, back))
    assert len(index) == kept.sum()
    assert sorted(index.ids.tolist()) == sorted(ids[kept].tolist())
    k = data.draw(st.integers(1, N + 2))
    scores, found = index.search(probes, k)
    assert scores.shape == found.shape == (B, min(k, kept.sum()))
    for b in range(B):
        expected = brute_force(vectors[kept], ids[kept].tolist(), probes[b], k)
        assert found[b].tolist() == [i for _, i in expected]
        assert scores[b].tolist() == [float(-s) for s, _ in expected]


@kinds
def test_near_ties_are_ordered_right_where_a_fast_product_is_not(kind):
    # Vectors that differ from the probe in the last bits only, far below what a float32 product resolves.
    rng = np.random.default_rng(0)
    probe = rng.normal(size=512).astype(np.float32)
    vectors = np.tile(probe, (200, 1))
    for n in range(200):
        vectors[n, rng.integers(512)] *= 1 + 2e-7 * rng.integers(-4, 5)
    exact = (vectors.astype(np.float64) @ probe.astype(np.float64)).astype(np.float32)
    index = KINDS[kind](512)
    index.add(vectors, np.arange(200))
    scores, ids = index.search(probe[None], 200)
    assert scores[0].tolist() == sorted(exact.tolist(), reverse=True)
    for k in range(1, 200, 3):  # none of the best is lost where the fast product would have left it out
        few, few_ids = index.search(probe[None], k)
        assert (few.tolist(), few_ids.tolist()) == (scores[:, :k].tolist(), ids[:, :k].tolist())
    assert all(a < b for a, b, equal in zip(ids[0], ids[0, 1:], np.diff(scores[0]) == 0, strict=False) if equal)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dimensions", [130, 8])
def test_exact_finds_all_of_many(threads, dimensions, monkeypatch):
    monkeypatch.setattr("facerec_oltr.gallery.index._threads.threads", lambda: threads)
    monkeypatch.setattr("facerec_oltr.gallery.index.exact.threads", lambda: threads)
    rng = np.random.default_rng(1)
    vectors, probes = units(rng, 20_001, dimensions), units(rng, 6, dimensions)
    vectors[15_000:15_040] = vectors[3]  # more equal ones than the scan gives at once
    probes[0] = vectors[3]
    ids = rng.permutation(30_000)[:20_001]
    index = KINDS["exact"](dimensions)
    index.add(vectors, ids)
    gone = ids[rng.random(len(ids)) < 0.2]  # too few for the rows to be packed
    index.remove(gone)
    kept = ~np.isin(ids, gone)
    for k in (1, 7, 300, 9000):
        expected = in_double(vectors[kept], ids[kept], probes, k)
        for scores, found in (
            index.search(probes, k),
            [np.concatenate(part) for part in zip(*(index.search(p[None], k) for p in probes), strict=True)],
        ):
            np.testing.assert_array_equal(found, expected[1])
            np.testing.assert_array_equal(scores, expected[0])


def test_exact_where_half_precision_cannot_hold_the_numbers():
    rng = np.random.default_rng(2)
    vectors, probes = rng.normal(size=(5000, 16)).astype(np.float32), rng.normal(size=(2, 16)).astype(np.float32)
    tiny, ids = (vectors * 1e-6).astype(np.float32), np.arange(5000)  # below half precision's normal range
    for held in (tiny, vectors * 1e5):
        index = KINDS["exact"](16)
        index.add(held, ids)
        expected = in_double(held.astype(np.float32), ids, probes, 5)
        np.testing.assert_array_equal(index.search(probes[:1], 5)[1], expected[1][:1])
        np.testing.assert_array_equal(index.search(probes, 5)[0], expected[0])


@kinds
def test_a_score_does_not_depend_on_batch_or_neighbours(kind):
    # Nor on the size: above some thousand rows codes and graphs come in.
    rng = np.random.default_rng(3)
    for N, k in ((300, 300), (6000, 8)):
        vectors, probes = units(rng, N, 66), units(rng, 37, 66)
        vectors[200] = vectors[7]
        probes[5] = vectors[7]
        index = KINDS[kind](66)
        index.add(vectors, np.arange(N))
        index.remove(np.arange(100, 150))
        scores, ids = index.search(probes, k)
        for b in range(len(probes)):
            alone, alone_ids = index.search(probes[b : b + 1], k)
            assert alone.tobytes() == scores[b : b + 1].tobytes()
            assert alone_ids.tolist() == ids[b : b + 1].tolist()
            held = (vectors[ids[b]].astype(float) * probes[b].astype(float)).sum(axis=1).astype(np.float32)
            np.testing.assert_array_equal(scores[b], held)
        assert ids[5, :2].tolist() == [7, 200]  # equal vectors, equal score, lowest id first
        # A threshold chosen by the batch accepts the same probes one by one, and one step higher does not.
        threshold = np.sort(scores[:, 0])[20]
        single = np.array([index.search(p[None], 1)[0][0, 0] for p in probes])
        assert (single >= threshold).sum() == (scores[:, 0] >= threshold).sum() == 17
        assert (single >= np.nextafter(threshold, np.float32(2))).sum() == 16


@pytest.mark.parametrize("dimensions", [256, 190])  # 190 is no multiple of the four numbers that a code stands for
def test_compressed_loses_no_mates_and_follows_changes(dimensions):
    rng = np.random.default_rng(4)
    vectors = units(rng, 9000, dimensions)
    index, exact = KINDS["compressed"](dimensions), KINDS["exact"](dimensions)
    for part in (slice(0, 5000), slice(5000, 5500), slice(5500, 9000)):  # trained, then a tail, then packed again
        for each in (index, exact):
            each.add(vectors[part], np.arange(9000)[part])
        assert lost_mates(index, rng, sample=300).lost == 0
    near_one = np.arange(1000, 1700)
    index.remove(near_one)
    exact.remove(near_one)
    assert lost_mates(index, rng, sample=300).lost == 0
    probes = vectors[[2, 1500, 8999]]
    found = index.search(probes, 3)[1]
    assert (found[:, 0] == exact.search(probes, 3)[1][:, 0])[[0, 2]].all()
    assert not np.isin(found, near_one).any()


def test_compressed_finds_others_where_all_near_ones_were_removed():
    rng = np.random.default_rng(5)
    vectors = units(rng, 8000, 64)
    crowd = vectors[:1500] * 0.05 + vectors[0]
    vectors[:1500] = crowd / np.linalg.norm(crowd, axis=1, keepdims=True)
    vectors[7999] = 0.9 * vectors[0] + 0.4 * vectors[7999]
    index = KINDS["compressed"](64)
    index.add(vectors, np.arange(8000))
    probe = vectors[:1]
    assert index.search(probe, 2)[1].max() < 1500
    index.remove(np.arange(1500))  # packed codes still hold them
    assert index.search(probe, 2)[1][0, 0] == 7999


_FORKS = """
import os, signal, numpy as np
from facerec_oltr.gallery.index import KINDS
rng = np.random.default_rng(0)
index = KINDS["compressed"](32)
index.add(rng.normal(size=(5000, 32)), np.arange(5000))
probes = rng.normal(size=(40, 32))
found = [index.search(probes, 2)[1].tolist(), index.search(probes[:1], 2)[1].tolist()]
child = os.fork()
signal.alarm(30)  # a search that hangs ends here
again = [index.search(probes, 2)[1].tolist(), index.search(probes[:1], 2)[1].tolist()]
assert again == found
if child:
    assert os.waitpid(child, 0)[1] == 0, "the forked process did not find the same"
"""


def test_compressed_searches_on_in_a_forked_process():
    # OpenMP's threads do not: they were left behind, and are waited for all the same.
    for threads in ("1", "2"):
        environment = os.environ | {"OMP_NUM_THREADS": threads}
        done = subprocess.run([sys.executable, "-c", _FORKS], env=environment, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr.decode()


def test_graph_says_how_many_mates_it_loses_and_forgets_removed_ones():
    rng = np.random.default_rng(6)
    vectors = units(rng, 5000, 32)
    index = KINDS["graph"](32)
    index.add(vectors, np.arange(5000))
    graph = lost_mates(index, np.random.default_rng(7), sample=200)
    exact = KINDS["exact"](32)
    exact.add(vectors, np.arange(5000))
    assert lost_mates(exact, np.random.default_rng(7), sample=200).lost == 0
    assert 0 <= graph.lost < 0.2
    assert graph.probes <= 200
    assert "of the mates" in str(graph)
    index.remove(np.arange(0, 900))
    found = index.search(vectors[:50], 3)[1]
    assert found.min() >= 900
    index.remove(np.arange(900, 1800))  # more than a quarter in all: made anew
    index.add(vectors[:10], np.arange(10))
    assert (index.search(vectors[:10], 1)[1][:, 0] == np.arange(10)).mean() > 0.8


def test_lost_mates_counts_what_is_lost(monkeypatch):
    # An index that never gives its row 0, which is the mate of one probe.
    rng = np.random.default_rng(8)
    vectors = units(rng, 50, 256)
    index = KINDS["exact"](256)
    index.add(vectors, np.arange(50))
    whole = index.search_rows

    def without_first(probes, k):
        scores, rows = whole(probes, 2)
        first = rows[:, 0] == 0
        return np.where(first, scores[:, 1], scores[:, 0])[:, None], np.where(first, rows[:, 1], rows[:, 0])[:, None]

    monkeypatch.setattr(index, "search_rows", without_first)
    found = lost_mates(index, np.random.default_rng(9))
    assert found.probes > 40  # of 50: a mate at a small cosine is not even first in an exact search
    assert found.lost == 1 / found.probes


@kinds
def test_empty_index_answers_nothing(kind):
    index = KINDS[kind](3)
    for probes in (np.ones((2, 3)), np.ones((0, 3))):
        scores, ids = index.search(probes, 5)
        assert scores.shape == ids.shape == (len(probes), 0)
    index.add(np.eye(3), [4, 5, 6])
    assert index.search(np.ones((0, 3)), 2)[0].shape == (0, 2)
    index.remove([4, 5, 6])
    assert len(index) == 0
    assert index.search(np.ones((2, 3)), 5)[0].shape == (2, 0)


@kinds
def test_misuse_is_an_error(kind):
    index = KINDS[kind](2)
    index.add([[1, 0]], [7])
    with pytest.raises(GalleryError, match="twice or held"):
        index.add([[0, 1]], [7])
    with pytest.raises(GalleryError, match="twice or held"):
        index.add([[0, 1], [1, 1]], [8, 8])
    with pytest.raises(GalleryError, match="under 2 ids"):
        index.add([[0, 1]], [8, 9])
    with pytest.raises(GalleryError, match="-1, expected 0"):
        index.add([[0, 1]], [-1])
    with pytest.raises(GalleryError, match="no vector 9"):
        index.remove([7, 9])
    with pytest.raises(GalleryError, match=r"\(1, 3\)"):
        index.search([[1, 2, 3]], 1)
    with pytest.raises(GalleryError, match="NaN"):
        index.add([[np.nan, 1]], [8])
    assert index.ids.tolist() == [7]


def test_the_kind_is_chosen_by_size_and_says_why():
    assert choose_kind(0)[0] == choose_kind(199_999)[0] == "exact"
    kind, why = choose_kind(1_000_000)
    assert kind == "compressed"
    assert "1,000,000 rows" in why
