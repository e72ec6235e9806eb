"""Scores to the last bit, and how far the fast float32 products can be from them.

The score of two vectors is their dot product in double precision, rounded to float32. It depends on the two vectors
alone; a float32 matrix product depends on how a library cuts it into blocks and threads, too.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import MetricError

Vectors = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]

UNIT = 1e-3  # how far from 1 the length of a vector may be
_RUN = 8  # pairs of one left vector on average from which on they are worth a product of their own
_PAIRS = 256  # multiplied at once: their vectors stay in the cache, and their memory with the process
_ROUNDING = 2.0**-24  # of float32


def dot_scores(left: Vectors, right: Vectors) -> Vectors:
    """Scores (n,) of vectors (n, D) with as many others, or with one (D,): a gallery's index has no other."""
    # Multiply and sum, not a matrix product: the order of summation is then the same for every row.
    return (left.astype(np.float64) * right.astype(np.float64)).sum(axis=-1).astype(np.float32)


def exact_scores(left: Vectors, which: Places, right: Vectors, other: Places) -> Vectors:
    """Scores (n,) of the rows ``left[which]`` and ``right[other]``, pair by pair."""
    starts = np.flatnonzero(np.diff(which, prepend=-1))
    if len(which) >= _RUN * len(starts):
        return _scores_of_runs(left, which, right, other, starts)
    scores = np.empty(len(which), np.float32)
    for start in range(0, len(which), _PAIRS):
        some = slice(start, start + _PAIRS)
        scores[some] = dot_scores(left[which[some]], right[other[some]])
    return scores


def _scores_of_runs(left: Vectors, which: Places, right: Vectors, other: Places, starts: Places) -> Vectors:
    """The same where many pairs after one another share their left vector: four times as fast.

    A product of two float32 numbers is exact in double precision, so that two ways of summing D of them differ by at
    most 2 γ_D Σ|x_d y_d|, with u = 2^-53. A sum that rounds to the same float32 from that far on either side is the
    score; the few others, one in some thousands, are summed as ``dot_scores`` does.
    """
    sums = np.empty(len(which))
    for start, end in pairwise([*starts.tolist(), len(which)]):
        vector = left[which[start]].astype(np.float64)
        for first in range(start, end, _PAIRS):
            some = slice(first, min(first + _PAIRS, end))
            sums[some] = right[other[some]].astype(np.float64) @ vector
    scores = sums.astype(np.float32)
    gap = 4 * left.shape[1] * 2.0**-53  # Σ|x_d y_d| is at most 1.01, the vectors being of length 1 within UNIT
    unsure = np.flatnonzero((sums - gap).astype(np.float32) != (sums + gap).astype(np.float32))
    for start in range(0, len(unsure), _PAIRS):
        some = unsure[start : start + _PAIRS]
        scores[some] = dot_scores(left[which[some]], right[other[some]])
    return scores


def slack(dimensions: int) -> float:
    """How far a float32 matrix product of vectors of length 1 can be from their score.

    A sum of D products in any order, with fused multiplication or without, is off by at most γ_D Σ|x_d y_d|, with
    γ_D = D u / (1 - D u) and u = 2^-24 (Higham 2002, section 3.1), and Σ|x_d y_d| is at most the product of the
    lengths, each at most 1 + 2 UNIT, since UNIT is held to by lengths in float32. Two roundings more cover the score's
    own, and the last term what underflows.
    """
    share = (dimensions + 2) * _ROUNDING
    return share / (1 - share) * (1 + 2 * UNIT) ** 2 + 1e-30


def below(values: npt.NDArray[np.float64]) -> Vectors:
    """The values in float32, rounded down or further down."""
    return np.nextafter(values.astype(np.float32), np.float32(-np.inf))


def above(values: npt.NDArray[np.float64]) -> Vectors:
    """The values in float32, rounded up or further up."""
    return np.nextafter(values.astype(np.float32), np.float32(np.inf))


def fetched(features: npt.NDArray[np.float32], rows: Places | slice, what: str) -> Vectors:
    """Some rows of features that may lie in a file, each of length 1.

    Raises:
        MetricError: a vector holds NaN, or has another length.
    """
    # A row of a sub-class such as a memory map would be handled slowly.
    vectors = np.ascontiguousarray(np.asarray(features)[rows])
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    wrong = np.flatnonzero(~(np.abs(lengths - 1) <= UNIT))
    if len(wrong):
        place = rows.start + wrong[0] if isinstance(rows, slice) else rows[wrong[0]]
        raise MetricError(
            f"{what} {place} has length {lengths[wrong[0]]:.6g}, expected 1; normalise it, or make it anew"
        )
    return vectors
