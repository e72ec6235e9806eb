"""Mixed precision: the network's products in 16 bits, all that is summed, divided or compared in float32.

    float32    as it always was
    bfloat16   the backbone and the head under autocast; the range of float32, three digits
    float16    the same with four digits but a range that ends at 65,504 and at 6e-8: the loss is scaled up before the
               gradients are computed, and they are scaled down again; a step whose gradients overflow is left out and
               the scale halved

Weights, features, logits, losses, memory and the optimiser's state are float32 in each.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from facerec_oltr.errors import ConfigError
from facerec_oltr.experiment import Precision
from facerec_oltr.ranks import largest_over_ranks

_TYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
_LEAST_SCALE = 1.0  # below it the loss itself is scaled down: the gradients do not fit float16 at all


class Arithmetic:
    """How a device computes a stage.

    Args:
        precision: see the module's words.
        device: where.

    Raises:
        ConfigError: the device cannot.
    """

    def __init__(self, precision: Precision, device: torch.device) -> None:
        self.precision, self._device, self._mixed = precision, device, precision != "float32"
        lacks = self._mixed and not torch.amp.is_autocast_available(device.type)
        if precision == "bfloat16" and device.type == "cuda":
            lacks = not torch.cuda.is_bf16_supported(including_emulation=False)
        if lacks:
            raise ConfigError(
                f"the device {device.type!r} does not compute in {precision}; take schedule.precision=float32"
            )
        self._scaler = torch.amp.GradScaler(device.type, enabled=precision == "float16")

    def autocast(self) -> torch.autocast:
        """A block in which the network computes in that precision."""
        return torch.autocast(self._device.type, _TYPES[self.precision], enabled=self._mixed)

    def step(self, loss: Tensor, optimizer: torch.optim.Optimizer, clip: Callable[[], object] | None = None) -> bool:
        """Move the weights down the gradient of `loss`, or leave them where float16's gradients overflow.

        Args:
            loss: scalar.
            optimizer: of the weights.
            clip: called when the gradients are there, at their own size, not float16's scaled one; see optimizer.py.

        Returns:
            False if the gradients overflow at every scale of the loss, so that training cannot go on.
        """
        optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        if self._scaler.is_enabled():
            self._scaler.unscale_(optimizer)
            self._agree_on_overflow(optimizer)
        if clip is not None:
            clip()
        self._scaler.step(optimizer)
        self._scaler.update()
        return not self._scaler.is_enabled() or self._scaler.get_scale() >= _LEAST_SCALE

    def _agree_on_overflow(self, optimizer: torch.optim.Optimizer) -> None:
        """Where classes are split, one rank's gradients may overflow alone; all leave the step out and halve the scale.

        torch's own sharded scaler reaches for the same private table; there is no public way.
        """
        for found in self._scaler._per_optimizer_states[id(optimizer)]["found_inf_per_device"].values():
            largest_over_ranks(found)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know: the scale and since when it holds; nothing but for float16."""
        return self._scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state_dict``."""
        self._scaler.load_state_dict(state)
