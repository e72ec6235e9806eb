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
from facerec_oltr.nearest import order_by_distance


@dataclass(frozen=True)
class DiscCentroids:
    """The loss with its weights: `attract` = a, `repel` = r, `margin` in units of feature distance."""

    attract: float
    repel: float
    margin: float

    def __call__(self, batch: Batch) -> Tensor:
        """Scalar loss; features (B, D) against memory (C, D), which needs C ≥ 2."""
        assert batch.memory is not None, "the experiment's check lets no loss with memory meet a head without"
        own_centroids = batch.memory[batch.labels]
        attraction = 0.5 * (batch.features - own_centroids).square().sum(dim=1).mean()
        own = (batch.features - own_centroids).norm(dim=1)
        order = order_by_distance(batch.features, batch.memory)
        other = order.scatter_(1, batch.labels.unsqueeze(1), torch.inf).argmin(dim=1)
        nearest_other = (batch.features - batch.memory[other]).norm(dim=1)
        repulsion = torch.relu(self.margin + own - nearest_other).mean()
        return self.attract * attraction + self.repel * repulsion


class DiscCentroidsConfig(Config):
    """Choices of the loss."""

    kind: Literal["disc_centroids"] = "disc_centroids"
    needs_memory: ClassVar[bool] = True
    attract: Annotated[float, Field(ge=0)] = 1.0
    repel: Annotated[float, Field(ge=0)] = 1.0
    margin: Annotated[float, Field(gt=0)] = 10.0

    def build(self) -> DiscCentroids:
        """Give the loss."""
        return DiscCentroids(self.attract, self.repel, self.margin)
