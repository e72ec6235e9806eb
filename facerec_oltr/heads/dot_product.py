"""The plain linear classifier: logits = W v + b. The first stage of OLTR, and the baseline."""

from typing import ClassVar, Literal

from torch import Tensor, nn

from facerec_oltr.components import Config
from facerec_oltr.heads._base import Head


class DotProduct(Head):
    """A linear layer with bias, as the authors' ``DotProductClassifier``."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(features, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, D) to (B, C)."""
        return self.fc(features)


class DotProductConfig(Config):
    """A linear classifier has no choices."""

    keeps_memory: ClassVar[bool] = False
    kind: Literal["dot_product"] = "dot_product"

    def build(self, *, features: int, classes: int) -> DotProduct:
        """Build the head for D features and C classes."""
        return DotProduct(features, classes)
