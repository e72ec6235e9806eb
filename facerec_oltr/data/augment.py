"""Random changes of training images: each batch sees every face a little moved, turned, lit and covered otherwise."""

from typing import Annotated, Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from facerec_oltr.components import Config
from facerec_oltr.data.crop import RandomCrop

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]

_GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601, by which torchvision and Pillow make grey of RGB


class AugmentConfig(Config):
    """How far images may change; the defaults are ArcFace's, a flip and nothing else.

    Attributes:
        flip: probability of a left-right flip.
        shift: largest shift, as a share of the side.
        zoom: largest change of scale: a factor between 1 − zoom and 1 + zoom.
        turn: largest rotation, in degrees.
        light: largest change of contrast (a factor 1 ± light) and of brightness (± light of the half range).
        cover: probability that one square, a third of the side, is blanked.
        crop_scale: lowest and highest share of an image's area that is cut out and resized; the OLTR authors' is 0.08
            to 1. None shows the view for evaluation. The data set does the cutting, from the whole image (see crop.py).
        crop_ratio: lowest and highest width / height of what is cut out.
        brightness: largest change of the factor, 1 ± brightness, on all pixels, black being 0.
        contrast: the same on the distances from the image's mean grey.
        saturation: the same on the distances from each pixel's own grey. These three, in an order drawn for each image
            and cut to [black, white] after each, are torchvision's ColorJitter without hue.
    """

    flip: Share = 0.5
    shift: Share = 0.0
    zoom: Annotated[float, Field(ge=0, lt=1)] = 0.0
    turn: Annotated[float, Field(ge=0, le=180)] = 0.0
    light: Share = 0.0
    cover: Share = 0.0
    crop_scale: tuple[Positive, Positive] | None = None
    crop_ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)
    brightness: Share = 0.0
    contrast: Share = 0.0
    saturation: Share = 0.0

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        if self.crop_scale is not None and not self.crop_scale[0] <= self.crop_scale[1] <= 1:
            raise ValueError(f"crop_scale: found {list(self.crop_scale)}, expected lowest <= highest <= 1")
        if self.crop_ratio[0] > self.crop_ratio[1]:
            raise ValueError(f"crop_ratio: found {list(self.crop_ratio)}, expected lowest <= highest")
        return self

    def crop(self, seed: tuple[int, ...]) -> RandomCrop | None:
        """The crops of the batch that has this seed; None where images are not cropped."""
        return None if self.crop_scale is None else RandomCrop(self.crop_scale, self.crop_ratio, seed)


def augment(images: Tensor, choices: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Change a batch at random.

    What is switched off costs a few numbers of chance and no pass over the images, and draws them all the same: a
    further change leaves those before it as they were.

    Args:
        images: (B, 3, S, S) float in [−1, 1]; given away, since a flip alone is done in their own memory.
        choices: how far.
        generator: the source of chance, on the CPU whatever the images' device, so that every device draws alike.

    Returns:
        (B, 3, S, S); brightness may carry values a little beyond [−1, 1].
    """
    moved = _move(images, choices, generator)
    jittered = _jitter(moved, choices, generator)
    lit = _light(jittered, choices.light, generator)
    return _cover(lit, choices.cover, generator)


def _signed(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
    return (2 * torch.rand(shape, generator=generator) - 1).to(device)


def _move(images: Tensor, choices: AugmentConfig, generator: torch.Generator) -> Tensor:
    B, device = len(images), images.device
    angle = _signed((B,), generator, device) * (choices.turn * np.pi / 180)
    scale = 1 + choices.zoom * _signed((B,), generator, device)
    mirror = torch.where(torch.rand(B, generator=generator) < choices.flip, -1.0, 1.0).to(device)
    offset = 2 * choices.shift * _signed((B, 2), generator, device)  # the grid spans [−1, 1]: a side is 2
    if not (choices.turn or choices.zoom or choices.shift):  # a flip alone needs no interpolation
        return _flip(images, mirror < 0)
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    affine = torch.stack(
        [torch.stack([mirror * cos, -sin, offset[:, 0]], 1), torch.stack([mirror * sin, cos, offset[:, 1]], 1)], 1
    )
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _flip(images: Tensor, flipped: Tensor) -> Tensor:
    """Mirror the images that `flipped` (B,) names.

    On a processor one by one in their own memory: a copy of a whole batch of floats leaves the caches, and the system
    takes its pages back and clears them anew at every batch, which costs several times what decoding does.
    """
    if images.device.type != "cpu":
        return torch.where(flipped.view(-1, 1, 1, 1), images.flip(3), images)
    for place in flipped.nonzero().flatten().tolist():
        images[place] = images[place].flip(2)
    return images


def _jitter(images: Tensor, choices: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Brightness, contrast and saturation, each image by its own factors and in its own order."""
    bounds = (choices.brightness, choices.contrast, choices.saturation)
    if not any(bounds):
        return images
    B, device = len(images), images.device
    factors = (1 + torch.tensor(bounds) * _signed((B, 3), generator, torch.device("cpu"))).to(device)
    order = torch.rand(B, 3, generator=generator).argsort(dim=1).to(device)
    x = (images + 1) / 2
    for turn in order.unbind(dim=1):
        factor = factors.gather(1, turn.unsqueeze(1)).view(B, 1, 1, 1)
        x = torch.lerp(_pole(x, turn), x, factor).clamp(0, 1)
    return 2 * x - 1


def _pole(x: Tensor, turn: Tensor) -> Tensor:
    """What the factor 0 would make of each image: black, its mean grey, or itself in grey, by `turn` 0, 1, 2."""
    grey = (x * x.new_tensor(_GREY).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    turn = turn.view(-1, 1, 1, 1)
    pole = torch.where(turn == 1, grey.mean(dim=(2, 3), keepdim=True), grey)
    return pole.masked_fill(turn == 0, 0).expand_as(x)


def _light(images: Tensor, light: float, generator: torch.Generator) -> Tensor:
    B, device = len(images), images.device
    contrast = 1 + light * _signed((B, 1, 1, 1), generator, device)
    brightness = light * _signed((B, 1, 1, 1), generator, device)
    return images * contrast + brightness if light else images


def _cover(images: Tensor, cover: float, generator: torch.Generator) -> Tensor:
    B, _, S, _ = images.shape
    side = S // 3
    covered = torch.rand(B, 1, 1, generator=generator) < cover
    top, left = (torch.randint(0, S - side + 1, (2, B, 1, 1), generator=generator)).unbind()
    if not covered.any():
        return images
    rows, columns = torch.arange(S).view(1, S, 1), torch.arange(S).view(1, 1, S)
    inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side) & covered
    return images.masked_fill(inside.unsqueeze(1).to(images.device), 0.0)
