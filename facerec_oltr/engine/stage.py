"""One stage of training: epochs over a data set, by one optimiser, with nothing said of any method.

A run that is killed and resumed at any step goes on exactly as the unbroken one: chance.py has all that is random. Of
several processes each reads its part of every batch (ranks.py), and all hold the same loss.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from facerec_oltr.data import DataSet, taken
from facerec_oltr.engine.base_classes import few_shot_classes
from facerec_oltr.engine.chance import StepSeeds, order_of, seeds_of
from facerec_oltr.engine.model import Model
from facerec_oltr.engine.optimizer import build_optimizer, clipping
from facerec_oltr.engine.parallel import Trunk, averaging, even_out, load_optimizer_state, whole_optimizer_state
from facerec_oltr.engine.passes import accuracies, class_means
from facerec_oltr.engine.precision import Arithmetic
from facerec_oltr.engine.prefetch import prefetch
from facerec_oltr.engine.reporting import EpochReport, StagePlan, StepReport
from facerec_oltr.engine.schedule import rate_factor
from facerec_oltr.engine.speedups import prepared
from facerec_oltr.engine.step import Step
from facerec_oltr.errors import TrainingError
from facerec_oltr.experiment import Experiment, Stage
from facerec_oltr.heads import Moment
from facerec_oltr.metrics.shots import ShotAccuracies
from facerec_oltr.ranks import own_part, rank_and_ranks


def plan(experiment: Experiment, stage: Stage, data: DataSet) -> StagePlan:
    """How long a stage is on a training set."""
    schedule = experiment.schedule
    epochs = max(1, round(stage.share * schedule.epochs)) if stage.share else 0
    images = int(known_classes(experiment, stage, data)[data.labels].sum())
    return StagePlan(stage.name, epochs, math.ceil(images / schedule.batch_size))


def known_classes(experiment: Experiment, stage: Stage, data: DataSet) -> np.ndarray:
    """Which classes a stage is for, (C,) bool."""
    few_shot = few_shot_classes(experiment, np.bincount(data.labels, minlength=data.classes))
    return np.ones_like(few_shot) if stage.classes == "all" else ~few_shot


@dataclass
class Done:
    """How far a stage has come.

    Attributes:
        epochs: that are whole.
        steps: of the one after them.
        sums: over the images of those steps, what is reported of them, by name.
    """

    epochs: int = 0
    steps: int = 0
    sums: dict[str, float] = field(default_factory=dict)


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
        readers: threads that read images ahead.
    """

    experiment: Experiment
    index: int
    model: Model
    new_weights: list[str]
    data: DataSet
    device: torch.device
    clock: Callable[[], float] = time.monotonic
    validation: DataSet | None = None
    readers: int = 0

    def __post_init__(self) -> None:
        self.stage: Stage = self.experiment.stages[self.index]
        self.readers = self.readers if len(self.data.shape) == 3 else 0  # vectors lie in memory
        schedule = self.experiment.schedule
        _, self.epochs, self.steps_per_epoch = plan(self.experiment, self.stage, self.data)
        if self.stage.freeze_backbone:
            for name, weight in self.model.backbone.named_parameters():
                weight.requires_grad_(f"backbone.{name}" in self.new_weights)
        self.sampler = self.stage.sampler.build()
        losses = [(term.loss.kind, term.weight, term.loss.build()) for term in self.stage.losses]
        counts = np.bincount(self.data.labels, minlength=self.data.classes)
        self.counts = torch.from_numpy(counts).to(self.device)
        few_shot = few_shot_classes(self.experiment, counts)
        self.model.head.divide(torch.from_numpy(few_shot).to(self.device))
        known = known_classes(self.experiment, self.stage, self.data)
        self.images = np.flatnonzero(known[self.data.labels])
        prepared(self.model.backbone, schedule)
        self.optimizer = build_optimizer(schedule, self._groups())
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.arithmetic = Arithmetic(schedule.precision, self.device)
        self.step = Step(
            stage=self.stage.name,
            model=self.model,
            trunk=averaging(Trunk(self.model), self.device),
            losses=losses,
            optimizer=self.optimizer,
            clip=clipping(schedule, self.model),
            arithmetic=self.arithmetic,
            augment=self.experiment.augment,
            data=self.data,
            counts=self.counts,
            classes=None if known.all() else torch.from_numpy(np.flatnonzero(known)).to(self.device),
            device=self.device,
        )
        for loss in self._losses_with_state():
            loss.to(self.device)
        self.done, self._begun = Done(), False

    def state(self) -> dict[str, Any]:
        """What has to be known besides the weights and ``done`` to go on: whole on rank 0, and all ranks take part."""
        return {
            "optimizer": whole_optimizer_state(self.optimizer, self.model.head),
            "arithmetic": self.arithmetic.state_dict(),
            "losses": [loss.state_dict() for loss in self._losses_with_state()],
        }

    def go_on(self, done: Done, state: dict[str, Any]) -> None:
        """Go on where a run was stopped, with the weights that are in `model`."""
        self.done = done
        load_optimizer_state(self.optimizer, self.model.head, state["optimizer"], self.data.classes)
        self.arithmetic.load_state_dict(state["arithmetic"])
        for loss, known in zip(self._losses_with_state(), state["losses"], strict=True):
            loss.load_state_dict(known)
        self._begun = True

    def train(self) -> Iterator[StepReport | EpochReport]:
        """Train what is left, with a report of every step and epoch; at each, `model` and ``done`` are of one time.

        The memory belongs to an epoch's last weights, not to those before it; a stage without epochs gets its memory.

        Raises:
            TrainingError: the loss or a weight is not finite.
        """
        if not self._begun:
            self._refresh_memory("stage begins")
        every = self.experiment.schedule.validate_every
        for epoch in range(self.done.epochs + 1, self.epochs + 1):
            step, last = None, epoch == self.epochs
            for step in self._epoch(epoch):
                yield step
            assert step is not None, "a stage is kept at the end of an epoch, or with steps left"
            even_out(self.model)
            self._refresh_memory("stage ends" if last else "epoch begins")
            self._check_weights(epoch)
            due = every > 0 and (epoch % every == 0 or last)
            skipped = round(self.done.sums["skipped"])
            self.done = Done(epoch)
            yield EpochReport(
                epoch=epoch,
                loss=step.loss,
                parts=step.parts,
                accuracy=step.accuracy,
                learning_rate=step.learning_rate,
                images_per_second=step.images_per_second,
                validation=self.validate() if due else None,
                waiting=step.waiting,
                skipped=skipped,
            )

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
        return [loss for _, _, loss in self.step.losses if isinstance(loss, nn.Module)]

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

    def _batches(self, epoch: int) -> list[np.ndarray]:
        """The positions of each step of an epoch, all ranks' together; near equal, so that none is tiny."""
        rng = order_of(self.experiment.seed, self.index, epoch)
        return np.array_split(self.images[self.sampler(self.data.labels[self.images], rng)], self.steps_per_epoch)

    def _epoch(self, epoch: int) -> Iterator[StepReport]:
        """Train the steps of an epoch that are left, on images that are read ahead."""
        began, since, waited = self.clock(), 0, 0.0
        batches, rank = self._batches(epoch), rank_and_ranks()[0]
        left = range(self.done.steps, len(batches))
        seeds = {step: seeds_of(self.experiment.seed, self.index, epoch, step, rank) for step in left}
        seen = sum(map(len, batches[: self.done.steps]))
        self._set_training_mode()
        load = lambda step: self._load(batches[step], seeds[step])  # noqa: E731
        read = prefetch(left, load, workers=self.readers, ahead=2 * self.readers or 1, clock=self.clock)
        with torch.random.fork_rng(devices=[]), closing(read):
            for step, loaded in zip(left, read, strict=True):
                waited += loaded.waited
                self._set_rates((epoch - 1) * self.steps_per_epoch + step)
                place = f"epoch {epoch}, step {step + 1}"
                values = self.step(batches[step], *loaded.value, seeds[step], place)
                count = len(batches[step])
                seen, since = seen + count, since + count
                sums = {name: self.done.sums.get(name, 0.0) + value * count for name, value in values.items()}
                self.done = Done(epoch - 1, step + 1, sums)
                seconds = max(self.clock() - began, 1e-9)
                yield StepReport(
                    epoch=epoch,
                    step=step + 1,
                    steps=len(batches),
                    loss=sums["loss"] / seen,
                    parts={kind: sums[kind] / seen for kind, _, _ in self.step.losses},
                    accuracy=sums["correct"] / seen,
                    learning_rate=self.optimizer.param_groups[0]["lr"],
                    images_per_second=since / seconds,
                    waiting=min(waited / seconds, 1.0),
                )

    def _load(self, positions: np.ndarray, seeds: StepSeeds) -> tuple[Tensor, np.ndarray]:
        """This rank's part of a step's inputs, and the positions that they really are of; in a thread of its own."""
        own = own_part(positions)
        crop = self.experiment.augment.crop((seeds.crop,)) if len(self.data.shape) == 3 else None
        inputs = torch.from_numpy(self.data.batch(own, crop))
        if self.device.type == "cuda":
            inputs = inputs.pin_memory()  # so that its copy to the device need not wait for the step before
        return inputs, taken(self.data, own)

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

    def _set_rates(self, step: int) -> None:
        schedule = self.experiment.schedule
        factor = rate_factor(schedule, step, epochs=self.epochs, steps_per_epoch=self.steps_per_epoch)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
