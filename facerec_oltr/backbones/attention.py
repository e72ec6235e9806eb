"""Modulated attention: a non-local block gated by a softmax over positions (OLTR, CVPR 2019, section 4.2).

    f_att = f + MA(f) ⊗ SA(f)

SA(f) is self-attention over positions; MA(f), one weight a position that sums to 1, says where to look.

Where this differs from the authors' ``layers/ModulatedAttLayer.py``, so that it works on any input size and starts
as the identity:

- their gate is a Linear(49·C → 49) over the flattened map, which fixes the input to 224×224; ours is a 1×1
  convolution, position-free;
- their zero initialisation of the last convolution is overwritten by the ResNet's own; ours is set after the
  backbone's, so a backbone with fresh attention gives exactly the features of the one without.
"""

import torch
from torch import Tensor, nn

from facerec_oltr.components import Config


class ModulatedAttention(nn.Module):
    """Adds gated self-attention to a feature map.

    Args:
        channels: channels of the map.
        reduction: the inner width is ``channels // reduction``.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        inner = max(1, channels // reduction)
        self.theta = nn.Conv2d(channels, inner, 1)
        self.phi = nn.Conv2d(channels, inner, 1)
        self.g = nn.Conv2d(channels, inner, 1)
        self.gate = nn.Conv2d(channels, 1, 1)
        self.mask = nn.Conv2d(inner, channels, 1, bias=False)

    def start_as_identity(self) -> None:
        """Zero the last convolution, so that the block returns its input; call it after any global initialisation."""
        nn.init.zeros_(self.mask.weight)

    def forward(self, f: Tensor) -> Tensor:
        """Map (B, channels, H, W) to the same shape, any H and W."""
        B, _, H, W = f.shape
        theta, phi, g = (conv(f).flatten(2) for conv in (self.theta, self.phi, self.g))  # each (B, inner, H·W)
        affinity = torch.softmax(theta.transpose(1, 2) @ phi, dim=-1)  # (B, H·W, H·W)
        attended = (affinity @ g.transpose(1, 2)).transpose(1, 2).reshape(B, -1, H, W)
        where = torch.softmax(self.gate(f).flatten(1), dim=1).view(B, 1, H, W)
        return f + where * self.mask(attended)


class ModulatedAttentionConfig(Config):
    """Choices of modulated attention."""

    reduction: int = 2

    def build(self, *, channels: int) -> ModulatedAttention:
        """Build the block for a map of `channels` channels."""
        return ModulatedAttention(channels, self.reduction)
