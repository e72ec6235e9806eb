"""Nearest class mean (as in Kang et al., ICLR 2020): no classifier, the mean training feature of each class decides.

    logit_c = σ cos(v, m_c)

Nothing is learned here; the means are recomputed from the network as it stands.
"""

from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from facerec_oltr.components import Config
from facerec_oltr.heads._base import ClassMeans, Head, Moment
from facerec_oltr.heads._cosines import cosines


class Ncm(Head):
    """Class means, compared by cosine.

    Args:
        features: D.
        classes: C.
        scale: σ.
    """

    memory: Tensor  # pyright: ignore[reportIncompatibleVariableOverride]  # never None here

    def __init__(self, features: int, classes: int, *, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("memory", torch.zeros(classes, features))

    def refresh(self, class_means: ClassMeans, when: Moment) -> None:
        """Set every mean to that of its class's training features."""
        self.memory.copy_(class_means())

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, D) to (B, C)."""
        return cosines(self.scale * F.normalize(features), self.memory)


class NcmConfig(Config):
    """Choices of the nearest class mean; σ = 16 is that of the cosine classifier, for comparable probabilities."""

    keeps_memory: ClassVar[bool] = True
    splits_by_class: ClassVar[bool] = False
    kind: Literal["ncm"] = "ncm"
    scale: Annotated[float, Field(gt=0)] = 16.0

    def build(self, *, features: int, classes: int) -> Ncm:
        """Build the head for D features and C classes."""
        return Ncm(features, classes, scale=self.scale)
