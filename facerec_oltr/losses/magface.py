"""MagFace (Meng et al., CVPR 2021): a margin that grows with the length of the feature, which learns to be quality.

    m(a) = l_m + (u_m − l_m) (a − l_a)/(u_a − l_a)       a = ‖v‖, held within [l_a, u_a]
    z_y  = s ψ(θ_y + m(a))                               ψ is cos up to π, and goes on falling beyond it
    L    = CE + λ_g · mean g(a),   g(a) = a/u_a² + 1/a    convex, least at a = u_a

With `easy`, as its authors train it, a face on the wrong side of its class (cos θ_y ≤ 0) gets no margin.
Features must not be normalised in front of the head, nor their length be fixed by a last batch norm's scale.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from facerec_oltr.components import Config
from facerec_oltr.losses._base import Batch
from facerec_oltr.losses._margins import angle, falling_cosine


@dataclass(frozen=True)
class MagFace:
    """The loss with its choices."""

    shortest: float
    longest: float
    least_margin: float
    most_margin: float
    regularizer: float
    easy: bool
    scale: float

    def lengths(self, features: Tensor) -> Tensor:
        """The length a (B,) of features (B, D)."""
        return features.norm(dim=1).clamp(self.shortest, self.longest)

    def margins(self, lengths: Tensor) -> Tensor:
        """m(a), of the shape of `lengths`."""
        slope = (self.most_margin - self.least_margin) / (self.longest - self.shortest)
        return self.least_margin + slope * (lengths - self.shortest)

    def logits(self, batch: Batch) -> Tensor:
        """(B, C), margins applied."""
        return self._with_margins(batch, self.margins(self.lengths(batch.features)))

    def __call__(self, batch: Batch) -> Tensor:
        """Scalar loss of a batch."""
        lengths = self.lengths(batch.features)
        pull = (lengths / self.longest**2 + 1 / lengths).mean()
        logits = self._with_margins(batch, self.margins(lengths))
        return batch.cross_entropy(logits) + self.regularizer * pull

    def _with_margins(self, batch: Batch, margins: Tensor) -> Tensor:
        cosine = batch.own() / self.scale
        values = falling_cosine(angle(cosine) + margins)
        if self.easy:
            values = torch.where(cosine > 0, values, cosine)
        return batch.with_own(self.scale * values)


class MagFaceConfig(Config):
    """Choices of MagFace; the defaults are its authors'.

    Attributes:
        shortest: l_a, in the feature's own unit.
        longest: u_a.
        least_margin: l_m, in radians.
        most_margin: u_m.
        regularizer: λ_g.
        easy: no margin where cos θ_y ≤ 0.
        scale: s.
    """

    kind: Literal["magface"] = "magface"
    needs_memory: ClassVar[bool] = False
    splits_by_class: ClassVar[bool] = True
    shortest: Annotated[float, Field(gt=0)] = 10.0
    longest: Annotated[float, Field(gt=0)] = 110.0
    least_margin: Annotated[float, Field(ge=0)] = 0.45
    most_margin: Annotated[float, Field(ge=0)] = 0.8
    regularizer: Annotated[float, Field(ge=0)] = 35.0
    easy: bool = True
    scale: Annotated[float, Field(gt=0)] = 64.0

    @model_validator(mode="after")
    def _bounds_rise(self) -> Self:
        if not (self.shortest < self.longest and self.least_margin <= self.most_margin):
            raise ValueError(
                f"lengths from {self.shortest:g} to {self.longest:g} and margins from {self.least_margin:g} to "
                f"{self.most_margin:g} were given, expected both to rise"
            )
        return self

    def build(self) -> MagFace:
        """Give the loss."""
        return MagFace(
            self.shortest,
            self.longest,
            self.least_margin,
            self.most_margin,
            self.regularizer,
            self.easy,
            self.scale,
        )
