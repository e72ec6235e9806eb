"""How well a score separates two groups, without a threshold."""

import numpy as np
import numpy.typing as npt

from facerec_oltr.metrics._scores import checked_scores


def auroc(positive: npt.ArrayLike, negative: npt.ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, a tie counting half.

    This is Mann and Whitney's U / (m n) (Hanley and McNeil 1982). With mated and non-mated maxima it says how
    familiar strangers look, and ignores who was recognised: report it beside TPIR, never instead of it.

    Args:
        positive: (m,) scores that should be high.
        negative: (n,) scores that should be low.

    Returns:
        From 0 to 1, and 0.5 for no separation; NaN where a group is empty.
    """
    positive = checked_scores(np.asarray(positive, np.float64))
    negative = np.sort(checked_scores(np.asarray(negative, np.float64)))
    pairs = positive.size * negative.size
    if pairs == 0:
        return float("nan")
    below = np.searchsorted(negative, positive, side="left").sum()
    not_above = np.searchsorted(negative, positive, side="right").sum()
    return float(below + not_above) / (2 * pairs)
