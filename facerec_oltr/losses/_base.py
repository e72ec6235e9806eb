"""What every loss is called with."""

from typing import NamedTuple, Protocol

from torch import Tensor


class Batch(NamedTuple):
    """One training batch after the forward pass.

    Attributes:
        features: (B, D), the direct features.
        logits: (B, C).
        labels: (B,) int64 in [0, C).
        memory: (C, D), the head's centroids, or None for a head without memory.
        counts: (C,) int64, the training images of each class.
    """

    features: Tensor
    logits: Tensor
    labels: Tensor
    memory: Tensor | None
    counts: Tensor


class Loss(Protocol):
    """A scalar of a batch, with a finite gradient, the same for any order of the batch.

    A loss that remembers something between batches is an nn.Module: its buffers are kept and resumed with the run.
    """

    def __call__(self, batch: Batch) -> Tensor: ...
