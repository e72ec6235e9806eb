"""The margin loss over the memory as the OLTR authors' ``loss/DiscCentroidsLoss.py`` computes it, oddities named.

    L_attract = 1/(2B) Σ_b ‖v_b − m_y‖²
    L_repel   = clamp(10 − 1/(B·C) Σ_b Σ_{c≠y} ‖v_b − m_c‖², 0, 10⁶)
    L         = L_attract + 0.01 · L_repel

Its oddities, of which `disc_centroids` has none:

- The repelling term hinges once on the mean of squared distances, which at real feature sizes is far beyond the
  margin, so it is 0 without a gradient.
- The gradient of the attraction to a centroid is 1/B Σ_{b: y=c} (m_c − v_b) / (1 + n_c), n_c the samples of class c in
  the batch, and it is not multiplied by the loss's own weight: a weight of 0.01 slows the features down but not the
  centroids. (It also means that a gradient scaler for mixed precision would not scale it.)
"""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from facerec_oltr.components import Config
from facerec_oltr.losses._base import Batch, Loss

_MARGIN, _REPEL, _MOST = 10.0, 0.01, 1e6


class _Attract(torch.autograd.Function):
    """The attraction with the gradient that the authors wrote by hand."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, memory: Tensor, labels: Tensor) -> Tensor:
        ctx.save_for_backward(features, memory, labels)
        return (features - memory[labels]).square().sum() / 2 / len(features)

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> tuple[Tensor, Tensor, None]:
        features, memory, labels = ctx.saved_tensors
        away = features - memory[labels]
        seen = torch.ones(len(memory), dtype=features.dtype, device=features.device)
        seen.index_add_(0, labels, torch.ones_like(labels, dtype=features.dtype))
        to_memory = torch.zeros_like(memory).index_add_(0, labels, -away) / seen.unsqueeze(1)
        return upstream[0] * away / len(features), to_memory / len(features), None


def disc_centroids_authors(batch: Batch) -> Tensor:
    """Scalar loss; features (B, D) against memory (C, D)."""
    assert batch.memory is not None, "the experiment's check lets no loss with memory meet a head without"
    features, memory, labels = batch.features, batch.memory, batch.labels
    attract = _Attract.apply(features, memory, labels)
    squared = features.square().sum(1, keepdim=True) + memory.square().sum(1) - 2 * features @ memory.T
    others = squared.scatter(1, labels.unsqueeze(1), 0.0)
    return attract + _REPEL * torch.clamp(_MARGIN - others.sum() / others.numel(), 0.0, _MOST)


class DiscCentroidsAuthorsConfig(Config):
    """The authors' loss has no choices: their numbers stand in their code."""

    kind: Literal["disc_centroids_authors"] = "disc_centroids_authors"
    needs_memory: ClassVar[bool] = True
    splits_by_class: ClassVar[bool] = False

    def build(self) -> Loss:
        """Give the loss."""
        return disc_centroids_authors
