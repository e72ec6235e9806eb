"""Class means, and how near a vector lies to the nearest of many."""

import numpy as np
from scipy.sparse import csr_array

from facerec_oltr.open_set._base import Floats, Ints, Values, blocks


def class_means(values: Values, labels: Ints, classes: int, *, counted: Values | None = None) -> tuple[Floats, Ints]:
    """The mean row of each class and how many rows it is the mean of; a class without rows has the mean 0.

    Args:
        values: (N, D).
        labels: (N,) in [0, C).
        classes: C.
        counted: (N,) 1 for the rows that count and 0 for those that do not; None counts all.

    Returns:
        (C, D) float64 and (C,).
    """
    counted = np.ones(len(labels)) if counted is None else counted
    sums = np.zeros((classes, values.shape[1]))
    for rows in blocks(len(labels), values.shape[1]):
        chosen = values[rows].astype(np.float64)
        belongs = (counted[rows], (labels[rows], np.arange(len(chosen))))
        sums += csr_array(belongs, shape=(classes, len(chosen))) @ chosen
    counts = np.bincount(labels, weights=counted, minlength=classes).astype(np.int64)
    return sums / np.maximum(counts, 1)[:, None], counts


def nearest_distance(x: Floats, centroids: Floats) -> Floats:
    """Euclidean distance of each row of (B, D) to its nearest row of (C, D), as (B,).

    The nearest is found by ‖m‖² − 2 x·m, in O(B·C) memory; its distance is then taken from the difference itself,
    because the short form loses its digits where x is nearly m.
    """
    nearest = np.argmin((centroids**2).sum(axis=1) - 2 * (x @ centroids.T), axis=1)
    return np.linalg.norm(x - centroids[nearest], axis=1)


def unit(x: Floats) -> Floats:
    """Rows (B, D) shrunk to length 1; a row of zeros stays."""
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(lengths > 0, lengths, 1)
