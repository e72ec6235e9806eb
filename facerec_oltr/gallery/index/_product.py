"""Who may be among the k best of many probes, by a float32 matrix product in blocks.

The product is nearly all of the time. So of each block only the maxima of small groups of rows are looked at: the k-th
largest of them bounds the k-th best score from below, and rows are told apart only in groups that reach it.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from facerec_oltr.gallery.records import Ids, Vectors

_GROUP = 32  # rows whose maximum is taken
_BLOCK = 8192  # rows multiplied at once, a multiple of _GROUP
_PROBES = 256  # at once: the block's scores stay in the cache
_SCORES = 1 << 22  # held at once where the k-th best is not bounded, 16 MiB

Flags = npt.NDArray[np.bool_]


def near_by_product(
    vectors: Vectors, gone: Flags | None, probes: Vectors, k: int, slack: npt.NDArray[np.float64]
) -> list[Ids]:
    """For each probe the rows whose score may be among the k best.

    Args:
        vectors: (N, D).
        gone: (N,) which rows do not count; at least k do. None where all count.
        probes: (B, D).
        k: how many, at least 1.
        slack: (B,) how much below the k-th best float32 score a row may lie that is among the k best.
    """
    nears: list[Ids] = []
    step = min(_PROBES, max(1, _SCORES // (k * _GROUP)))
    for start in range(0, len(probes), step):
        some = slice(start, start + step)
        nears += _near(vectors, gone, probes[some], k, slack[some].astype(np.float32))
    return nears


def _near(vectors: Vectors, gone: Flags | None, probes: Vectors, k: int, slack: Vectors) -> list[Ids]:
    B = len(probes)
    best = np.full((k, B), -np.inf, np.float32)  # the k largest of the groups' maxima so far, the least first
    found: list[tuple[Ids, Ids, Vectors]] = []
    for start, scores in _blocks(vectors, gone, probes):
        grouped = scores.reshape(-1, _GROUP, B)
        highest = grouped.max(axis=1)
        better = np.flatnonzero((highest > best[0]).any(axis=0))
        if len(better):
            both = np.concatenate([best[:, better], highest[:, better]])
            best[:, better] = np.partition(both, len(both) - k, axis=0)[len(both) - k :]
        least = best[0] - slack
        group, probe = np.nonzero(highest >= least)
        members = grouped[group, :, probe]
        which, member = np.nonzero((members >= least[probe, None]) & (members > -np.inf))
        found.append((start + group[which] * _GROUP + member, probe[which], members[which, member]))
    rows, owners, values = (np.concatenate(part) for part in zip(*found, strict=True))
    return _by_probe(rows, owners, values, k, slack)


def _by_probe(rows: Ids, owners: Ids, values: Vectors, k: int, slack: Vectors) -> list[Ids]:
    order = np.argsort(owners, kind="stable")
    ends = np.cumsum(np.bincount(owners, minlength=len(slack)))[:-1]
    nears = []
    for near, value, own in zip(np.split(rows[order], ends), np.split(values[order], ends), slack, strict=True):
        nears.append(near[value >= np.partition(value, len(value) - k)[len(value) - k] - own])
    return nears


def _blocks(vectors: Vectors, gone: Flags | None, probes: Vectors) -> Iterator[tuple[int, Vectors]]:
    """Scores (rows, B) of block after block; −∞ for rows that do not count and for those that fill the last group."""
    across = np.ascontiguousarray(probes.T)
    scores = np.empty((_BLOCK, len(probes)), np.float32)
    for start in range(0, len(vectors), _BLOCK):
        rows = min(_BLOCK, len(vectors) - start)
        np.dot(vectors[start : start + rows], across, out=scores[:rows])
        if gone is not None:
            scores[:rows][gone[start : start + rows]] = -np.inf
        filled = -(-rows // _GROUP) * _GROUP
        scores[rows:filled] = -np.inf
        yield start, scores[:filled]
