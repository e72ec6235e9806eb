"""The large-margin loss over the memory (OLTR, equation 7): near to one's own centroid, far from the others.

    L = ½ a · mean_b ‖v_b − m_y‖²  +  r · mean_b max(0, margin + ‖v_b − m_y‖ − min_{c≠y} ‖v_b − m_c‖)

The paper subtracts the sum over all other centroids; the authors' code hinges once on the mean squared distance over
all pairs of the batch, which at real feature sizes is far beyond its margin, so that term never has a gradient. Here
each sample is held against its nearest wrong centroid, which keeps the term alive. The centroids are constants: they
follow the features by recomputation (see heads/meta_embedding.py), not by gradient.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from facerec_oltr.components import Config
from facerec_oltr.losses._base import Batch
from facerec_oltr.nearest import nearest_centroids


@dataclass(frozen=True)
class DiscCentroids:
    """The loss with its weights: `attract` = a, `repel` = r, `margin` in units of feature distance."""

    attract: float
    repel: float
    margin: float

    def __call__(self, batch: Batch) -> Tensor:
        """Scalar loss; features (B, D) against memory (C, D), which needs C ≥ 2."""
        own_centroids = batch.own_centroids()
        attraction = 0.5 * (batch.features - own_centroids).square().sum(dim=1).mean()
        own = (batch.features - own_centroids).norm(dim=1)
        assert batch.memory is not None
        other = nearest_centroids(batch.features, batch.memory, but=batch.labels, sharded=batch.sharded)
        nearest_other = (batch.features - other).norm(dim=1)
        repulsion = torch.relu(self.margin + own - nearest_other).mean()
        return self.attract * attraction + self.repel * repulsion


class DiscCentroidsConfig(Config):
    """Choices of the loss."""

    kind: Literal["disc_centroids"] = "disc_centroids"
    needs_memory: ClassVar[bool] = True
    splits_by_class: ClassVar[bool] = True
    attract: Annotated[float, Field(ge=0)] = 1.0
    repel: Annotated[float, Field(ge=0)] = 1.0
    margin: Annotated[float, Field(gt=0)] = 10.0

    def build(self) -> DiscCentroids:
        """Give the loss."""
        return DiscCentroids(self.attract, self.repel, self.margin)
