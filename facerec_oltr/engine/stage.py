"""One stage of training: epochs over a data set, by one optimiser, with nothing said of any method.

All chance of an epoch (order, augmentation, dropout) follows from the run's seed, the stage and the epoch's number.
So a run that is killed and resumed at any epoch goes on exactly as the unbroken one.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from facerec_oltr.data import DataSet, RandomCrop, augment
from facerec_oltr.engine.base_classes import few_shot_classes
from facerec_oltr.engine.model import Model, to_input
from facerec_oltr.engine.passes import accuracies, class_means
from facerec_oltr.engine.precision import Arithmetic
from facerec_oltr.engine.reporting import EpochReport
from facerec_oltr.engine.schedule import rate_factor
from facerec_oltr.errors import TrainingError
from facerec_oltr.experiment import Experiment, Stage
from facerec_oltr.heads import Moment
from facerec_oltr.losses import Batch
from facerec_oltr.metrics.shots import ShotAccuracies

_NAMED = 8


@dataclass
class StageRun:
    """A stage with all it works on.

    Attributes:
        experiment: the whole experiment.
        index: the stage's place in it.
        model: the network, on `device`.
        new_weights: names of weights before the head that nothing brought: neither `start_from` nor a file.
        data: the training set.
        device: where the network computes.
        clock: seconds, for the speed that is reported.
        validation: the validation split; None measures nothing on the way.
    """

    experiment: Experiment
    index: int
    model: Model
    new_weights: list[str]
    data: DataSet
    device: torch.device
    clock: Callable[[], float] = time.monotonic
    validation: DataSet | None = None

    def __post_init__(self) -> None:
        self.stage: Stage = self.experiment.stages[self.index]
        schedule = self.experiment.schedule
        self.epochs = max(1, round(self.stage.share * schedule.epochs)) if self.stage.share else 0
        if self.stage.freeze_backbone:
            for name, weight in self.model.backbone.named_parameters():
                weight.requires_grad_(f"backbone.{name}" in self.new_weights)
        self.sampler = self.stage.sampler.build()
        self.losses = [(term.loss.kind, term.weight, term.loss.build()) for term in self.stage.losses]
        for loss in self._losses_with_state():
            loss.to(self.device)
        counts = np.bincount(self.data.labels, minlength=self.data.classes)
        self.counts = torch.from_numpy(counts).to(self.device)
        few_shot = few_shot_classes(self.experiment, counts)
        self.model.head.divide(torch.from_numpy(few_shot).to(self.device))
        known = np.ones_like(few_shot) if self.stage.classes == "all" else ~few_shot
        self.classes = None if known.all() else torch.from_numpy(np.flatnonzero(known)).to(self.device)
        self.images = np.flatnonzero(known[self.data.labels])
        self.steps_per_epoch = math.ceil(len(self.images) / schedule.batch_size)
        self.optimizer = torch.optim.SGD(
            self._groups(), lr=schedule.learning_rate, momentum=schedule.momentum, weight_decay=schedule.weight_decay
        )
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.arithmetic = Arithmetic(schedule.precision, self.device)

    def state(self) -> dict[str, Any]:
        """What has to be known besides the weights to go on."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "arithmetic": self.arithmetic.state_dict(),
            "losses": [loss.state_dict() for loss in self._losses_with_state()],
        }

    def train(self, epochs_done: int, state: dict[str, Any] | None) -> Iterator[EpochReport]:
        """Train the epochs that are left, one an item, with the weights that it ends with in `model`.

        The memory belongs to those weights, not to those before the epoch; a stage without epochs gets its memory.

        Args:
            epochs_done: before, by a run that was stopped.
            state: of that run, see ``state``.

        Raises:
            TrainingError: the loss or a weight is not finite.
        """
        if state is not None:
            self.optimizer.load_state_dict(state["optimizer"])
            self.arithmetic.load_state_dict(state["arithmetic"])
            for loss, known in zip(self._losses_with_state(), state["losses"], strict=True):
                loss.load_state_dict(known)
        if epochs_done == 0:
            self._refresh_memory("stage begins")
        every = self.experiment.schedule.validate_every
        for epoch in range(epochs_done + 1, self.epochs + 1):
            report, last = self._epoch(epoch), epoch == self.epochs
            self._refresh_memory("stage ends" if last else "epoch begins")
            self._check_weights(epoch)
            due = every > 0 and (epoch % every == 0 or last)
            yield report._replace(validation=self.validate() if due else None)

    def validate(self) -> ShotAccuracies | None:
        """The accuracy of the network as it stands on the validation split; None where there is none."""
        if self.validation is None:
            return None
        return accuracies(
            self.model,
            self.validation,
            self.device,
            self.arithmetic,
            counts=self.counts,
            shots=self.experiment.shots,
        )

    def _refresh_memory(self, when: Moment) -> None:
        means = partial(class_means, self.model, self.data, self.device, self.arithmetic)
        self.model.head.refresh(means, when)

    def _losses_with_state(self) -> list[nn.Module]:
        return [loss for _, _, loss in self.losses if isinstance(loss, nn.Module)]

    def _groups(self) -> list[dict[str, Any]]:
        stage, groups = self.stage, {"backbone": [], "new": [], "head": [], "memory": []}
        for name, weight in self.model.named_parameters():
            part = name.split(".")[0]
            if name == "head.memory":
                part = "memory"
            elif part != "head":
                part = "new" if name in self.new_weights else "backbone"
            if weight.requires_grad:
                groups[part].append(weight)
        factors = {
            "backbone": stage.backbone_rate,
            "new": stage.head_rate if stage.new_rate is None else stage.new_rate,
            "head": stage.head_rate,
            "memory": stage.memory_rate,
        }
        rate = self.experiment.schedule.learning_rate
        return [{"params": weights, "lr": rate * factors[part]} for part, weights in groups.items()]

    def _epoch(self, epoch: int) -> EpochReport:
        began = self.clock()
        order_seed, augment_seed, dropout_seed, crop_seed = np.random.SeedSequence(
            (self.experiment.seed, self.index, epoch)
        ).generate_state(4)
        order = self.images[self.sampler(self.data.labels[self.images], np.random.default_rng(order_seed))]
        generator = torch.Generator().manual_seed(int(augment_seed))
        self._set_training_mode()
        sums: dict[str, float] = dict.fromkeys(("loss", "correct", *(kind for kind, _, _ in self.losses)), 0.0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(dropout_seed))
            for step, positions in enumerate(np.array_split(order, self.steps_per_epoch)):
                self._set_rates((epoch - 1) * self.steps_per_epoch + step)
                inputs = self._inputs(positions, self._crop((int(crop_seed), step)))
                for name, value in self._step(positions, inputs, generator, f"epoch {epoch}, step {step + 1}").items():
                    sums[name] += value * len(positions)
        means = {name: value / len(order) for name, value in sums.items()}
        return EpochReport(
            epoch=epoch,
            loss=means["loss"],
            parts={kind: means[kind] for kind, _, _ in self.losses},
            accuracy=means["correct"],
            learning_rate=self.optimizer.param_groups[0]["lr"],
            images_per_second=len(order) / max(self.clock() - began, 1e-9),
        )

    def _check_weights(self, epoch: int) -> None:
        """The loss is checked ahead of each step; what the last step of an epoch did shows only in the weights."""
        for name, weight in self.model.state_dict().items():
            if weight.is_floating_point() and not torch.isfinite(weight).all():
                raise TrainingError(
                    f"stage {self.stage.name!r}, epoch {epoch}: {name} has become NaN or infinite; lower "
                    "schedule.learning_rate"
                )

    def _set_training_mode(self) -> None:
        self.model.train()
        if self.stage.freeze_backbone is True:  # not "weights", which lets the statistics go on
            self.model.backbone.eval()
        if self.stage.freeze_statistics:
            for module in self.model.backbone.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def _step(self, positions: np.ndarray, inputs: Tensor, generator: torch.Generator, place: str) -> dict[str, float]:
        labels = torch.from_numpy(self.data.labels[positions]).to(self.device)
        if inputs.ndim == 4:  # vectors have no picture to change
            inputs = augment(inputs, self.experiment.augment, generator)
        with self.arithmetic.autocast():
            features, logits = self.model.in_training(inputs, labels, torch.from_numpy(positions).to(self.device))
        batch = self._batch(features, logits, labels)
        parts = [(kind, weight, loss(batch)) for kind, weight, loss in self.losses]
        total = torch.stack([weight * value for _, weight, value in parts]).sum()
        if not torch.isfinite(total):
            raise TrainingError(
                f"stage {self.stage.name!r}, {place}: the loss is {total.item()}; lower schedule.learning_rate, or "
                f"look at {self._suspects(positions, logits)}"
            )
        if not self.arithmetic.step(total, self.optimizer):
            raise TrainingError(
                f"stage {self.stage.name!r}, {place}: the gradients overflow float16 at every scale of the loss; lower "
                "schedule.learning_rate, or take schedule.precision=bfloat16"
            )
        self.model.head.observe(features, labels)
        correct = (batch.logits.argmax(dim=1) == batch.labels).float().mean()
        return {"loss": total.item(), "correct": correct.item()} | {kind: value.item() for kind, _, value in parts}

    def _suspects(self, positions: np.ndarray, logits: Tensor) -> str:
        """Names of a batch whose loss is not finite: of the inputs with broken logits, unless all are broken."""
        broken = ~torch.isfinite(logits).all(dim=1).cpu().numpy()
        some = positions[broken] if broken.any() and not broken.all() else positions
        names = ", ".join(self.data.name(position) for position in some[:_NAMED].tolist())
        more = f", … ({len(some)} in all)" if len(some) > _NAMED else ""
        return (
            f"what was in the batch{'' if some is positions else ' and has logits that are not finite'}: {names}{more}"
        )

    def _batch(self, features: Tensor, logits: Tensor, labels: Tensor) -> Batch:
        """What the loss sees: where only some classes are trained, a batch that knows of no others."""
        memory, classes = self.model.head.memory, self.classes
        if classes is None:
            return Batch(features, logits, labels, memory, self.counts)
        memory = None if memory is None else memory[classes]
        return Batch(features, logits[:, classes], torch.searchsorted(classes, labels), memory, self.counts[classes])

    def _set_rates(self, step: int) -> None:
        schedule = self.experiment.schedule
        factor = rate_factor(schedule, step, epochs=self.epochs, steps_per_epoch=self.steps_per_epoch)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def _crop(self, seed: tuple[int, ...]) -> RandomCrop | None:
        return self.experiment.augment.crop(seed) if len(self.data.shape) == 3 else None

    def _inputs(self, positions: np.ndarray, crop: RandomCrop | None = None) -> Tensor:
        return to_input(torch.from_numpy(self.data.batch(positions, crop)).to(self.device))
