"""Some of the known classes played as strangers, because a validation set has none.

A network that was trained on the held-out classes knows them, so they are nearer than true strangers: a threshold
chosen by them is a cautious one. Train without them where that can be afforded.
"""

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import DataError
from facerec_oltr.metrics.open_set import UNKNOWN
from facerec_oltr.open_set._base import Ints, Outputs


def hold_out(outputs: Outputs, labels: npt.ArrayLike, held_out: npt.ArrayLike) -> tuple[Outputs, Ints]:
    """The outputs (N, D), (N, C) and labels (N,) as if the H held-out classes had never been in the classifier.

    Their columns of the logits go, the classes left are numbered anew in their order, and their images become
    `UNKNOWN`: fit a rule on those training images that are not UNKNOWN, and choose a threshold on all of validation.

    Returns:
        The outputs with logits (N, C − H), and the labels.

    Raises:
        DataError: no class is held out or none is left, or a class or a label is none of those there are.
    """
    labels, out, classes = np.asarray(labels, np.int64), np.unique(held_out), outputs.logits.shape[1]
    if not 0 < len(out) < classes or out[0] < 0 or out[-1] >= classes:
        raise DataError(f"found {len(out):,} classes to hold out of {classes:,}; hold out some of 0 to {classes - 1:,}")
    if labels.size and not -1 <= labels.min() <= labels.max() < classes:
        raise DataError(f"found labels from {labels.min()} to {labels.max()}; they go from -1 to {classes - 1:,}")
    kept = np.setdiff1d(np.arange(classes), out)
    anew = np.full(classes + 1, UNKNOWN)  # the last place is that of the label -1
    anew[kept] = np.arange(len(kept))
    return Outputs(outputs.features, outputs.logits[:, kept]), anew[labels]
