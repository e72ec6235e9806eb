"""ElasticFace (Boutros et al., CVPR Workshops 2022): the margin of ArcFace or CosFace, drawn anew for every face.

    z_y = s ψ(θ_y + m)  (arc)   or   s (cos θ_y − m)  (cos),      m ~ N(margin, deviation²)

`plus` gives the largest of the batch's draws to the faces that are furthest from their class (Elastic+): margins
and own cosines are sorted against each other.

Their code gives the batch's sorted margins out by the sorting permutation instead of its inverse, so that under
Elastic+ the furthest face gets any of them; here it gets the largest, as the paper says. The authors' deviations are
0.05 for both, 0.0175 for Arc+ and 0.02 for Cos+; their margins 0.5 and 0.35.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from facerec_oltr.components import Config
from facerec_oltr.losses._base import Batch
from facerec_oltr.losses._margins import angle, falling_cosine


def elastic_margins(cosine: Tensor, mean: float, deviation: float, *, plus: bool) -> Tensor:
    """A margin for each of the own cosines (B,); all chance comes from torch's generator, which the run seeds."""
    drawn = torch.empty_like(cosine).normal_(mean, deviation)
    if plus:
        hardest_first = cosine.detach().argsort()
        drawn = torch.empty_like(drawn).scatter_(0, hardest_first, drawn.sort(descending=True).values)
    return drawn


@dataclass(frozen=True)
class Elastic:
    """The loss with its choices."""

    form: Literal["arc", "cos"]
    margin: float
    deviation: float
    plus: bool
    scale: float

    def logits(self, batch: Batch) -> Tensor:
        """(B, C), margins applied."""
        cosine = batch.own() / self.scale
        margins = elastic_margins(cosine, self.margin, self.deviation, plus=self.plus)
        values = falling_cosine(angle(cosine) + margins) if self.form == "arc" else cosine - margins
        return batch.with_own(self.scale * values)

    def __call__(self, batch: Batch) -> Tensor:
        """Scalar loss of a batch."""
        return batch.cross_entropy(self.logits(batch))


class ElasticConfig(Config):
    """Choices of ElasticFace; the defaults are ElasticFace-Arc's."""

    kind: Literal["elastic"] = "elastic"
    needs_memory: ClassVar[bool] = False
    splits_by_class: ClassVar[bool] = True
    form: Literal["arc", "cos"] = "arc"
    margin: Annotated[float, Field(gt=0)] = 0.5
    deviation: Annotated[float, Field(ge=0)] = 0.05
    plus: bool = False
    scale: Annotated[float, Field(gt=0)] = 64.0

    def build(self) -> Elastic:
        """Give the loss."""
        return Elastic(self.form, self.margin, self.deviation, self.plus, self.scale)
