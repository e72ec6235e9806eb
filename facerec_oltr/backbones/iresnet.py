"""iResNet, the residual network of ArcFace (Deng et al., CVPR 2019; Duta et al., 2020), at any width and input size.

With ``width = 64`` and a 112-pixel input it has the layers, names and parameter counts of arcface_torch's iResNet
(24.03 million for 2, 2, 2, 2). Smaller widths and fewer stages make networks that a laptop trains in seconds.
"""

from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from facerec_oltr.backbones._images import side_of_images
from facerec_oltr.backbones.attention import ModulatedAttention, ModulatedAttentionConfig
from facerec_oltr.components import Config

_CONV_STD = 0.1  # arcface_torch's initialisation of every convolution


class IBasicBlock(nn.Module):
    """BN – conv – BN – PReLU – conv(stride) – BN, plus the input (through a 1×1 convolution where shapes differ)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.prelu = nn.PReLU(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.downsample = None
        if stride != 1 or channels_in != channels_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, ⌈H/stride⌉, ⌈W/stride⌉)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x)))))) + shortcut


class IResNet(nn.Module):
    """Images to features that are batch-normalised but not of unit length.

    Args:
        layers: blocks in each stage; every stage halves the map, and its width doubles the one before it.
        width: channels of the stem and the first stage.
        features: D.
        dropout: probability in front of the last linear layer.
        size: side of the square input in pixels; it fixes the last linear layer.
        attention: put modulated attention behind the last stage.
    """

    def __init__(
        self,
        layers: tuple[int, ...],
        *,
        width: int,
        features: int,
        dropout: float,
        size: int,
        attention: ModulatedAttentionConfig | None = None,
    ) -> None:
        super().__init__()
        self.features_size = features
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU(width)
        channels = width
        self._stages: list[str] = []
        for number, blocks in enumerate(layers, start=1):
            out = width * 2 ** (number - 1)
            stage = nn.Sequential(
                *(IBasicBlock(channels if b == 0 else out, out, 2 if b == 0 else 1) for b in range(blocks))
            )
            channels, size = out, -(-size // 2)
            self.add_module(f"layer{number}", stage)
            self._stages.append(f"layer{number}")
        self.bn2 = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels * size * size, features)
        self.features = nn.BatchNorm1d(features)
        nn.init.ones_(self.features.weight)
        self.features.weight.requires_grad = False  # the scale of the features is the head's business
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, _CONV_STD)
        self.attention: ModulatedAttention | None = None
        if attention is not None:  # after the initialisation above, which would overwrite its own
            self.attention = attention.build(channels=channels, sides=(size, size))

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, size, size) images in [−1, 1] to (B, D) features."""
        x = self.prelu(self.bn1(self.conv1(images)))
        for stage in self._stages:
            x = self.get_submodule(stage)(x)
        if self.attention is not None:
            x = self.attention(x)
        return self.features(self.fc(self.dropout(torch.flatten(self.bn2(x), 1))))


class IResNetConfig(Config):
    """Choices of an iResNet; the defaults are arcface_torch's iResNet-18.

    Layers of 34: 3, 4, 6, 3; of 50: 3, 4, 14, 3; of 100: 3, 13, 30, 3; of 200: 6, 26, 60, 6. `weights` is a
    ``backbone.pth`` of arcface_torch to start from.
    """

    kind: Literal["iresnet"] = "iresnet"
    layers: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (2, 2, 2, 2)
    width: Annotated[int, Field(ge=1)] = 64
    features: Annotated[int, Field(ge=2)] = 512
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weights: Path | None = None

    def build(self, *, shape: tuple[int, ...], attention: ModulatedAttentionConfig | None) -> IResNet:
        """Build the network for square images (S, S, 3).

        Raises:
            ConfigError: the inputs are vectors.
        """
        side = side_of_images(self.kind, shape)
        return IResNet(
            self.layers,
            width=self.width,
            features=self.features,
            dropout=self.dropout,
            size=side,
            attention=attention,
        )
