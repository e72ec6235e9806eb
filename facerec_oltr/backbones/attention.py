"""Modulated attention: a non-local block gated by a softmax over positions (OLTR, CVPR 2019, section 4.2).

    f_att = f + MA(f) ⊗ SA(f)

SA(f) is self-attention over positions; MA(f), one weight a position that sums to 1, says where to look.

Two things differ by default from the authors' ``layers/ModulatedAttLayer.py``, and each can be had as theirs:

- ``gate = "linear"``: their gate is a Linear(H·W·C → H·W) over the flattened map, which fixes the input's size (224 in
  their code); ``"convolution"`` is a 1×1 convolution, for any size.
- ``start = "authors"``: they set the last convolution to zero, but their ResNet then initialises every convolution
  anew, so the block perturbs the features that it was given; ``"identity"`` keeps the zero.
"""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from facerec_oltr.components import Config


class ModulatedAttention(nn.Module):
    """Adds gated self-attention to a feature map; the names of the weights are the authors'.

    Args:
        channels: channels of the map.
        reduction: the inner width is ``channels // reduction``.
        sides: (H, W) of the map for a linear gate; None for a gate that is a convolution.
    """

    def __init__(self, channels: int, reduction: int, sides: tuple[int, int] | None = None) -> None:
        super().__init__()
        inner = max(1, channels // reduction)
        self.g = nn.Conv2d(channels, inner, 1)
        self.theta = nn.Conv2d(channels, inner, 1)
        self.phi = nn.Conv2d(channels, inner, 1)
        self.conv_mask = nn.Conv2d(inner, channels, 1, bias=False)
        self.sides = sides
        if sides is None:
            self.gate = nn.Conv2d(channels, 1, 1)
        else:
            self.fc_spatial = nn.Linear(math.prod(sides) * channels, math.prod(sides))

    def start_as_identity(self) -> None:
        """Zero the last convolution, so that the block returns its input."""
        nn.init.zeros_(self.conv_mask.weight)

    def start_as_the_authors(self) -> None:
        """Initialise every convolution's weight as their ResNet does, N(0, 2 / (k² C_out)), the last one included."""
        for conv in (self.g, self.theta, self.phi, self.conv_mask):
            nn.init.normal_(conv.weight, 0.0, math.sqrt(2 / conv.out_channels))  # k = 1
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)

    def forward(self, f: Tensor) -> Tensor:
        """Map (B, channels, H, W) to the same shape; any H and W, but for a linear gate."""
        B, _, H, W = f.shape
        theta, phi, g = (conv(f).flatten(2) for conv in (self.theta, self.phi, self.g))  # each (B, inner, H·W)
        affinity = torch.softmax(theta.transpose(1, 2) @ phi, dim=-1)  # (B, H·W, H·W)
        attended = (affinity @ g.transpose(1, 2)).transpose(1, 2).reshape(B, -1, H, W)
        weigh = self.gate(f).flatten(1) if self.sides is None else self.fc_spatial(f.flatten(1))
        where = torch.softmax(weigh, dim=1).view(B, 1, H, W)
        return f + where * self.conv_mask(attended)


class ModulatedAttentionConfig(Config):
    """Choices of modulated attention; see the module's words."""

    reduction: Annotated[int, Field(ge=1)] = 2
    gate: Literal["convolution", "linear"] = "convolution"
    start: Literal["identity", "authors"] = "identity"

    def build(self, *, channels: int, sides: tuple[int, int]) -> ModulatedAttention:
        """Build the block for a map (channels, H, W); call it after the backbone's own initialisation."""
        block = ModulatedAttention(channels, self.reduction, sides if self.gate == "linear" else None)
        if self.start == "identity":
            block.start_as_identity()
        else:
            block.start_as_the_authors()
        return block
