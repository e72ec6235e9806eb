"""τ-normalisation (Kang et al., ICLR 2020): a trained linear classifier with its weights' sizes evened out.

    logit_c = (w_c / ‖w_c‖^τ) · v

τ = 0 leaves the weights as they are, τ = 1 makes all equally long. Nothing is learned, and the bias is left out, as its
paper does.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from facerec_oltr.components import Config
from facerec_oltr.heads._base import Head
from facerec_oltr.heads.dot_product import DotProduct


def tau_normalise(weight: Tensor, tau: float) -> Tensor:
    """Divide each row of (C, D) by its length to the power τ; a row of zeros stays."""
    return weight / weight.norm(dim=1, keepdim=True).clamp_min(1e-12).pow(tau)


class TauNorm(Head):
    """A linear classifier that took over its weights and learns nothing."""

    def __init__(self, features: int, classes: int, *, tau: float) -> None:
        super().__init__()
        self.tau = tau
        self.fc = nn.Linear(features, classes, bias=False).requires_grad_(False)

    def inherit(self, previous: Head) -> None:
        """Take over the linear classifier's weights, without its bias."""
        if isinstance(previous, DotProduct):
            self.fc.weight.data.copy_(previous.fc.weight.data)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, D) to (B, C)."""
        return features @ tau_normalise(self.fc.weight, self.tau).T


class TauNormConfig(Config):
    """Choices of τ-normalisation; its paper chooses τ on validation data."""

    keeps_memory: ClassVar[bool] = False
    splits_by_class: ClassVar[bool] = False
    kind: Literal["tau_norm"] = "tau_norm"
    tau: Annotated[float, Field(ge=0, le=1)] = 0.7

    def build(self, *, features: int, classes: int) -> TauNorm:
        """Build the head for D features and C classes."""
        return TauNorm(features, classes, tau=self.tau)
