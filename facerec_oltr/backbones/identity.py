"""No network: the inputs are the features. For data of kind ``features``, where only heads and losses are at trial."""

from typing import Literal

from torch import Tensor, nn

from facerec_oltr.backbones.attention import ModulatedAttentionConfig
from facerec_oltr.components import Config
from facerec_oltr.errors import ConfigError


class Identity(nn.Module):
    """Feature vectors (B, D) → the same.

    Args:
        features: D.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features_size = features

    def forward(self, features: Tensor) -> Tensor:
        """Give back (B, D)."""
        return features


class IdentityConfig(Config):
    """The identity has no choices."""

    kind: Literal["identity"] = "identity"

    def build(self, *, shape: tuple[int, ...], attention: ModulatedAttentionConfig | None) -> Identity:
        """Build it for vectors (D,); a stage's attention, which belongs to feature maps, is left out.

        Raises:
            ConfigError: the inputs are images.
        """
        if len(shape) != 1:
            raise ConfigError(f"the backbone 'identity' was given inputs of shape {shape}, expected vectors (D,)")
        return Identity(*shape)
