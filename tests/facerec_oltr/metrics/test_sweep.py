"""The sweep against a double loop written from the definitions, on cases full of exact ties and duplicates."""

import math
import os
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerec_oltr.errors import MetricError
from facerec_oltr.metrics._bins import bin_of, sure_counts
from facerec_oltr.metrics.exact import dot_scores, exact_scores, slack
from facerec_oltr.metrics.identification import Searches, fuse_templates, rank_k, threshold_at_fpir
from facerec_oltr.metrics.sweep import GallerySearches, nested_order, self_matches, sweep

D = 6


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@dataclass
class Case:
    probes: np.ndarray
    probe_ids: np.ndarray
    gallery: np.ndarray
    gallery_ids: np.ndarray
    excluded: np.ndarray

    def sweep(self, **options):
        excluded = options.pop("excluded", self.excluded)
        return sweep(self.probes, self.probe_ids, self.gallery, self.gallery_ids, excluded=excluded, **options)


@st.composite
def cases(draw) -> Case:
    """Few directions, of which many are equal and others differ by a last bit, so that ties and near ties abound."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    directions = unit(rng.standard_normal((draw(st.integers(1, 8)), D)))
    nudged = directions.copy()
    nudged[:, 0] = np.nextafter(nudged[:, 0], np.float32(2))
    pool = np.concatenate([directions, nudged, -directions])
    P, T, people = draw(st.integers(0, 12)), draw(st.integers(0, 30)), draw(st.integers(1, 12))
    pairs = draw(st.integers(0, 12)) if P and T else 0
    return Case(
        pool[rng.integers(0, len(pool), P)],
        rng.integers(0, people + 3, P),
        pool[rng.integers(0, len(pool), T)],
        rng.integers(0, people, T),
        np.column_stack([rng.integers(0, max(P, 1), pairs), rng.integers(0, max(T, 1), pairs)]),
    )


def dot(left: np.ndarray, right: np.ndarray) -> float:
    """The exact sum of the exact products, correctly rounded to double and then to float32."""
    return float(np.float32(math.fsum(float(a) * float(b) for a, b in zip(left, right, strict=True))))


def score(case: Case, p: int, person: int, fusion: str) -> float:
    """Of one probe and one identity, from the definition; -inf where nothing can be compared."""
    gone = {int(t) for q, t in case.excluded if q == p}
    own = [t for t in range(len(case.gallery)) if case.gallery_ids[t] == person and t not in gone]
    if not own:
        return -math.inf
    if fusion == "max":
        return max(dot(case.probes[p], case.gallery[t]) for t in own)
    total = np.zeros(D)
    for t in own:
        total += case.gallery[t].astype(np.float64)
    return dot(case.probes[p], (total / len(own)).astype(np.float32))


def by_loop(case: Case, order: list[int], fusion: str, K: int, bins: int):
    """All that a sweep of one gallery tells, by a double loop."""
    mated, true, ranks, others, maxima, best = [], [], [], [], [], []
    counts = {True: [0] * bins, False: [0] * bins}
    for p in range(len(case.probes)):
        scores = [score(case, p, person, fusion) for person in order]
        own = order.index(case.probe_ids[p]) if case.probe_ids[p] in order else None
        rest = [s for g, s in enumerate(scores) if g != own]
        mated.append(own is not None)
        if own is None:
            maxima.append(max(rest, default=-math.inf))
        else:
            true.append(scores[own])
            ranks.append(1 + sum(s >= scores[own] for s in rest))
            others.append(max(rest, default=-math.inf))
        found = sorted((-s, g) for g, s in enumerate(scores) if s > -math.inf)[:K]
        best.append(found + [(math.inf, -1)] * (K - len(found)))
        for g, s in enumerate(scores):
            if s > -math.inf:
                place = max(i for i in range(bins) if i == 0 or s >= -1 + 2 * i / bins)
                counts[g == own][place] += 1
    return mated, true, ranks, others, maxima, best, counts


def bits(found: GallerySearches) -> list[bytes]:
    searches = found.searches
    arrays = [found.mated, searches.true_scores, searches.ranks, searches.best_others, searches.nonmated_maxima]
    arrays += [found.best, found.best_scores]
    arrays += [found.counts.mated, found.counts.nonmated] if found.counts else []
    return [array.tobytes() for array in arrays]


@given(cases(), st.sampled_from(["max", "mean"]), st.integers(1, 4), st.integers(1, 9))
@settings(max_examples=150, deadline=None)
def test_sweep_is_the_double_loop(case, fusion, K, bins):
    order = sorted(set(case.gallery_ids.tolist()))
    (found,) = case.sweep(fusion=fusion, best=K, bins=bins).galleries
    mated, true, ranks, others, maxima, best, counts = by_loop(case, order, fusion, K, bins)
    assert found.mated.tolist() == mated
    assert found.searches.true_scores.tolist() == true
    assert found.searches.ranks.tolist() == ranks
    assert found.searches.best_others.tolist() == others
    assert found.searches.nonmated_maxima.tolist() == maxima
    assert found.best.tolist() == [[g for _, g in row] for row in best]
    assert found.best_scores.tolist() == [[-s for s, _ in row] for row in best]
    assert found.counts is not None
    assert found.counts.mated.tolist() == counts[True]
    assert found.counts.nonmated.tolist() == counts[False]


@given(cases(), st.sampled_from(["max", "mean"]), st.integers(1, 13), st.integers(1, 31), st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_blocks_and_threads_change_no_bit(case, fusion, probes, templates, threads):
    whole = case.sweep(fusion=fusion, best=3, bins=7)
    cut = case.sweep(fusion=fusion, best=3, bins=7, block=(probes, templates), threads=threads)
    assert bits(whole.galleries[0]) == bits(cut.galleries[0])


@given(cases(), st.sampled_from(["max", "mean"]), st.integers(1, 31), st.integers(0, 9))
@settings(max_examples=100, deadline=None)
def test_nested_sizes_are_separate_runs(case, fusion, templates, seed):
    order = nested_order(case.gallery_ids, seed)
    sizes = sorted({0, len(order) // 3, len(order) // 2, len(order)})
    nested = case.sweep(identities=order, sizes=sizes, fusion=fusion, best=2, bins=5, block=(4, templates))
    for size, found in zip(sizes, nested.galleries, strict=True):
        assert found.size == size
        (alone,) = case.sweep(identities=order[:size], fusion=fusion, best=2, bins=5).galleries
        assert bits(found) == bits(alone)


def large(rng: np.random.Generator) -> Case:
    """Of the size that makes BLAS cut its product, with duplicates within and across blocks, and hard mates."""
    gallery = unit(rng.standard_normal((3_000, 64)))
    gallery[2_000:2_300] = gallery[:300]
    gallery_ids = rng.integers(0, 1_200, 3_000)
    probes = unit(np.concatenate([gallery[:150], gallery[150:300] + rng.standard_normal((150, 64)) / 2]))
    return Case(probes, rng.permuted(gallery_ids[:300]), gallery, gallery_ids, np.empty((0, 2), np.int64))


def test_large_case_is_what_all_exact_scores_give():
    case = large(np.random.default_rng(1))
    products = case.probes[:, None].astype(np.float64) * case.gallery.astype(np.float64)
    fused, people = fuse_templates(products.sum(axis=2).astype(np.float32), case.gallery_ids)
    expected = Searches.from_scores(fused, people, case.probe_ids)
    assert np.quantile(expected.ranks, 0.5) > 100, "hard mates are meant to be among them"
    for block in ((512, 16_384), (7, 500), (100, 1_111)):
        (found,) = case.sweep(block=block, bins=200).galleries
        for name in ("true_scores", "ranks", "best_others", "nonmated_maxima"):
            assert (getattr(found.searches, name) == getattr(expected, name)).all()
        own = people[:, None] == case.probe_ids
        assert found.counts is not None
        assert (found.counts.nonmated == np.histogram(fused[~own.T], found.counts.edges)[0]).all()
        assert (found.counts.mated == np.histogram(fused[own.T], found.counts.edges)[0]).all()


def test_probes_read_in_parts_find_the_same(monkeypatch):
    case = large(np.random.default_rng(2))
    case.excluded = np.array([[0, 0], [149, 149], [150, 7], [299, 3]])
    whole = case.sweep(best=4, bins=50, sizes=(10, 1_000))
    monkeypatch.setattr("facerec_oltr.metrics.sweep._HELD", 64 * 37)
    parts = case.sweep(best=4, bins=50, sizes=(10, 1_000))
    assert [bits(found) for found in whole.galleries] == [bits(found) for found in parts.galleries]


def test_threads_of_the_linear_algebra_library_change_no_bit(tmp_path):
    case = large(np.random.default_rng(3))
    np.savez(tmp_path / "case.npz", **{k: v for k, v in vars(case).items() if k != "excluded"})
    program = (
        "import hashlib, sys, numpy as np; from facerec_oltr.metrics.sweep import sweep\n"
        "found = sweep(**np.load(sys.argv[1]), best=9, bins=64).galleries[0]; s = found.searches\n"
        "told = [s.true_scores, s.ranks, s.best_others, s.nonmated_maxima, found.best, found.counts.nonmated]\n"
        "print(hashlib.sha256(b''.join(a.tobytes() for a in told)).hexdigest())"
    )

    told = set()
    for threads, kernel in (("1", "Haswell"), ("2", "Haswell"), ("3", "Nehalem")):
        settings = {"OPENBLAS_NUM_THREADS": threads, "OPENBLAS_CORETYPE": kernel}
        run = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "case.npz")],
            env=os.environ | settings, capture_output=True, text=True, check=True,
        )  # fmt: skip
        told.add(run.stdout)
    assert len(told) == 1


def test_product_is_never_off_by_more_than_the_slack():
    rng = np.random.default_rng(0)
    for dimensions in (1, 3, 128, 512, 2_000):
        # All of one sign, so that the partial sums are large: the bound's bad case.
        left, right = (unit(np.abs(rng.standard_normal((300, dimensions)))) for _ in range(2))
        true = left.astype(np.float64) @ right.astype(np.float64).T
        assert np.abs((left @ right.T) - true).max() < slack(dimensions) < (dimensions + 40) * 2**-24


def test_runs_of_one_vector_are_scored_as_pairs_are():
    """To the last bit, those included whose sum lies on the middle between two float32 numbers."""
    rng = np.random.default_rng(4)
    left, right = (rng.standard_normal((n, 200)).astype(np.float32) for n in (3, 500))
    left, right = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (left, right))
    left[0], right[:40] = 0, 0
    left[0, :2] = right[:40, 0] = 2**-0.5
    right[:40, 1] = np.float32(2**-0.5) * (np.arange(40) - 20) / 20
    left[1, 3:] = right[40:80, 3:] = 0
    left[1, :3] = 0.75, 2**-13, 0
    right[40:80, :3] = 0.5, 0, 0
    right[40:80, 1] = 2.0**-13 * (np.arange(40) % 4) / 2  # ties of float32 rounding
    which = np.repeat(np.arange(3), 500)
    other = np.tile(np.arange(500), 3)
    expected = np.concatenate([dot_scores(left[row][None], right) for row in range(3)])
    np.testing.assert_array_equal(exact_scores(left, which, right, other), expected)
    short = rng.permutation(1500)  # no runs: pair by pair
    np.testing.assert_array_equal(exact_scores(left, which[short], right, other[short]), expected[short])
    assert exact_scores(left, which[:0], right, other[:0]).shape == (0,)


@pytest.mark.parametrize("bins", [1, 3, 128, 2048])
def test_sure_bins_and_unsure_places_are_by_their_definition(bins):
    rng = np.random.default_rng(bins)
    near = rng.integers(0, bins + 1, 3000) * 2 / bins - 1 + rng.uniform(-1e-4, 1e-4, 3000)
    scores = np.concatenate([near, rng.uniform(-1.002, 1.002, 3000), [-1, 1, -np.inf, -np.inf]]).astype(np.float32)
    rng.shuffle(scores)
    for slack_ in (3e-5, 1e-7):
        counts, places = sure_counts(scores.reshape(-1, 4), bins, slack_)
        there = np.flatnonzero(scores > -np.inf)
        moved = [bin_of(scores[there].astype(np.float64) + shift, bins) for shift in (-slack_, slack_)]
        needed = there[moved[0] != moved[1]]
        assert set(needed.tolist()) <= set(places.tolist())
        assert (
            np.abs((scores[places].astype(np.float64) + 1) * bins / 2 % 1 - 0.5) >= 0.5 - slack_ * bins / 2 - 1e-6
        ).all()
        sure = np.setdiff1d(there, places)
        np.testing.assert_array_equal(counts, np.bincount(bin_of(scores[sure], bins), minlength=bins))


def test_memory_map_is_read_as_an_array_is(tmp_path):
    case = large(np.random.default_rng(4))
    expected = case.sweep(sizes=(100, 1_000))
    np.save(tmp_path / "gallery.npy", case.gallery)
    case.gallery = np.load(tmp_path / "gallery.npy", mmap_mode="r")
    assert [bits(a) for a in case.sweep(sizes=(100, 1_000)).galleries] == [bits(a) for a in expected.galleries]


def test_figures_of_a_hand_example():
    # Two directions at 60 degrees: 0.5; a probe of "a" that equals b's template ties with nobody, and is beaten by b.
    a, b = [1, 0], [0.5, math.sqrt(0.75)]
    found = sweep(
        np.array([a, b, b], np.float32), ["a", "a", "x"], np.array([a, b], np.float32), ["a", "b"], best=2, bins=4
    ).galleries[0]
    assert found.searches.true_scores.tolist() == [1, 0.5]
    assert found.searches.ranks.tolist() == [1, 2]
    assert rank_k(found.searches) == 0.5
    assert threshold_at_fpir(found.searches.nonmated_maxima, 0).value == math.nextafter(1, 2)
    assert found.best.tolist() == [[0, 1], [1, 0], [1, 0]]
    assert found.counts is not None
    assert found.counts.edges.tolist() == [-1, -0.5, 0, 0.5, 1]
    assert found.counts.mated.tolist() == [0, 0, 0, 2]
    assert found.counts.nonmated.tolist() == [0, 0, 0, 4]


def test_self_matches_are_the_equal_hashes():
    pairs = self_matches(["q", "", "w", "z"], ["w", "", "q", "w"])
    assert pairs.tolist() == [[0, 2], [2, 0], [2, 3]]
    assert self_matches([], ["q"]).shape == self_matches(["q"], []).shape == (0, 2)


def test_a_photo_does_not_find_itself():
    gallery = unit(np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]]))
    found = sweep(gallery[:1], ["a"], gallery, ["a", "a", "b"], excluded=self_matches(["h"], ["h", "i", "j"]))
    assert found.galleries[0].searches.true_scores.tolist() == [gallery[1, 0]]
    alone = sweep(gallery[:1], ["b"], gallery, ["b", "a", "a"], excluded=self_matches(["h"], ["h", "i", "j"]))
    assert alone.galleries[0].searches.true_scores.tolist() == [-np.inf]
    assert alone.galleries[0].searches.ranks.tolist() == [2]


def test_nested_order_is_seeded_and_begins_with_those_named():
    order = nested_order(["d", "a", "c", "b", "e", "a"], seed=3, first=["b", "d"])
    assert sorted(order[:2]) == ["b", "d"]
    assert sorted(order[2:]) == ["a", "c", "e"]
    assert (order == nested_order(["a", "b", "c", "d", "e"], seed=3, first=["d", "b"])).all()
    assert len({tuple(nested_order(range(9), seed)) for seed in range(9)}) == 9


def test_progress_ends_with_all_scores():
    case, seen = large(np.random.default_rng(5)), []
    case.sweep(block=(100, 400), on_progress=lambda done, total: seen.append((done, total)))
    assert len(seen) > 5
    assert seen == sorted(seen)
    assert seen[-1] == (300 * len(np.unique(case.gallery_ids)),) * 2


FINE = unit(np.random.default_rng(0).standard_normal((4, D)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"probes": FINE * np.float32(1.01)}, "probe 0 has length 1.01, expected 1"),
        (
            {"gallery": np.where(np.arange(4)[:, None] == 2, np.float32(np.nan), FINE)},
            "gallery vector 2 has length nan",
        ),
        ({"gallery": FINE * np.float32(1e30)}, "gallery vector 0 has length"),
        ({"gallery": FINE.astype(np.float64)}, "gallery: found float64, expected a numpy array of float32"),
        ({"probes": FINE.tolist()}, "probes: found list"),
        ({"probes": unit(FINE[:, :5])}, "probes have 5 dimensions and the gallery has 6; take features of one model"),
        ({"probe_ids": [0, 1]}, "probes: found features (4, 6) and ids (2,)"),
        ({"probe_ids": ["a", "b", "c", "d"]}, "the ids of probes are text and those of the gallery numbers"),
        ({"identities": [0, 9]}, "identity 9 has no template in the gallery"),
        ({"identities": [0, 1, 0]}, "identity 0 has no template in the gallery, or is named twice"),
        ({"sizes": [2, 1]}, "found gallery sizes [2, 1], expected rising ones up to 4"),
        ({"sizes": [5]}, "found gallery sizes [5]"),
        ({"best": 0}, "expected 1 or more"),
        ({"block": (0, 5)}, "expected 1 or more"),
        ({"threads": 0}, "expected 1 or more"),
        ({"bins": 4_000}, "found 4000 bins, expected 1 to 2,048"),
        ({"fusion": "median"}, "found fusion 'median', expected max or mean"),
        ({"excluded": [[0, 4]]}, "lies beyond the 4 probes and 4 templates"),
        ({"excluded": [0, 1]}, "excluded pairs have shape (2,)"),
    ],
)
def test_bad_input_is_one_line(change, words):
    given = {"probes": FINE, "probe_ids": range(4), "gallery": FINE, "gallery_ids": range(4)} | change
    with pytest.raises(MetricError) as error:
        sweep(**given)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
