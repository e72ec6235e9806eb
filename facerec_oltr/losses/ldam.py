"""Label-distribution-aware margins (Cao et al., NeurIPS 2019), with the weights of their deferred re-weighting (DRW).

    Δ_c = Δ_max (n_min / n_c)^¼            the rarest class has the largest margin
    L   = CE(z − s Δ_y on the own logit, y)   z = s cos θ: needs the head `cosine` with the same scale s

DRW is two stages: one of these with ``reweight = false``, then one with ``reweight = true`` that starts from it. The
weights are those of the effective number of images (Cui et al., CVPR 2019), w_c ∝ (1 − β)/(1 − β^{n_c}), with mean 1
over the classes, and the batch's mean is weighted: Σ w_y L_b / Σ w_y.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from facerec_oltr.components import Config
from facerec_oltr.losses._base import Batch


def margins(counts: Tensor, largest: float) -> Tensor:
    """Δ (C,) of training counts (C,)."""
    return largest * (counts.min() / counts).pow(0.25)


def effective_number_weights(counts: Tensor, beta: float) -> Tensor:
    """The weights (C,) of training counts (C,), with mean 1."""
    weights = (1 - beta) / (1 - beta ** counts.double())
    return (weights / weights.mean()).float()


@dataclass(frozen=True)
class Ldam:
    """The loss with its choices."""

    margin: float
    scale: float
    reweight: bool
    beta: float

    def __call__(self, batch: Batch) -> Tensor:
        """Scalar loss of a batch."""
        own = F.one_hot(batch.labels, batch.logits.shape[1])
        shifted = batch.logits - own * (self.scale * margins(batch.counts, self.margin)).to(batch.logits.dtype)
        weight = effective_number_weights(batch.counts, self.beta).to(shifted.dtype) if self.reweight else None
        return F.cross_entropy(shifted, batch.labels, weight)


class LdamConfig(Config):
    """Choices of LDAM; the defaults are its authors'."""

    kind: Literal["ldam"] = "ldam"
    needs_memory: ClassVar[bool] = False
    splits_by_class: ClassVar[bool] = False
    margin: Annotated[float, Field(gt=0)] = 0.5
    scale: Annotated[float, Field(gt=0)] = 30.0
    reweight: bool = False
    beta: Annotated[float, Field(gt=0, lt=1)] = 0.9999

    def build(self) -> Ldam:
        """Give the loss."""
        return Ldam(self.margin, self.scale, self.reweight, self.beta)
