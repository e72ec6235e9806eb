"""How many scores lie in each of some bins, when each score is known up to a slack."""

import numpy as np
import numpy.typing as npt

from facerec_oltr.metrics.exact import Places, Vectors

Counts = npt.NDArray[np.int64]

MOST = 2048
"""Bins at most."""

_CELLS = 1 << 16  # that 16 bits can number
_BEYOND = 3e-3  # how far beyond -1 and 1 a score may lie, the lengths of vectors being 1 within ``exact.UNIT``


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
    spare = 1 + int(np.ceil(_BEYOND * bins / 2))  # bins on either side
    bits = (_CELLS // (bins + 2 * spare)).bit_length() - 1  # of a place within a bin: its cell
    # Added to a number, 1.5 times such a power of 2 leaves it, in units of 2^-bits, in the low bits of the sum.
    fine = np.multiply(scores, np.float32(bins / 2))
    np.add(fine, np.float32(1.5 * 2 ** (23 - bits) + bins / 2 + spare), out=fine)
    cells = fine.view(np.uint32).astype(np.uint16).reshape(-1)  # one off by all the roundings; 0 of -inf
    counts = _by_bin(np.bincount(cells, minlength=bins + 2 * spare << bits), bits, spare)
    width = int(np.ceil(slack * bins / 2 * 2**bits)) + 1
    if 2 * width + 1 >= 1 << bits:
        near = np.arange(len(cells))
    else:
        near = np.flatnonzero(((cells + np.uint16(width)) & np.uint16((1 << bits) - 1)) <= np.uint16(2 * width))
    counts -= _by_bin(np.bincount(cells[near], minlength=bins + 2 * spare << bits), bits, spare)
    near = near[~np.isneginf(scores.reshape(-1)[near])]
    place = (scores.reshape(-1)[near].astype(np.float64) + 1) * (bins / 2)
    unsure = np.abs(place - np.rint(place)) <= slack * bins / 2 + 1e-9
    sure = np.clip(np.floor(place[~unsure]).astype(np.int64), 0, bins - 1)
    return counts + np.bincount(sure, minlength=bins), near[unsure]


def _by_bin(cells: Counts, bits: int, spare: int) -> Counts:
    """Counts of cells as those of bins, what lies beyond added to the first and the last."""
    counts = cells.reshape(-1, 1 << bits).sum(axis=1)
    counts[spare] += counts[:spare].sum()
    counts[-spare - 1] += counts[len(counts) - spare :].sum()
    return counts[spare : len(counts) - spare]
