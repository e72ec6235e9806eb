"""Focal loss (Lin et al., ICCV 2017) for many classes: samples that are already easy weigh little.

    L = mean_b (1 − p_b)^γ · (−log p_b),   p_b = softmax(logits_b)[label_b]

The factor belongs to each sample. (A copy in circulation takes the mean cross-entropy of the batch first and weighs
that once, which is another loss.) No α: with softmax there is no negative class to balance against.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from facerec_oltr.components import Config
from facerec_oltr.losses._base import Batch


def focal(log_p: Tensor, gamma: float) -> Tensor:
    """The loss of the own classes' log p (B,); γ = 0 is cross-entropy."""
    return -((1 - log_p.exp()).clamp_min(1e-7).pow(gamma) * log_p).mean()  # 0^γ has no gradient for γ < 1


@dataclass(frozen=True)
class Focal:
    """The loss with its γ."""

    gamma: float

    def __call__(self, batch: Batch) -> Tensor:
        """Scalar loss of a batch."""
        return focal(batch.log_likelihood(), self.gamma)


class FocalConfig(Config):
    """Choices of the focal loss; γ = 2 is its paper's, and what the OLTR paper took is not known."""

    kind: Literal["focal"] = "focal"
    needs_memory: ClassVar[bool] = False
    splits_by_class: ClassVar[bool] = True
    gamma: Annotated[float, Field(ge=0)] = 2.0

    def build(self) -> Focal:
        """Give the loss."""
        return Focal(self.gamma)
