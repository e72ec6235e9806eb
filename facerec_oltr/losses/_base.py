"""What every loss is called with, and how it reads the own classes' logits wherever they are.

Where classes are split over ranks (see ranks.py), or drawn, the columns of the logits are of some classes, and a label
is the column of its class, or −1 where another rank holds it. A loss that goes through the methods of `Batch` need not
know; a loss that reads the columns itself is for whole batches, and its Config says ``splits_by_class = False``.
"""

from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from facerec_oltr.ranks import into_shards, largest_over_ranks, out_of_shards, sum_over_ranks


class Batch(NamedTuple):
    """One training batch after the forward pass.

    Attributes:
        features: (B, D), the direct features.
        logits: (B, C), of all classes or of this rank's.
        labels: (B,) int64 in [0, C), or −1 where another rank holds the class.
        memory: (C, D), the head's centroids, or None for a head without memory.
        counts: (C,) int64, the training images of each class.
        sharded: other ranks hold the other classes.
    """

    features: Tensor
    logits: Tensor
    labels: Tensor
    memory: Tensor | None
    counts: Tensor
    sharded: bool = False

    def own(self) -> Tensor:
        """The logit of each one's own class, (B,)."""
        return _own(self.logits, self.labels, self.sharded)

    def own_centroids(self) -> Tensor:
        """The centroid of each one's own class, (B, D); without a gradient where classes are split."""
        assert self.memory is not None, "the experiment's check lets no loss with memory meet a head without"
        if not self.sharded:
            return self.memory[self.labels]
        return out_of_shards(self.memory[self.labels.clamp_min(0)].masked_fill((self.labels < 0).unsqueeze(1), 0))

    def with_own(self, values: Tensor, logits: Tensor | None = None) -> Tensor:
        """`logits`, those of the batch if not given, with `values` (B,) in the places of the own classes."""
        logits = self.logits if logits is None else logits
        column, values = self.labels.unsqueeze(1), values.unsqueeze(1).to(logits.dtype)
        if not self.sharded:
            return logits.scatter(1, column, values)
        here, column = column >= 0, column.clamp_min(0)
        return logits.scatter(1, column, torch.where(here, into_shards(values), logits.gather(1, column)))

    def log_likelihood(self, logits: Tensor | None = None) -> Tensor:
        """Log softmax(logits)[label] over all classes, (B,), of the batch's logits or of changed ones."""
        logits = self.logits if logits is None else logits
        if self.sharded:
            return _LogLikelihood.apply(logits, self.labels)
        return -F.cross_entropy(logits, self.labels, reduction="none")

    def cross_entropy(self, logits: Tensor | None = None) -> Tensor:
        """The mean of −log softmax(logits)[label]: scalar."""
        if self.sharded:
            return -self.log_likelihood(logits).mean()
        return F.cross_entropy(self.logits if logits is None else logits, self.labels)

    def log_prior(self) -> Tensor:
        """Log π, (C,): the logarithm of each class's share of the training images."""
        total = self.counts.sum()
        return (self.counts / (sum_over_ranks(total) if self.sharded else total)).log()


class Loss(Protocol):
    """A scalar of a batch, with a finite gradient, the same for any order of the batch.

    A loss that remembers something between batches is an nn.Module: its buffers are kept and resumed with the run.
    """

    def __call__(self, batch: Batch) -> Tensor: ...


def _own(logits: Tensor, labels: Tensor, sharded: bool) -> Tensor:
    if not sharded:
        return logits.gather(1, labels.unsqueeze(1)).squeeze(1)
    here = logits.gather(1, labels.clamp_min(0).unsqueeze(1)).squeeze(1)
    return out_of_shards(here.masked_fill(labels < 0, 0))


class _LogLikelihood(torch.autograd.Function):
    """Log softmax over logits (B, C/W) of each rank, with one matrix kept for the gradient, as ``F.cross_entropy``."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        shifted = logits - largest_over_ranks(logits.amax(dim=1)).unsqueeze(1)
        own = _own(shifted, labels, sharded=True)
        exponentials = shifted.exp_()
        totals = sum_over_ranks(exponentials.sum(dim=1))
        ctx.save_for_backward(exponentials.div_(totals.unsqueeze(1)), labels)
        return own - totals.log()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        softmax, labels = ctx.saved_tensors
        to_logits = softmax.neg().mul_(upstream[0].unsqueeze(1))
        rows = (labels >= 0).nonzero().squeeze(1)
        to_logits[rows, labels[rows]] += upstream[0][rows]
        return to_logits, None
