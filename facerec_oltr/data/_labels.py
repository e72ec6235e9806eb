"""What the labels of a training split must be, whatever file they stand in."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import DataError


def count_classes(labels: npt.NDArray[np.int64], path: Path) -> int:
    """C of a training split.

    Raises:
        DataError: the labels are not 0 … C − 1, each at least once, or there is only one class.
    """
    if labels.size < 2 or labels.min() < 0:
        raise DataError(
            f"{path}: found {labels.size} labels, the lowest {labels.min(initial=0)}; expected 2, from 0 on"
        )
    classes = int(labels.max()) + 1
    seen = np.zeros(classes, bool) if classes <= 2 * labels.size else None
    if seen is not None:
        seen[labels] = True
    if classes < 2 or seen is None or not seen.all():
        missing = "" if seen is None or seen.all() else f", without {np.flatnonzero(~seen)[0]}"
        raise DataError(
            f"{path}: found labels up to {classes - 1}{missing}; expected 0 to C - 1, two or more, none empty"
        )
    return classes
