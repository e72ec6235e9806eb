"""Learnable weight scaling (Kang et al., ICLR 2020): a trained linear classifier keeps its directions, not its sizes.

    logit_c = f_c · (w_c · v + b_c)

w and b are those of the stage before and stay; only the C factors f, from 1, are learned, on a frozen backbone.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from facerec_oltr.components import Config
from facerec_oltr.heads._base import Head
from facerec_oltr.heads.dot_product import DotProduct


class Lws(Head):
    """A linear classifier whose only weights are one factor a class."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(features, classes).requires_grad_(False)
        self.factors = nn.Parameter(torch.ones(classes))

    def inherit(self, previous: Head) -> None:
        """Take over the linear classifier."""
        if isinstance(previous, DotProduct):
            self.fc.load_state_dict(previous.fc.state_dict())

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, D) to (B, C)."""
        return self.factors * self.fc(features)


class LwsConfig(Config):
    """Learnable weight scaling has no choices."""

    keeps_memory: ClassVar[bool] = False
    splits_by_class: ClassVar[bool] = False
    kind: Literal["lws"] = "lws"

    def build(self, *, features: int, classes: int) -> Lws:
        """Build the head for D features and C classes."""
        return Lws(features, classes)
