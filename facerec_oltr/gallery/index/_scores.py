"""Scores to the last bit, and how far the fast, inexact ones can be from them."""

import numpy as np
import numpy.typing as npt

from facerec_oltr.gallery.records import Ids, Vectors
from facerec_oltr.metrics.exact import dot_scores

Floats = npt.NDArray[np.float64]

_EPS = float(np.finfo(np.float32).eps)
HALF_LONGEST = 65_000.0  # a longer vector may hold a number that half precision has not


def lengths(vectors: Vectors) -> Floats:
    """Euclidean lengths (n,) of (n, D)."""
    return np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))


def single_slack(dimensions: int, longest: float, probes: Floats) -> Floats:
    """How far two float32 products can be from the true ones together (Higham 2002, section 3.1), by probe.

    Args:
        dimensions: D.
        longest: no held vector is longer.
        probes: (B,) lengths.
    """
    return (dimensions + 4) * _EPS * longest * probes


def half_slack(dimensions: int, longest: float, probes: Floats) -> Floats:
    """The same where the held vectors were rounded to half precision before.

    Rounding moves a number x by at most 2^-11 |x|, or by 2^-25 below the normal range; by Cauchy and Schwarz its
    product with a probe moves by at most (2^-11 longest + 2^-25 √D) times the probe's length.
    """
    rounding = 2.0**-11 * longest + 2.0**-25 * dimensions**0.5
    return 2 * rounding * probes + single_slack(dimensions, longest + rounding, probes)


def best_of(near: Ids, keys: Ids, vectors: Vectors, probe: Vectors, k: int) -> tuple[Vectors, Ids]:
    """The k best of some rows: scores, falling, and which rows they are; ties by lowest key."""
    exact = dot_scores(vectors[near], probe)
    order = np.lexsort((keys[near], -exact))[:k]
    return exact[order], near[order]
