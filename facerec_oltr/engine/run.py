"""A run folder: the experiment and its facts, metrics as JSON lines, checkpoints, and in the end the model.

    experiment.json                 every choice, the data's fingerprints, versions; written first, never changed
    metrics.jsonl                   one line an epoch
    checkpoints/progress.pt         where unfinished training stands; gone when the run is finished
    checkpoints/best-N.safetensors  of the last stage, the best epoch so far; gone when the run is finished
    checkpoints/STAGE.safetensors   the network at the end of each stage
    best.safetensors                the network at the last stage's epoch with the highest validation accuracy (over all
                                    images; of equals the first), which stands in its metadata; not without validation
    model.safetensors               the finished network; its presence says that the run is finished

A run that is killed is resumed by starting it again, and ends with the bytes of an unbroken one in both files.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from facerec_oltr.data import DataSet
from facerec_oltr.engine.base_classes import few_shot_classes
from facerec_oltr.engine.best import BestWeights
from facerec_oltr.engine.checkpoint import Progress, load_progress, load_weights, save_progress, save_weights
from facerec_oltr.engine.finished import WEIGHTS_FILES
from facerec_oltr.engine.folder import claim, describe
from facerec_oltr.engine.model import Model, build_model
from facerec_oltr.engine.precision import Arithmetic
from facerec_oltr.engine.pretrained import Pretrained, open_pretrained
from facerec_oltr.engine.reporting import Reporter, Silent
from facerec_oltr.engine.stage import StageRun
from facerec_oltr.engine.verifying import Verification, open_verification
from facerec_oltr.errors import CheckpointError, DataError, TrainingError
from facerec_oltr.experiment import Experiment, Stage
from facerec_oltr.metrics.shots import ShotAccuracies

_SECONDS_BETWEEN_CHECKPOINTS = 5.0


def train(
    experiment: Experiment,
    out: Path,
    *,
    device: torch.device | None = None,
    reporter: Reporter | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Path:
    """Train an experiment into a run folder, or go on with one that was stopped, or do nothing with a finished one.

    Args:
        experiment: what to train.
        out: the run folder; it may exist only if it is a run of the same experiment on the same data.
        device: where to compute; the processor if not given.
        reporter: is told of every stage and epoch.
        clock: seconds; decides only when a checkpoint is due and the speed that is reported.

    Returns:
        The path of the finished model.

    Raises:
        ConfigError: `out` holds something else than this experiment, the device cannot compute as it asks, or the data
            has no base or no few-shot classes where a stage is for the base classes.
        DataError: the training or the validation split, or a verification pack, is not what it should be.
        CheckpointError: a checkpoint in `out` is damaged, or the weights to start from are missing or do not fit.
        TrainingError: a batch is larger than the training split, or the loss is not finite.
    """
    device = device or torch.device("cpu")
    Arithmetic(experiment.schedule.precision, device)  # what the device cannot do is known before a folder is made
    data, validation = experiment.data.build(), _validation(experiment)
    few_shot_classes(experiment, np.bincount(data.labels, minlength=data.classes))  # as is what the data lack
    if (size := experiment.schedule.batch_size) > len(data):
        raise TrainingError(
            f"schedule.batch_size is {size:,}, more than the {len(data):,} inputs of the training split; "
            f"set it to {len(data):,} or less"
        )
    pretrained = open_pretrained(experiment, data.shape)
    verification = open_verification(experiment, data.shape)
    claim(out, describe(experiment, data, validation, pretrained, verification.fingerprints()))
    finished = out / WEIGHTS_FILES["last"]
    if not finished.exists():
        _Run(experiment, data, validation, pretrained, verification, out, device, reporter or Silent(), clock).train()
    return finished


def _validation(experiment: Experiment) -> DataSet | None:
    """The validation split, if the data set has one and it is to be measured."""
    if not experiment.schedule.validate_every or "val" not in experiment.data.splits():
        return None
    try:
        validation = experiment.data.build("val")
        if not len(validation):
            raise DataError(f"{experiment.dataset}: the split 'val' is empty")
    except DataError as error:
        raise DataError(f"{error}; to train without validation: --set schedule.validate_every=0") from None
    return validation


class _Run:
    def __init__(
        self,
        experiment: Experiment,
        data: DataSet,
        validation: DataSet | None,
        pretrained: Pretrained | None,
        verification: Verification,
        out: Path,
        device: torch.device,
        reporter: Reporter,
        clock: Callable[[], float],
    ) -> None:
        self.experiment, self.data, self.validation, self.pretrained = experiment, data, validation, pretrained
        self.verification, self.out, self.device = verification, out, device
        self.reporter, self.clock = reporter, clock
        self.checkpoints = out / "checkpoints"
        self.progress_path = self.checkpoints / "progress.pt"
        self.metrics_path = out / "metrics.jsonl"

    def train(self) -> None:
        self.checkpoints.mkdir(exist_ok=True)
        progress = load_progress(self.progress_path) or Progress(0, 0, 0)
        self.best = BestWeights(self.checkpoints, progress.best)
        lines = self._metrics_up_to(progress.lines)
        for index in range(progress.stage, len(self.experiment.stages)):
            stage_run = self._prepare(index, progress)
            self._train_stage(stage_run, progress, lines)
            save_weights(self._weights_path(stage_run.stage), stage_run.model.state_dict(), self._facts(stage_run))
            progress = Progress(index + 1, 0, len(lines), best=self.best.known)
            self._save(progress)
        last = self.experiment.stages[-1]
        self.best.hand_over(self.out / WEIGHTS_FILES["best"])
        weights = load_weights(self._weights_path(last))
        save_weights(self.out / WEIGHTS_FILES["last"], weights, {"stage": last.name})
        self.progress_path.unlink()
        self.best.forget()

    def _train_stage(self, stage_run: StageRun, progress: Progress, lines: list[str]) -> None:
        stage, index = stage_run.stage, stage_run.index
        self.reporter.stage_begins(stage, stage_run.epochs, progress.epochs)
        saved_at = self.clock()
        with self.metrics_path.open("a", encoding="utf-8") as metrics:
            for report in stage_run.train(progress.epochs, progress.state):
                if self.verification.due(report.epoch, stage_run.epochs):
                    report = report._replace(verification=self.verification.measure(stage_run.model))
                lines.append(report.line(stage.name))
                metrics.write(lines[-1] + "\n")
                metrics.flush()
                self._consider(stage_run, report.epoch, report.validation)
                self.reporter.epoch_ends(stage, report)
                if self.clock() - saved_at >= _SECONDS_BETWEEN_CHECKPOINTS:
                    weights, state = stage_run.model.state_dict(), stage_run.state()
                    self._save(Progress(index, report.epoch, len(lines), weights, state, self.best.known))
                    saved_at = self.clock()
        if not stage_run.epochs:  # its end is its only moment
            self._consider(stage_run, 0, stage_run.validate())

    def _consider(self, stage_run: StageRun, epoch: int, validation: ShotAccuracies | None) -> None:
        if validation is not None and stage_run.stage is self.experiment.stages[-1]:
            self.best.consider(epoch, validation.micro, stage_run.model.state_dict(), self._facts(stage_run))

    def _save(self, progress: Progress) -> None:
        save_progress(self.progress_path, progress)
        self.best.forget_others()

    def _prepare(self, index: int, progress: Progress) -> StageRun:
        stage = self.experiment.stages[index]
        model, new_weights = self._fresh(stage, index), []
        if stage.start_from is not None:
            source = next(s for s in self.experiment.stages if s.name == stage.start_from)
            previous = self._fresh(source, 0)
            path = self._weights_path(source)
            previous.load(load_weights(path), str(path))
            new_weights = model.take_over(previous)
        elif self.pretrained is not None:
            new_weights = self.pretrained.start(model)
        if progress.model is not None:
            model.load(progress.model, str(self.progress_path))
        model = model.to(self.device)
        return StageRun(self.experiment, index, model, new_weights, self.data, self.device, self.clock, self.validation)

    def _fresh(self, stage: Stage, index: int) -> Model:
        seed = self.experiment.seed * 1000 + index
        return build_model(self.experiment, stage, shape=self.data.shape, classes=self.data.classes, seed=seed)

    def _weights_path(self, stage: Stage) -> Path:
        return self.checkpoints / f"{stage.name}.safetensors"

    def _facts(self, stage_run: StageRun) -> dict[str, str]:
        return {"stage": stage_run.stage.name, "epochs": str(stage_run.epochs)}

    def _metrics_up_to(self, count: int) -> list[str]:
        """The metric lines that the checkpoint knows of; later ones belong to work that was lost, and go."""
        lines = self.metrics_path.read_text(encoding="utf-8").splitlines() if self.metrics_path.exists() else []
        if len(lines) < count:
            raise CheckpointError(
                f"{self.metrics_path}: found {len(lines)} lines, expected at least {count}; it belongs to another run, "
                f"remove {self.out} and train again"
            )
        kept = lines[:count]
        self.metrics_path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        return kept
