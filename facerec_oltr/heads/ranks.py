"""Class means of features that several processes hold together, each a part: one memory, the same on all ranks.

A mean of means is wrong where ranks hold different numbers of a class, so what crosses the ranks is sums and counts.
In a process on its own nothing crosses, and the figures are those of the process alone. Every rank must make the same
calls in the same order, with or without features of its own.
"""

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor


def sum_over_ranks(values: Tensor) -> Tensor:
    """Add up `values`, in place, over all ranks of the default process group; as they are where there is none."""
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(values)
    return values


def own_share(count: int) -> npt.NDArray[np.int64]:
    """Which of `count` positions this rank works on: every position belongs to just one rank."""
    together = dist.is_available() and dist.is_initialized()
    rank, ranks = (dist.get_rank(), dist.get_world_size()) if together else (0, 1)
    return np.arange(rank, count, ranks)


def batch_means(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The classes in the batches of all ranks, (U,) ascending, and the mean feature of each, (U, D).

    What crosses the ranks is (C,) counts and (U, D) sums, not a row for every class.

    Args:
        features: (B, D) of this rank's batch.
        labels: (B,) in [0, C).
        classes: C.
    """
    counts = sum_over_ranks(torch.bincount(labels, minlength=classes))
    present = counts.nonzero().squeeze(1)
    row = torch.zeros(classes, dtype=torch.int64, device=labels.device)
    row[present] = torch.arange(len(present), device=labels.device)
    sums = torch.zeros(len(present), features.shape[1], dtype=features.dtype, device=features.device)
    sums.index_add_(0, row[labels], features.detach())
    return present, sum_over_ranks(sums) / counts[present].unsqueeze(1)
