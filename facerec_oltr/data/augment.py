"""Random changes of training images: each batch sees every face a little moved, turned, lit and covered otherwise."""

from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from facerec_oltr.components import Config

Share = Annotated[float, Field(ge=0, le=1)]


class AugmentConfig(Config):
    """How far images may change; the defaults are ArcFace's, a flip and nothing else.

    Attributes:
        flip: probability of a left-right flip.
        shift: largest shift, as a share of the side.
        zoom: largest change of scale: a factor between 1 − zoom and 1 + zoom.
        turn: largest rotation, in degrees.
        light: largest change of contrast (a factor 1 ± light) and of brightness (± light of the half range).
        cover: probability that one square, a third of the side, is blanked.
    """

    flip: Share = 0.5
    shift: Share = 0.0
    zoom: Annotated[float, Field(ge=0, lt=1)] = 0.0
    turn: Annotated[float, Field(ge=0, le=180)] = 0.0
    light: Share = 0.0
    cover: Share = 0.0


def augment(images: Tensor, choices: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Change a batch at random.

    Args:
        images: (B, 3, S, S) float in [−1, 1].
        choices: how far.
        generator: the source of chance, on the CPU whatever the images' device, so that every device draws alike.

    Returns:
        (B, 3, S, S); brightness may carry values a little beyond [−1, 1].
    """
    moved = _move(images, choices, generator)
    lit = _light(moved, choices.light, generator)
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
        return torch.where((mirror < 0).view(B, 1, 1, 1), images.flip(3), images)
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    affine = torch.stack(
        [torch.stack([mirror * cos, -sin, offset[:, 0]], 1), torch.stack([mirror * sin, cos, offset[:, 1]], 1)], 1
    )
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _light(images: Tensor, light: float, generator: torch.Generator) -> Tensor:
    B, device = len(images), images.device
    contrast = 1 + light * _signed((B, 1, 1, 1), generator, device)
    return images * contrast + light * _signed((B, 1, 1, 1), generator, device)


def _cover(images: Tensor, cover: float, generator: torch.Generator) -> Tensor:
    B, _, S, _ = images.shape
    side = S // 3
    covered = torch.rand(B, 1, 1, generator=generator) < cover
    top, left = (torch.randint(0, S - side + 1, (2, B, 1, 1), generator=generator)).unbind()
    rows, columns = torch.arange(S).view(1, S, 1), torch.arange(S).view(1, 1, S)
    inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side) & covered
    return images.masked_fill(inside.unsqueeze(1).to(images.device), 0.0)
