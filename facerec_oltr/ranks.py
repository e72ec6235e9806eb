"""Several processes as one: what crosses them, and which way a gradient takes back.

Each rank reads its own part of a batch, and the features of all parts are gathered: from there on every rank holds the
same features (B, D) and the same loss. Such values are called *replicated*, and so are their gradients. Classes may be
split over the ranks: then a rank computes logits (B, C/W) of its own classes alone, *by shard*, and what a loss needs
of all classes (a largest logit, a sum of exponentials, the own class's logit) crosses as (B,) or (B, D) values.

    function            forward                           backward
    gathered            the parts of all ranks, (B, D)    each takes the rows of its own part, times W: see there
    into_shards         as it is                          sum over ranks: each shard's classes had their say
    out_of_shards       sum over ranks                    as it is: every rank's part of a sum has its gradient

In a process on its own nothing crosses, and the figures are those of the process alone. Every rank must make the same
calls in the same order, with or without data of its own.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable


def rank_and_ranks() -> tuple[int, int]:
    """This process's number, and how many there are: (0, 1) on its own."""
    together = dist.is_available() and dist.is_initialized()
    return (dist.get_rank(), dist.get_world_size()) if together else (0, 1)


def sum_over_ranks(values: Tensor) -> Tensor:
    """Add up `values`, in place, over all ranks; as they are on its own. No gradient."""
    if rank_and_ranks()[1] > 1:
        dist.all_reduce(values)
    return values


def largest_over_ranks(values: Tensor) -> Tensor:
    """The largest of each of `values`, in place, over all ranks. No gradient."""
    if rank_and_ranks()[1] > 1:
        dist.all_reduce(values, dist.ReduceOp.MAX)
    return values


def from_first(values: Tensor) -> Tensor:
    """Rank 0's `values`, in place, on all ranks. No gradient."""
    if rank_and_ranks()[1] > 1:
        dist.broadcast(values, 0)
    return values


def stacked(values: Tensor) -> Tensor:
    """The `values` of all ranks, of one shape each, as (W, …), on all ranks. No gradient."""
    _, ranks = rank_and_ranks()
    if ranks == 1:
        return values.unsqueeze(0)
    parts = [torch.empty_like(values) for _ in range(ranks)]
    dist.all_gather(parts, values.contiguous())
    return torch.stack(parts)


def own_share(count: int) -> npt.NDArray[np.int64]:
    """Which of `count` positions this rank works on: every position belongs to just one rank."""
    rank, ranks = rank_and_ranks()
    return np.arange(rank, count, ranks)


def own_part(positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """This rank's part of a batch, contiguous; sizes differ by one at most, and all parts together are the whole."""
    rank, ranks = rank_and_ranks()
    return np.array_split(positions, ranks)[rank]


def rows_on_first(rows: Tensor) -> Tensor:
    """Put the `rows` of all ranks, as many as each has, one after another: on rank 0; the others get their own back."""
    rank, ranks = rank_and_ranks()
    if ranks == 1:
        return rows
    sizes = stacked(torch.tensor(len(rows), device=rows.device)).tolist()
    padded = _padded(rows, max(sizes))
    parts = [torch.empty_like(padded) for _ in range(ranks)] if rank == 0 else None
    dist.gather(padded, parts, 0)
    return rows if parts is None else torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])


def gathered(part: Tensor, count: int) -> Tensor:
    """Put the parts of all ranks together: (B/W, …) → (B, …), in the order of ``own_part``.

    The gradient of a rank's part is its rows of the replicated gradient, times W, since data-parallel training takes
    the mean of the ranks' gradients, and theirs are parts of a sum. No rank repeats or loses an image: parts may differ
    in size by one.

    Args:
        part: what this rank has for its part.
        count: B.
    """
    return part if rank_and_ranks()[1] == 1 else _Gathered.apply(part, count)


def into_shards(values: Tensor) -> Tensor:
    """Mark where replicated `values` begin to meet classes that are split over the ranks."""
    return values if rank_and_ranks()[1] == 1 else _IntoShards.apply(values)


def out_of_shards(values: Tensor) -> Tensor:
    """The sum over all ranks of what each found for its own classes: replicated again."""
    return values if rank_and_ranks()[1] == 1 else _OutOfShards.apply(values)


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor, count: int) -> Tensor:
        rank, ranks = rank_and_ranks()
        sizes = [len(places) for places in np.array_split(np.arange(count), ranks)]  # as own_part cuts
        assert len(part) == sizes[rank], (len(part), sizes)
        ctx.start, ctx.size = sum(sizes[:rank]), sizes[rank]
        parts = stacked(_padded(part, max(sizes)))
        return torch.cat([parts[other, :size] for other, size in enumerate(sizes)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return upstream[0][ctx.start : ctx.start + ctx.size] * rank_and_ranks()[1], None


class _IntoShards(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.view_as(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return sum_over_ranks(upstream[0].contiguous().clone())


class _OutOfShards(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return sum_over_ranks(values.contiguous().clone())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return upstream[0]


def _padded(rows: Tensor, most: int) -> Tensor:
    """`rows` and zeros, `most` in all: what crosses has one shape on all ranks."""
    padded = rows.new_zeros(most, *rows.shape[1:])
    padded[: len(rows)] = rows
    return padded
