"""One stage of training: epochs over a data set, by one optimiser, with nothing said of any method.

All chance of an epoch (order, augmentation, dropout) follows from the run's seed, the stage and the epoch's number.
So a run that is killed and resumed at any epoch goes on exactly as the unbroken one.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from facerec_oltr.data import DataSet, RandomCrop, augment
from facerec_oltr.engine.model import Model, to_input
from facerec_oltr.errors import ConfigError, TrainingError
from facerec_oltr.experiment import Experiment, Stage
from facerec_oltr.heads import Moment
from facerec_oltr.losses import Batch
from facerec_oltr.metrics.shots import shot_bins

_EVALUATION_BATCH = 256


class EpochReport(NamedTuple):
    """What an epoch came to.

    Attributes:
        epoch: its number, from 1.
        loss: mean total loss over the images.
        parts: mean of each term of the loss, unweighted, by kind.
        accuracy: share of the (augmented) training images whose highest logit was their class.
        learning_rate: of the first parameter group, after the last step.
        images_per_second: over the epoch.
    """

    epoch: int
    loss: float
    parts: dict[str, float]
    accuracy: float
    learning_rate: float
    images_per_second: float


@dataclass
class StageRun:
    """A stage with all it works on.

    Attributes:
        experiment: the whole experiment.
        index: the stage's place in it.
        model: the network, on `device`.
        new_weights: names of weights before the head that `start_from` did not bring.
        data: the training set.
        device: where the network computes.
        clock: seconds, for the speed that is reported.
    """

    experiment: Experiment
    index: int
    model: Model
    new_weights: list[str]
    data: DataSet
    device: torch.device
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.stage: Stage = self.experiment.stages[self.index]
        schedule = self.experiment.schedule
        self.epochs = max(1, round(self.stage.share * schedule.epochs)) if self.stage.share else 0
        if self.stage.freeze_backbone:
            for name, weight in self.model.backbone.named_parameters():
                weight.requires_grad_(f"backbone.{name}" in self.new_weights)
        self.sampler = self.stage.sampler.build()
        self.losses = [(term.loss.kind, term.weight, term.loss.build()) for term in self.stage.losses]
        counts = np.bincount(self.data.labels, minlength=self.data.classes)
        self.counts = torch.from_numpy(counts).to(self.device)
        few_shot = few_shot_classes(self.experiment, counts)
        self.model.head.divide(torch.from_numpy(few_shot).to(self.device))
        self.known = np.ones_like(few_shot) if self.stage.classes == "all" else ~few_shot
        self.images = np.flatnonzero(self.known[self.data.labels])
        self.steps_per_epoch = math.ceil(len(self.images) / schedule.batch_size)
        self.optimizer = torch.optim.SGD(
            self._groups(), lr=schedule.learning_rate, momentum=schedule.momentum, weight_decay=schedule.weight_decay
        )
        self.rates = [group["lr"] for group in self.optimizer.param_groups]

    def train(self, epochs_done: int, optimizer_state: dict[str, Any] | None) -> Iterator[EpochReport]:
        """Train the epochs that are left, one an item; what a stage ends with is in `model`.

        Raises:
            TrainingError: the loss is not finite.
        """
        if optimizer_state is not None:
            self.optimizer.load_state_dict(optimizer_state)
        for epoch in range(epochs_done + 1, self.epochs + 1):
            yield self._epoch(epoch)

    def refresh_memory(self, when: Moment) -> None:
        """Renew the head's memory, where it keeps one, from the network as it stands."""
        self.model.head.refresh(self._class_means, when)

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
        self.refresh_memory("stage begins" if epoch == 1 else "epoch begins")
        self._set_training_mode()
        sums: dict[str, float] = dict.fromkeys(("loss", "correct", *(kind for kind, _, _ in self.losses)), 0.0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(dropout_seed))
            for step, positions in enumerate(np.array_split(order, self.steps_per_epoch)):
                self._set_rates((epoch - 1) * self.steps_per_epoch + step)
                inputs = self._inputs(positions, self._crop((int(crop_seed), step)))
                for name, value in self._step(positions, inputs, generator, f"epoch {epoch}, step {step + 1}").items():
                    sums[name] += value * len(positions)
        self._check_weights(epoch)
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
        if self.stage.freeze_backbone:
            self.model.backbone.eval()
        if self.stage.freeze_statistics:
            for module in self.model.backbone.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def _step(self, positions: np.ndarray, inputs: Tensor, generator: torch.Generator, place: str) -> dict[str, float]:
        labels = torch.from_numpy(self.data.labels[positions]).to(self.device)
        if inputs.ndim == 4:  # vectors have no picture to change
            inputs = augment(inputs, self.experiment.augment, generator)
        features = self.model.features(inputs)
        logits = self.model.head.training_logits(features, labels, torch.from_numpy(positions).to(self.device))
        batch = self._batch(features, logits, labels)
        parts = [(kind, weight, loss(batch)) for kind, weight, loss in self.losses]
        total = torch.stack([weight * value for _, weight, value in parts]).sum()
        if not torch.isfinite(total):
            raise TrainingError(
                f"stage {self.stage.name!r}, {place}: the loss is {total.item()}; lower schedule.learning_rate "
                f"(images at positions {positions[:8].tolist()} … were in the batch)"
            )
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.optimizer.step()
        self.model.head.observe(features, labels)
        correct = (batch.logits.argmax(dim=1) == batch.labels).float().mean()
        return {"loss": total.item(), "correct": correct.item()} | {kind: value.item() for kind, _, value in parts}

    def _batch(self, features: Tensor, logits: Tensor, labels: Tensor) -> Batch:
        """What the loss sees: where only some classes are trained, a batch that knows of no others."""
        memory = self.model.head.memory
        if self.known.all():
            return Batch(features, logits, labels, memory, self.counts)
        classes = torch.from_numpy(np.flatnonzero(self.known)).to(self.device)
        memory = None if memory is None else memory[classes]
        return Batch(features, logits[:, classes], torch.searchsorted(classes, labels), memory, self.counts[classes])

    def _set_rates(self, step: int) -> None:
        schedule = self.experiment.schedule
        factor = rate_factor(step, self.epochs * self.steps_per_epoch, schedule.warmup, schedule.decay)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def _crop(self, seed: tuple[int, ...]) -> RandomCrop | None:
        return self.experiment.augment.crop(seed) if len(self.data.shape) == 3 else None

    def _inputs(self, positions: np.ndarray, crop: RandomCrop | None = None) -> Tensor:
        return to_input(torch.from_numpy(self.data.batch(positions, crop)).to(self.device))

    @torch.no_grad()
    def _class_means(self, of: Callable[[Tensor], Tensor] = lambda features: features) -> Tensor:
        """The mean of every class, (C, D), over all training images as they are, without augmentation."""
        self.model.eval()
        sums = torch.zeros(self.data.classes, self.model.features_size, device=self.device)
        for start in range(0, len(self.data), _EVALUATION_BATCH):
            positions = np.arange(start, min(start + _EVALUATION_BATCH, len(self.data)))
            labels = torch.from_numpy(self.data.labels[positions]).to(self.device)
            sums.index_add_(0, labels, of(self.model.features(self._inputs(positions))))
        return sums / self.counts.unsqueeze(1)


