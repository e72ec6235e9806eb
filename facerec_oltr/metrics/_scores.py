"""What every metric asks of its scores, and the one rule of acceptance."""

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import MetricError


def checked_scores(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """The scores themselves, if none is NaN or +inf.

    +inf is refused because no threshold lies above it: no FPIR could be promised.
    """
    broken = np.count_nonzero(~(scores < np.inf))
    if broken:
        raise MetricError(f"{broken} of {scores.size} scores are NaN or +inf; look for damaged vectors")
    return scores


def rejected_at(scores: npt.NDArray[np.float64], threshold: float) -> npt.NDArray[np.bool_]:
    """Which searches are rejected: those with a score < threshold, and those with no score at all (-inf)."""
    if np.isnan(threshold):
        raise MetricError("the threshold is NaN: there was no search to choose it by")
    return (scores < threshold) | (scores == -np.inf)


def share(flags: npt.NDArray[np.bool_]) -> float:
    """How large a part of the flags is set; NaN for none."""
    return float(flags.mean()) if len(flags) else float("nan")
