"""One training step: a batch's inputs → its loss → the weights moved.

Of several processes each has its part of the inputs. From the features on all hold the same values, but for the logits
where classes are split (ranks.py); so all find the same loss, and the same fault in it.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from facerec_oltr.data import AugmentConfig, DataSet, augment
from facerec_oltr.engine.chance import StepSeeds
from facerec_oltr.engine.drawn import drawn_rows
from facerec_oltr.engine.model import Model, to_input, widened
from facerec_oltr.engine.passes import best_class
from facerec_oltr.engine.precision import Arithmetic
from facerec_oltr.errors import TrainingError
from facerec_oltr.losses import Batch, Loss
from facerec_oltr.ranks import gathered, sum_over_ranks

_NAMED = 8


@dataclass
class Step:
    """What a stage does with each batch.

    Attributes:
        stage: its name, for an error.
        model: the network, on `device`.
        trunk: what of it is in front of the head, with its gradients averaged over ranks.
        losses: kind, weight and function of each term.
        optimizer: moves the weights.
        clip: shortens their gradients first, or None.
        arithmetic: the precision.
        augment: how images are changed.
        data: the training set.
        counts: (C,) its images of each class.
        classes: those that the stage is for, ascending; None for all.
        device: where.
    """

    stage: str
    model: Model
    trunk: nn.Module
    losses: list[tuple[str, float, Loss]]
    optimizer: torch.optim.Optimizer
    clip: Callable[[], object] | None
    arithmetic: Arithmetic
    augment: AugmentConfig
    data: DataSet
    counts: Tensor
    classes: Tensor | None
    device: torch.device

    def __call__(
        self, positions: np.ndarray, inputs: Tensor, own: np.ndarray, seeds: StepSeeds, place: str
    ) -> dict[str, float]:
        """Train on a batch: mean losses, the share told right, and that of stand-ins for damaged images, by name.

        Args:
            positions: (B,) of the batch of all ranks together.
            inputs: of this rank's part.
            own: the positions that they really are of.
            seeds: of the step.
            place: in the stage, for an error.

        Raises:
            TrainingError: the loss is not finite, or its gradients overflow.
        """
        shown = gathered(torch.from_numpy(own), len(positions)).numpy()
        skipped, positions = float((shown != positions).mean()), shown
        labels = torch.from_numpy(self.data.labels[positions]).to(self.device)
        torch.manual_seed(seeds.backbone)
        with self.arithmetic.autocast():
            features = gathered(self.trunk(self._changed(inputs, seeds)), len(positions))
            torch.manual_seed(seeds.head)
            images = torch.from_numpy(positions).to(self.device)
            logits = widened(self.model.head.training_logits(features, labels, images))
        batch = self._batch(features, logits, labels)
        parts = [(kind, weight, loss(batch)) for kind, weight, loss in self.losses]
        total = torch.stack([weight * value for _, weight, value in parts]).sum()
        if not torch.isfinite(total):
            raise TrainingError(
                f"stage {self.stage!r}, {place}: the loss is {total.item()}; lower schedule.learning_rate, or "
                f"look at {self._suspects(positions, logits)}"
            )
        if not self._move(total):
            raise TrainingError(
                f"stage {self.stage!r}, {place}: the gradients overflow float16 at every scale of the loss; lower "
                "schedule.learning_rate, or take schedule.precision=bfloat16"
            )
        self.model.head.observe(features, labels)
        best = best_class(batch.logits.detach(), self._columns(), sharded=batch.sharded)
        figures = torch.stack([total, (best == labels).float().mean(), *(value for _, _, value in parts)])
        names = ("loss", "correct", *(kind for kind, _, _ in parts))
        return {"skipped": skipped, **dict(zip(names, figures.tolist(), strict=True))}

    def _move(self, loss: Tensor) -> bool:
        """Make the step: of a weight of which rows were drawn, on those rows alone."""
        with ExitStack() as blocks:
            for name, (index, rows) in self.model.head.drawn().items():
                weight = self.model.head.get_parameter(name)
                blocks.enter_context(drawn_rows(self.optimizer, weight, index, rows))
            return self.arithmetic.step(loss, self.optimizer, self.clip)

    def _suspects(self, positions: np.ndarray, logits: Tensor) -> str:
        """Names of a batch whose loss is not finite: of the inputs with broken logits, unless all are broken."""
        broken = sum_over_ranks((~torch.isfinite(logits).all(dim=1)).int()).cpu().numpy() > 0
        some = positions[broken] if broken.any() and not broken.all() else positions
        names = ", ".join(self.data.name(position) for position in some[:_NAMED].tolist())
        more = f", … ({len(some)} in all)" if len(some) > _NAMED else ""
        return (
            f"what was in the batch{'' if some is positions else ' and has logits that are not finite'}: {names}{more}"
        )

    def _columns(self) -> Tensor | None:
        """The classes that the columns of the loss's logits are of; None for all."""
        columns = self.model.head.columns if self.classes is None else self.classes
        return None if columns is None else columns.to(self.device)

    def _batch(self, features: Tensor, logits: Tensor, labels: Tensor) -> Batch:
        """What the loss sees: where only some classes are trained, drawn or held here, it knows of no others."""
        memory, columns, sharded = self.model.head.memory, self._columns(), self.model.head.shard is not None
        if columns is None:
            return Batch(features, logits, labels, memory, self.counts)
        if self.classes is not None:
            logits, memory = logits[:, columns], None if memory is None else memory[columns]
        place = torch.searchsorted(columns, labels).clamp_max(len(columns) - 1)
        place = torch.where(columns[place] == labels, place, -1)
        return Batch(features, logits, place, memory, self.counts[columns], sharded)

    def _changed(self, inputs: Tensor, seeds: StepSeeds) -> Tensor:
        """The inputs on the device: images changed at random, vectors as they are."""
        batch = to_input(inputs.to(self.device, non_blocking=True))
        return augment(batch, self.augment, seeds.generator()) if inputs.ndim == 4 else batch
