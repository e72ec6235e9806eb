"""The logit-adjusted loss (Menon et al., ICLR 2021): a larger margin for rarer classes, consistent for balanced error.

L = mean_b CE(z + τ log π, y),   π_c the share of class c in the training set
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from facerec_oltr.components import Config
from facerec_oltr.losses._base import Batch


@dataclass(frozen=True)
class LogitAdjusted:
    """The loss with its τ."""

    tau: float

    def __call__(self, batch: Batch) -> Tensor:
        """Scalar loss of a batch."""
        return batch.cross_entropy(batch.logits + self.tau * batch.log_prior())


class LogitAdjustedConfig(Config):
    """Choices of the logit-adjusted loss; τ = 1 is what its theory asks for."""

    kind: Literal["logit_adjusted"] = "logit_adjusted"
    needs_memory: ClassVar[bool] = False
    splits_by_class: ClassVar[bool] = True
    tau: Annotated[float, Field(gt=0)] = 1.0

    def build(self) -> LogitAdjusted:
        """Give the loss."""
        return LogitAdjusted(self.tau)
