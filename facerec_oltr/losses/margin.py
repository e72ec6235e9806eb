"""ArcFace, CosFace and their combination (Deng et al., CVPR 2019, eq. 4; Wang et al., CVPR 2018).

    z_y = s (ψ(m₁ θ_y + m₂) − m₃)        ψ is cos up to π, and goes on falling beyond it

ArcFace is (1, 0.5, 0), CosFace (1, 0, 0.35; 0.4 in arcface_torch's configs), the combined margin (1, 0.3, 0.2).

The gradient is the true one, dz_y/d cos θ_y = s m₁ sin(m₁ θ + m₂)/sin θ, unless ``straight_through`` is asked for: the
authors' released weights were trained with dz_y/d cos θ_y = s, because their code changes the cosine outside of
autograd. Their code has no guard for θ + m > π either, where the margin turns into a reward.

`tau` adds the logit adjustment τ log π_k (Menon et al., ICLR 2021): a larger margin for people with fewer photos.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from facerec_oltr.components import Config
from facerec_oltr.losses._base import Batch
from facerec_oltr.losses._margins import Gradient, angle, falling_cosine, without_doubles


def combined_margin(cosine: Tensor, m1: float, m2: float, m3: float) -> Tensor:
    """ψ(m₁ θ + m₂) − m₃ of cosines of any shape."""
    if m1 == 1 and m2 == 0:
        return cosine - m3  # exact to the last bit, and without the angle's cost
    return falling_cosine(m1 * angle(cosine) + m2) - m3


@dataclass(frozen=True)
class Margin:
    """The loss with its choices."""

    m1: float
    m2: float
    m3: float
    scale: float
    gradient: Gradient
    filter_above: float | None
    tau: float

    def logits(self, batch: Batch) -> Tensor:
        """(B, C), margins applied."""
        logits = without_doubles(batch.logits, batch.labels, self.scale, self.filter_above)
        before = batch.own()
        values = self.scale * combined_margin(before / self.scale, self.m1, self.m2, self.m3)
        if self.gradient == "straight_through":
            values = before + (values - before).detach()
        logits = batch.with_own(values, logits)
        return logits + self.tau * batch.log_prior() if self.tau else logits

    def __call__(self, batch: Batch) -> Tensor:
        """Scalar loss of a batch."""
        return batch.cross_entropy(self.logits(batch))


class MarginConfig(Config):
    """Choices of the combined margin; the defaults are ArcFace's."""

    kind: Literal["margin"] = "margin"
    needs_memory: ClassVar[bool] = False
    splits_by_class: ClassVar[bool] = True
    m1: Annotated[float, Field(ge=1)] = 1.0
    m2: Annotated[float, Field(ge=0, lt=3.1415926)] = 0.5
    m3: Annotated[float, Field(ge=0)] = 0.0
    scale: Annotated[float, Field(gt=0)] = 64.0
    gradient: Gradient = "exact"
    filter_above: Annotated[float, Field(gt=0, le=1)] | None = None
    tau: Annotated[float, Field(ge=0)] = 0.0

    def build(self) -> Margin:
        """Give the loss."""
        return Margin(self.m1, self.m2, self.m3, self.scale, self.gradient, self.filter_above, self.tau)
