"""The ResNets of He et al. (CVPR 2016, 4.2) for images of 32 pixels: three stages of 16, 32 and 64 channels.

Depth 32 is what nearly all papers on CIFAR-100-LT use, there with shortcuts that pad with zeros (option A) instead of a
1×1 convolution; so here, for comparable numbers.
"""

from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor, nn

from facerec_oltr.backbones._images import side_of_images
from facerec_oltr.backbones.attention import ModulatedAttention, ModulatedAttentionConfig
from facerec_oltr.components import Config


class _Block(nn.Module):
    """Two 3×3 convolutions plus the input, every second pixel of it and zeros for new channels where it shrinks."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self._stride, self._gained = stride, channels_out - channels_in

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        shortcut = x[:, :, :: self._stride, :: self._stride]
        front = self._gained // 2
        return F.relu(out + F.pad(shortcut, (0, 0, 0, 0, front, self._gained - front)))


class ResNetCifar(nn.Module):
    """Images (B, 3, H, W) → the mean of the last map, (B, 4 · width).

    Args:
        depth: 6 n + 2.
        width: channels of the first stage.
        size: side of the images, which a linear attention gate is made for.
        attention: put modulated attention behind the last stage.
    """

    def __init__(self, depth: int, *, width: int, size: int, attention: ModulatedAttentionConfig | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        channels, side = width, size
        for number in (1, 2, 3):
            stage = nn.Sequential()
            for block in range((depth - 2) // 6):
                stride, out = 2 if number > 1 and block == 0 else 1, width * 2 ** (number - 1)
                stage.append(_Block(channels, out, stride))
                channels, side = out, -(-side // stride)
            self.add_module(f"layer{number}", stage)
        self.features_size = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        self.attention: ModulatedAttention | None = None
        if attention is not None:  # after the initialisation above, which would overwrite its own
            self.attention = attention.build(channels=channels, sides=(side, side))

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, D)."""
        x = F.relu(self.bn1(self.conv1(images)))
        for number in (1, 2, 3):
            x = self.get_submodule(f"layer{number}")(x)
        if self.attention is not None:
            x = self.attention(x)
        return x.mean(dim=(2, 3))


class ResNetCifarConfig(Config):
    """Choices of a ResNet for small images."""

    kind: Literal["resnet_cifar"] = "resnet_cifar"
    depth: Annotated[int, Field(ge=8)] = 32
    width: Annotated[int, Field(ge=1)] = 16

    @field_validator("depth")
    @classmethod
    def _three_stages_of_pairs(cls, depth: int) -> int:
        if (depth - 2) % 6:
            raise ValueError(f"found {depth}, expected 6 n + 2: 8, 14, 20, 26, 32, 44, 56, 110")
        return depth

    def build(self, *, shape: tuple[int, ...], attention: ModulatedAttentionConfig | None) -> ResNetCifar:
        """Build the network for square images (S, S, 3).

        Raises:
            ConfigError: the inputs are vectors.
        """
        side = side_of_images(self.kind, shape)
        return ResNetCifar(self.depth, width=self.width, size=side, attention=attention)
