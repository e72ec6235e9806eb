"""Cosine classifiers: the angle to a class's weight decides, so a class with many photos gains nothing by its norm.

    logit_k = σ · f(v) · w_k / ‖w_k‖,   f(v) = v / ‖v‖  or, squashed as OLTR does it,  f(v) = v / (1 + ‖v‖)

The squashed form is the authors' ``CosNorm``: n/(1+n) · v/n with n = ‖v‖, written without the division by n that
gives NaN at v = 0. (Their paper's equation 6 has n²/(1+n²); the authors call that a misprint.)
"""

import math
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from facerec_oltr.components import Config
from facerec_oltr.heads._base import Head
from facerec_oltr.heads._cosines import cosines


def squash(v: Tensor) -> Tensor:
    """Shrink vectors (B, D) to a length below 1: n ↦ n/(1+n), direction kept, 0 ↦ 0."""
    return v / (1 + v.norm(dim=1, keepdim=True))


class Cosine(Head):
    """A cosine classifier.

    Args:
        features: D.
        classes: C.
        scale: σ; every |logit| stays below it.
        squashed: shrink the feature by n/(1+n) instead of normalising it, so that a weak feature is a weak vote.
    """

    def __init__(self, features: int, classes: int, *, scale: float, squashed: bool) -> None:
        super().__init__()
        self.scale, self.squashed = scale, squashed
        self.weight = nn.Parameter(torch.empty(classes, features))
        bound = 1 / math.sqrt(features)
        nn.init.uniform_(self.weight, -bound, bound)

    def inherit(self, previous: Head) -> None:
        """Go on from a cosine classifier."""
        if isinstance(previous, Cosine):
            self.load_state_dict(previous.state_dict())

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, D) to (B, C)."""
        direction = squash(features) if self.squashed else F.normalize(features)
        return cosines(self.scale * direction, self.weight)


class CosineConfig(Config):
    """Choices of a cosine classifier; σ = 16 is OLTR's."""

    keeps_memory: ClassVar[bool] = False
    kind: Literal["cosine"] = "cosine"
    scale: Annotated[float, Field(gt=0)] = 16.0
    squashed: bool = False

    def build(self, *, features: int, classes: int) -> Cosine:
        """Build the head for D features and C classes."""
        return Cosine(features, classes, scale=self.scale, squashed=self.squashed)
