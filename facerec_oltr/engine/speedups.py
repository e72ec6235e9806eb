"""What makes a backbone faster without changing what it is: how its maps lie in memory, and compilation.

Names, shapes and values of its weights stay as they are, so checkpoints are the same with and without; what it computes
differs in the last bits, since sums are taken in another order. A run that is resumed has the same choices, and ends
with the same bytes.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from facerec_oltr.errors import ConfigError
from facerec_oltr.experiment import Schedule

_NARROW = 8  # channels, below which torch's CPU library writes past its memory; see refuse_narrow
_LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def check_compiler(schedule: Schedule, device: torch.device) -> None:
    """Compile a sum where a schedule asks for compilation, so that what lacks is known before a run begins.

    Raises:
        ConfigError: it cannot be compiled here.
    """
    if not schedule.compile:
        return
    try:
        torch.compile(torch.add)(torch.ones(2, device=device), 1)
    except RuntimeError as error:  # of torch's many exceptions for it
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ConfigError(
            f"schedule.compile: torch.compile fails on this machine ({reason[:200]}); it needs a C++ compiler and "
            "Python's headers, or set schedule.compile=false"
        ) from None


def prepared(backbone: nn.Module, schedule: Schedule) -> nn.Module:
    """Make a backbone compute as a schedule asks, in place; give it back.

    Images come from decoders pixel by pixel, channels last. A convolution takes the layout of its input over, so the
    choice is made where images enter. Called before the optimiser is built, which keeps weights and their layout.
    """
    layout = _LAYOUTS[schedule.memory_format]
    backbone.to(memory_format=layout)  # pyright: ignore[reportCallIssue]  # torch's stub lacks it
    backbone.register_forward_pre_hook(partial(_lay_out, layout))
    if schedule.compile:
        backbone.compile(dynamic=True)  # one code for all sizes of a batch, whichever comes first
    return backbone


def _lay_out(layout: torch.memory_format, module: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
    images = inputs[0]
    return (images.contiguous(memory_format=layout), *inputs[1:]) if images.ndim == 4 else None


def refuse_narrow(backbone: nn.Module, schedule: Schedule, device: torch.device) -> None:
    """Stop what would crash, or silently change memory that is not its own.

    On a CPU, torch 2.13's gradient of a 1×1 convolution with a stride over maps of fewer than 8 channels, channels
    last, ends in a segmentation fault or in "malloc(): corrupted"; from 8 channels on it does not, nor contiguous.

    Raises:
        ConfigError: the backbone is too narrow for channels last on a CPU.
    """
    if device.type != "cpu" or not (schedule.compile or schedule.memory_format == "channels_last"):
        return  # the compiler takes channels last by itself
    for name, module in backbone.named_modules():
        if not isinstance(module, nn.Conv2d):
            continue
        if module.kernel_size == (1, 1) and module.stride != (1, 1) and module.in_channels < _NARROW:
            raise ConfigError(
                f"backbone.{name} has {module.in_channels} channels, expected {_NARROW} or more for channels_last or "
                "compile on a CPU; take a wider backbone, or schedule.memory_format=contiguous, schedule.compile=false"
            )
