"""Lifted structured loss (Oh Song et al., CVPR 2016): every pair of one class against all that is wrong beside it.

    J_ij = log( Σ_{k: y_k ≠ y_i} e^{α − D_ik} + Σ_{l: y_l ≠ y_j} e^{α − D_jl} ) + D_ij
    L    = 1/(2|P|) Σ_{(i,j) ∈ P} max(0, J_ij)²,   P the pairs i < j of one class, D Euclidean distances of features

A batch without a pair of one class, or of a single class, has nothing to say: 0 (the authors' loop divides by zero).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from facerec_oltr.components import Config
from facerec_oltr.losses._base import Batch


def lifted(features: Tensor, labels: Tensor, margin: float) -> Tensor:
    """The loss of features (B, D) and labels (B,), in O(B²)."""
    same = labels.unsqueeze(0) == labels.unsqueeze(1)
    pairs = same.triu(diagonal=1)
    if not pairs.any() or same.all():
        return 0 * features.sum()
    D = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
    wrong = torch.logsumexp((margin - D).masked_fill(same, -torch.inf), dim=1)
    J = torch.logaddexp(wrong.unsqueeze(1), wrong.unsqueeze(0)) + D
    return torch.relu(J[pairs]).square().mean() / 2


@dataclass(frozen=True)
class Lifted:
    """The loss with its α."""

    margin: float

    def __call__(self, batch: Batch) -> Tensor:
        """Scalar loss of a batch."""
        return lifted(batch.features, batch.labels, self.margin)


class LiftedConfig(Config):
    """Choices of the lifted loss; α is 1 in its paper and 5 in the OLTR authors' deleted file."""

    kind: Literal["lifted"] = "lifted"
    needs_memory: ClassVar[bool] = False
    splits_by_class: ClassVar[bool] = False
    margin: float = 1.0

    def build(self) -> Lifted:
        """Give the loss."""
        return Lifted(self.margin)
