"""Open-set identification of many probes in a large gallery, in blocks, so that the scores are never held.

Every score that decides anything is exact: the dot product in double precision, rounded to float32, as a gallery's
index has it. A float32 matrix product only finds out which ones decide: a score that is further from a threshold than
the product can be off is on its side for sure, and the few others are computed exactly. So the outcome does not depend
on the size of blocks, on threads, or on the linear algebra library, to the last bit.

Galleries of several sizes are the first identities of one order, and all are measured in one pass.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import MetricError
from facerec_oltr.metrics._bins import Counts, bin_of, edges
from facerec_oltr.metrics._passing import Group, Snapshot
from facerec_oltr.metrics._sweep_input import check_options, checked_input
from facerec_oltr.metrics.columns import Columns, Fusion
from facerec_oltr.metrics.exact import Places, Vectors
from facerec_oltr.metrics.identification import Searches

_HELD = 1 << 23  # numbers of probes held at once, 32 MiB; for each such part the gallery is read once


@dataclass(frozen=True, eq=False)
class ScoreCounts:
    """How many scores lie in each bin: edges[i] <= score < edges[i + 1], what lies beyond in the first or last one.

    A score is that of a probe and an identity, fused over its templates; where nothing was compared there is none.

    Attributes:
        edges: (bins + 1,) from -1 to 1.
        mated: (bins,) of the probes and their own identities.
        nonmated: (bins,) of all probes and all other identities.
    """

    edges: npt.NDArray[np.float64]
    mated: Counts
    nonmated: Counts


@dataclass(frozen=True, eq=False)
class GallerySearches:
    """P probes in a gallery of one size.

    Attributes:
        size: N.
        mated: (P,) whether the probe's identity is in it.
        searches: for the metrics of ``identification``; mated and non-mated ones in the order of the probes.
        best: (P, K) positions of the best identities, of equals the lowest first; -1 where nothing was compared.
        best_scores: (P, K), falling; -inf where nothing was compared.
        counts: of all scores, by bin; None where they were not asked for.
    """

    size: int
    mated: npt.NDArray[np.bool_]
    searches: Searches
    best: Places
    best_scores: Vectors
    counts: ScoreCounts | None


@dataclass(frozen=True, eq=False)
class Sweep:
    """What one pass over all scores has found.

    Attributes:
        identities: in their order; a gallery of size N holds the first N.
        galleries: one for each size.
    """

    identities: npt.NDArray
    galleries: tuple[GallerySearches, ...]


def sweep(
    probes: npt.NDArray[np.float32],
    probe_ids: npt.ArrayLike,
    gallery: npt.NDArray[np.float32],
    gallery_ids: npt.ArrayLike,
    *,
    identities: npt.ArrayLike | None = None,
    sizes: Sequence[int] | None = None,
    fusion: Fusion = "max",
    best: int = 1,
    bins: int | None = None,
    excluded: npt.ArrayLike | None = None,
    block: tuple[int, int] = (2_048, 16_384),
    threads: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Sweep:
    """Search all probes in galleries of one size or several.

    Args:
        probes: (P, D) float32 of unit length; it may be a memory map.
        probe_ids: (P,) who each one is; somebody who is not in a gallery makes the search non-mated there.
        gallery: (T, D) templates, float32 of unit length; it may be a memory map.
        gallery_ids: (T,) whose each template is.
        identities: (N,) the order of the identities, such as ``nested_order`` gives; others of the gallery are left
            out. If None, all in rising order.
        sizes: of the galleries, rising; if None, N alone.
        fusion: what makes one score of an identity's templates before anything is ranked: ``max``, the best one, or
            ``mean``, the score of their mean vector in float32, which is the mean of the scores.
        best: how many of the best identities to tell for each probe, K.
        bins: count all scores in so many equal bins from -1 to 1, at most 2,048; None to spare the time.
        excluded: (E, 2) pairs of a probe and a template that are never compared, see ``self_matches``. Where that
            leaves nothing of the probe's own identity, its score is -inf and its rank N: the search is missed.
        block: probes and templates multiplied at once.
        threads: that look at scores side by side; if None, as many as the process may use. The matrix product's own
            threads are set by its library.
        on_progress: called with the scores seen, and all that there are.

    Raises:
        MetricError: features that are not float32, of different D, not of unit length or NaN; ids, sizes or pairs that
            do not fit.
    """
    given = checked_input(probes, probe_ids, gallery, gallery_ids, identities, sizes, excluded)
    check_options(fusion, best, bins, (*block, 1 if threads is None else threads))
    columns = Columns(given.gallery, given.owners, len(given.identities), fusion)
    total = len(given.own) * given.sizes[-1]
    held = max(1, _HELD // max(1, given.probes.shape[1]))
    parts: list[list[Snapshot]] = []
    with ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool:
        for start in range(0, max(1, len(given.own)), held):
            group = Group(given, columns, slice(start, min(start + held, len(given.own))), best, bins)
            seen = start * given.sizes[-1]
            parts.append(list(group.snapshots(block, pool, lambda done, seen=seen: on_progress(seen + done, total))))
    galleries = [
        _gallery(size, given.own, taken) for size, taken in zip(given.sizes, zip(*parts, strict=True), strict=True)
    ]
    return Sweep(given.identities, tuple(galleries))


def nested_order(identities: npt.ArrayLike, seed: int, first: npt.ArrayLike | None = None) -> npt.NDArray:
    """An order of the identities drawn by a seed, whose beginnings are the galleries of a comparison by size.

    Args:
        identities: all of them, in any order, repeats allowed.
        seed: the same one gives the same order.
        first: those that every gallery holds, such as the people who are looked for; drawn among themselves.

    Raises:
        MetricError: one of ``first`` is not among the identities.
    """
    rng = np.random.default_rng(seed)
    each = np.unique(np.asarray(identities))
    ahead = np.unique(np.asarray(first)) if first is not None and np.size(first) else each[:0]
    if missing := np.setdiff1d(ahead, each).tolist():
        raise MetricError(f"{missing[0]!r} is to come first but is not among the identities; leave it out")
    return np.concatenate([rng.permutation(ahead), rng.permutation(np.setdiff1d(each, ahead))])


def self_matches(probe_hashes: npt.ArrayLike, gallery_hashes: npt.ArrayLike) -> Places:
    """Pairs (E, 2) of a probe and a template made of the same photo, which would find itself: to be excluded.

    Args:
        probe_hashes: (P,) content hash of each probe's photo; an empty one is equal to none.
        gallery_hashes: (T,) the same of each template.
    """
    probe_hashes, gallery_hashes = np.asarray(probe_hashes), np.asarray(gallery_hashes)
    if not len(probe_hashes) or not len(gallery_hashes):
        return np.empty((0, 2), np.int64)
    order = np.argsort(gallery_hashes, kind="stable")
    lows, highs = (np.searchsorted(gallery_hashes, probe_hashes, side, sorter=order) for side in ("left", "right"))
    found = (highs - lows) * (probe_hashes != probe_hashes.dtype.type())
    probes = np.repeat(np.arange(len(found)), found)
    nth = np.arange(len(probes)) - np.repeat(np.cumsum(found) - found, found)
    return np.stack([probes, order[lows[probes] + nth]], axis=1)


def _gallery(size: int, own: Places, taken: Sequence[Snapshot]) -> GallerySearches:
    """Put together what was found of all parts of the probes."""
    own_scores, beaten_by, scores, positions = (
        np.concatenate([getattr(part, name) for part in taken])
        for name in ("own_scores", "beaten_by", "scores", "positions")
    )
    mated = (own >= 0) & (own < size)
    searches = Searches(
        own_scores[mated].astype(np.float64),
        np.where(np.isneginf(own_scores), size, 1 + beaten_by)[mated],
        scores[mated, 0].astype(np.float64),
        scores[~mated, 0].astype(np.float64),
    )
    # The own identity joins the best others.
    scores = np.column_stack([scores, np.where(mated, own_scores, -np.inf).astype(np.float32)])
    positions = np.column_stack([positions, np.where(mated & (own_scores > -np.inf), own, -1)])
    order = np.lexsort((positions, -scores), axis=1)[:, :-1]
    best, best_scores = np.take_along_axis(positions, order, axis=1), np.take_along_axis(scores, order, axis=1)
    counts, counted = None, [part.counts for part in taken if part.counts is not None]
    if counted:
        nonmated = np.sum(counted, axis=0)
        bins = len(nonmated)
        compared = searches.true_scores[searches.true_scores > -np.inf]
        counts = ScoreCounts(edges(bins), np.bincount(bin_of(compared, bins), minlength=bins), nonmated)
    return GallerySearches(size, mated, searches, best, best_scores, counts)
