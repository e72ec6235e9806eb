"""What the margin losses share: the cosine to the own class is made smaller, so that a face must do more than win.

    L = mean_b CE(s · z, y),   z_k = cos θ_k for k ≠ y,   z_y = ψ(θ_y) < cos θ_y

All of them read the logits s · cos θ of a cosine head with the same scale s; the head itself never sees a label, so a
later stage, an evaluation and an export read plain cosines.
"""

from typing import Literal

import torch
from torch import Tensor

Gradient = Literal["exact", "straight_through"]
_EDGE = 1e-6  # cosines this near to ±1 count as ±1, where the angle has no gradient


def angle(cosine: Tensor) -> Tensor:
    """θ in [0, π] of cosines, with a finite gradient everywhere: rounding may have put |cos θ| at or above 1."""
    return torch.acos(cosine.clamp(-1 + _EDGE, 1 - _EDGE))


def falling_cosine(angles: Tensor) -> Tensor:
    """Cosine up to t = π, and on downwards beyond it: ψ(t) = (−1)^k cos t − 2k for kπ ≤ t ≤ (k+1)π.

    The plain cosine would rise again, and reward a face for being further from its own class (Liu et al., SphereFace,
    CVPR 2017, eq. 7).
    """
    turns = (angles.detach() / torch.pi).floor()
    return (1 - 2 * turns.remainder(2)) * torch.cos(angles) - 2 * turns


def without_doubles(logits: Tensor, labels: Tensor, scale: float, above: float | None) -> Tensor:
    """Zero for other classes whose cosine is above a threshold: most likely the same person under two names.

    Inter-class filtering (An et al., PFC, CVPR 2022; arcface_torch's ``interclass_filtering_threshold``). What is set
    to zero has no gradient, but still counts in the softmax as a cosine of 0.
    """
    if above is None:
        return logits
    near = logits.detach() > scale * above
    rows = (labels >= 0).nonzero().squeeze(1)
    near[rows, labels[rows]] = False
    return logits.masked_fill(near, 0.0)
