"""AdaFace (Kim et al., CVPR 2022): easy faces get ArcFace's emphasis, faces too poor to tell get none.

    k    = h (‖v‖ − μ)/(σ + ε), held within [−1, 1]          the length of a feature stands for the photo's quality
    z_y  = s (cos(θ_y + g_angle) − g_add),   g_angle = −m k,   g_add = m (1 + k)

μ and σ follow the lengths of the batches: μ ← α · batch + (1 − α) μ. No gradient goes through k. As in the authors'
code cosines are kept within ±(1 − ε) and θ_y + g_angle within [ε, π − ε], ε = 10⁻³; beyond, there is no gradient.

Their models see BGR images; ours, like all others, RGB.
"""

import math
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from facerec_oltr.components import Config
from facerec_oltr.losses._base import Batch

_EPSILON = 1e-3
_SHORTEST, _LONGEST = 1e-3, 100.0  # lengths beyond count as these
_FIRST_MEAN, _FIRST_DEVIATION = 20.0, 100.0


class AdaFace(nn.Module):
    """The loss; μ and σ are its state, which a resumed run takes over.

    Args:
        margin: m.
        concentration: h.
        rate: α.
        scale: s.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, *, margin: float, concentration: float, rate: float, scale: float) -> None:
        super().__init__()
        self.margin, self.concentration, self.rate, self.scale = margin, concentration, rate, scale
        self.register_buffer("mean", torch.tensor(_FIRST_MEAN))
        self.register_buffer("deviation", torch.tensor(_FIRST_DEVIATION))

    @torch.no_grad()
    def quality(self, features: Tensor) -> Tensor:
        """The k (B,) of features (B, D), by μ and σ that have just seen this batch."""
        lengths = features.norm(dim=1).float().clamp(_SHORTEST, _LONGEST)
        spread = lengths.std() if len(lengths) > 1 else torch.zeros_like(self.deviation)
        self.mean += self.rate * (lengths.mean() - self.mean)
        self.deviation += self.rate * (spread - self.deviation)
        return (self.concentration * (lengths - self.mean) / (self.deviation + _EPSILON)).clamp(-1, 1)

    def logits(self, batch: Batch) -> Tensor:
        """(B, C), margins applied."""
        k = self.quality(batch.features)
        limit = self.scale * (1 - _EPSILON)
        logits = batch.logits.clamp(-limit, limit)
        angles = torch.acos(batch.own().clamp(-limit, limit) / self.scale) - self.margin * k
        values = torch.cos(angles.clamp(_EPSILON, math.pi - _EPSILON)) - self.margin * (1 + k)
        return batch.with_own(self.scale * values, logits)

    def forward(self, batch: Batch) -> Tensor:
        """Scalar loss of a batch."""
        return batch.cross_entropy(self.logits(batch))


class AdaFaceConfig(Config):
    """Choices of AdaFace; the defaults are its authors' (α from their scripts; their class has 1).

    Attributes:
        margin: m.
        concentration: h; 0.333 puts two thirds of the lengths within |k| < 0.333.
        rate: α of the moving μ and σ.
        scale: s.
    """

    kind: Literal["adaface"] = "adaface"
    needs_memory: ClassVar[bool] = False
    splits_by_class: ClassVar[bool] = True
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.4
    concentration: Annotated[float, Field(gt=0)] = 0.333
    rate: Annotated[float, Field(gt=0, le=1)] = 0.01
    scale: Annotated[float, Field(gt=0)] = 64.0

    def build(self) -> AdaFace:
        """Give the loss."""
        return AdaFace(margin=self.margin, concentration=self.concentration, rate=self.rate, scale=self.scale)
