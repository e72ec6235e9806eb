"""The plain linear classifier: logits = W v + b. The first stage of OLTR, and the baseline."""

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from facerec_oltr.components import Config
from facerec_oltr.heads._base import Head
from facerec_oltr.ranks import into_shards


class DotProduct(Head):
    """A linear layer with bias, as the authors' ``DotProductClassifier``."""

    by_class: tuple[str, ...] = ("fc.weight", "fc.bias")

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(features, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, D) to (B, C)."""
        return F.linear(features if self.shard is None else into_shards(features), self.fc.weight, self.fc.bias)


class DotProductConfig(Config):
    """A linear classifier has no choices."""

    keeps_memory: ClassVar[bool] = False
    splits_by_class: ClassVar[bool] = True
    kind: Literal["dot_product"] = "dot_product"

    def build(self, *, features: int, classes: int) -> DotProduct:
        """Build the head for D features and C classes."""
        return DotProduct(features, classes)
