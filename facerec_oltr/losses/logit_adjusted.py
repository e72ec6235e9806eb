"""The logit-adjusted loss (Menon et al., ICLR 2021): a larger margin for rarer classes, consistent for balanced error.

L = mean_b CE(z + τ log π, y),   π_c the share of class c in the training set
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from facerec_oltr.components import Config
from facerec_oltr.losses._base import Batch


def logit_adjusted(logits: Tensor, labels: Tensor, counts: Tensor, tau: float) -> Tensor:
    """The loss of logits (B, C), labels (B,) and training counts (C,)."""
    return F.cross_entropy(logits + tau * (counts / counts.sum()).log(), labels)


@dataclass(frozen=True)
class LogitAdjusted:
    """The loss with its τ."""

    tau: float

    def __call__(self, batch: Batch) -> Tensor:
        """Scalar loss of a batch."""
        return logit_adjusted(batch.logits, batch.labels, batch.counts, self.tau)


class LogitAdjustedConfig(Config):
    """Choices of the logit-adjusted loss; τ = 1 is what its theory asks for."""

    kind: Literal["logit_adjusted"] = "logit_adjusted"
    needs_memory: ClassVar[bool] = False
    tau: Annotated[float, Field(gt=0)] = 1.0

    def build(self) -> LogitAdjusted:
        """Give the loss."""
        return LogitAdjusted(self.tau)
