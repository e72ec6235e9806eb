"""Range loss (Zhang et al., ICCV 2017): pull in the most stretched classes, push apart the two nearest.

    L_intra = Σ_{classes i of the batch} k / Σ_{j ≤ k} 1/D_j^(i),   D_j^(i) the k largest distances within class i
    L_inter = max(0, m − min_{i ≠ l} ‖x̄_i − x̄_l‖),                x̄_i the mean of class i in the batch
    L       = α L_intra + β L_inter

The OLTR authors' deleted file differs: it pools all classes, finds one pair twice, and its L_inter is a constant.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from facerec_oltr.components import Config
from facerec_oltr.losses._base import Batch

_SMALLEST_DISTANCE = 1e-6  # two equal images of a class have no range, and 1/0 no gradient


def largest_ranges(features: Tensor, labels: Tensor, k: int) -> Tensor:
    """L_intra of features (B, D) and labels (B,): the harmonic mean of each class's k largest distances, summed.

    A class with fewer than k pairs takes those it has; one with a single image adds nothing.
    """
    D = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist").clamp_min(_SMALLEST_DISTANCE)
    upper = torch.ones_like(D, dtype=torch.bool).triu(diagonal=1)
    total = 0 * features.sum()
    for c in torch.unique(labels):
        of_class = labels == c
        ranges = D[upper & of_class.unsqueeze(0) & of_class.unsqueeze(1)]
        if len(ranges):
            top = ranges.topk(min(k, len(ranges))).values
            total = total + len(top) / top.reciprocal().sum()
    return total


def nearest_centres(features: Tensor, labels: Tensor, margin: float) -> Tensor:
    """L_inter of features (B, D) and labels (B,); 0 where the batch has a single class."""
    classes, place = torch.unique(labels, return_inverse=True)
    if len(classes) < 2:
        return 0 * features.sum()
    members = torch.nn.functional.one_hot(place).to(features.dtype)  # (B, classes)
    centres = (members.T @ features) / members.sum(dim=0).unsqueeze(1)
    return torch.relu(margin - torch.nn.functional.pdist(centres).amin())


@dataclass(frozen=True)
class Range:
    """The loss with its choices."""

    k: int
    margin: float
    intra: float
    inter: float

    def __call__(self, batch: Batch) -> Tensor:
        """Scalar loss of a batch."""
        intra = largest_ranges(batch.features, batch.labels, self.k)
        return self.intra * intra + self.inter * nearest_centres(batch.features, batch.labels, self.margin)


class RangeConfig(Config):
    """Choices of the range loss; k = 2 is its paper's, margin 5 and both weights the OLTR authors' deleted file's."""

    kind: Literal["range"] = "range"
    needs_memory: ClassVar[bool] = False
    splits_by_class: ClassVar[bool] = False
    k: Annotated[int, Field(ge=1)] = 2
    margin: Annotated[float, Field(gt=0)] = 5.0
    intra: Annotated[float, Field(ge=0)] = 1.0
    inter: Annotated[float, Field(ge=0)] = 1.0

    def build(self) -> Range:
        """Give the loss."""
        return Range(self.k, self.margin, self.intra, self.inter)