def few_shot_classes(experiment: Experiment, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which classes are few-shot by the experiment's convention, (C,); the others are the base classes.

    Raises:
        ConfigError: a stage is for the base classes, and there are fewer than two, or no others.
    """
    few_shot = shot_bins(counts, experiment.shots)["few"]
    few, base = int(few_shot.sum()), int((~few_shot).sum())
    if any(stage.classes == "base" for stage in experiment.stages) and (base < 2 or not few):
        raise ConfigError(
            f"{experiment.method} on {experiment.dataset}: by shots = {experiment.shots!r} the training set has {base} "
            f"base classes and {few} few-shot ones (it has {counts.min()} to {counts.max()} images a class), expected "
            "at least 2 and 1; choose another convention with --set shots=…, or another method"
        )
    return few_shot


def rate_factor(step: int, steps: int, warmup: float, decay: Literal["cosine", "thirds"]) -> float:
    """The learning rate's factor at `step` of `steps`: a linear rise over a share `warmup` of them, then the decay.

    >>> [round(rate_factor(s, 10, 0.2, "cosine"), 3) for s in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.038]
    >>> [round(rate_factor(s, 9, 0.0, "thirds"), 3) for s in (0, 2, 3, 6, 8)]
    [1.0, 1.0, 0.1, 0.01, 0.01]
    """
    rising = math.ceil(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    if decay == "thirds":
        return 0.1 ** (3 * step // steps)
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
