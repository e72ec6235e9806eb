"""What moves the weights of a stage: SGD or AdamW, and the limit on the backbone's gradient."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from facerec_oltr.experiment import Schedule


def build_optimizer(schedule: Schedule, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """The optimiser that a schedule asks for.

    SGD is torch's: b ← μ b + (g + λ w), w ← w − η b. AdamW is torch's too: w ← (1 − η λ) w, and with the means of g
    and g² so far, m and v, each divided by what it lacks after t steps, w ← w − η m̂ / (√v̂ + ε).

    Args:
        schedule: η at its highest, μ or β₁ (`momentum`), λ (`weight_decay`).
        groups: of weights; a group's own "lr" comes before the schedule's.
    """
    rate, momentum, weight_decay = schedule.learning_rate, schedule.momentum, schedule.weight_decay
    if schedule.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=(momentum, 0.999), eps=1e-8, weight_decay=weight_decay)
    return torch.optim.SGD(groups, lr=rate, momentum=momentum, weight_decay=weight_decay)


def clipping(schedule: Schedule, model: nn.Module) -> Callable[[], object] | None:
    """What shortens the gradient of all weights before the head to the norm `schedule.clip`; None if nothing is asked.

    g ← g · min(1, clip / (‖g‖ + 1e-6)), with ‖g‖ over all of them together. The head is left out, as in arcface_torch:
    where its classes are split over ranks no rank has its whole gradient, whereas the backbone's, averaged, is the same
    on all, so that none has to ask the others.

    Args:
        schedule: the limit.
        model: weights whose names begin with ``head.`` are the head's.
    """
    if schedule.clip is None:
        return None
    weights = [weight for name, weight in model.named_parameters() if not name.startswith("head.")]
    return partial(nn.utils.clip_grad_norm_, weights, schedule.clip)
