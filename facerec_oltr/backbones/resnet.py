"""The ResNets of OLTR: He et al. (CVPR 2016) for ImageNet, at depths 10 to 152, to the mean of the last map.

Names and layout are those of the authors' ``models/ResNetFeature.py``, so that their weights load. ``layout = "caffe"``
is that of the weights from which they start on Places-LT (He's Caffe release): a bottleneck strides in its first
convolution, and the pooling has no padding but rounds up. Their own code has the usual layout all the same, which a
frozen backbone pays for. ``stem = "small"`` is the usual change for images of 32 or 64 pixels: a 3×3 convolution
without stride and no pooling. ``normalisation = "imagenet"`` brings the images to the mean and deviation of ImageNet's
channels, as the authors and most published weights have them, instead of leaving them in [−1, 1].
"""

import math
from pathlib import Path
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from facerec_oltr.backbones._images import side_of_images
from facerec_oltr.backbones.attention import ModulatedAttention, ModulatedAttentionConfig
from facerec_oltr.components import Config

Layout = Literal["usual", "caffe"]
Normalisation = Literal["half", "imagenet"]
Depth = Literal[10, 18, 34, 50, 101, 152]

_LAYERS: dict[Depth, tuple[int, int, int, int]] = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
_DEEPEST_OF_BASIC_BLOCKS = 34
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's channels, on [0, 1]


class _Block(nn.Module):
    """Convolutions with batch norm, a ReLU between them, plus the input, and a last ReLU."""

    def __init__(self, channels_in: int, shapes: list[tuple[int, int, int]]) -> None:
        super().__init__()
        channels, stride = channels_in, math.prod(s for _, _, s in shapes)
        for number, (out, kernel, step) in enumerate(shapes, start=1):
            conv = nn.Conv2d(channels, out, kernel, step, padding=kernel // 2, bias=False)
            self.add_module(f"conv{number}", conv)
            self.add_module(f"bn{number}", nn.BatchNorm2d(out))
            channels = out
        self._convolutions = len(shapes)
        self.downsample = None
        if stride != 1 or channels_in != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for number in range(1, self._convolutions + 1):
            out = self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(out))
            if number < self._convolutions:
                out = F.relu(out)
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """Images (B, 3, H, W) → the mean of the last map, (B, D): D = 512, or 2048 from depth 50 on, at width 64.

    Args:
        depth: 10 to 152.
        width: channels of the stem and the first stage.
        layout: see the module's words.
        small_stem: see the module's words.
        normalisation: see the module's words.
        size: side of the images, which a linear attention gate is made for.
        attention: put modulated attention behind the last stage.
    """

    def __init__(
        self,
        depth: Depth,
        *,
        width: int,
        layout: Layout,
        small_stem: bool,
        size: int,
        normalisation: Normalisation = "half",
        attention: ModulatedAttentionConfig | None = None,
    ) -> None:
        super().__init__()
        self._shift: Tensor
        self._scale: Tensor
        self._normalises = normalisation == "imagenet"
        # no weights, so not in the state dict; images come in [−1, 1], twice as wide as [0, 1]
        self.register_buffer("_shift", 2 * torch.tensor(_MEAN).view(3, 1, 1) - 1, persistent=False)
        self.register_buffer("_scale", 2 * torch.tensor(_DEVIATION).view(3, 1, 1), persistent=False)
        self.conv1 = nn.Conv2d(
            3, width, 3 if small_stem else 7, 1 if small_stem else 2, 1 if small_stem else 3, bias=False
        )
        self.bn1 = nn.BatchNorm2d(width)
        self._pool = not small_stem
        self._padding = 0 if layout == "caffe" else 1
        channels, side = width, size if small_stem else self._pooled((size - 1) // 2 + 1)
        for number, blocks in enumerate(_LAYERS[depth], start=1):
            stage = nn.Sequential()
            for block in range(blocks):
                stride = 2 if number > 1 and block == 0 else 1
                shapes = _shapes(depth, width * 2 ** (number - 1), stride, layout)
                stage.append(_Block(channels, shapes))
                channels = shapes[-1][0]
            side = side if number == 1 else (side - 1) // 2 + 1
            self.add_module(f"layer{number}", stage)
        self.features_size = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, math.sqrt(2 / (module.kernel_size[0] ** 2 * module.out_channels)))
        self.modulatedatt: ModulatedAttention | None = None
        if attention is not None:  # after the initialisation above, which would overwrite its own
            self.modulatedatt = attention.build(channels=channels, sides=(side, side))

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, D)."""
        x = (images - self._shift) / self._scale if self._normalises else images
        x = F.relu(self.bn1(self.conv1(x)))
        if self._pool:
            x = F.max_pool2d(x, 3, 2, self._padding, ceil_mode=self._padding == 0)
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
        if self.modulatedatt is not None:
            x = self.modulatedatt(x)
        return x.mean(dim=(2, 3))

    def _pooled(self, side: int) -> int:
        return math.ceil((side - 3) / 2) + 1 if self._padding == 0 else (side - 1) // 2 + 1


def _shapes(depth: Depth, width: int, stride: int, layout: Layout) -> list[tuple[int, int, int]]:
    """(channels out, kernel, stride) of each convolution of a block."""
    if depth <= _DEEPEST_OF_BASIC_BLOCKS:
        return [(width, 3, stride), (width, 3, 1)]
    first, second = (stride, 1) if layout == "caffe" else (1, stride)
    return [(width, 1, first), (width, 3, second), (4 * width, 1, 1)]


class ResNetConfig(Config):
    """Choices of a ResNet; the defaults are the authors' network for ImageNet-LT.

    Attributes:
        depth: 10 to 152.
        width: channels of the stem and the first stage.
        layout: see the module's words. No weight's shape gives it away: torchvision's weights are of the usual one.
        stem: see the module's words.
        normalisation: see the module's words.
        weights: a torch file with a state dict in torchvision's names, from which every stage starts that starts from
            no other; its classifier is left behind. Weights of ImageNet want ``normalisation = "imagenet"``. The file
            is read when a run is trained, and its SHA-256 kept; a finished run needs it no more.
    """

    kind: Literal["resnet"] = "resnet"
    depth: Depth = 10
    width: Annotated[int, Field(ge=1)] = 64
    layout: Layout = "usual"
    stem: Literal["imagenet", "small"] = "imagenet"
    normalisation: Normalisation = "half"
    weights: Path | None = None

    def build(self, *, shape: tuple[int, ...], attention: ModulatedAttentionConfig | None) -> ResNet:
        """Build the network for square images (S, S, 3).

        Raises:
            ConfigError: the inputs are vectors.
        """
        side = side_of_images(self.kind, shape)
        return ResNet(
            self.depth,
            width=self.width,
            layout=self.layout,
            small_stem=self.stem == "small",
            normalisation=self.normalisation,
            size=side,
            attention=attention,
        )
