"""MobileFaceNet (Chen et al., 2018) as arcface_torch has it: inverted bottlenecks, and a last convolution over the map.

With ``width = 64`` and a 112-pixel input it has the layers, names and parameter counts of arcface_torch's ``mbf`` (2.06
million for scale 2 and blocks 1, 4, 6, 2) and ``mbf_large`` (scale 4 and blocks 2, 8, 12, 4). Only the first depthwise
convolution is not one: its groups are those of scale 1, as theirs.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from facerec_oltr.backbones._images import side_of_images
from facerec_oltr.backbones.attention import ModulatedAttention, ModulatedAttentionConfig
from facerec_oltr.components import Config

Blocks = tuple[int, int, int, int]


class _Layers(nn.Module):
    """A sequence under the name that arcface_torch gives it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def _linear(channels_in: int, channels_out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> _Layers:
    """Convolution and batch norm; 3×3 keeps the map's size, a larger kernel takes it all in."""
    padding = 1 if kernel == 3 else 0
    conv = nn.Conv2d(channels_in, channels_out, kernel, stride, padding, groups=groups, bias=False)
    return _Layers(conv, nn.BatchNorm2d(channels_out))


def _conv(channels_in: int, channels_out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> _Layers:
    block = _linear(channels_in, channels_out, kernel, stride, groups)
    block.layers.append(nn.PReLU(channels_out))
    return block


class _Bottleneck(_Layers):
    """1×1 to `inner` channels, 3×3 a channel on its own, 1×1 back; plus the input where the shape stays."""

    def __init__(self, channels_in: int, channels_out: int, inner: int, *, stride: int, residual: bool) -> None:
        super().__init__(_conv(channels_in, inner), _conv(inner, inner, 3, stride, inner), _linear(inner, channels_out))
        self._residual = residual

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self._residual else self.layers(x)


def _same(channels: int, inner: int, blocks: int) -> _Layers:
    return _Layers(*(_Bottleneck(channels, channels, inner, stride=1, residual=True) for _ in range(blocks)))


class MobileFaceNet(nn.Module):
    """Images to features that are batch-normalised but not of unit length.

    Args:
        blocks: residual bottlenecks in each of the four stages; the first stage has a single convolution for 1.
        width: a unit of channels; 64 in the published network.
        scale: how many units the narrow maps have.
        features: D.
        size: side of the square input in pixels; it fixes the last convolution.
        attention: put modulated attention on the last map.
    """

    def __init__(
        self,
        blocks: Blocks,
        *,
        width: int,
        scale: int,
        features: int,
        size: int,
        attention: ModulatedAttentionConfig | None = None,
    ) -> None:
        super().__init__()
        self.features_size = features
        narrow, wide, last = width * scale, 2 * width * scale, 8 * width
        first = _conv(narrow, narrow, 3, 1, width) if blocks[0] == 1 else _same(narrow, 2 * width, blocks[0])
        self.layers = nn.ModuleList(
            [
                _conv(3, narrow, 3, 2),
                first,
                _Bottleneck(narrow, narrow, 2 * width, stride=2, residual=False),
                _same(narrow, 2 * width, blocks[1]),
                _Bottleneck(narrow, wide, 4 * width, stride=2, residual=False),
                _same(wide, 4 * width, blocks[2]),
                _Bottleneck(wide, wide, 8 * width, stride=2, residual=False),
                _same(wide, 4 * width, blocks[3]),
            ]
        )
        self.conv_sep = _conv(wide, last)
        side = size
        for _ in range(4):
            side = -(-side // 2)
        self.features = _Layers(
            _Layers(nn.Conv2d(last, last, side, groups=last, bias=False), nn.BatchNorm2d(last)),
            nn.Flatten(),
            nn.Linear(last, features, bias=False),
            nn.BatchNorm1d(features),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.attention: ModulatedAttention | None = None
        if attention is not None:  # after the initialisation above, which would overwrite its own
            self.attention = attention.build(channels=last, sides=(side, side))

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, size, size) images in [−1, 1] to (B, D) features."""
        x = images
        for layer in self.layers:
            x = layer(x)
        x = self.conv_sep(x)
        return self.features(x if self.attention is None else self.attention(x))


class MobileFaceNetConfig(Config):
    """Choices of a MobileFaceNet; the defaults are arcface_torch's ``mbf``, whose ``backbone.pth`` `weights` may be."""

    kind: Literal["mobilefacenet"] = "mobilefacenet"
    blocks: tuple[
        Annotated[int, Field(ge=1)],
        Annotated[int, Field(ge=1)],
        Annotated[int, Field(ge=1)],
        Annotated[int, Field(ge=1)],
    ] = (1, 4, 6, 2)
    width: Annotated[int, Field(ge=1)] = 64
    scale: Annotated[int, Field(ge=1)] = 2
    features: Annotated[int, Field(ge=2)] = 512
    weights: Path | None = None

    def build(self, *, shape: tuple[int, ...], attention: ModulatedAttentionConfig | None) -> MobileFaceNet:
        """Build the network for square images (S, S, 3).

        Raises:
            ConfigError: the inputs are vectors.
        """
        side = side_of_images(self.kind, shape)
        return MobileFaceNet(
            self.blocks,
            width=self.width,
            scale=self.scale,
            features=self.features,
            size=side,
            attention=attention,
        )
