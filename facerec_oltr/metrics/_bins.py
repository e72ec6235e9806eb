"""How many scores lie in each of some bins, when each score is known up to a slack."""

import numpy as np
import numpy.typing as npt

from facerec_oltr.metrics.exact import Places, Vectors

Counts = npt.NDArray[np.int64]

MOST = 2048
"""Bins at most."""

_BITS = 10  # of a place within a bin
_MAGIC = np.float32(1.5 * 2 ** (23 - _BITS))  # added to a number it leaves it, in units of 2^-_BITS, in the low bits


def edges(bins: int) -> npt.NDArray[np.float64]:
    """The (bins + 1,) edges of equal bins from -1 to 1."""
    return np.arange(bins + 1) * 2 / bins - 1


def bin_of(scores: npt.NDArray[np.floating], bins: int) -> Places:
    """The bin of each score: edges[i] <= score < edges[i + 1]; what lies beyond them is in the first or the last."""
    return np.clip(np.searchsorted(edges(bins), scores, side="right") - 1, 0, bins - 1)


def sure_counts(scores: Vectors, bins: int, slack: float) -> tuple[Counts, Places]:
    """Count the scores that are sure of their bin, and say which are not.

    Args:
        scores: of any shape; -inf is not counted.
        bins: at most ``MOST``.
        slack: how far from the true score each may be.

    Returns:
        Counts (bins,), and flat places of the scores that lie so near to an edge that a slack may move them over it.
    """
    fine = np.multiply(scores, np.float32(bins / 2))
    np.maximum(fine, np.float32(-bins), out=fine)
    np.add(fine, _MAGIC + np.float32(bins / 2), out=fine)  # from the first edge on
    units = fine.view(np.int32)  # of 2^-_BITS bins, no more than one off by all the roundings
    units -= _MAGIC.view(np.int32)
    width = np.int32(np.ceil(slack * bins / 2 * 2**_BITS) + 1)
    unsure = ((units + width) & np.int32(2**_BITS - 1)) <= 2 * width
    places = np.flatnonzero(unsure)
    units >>= _BITS
    np.clip(units, 0, bins - 1, out=units)
    flat = units.reshape(-1)
    counts = np.bincount(flat, minlength=bins) - np.bincount(flat[places], minlength=bins)
    missing = np.isneginf(scores).reshape(-1)
    places = places[~missing[places]]
    counts[0] -= np.count_nonzero(missing) - np.count_nonzero(missing[np.flatnonzero(unsure)])
    return counts, places
