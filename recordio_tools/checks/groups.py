"""Images in groups that should each have one label: which image has another than most of its group."""

import numpy as np

from recordio_tools.header import FLOAT32_EXACT
from recordio_tools.index import Int64s

_STEP = 2 * FLOAT32_EXACT  # a group and a label are one number: labels are below it, and groups below 2^31


def labels_of_groups(groups: Int64s, labels: Int64s) -> tuple[Int64s, Int64s]:
    """(the groups that occur, ascending; the label that most images of each have, of equal ones the lowest).

    Args:
        groups: The group of each image, from 0.
        labels: The label of each image, whole numbers from 0 to 2^24.
    """
    pairs, counts = np.unique(groups * _STEP + labels, return_counts=True)
    group, label = np.divmod(pairs, _STEP)
    order = np.lexsort((label, -counts, group))
    firsts = order[np.flatnonzero(np.diff(group[order], prepend=-1))]
    return group[firsts], label[firsts]
