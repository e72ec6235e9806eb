"""A run folder: the experiment and its facts, metrics as JSON lines, checkpoints, and in the end the model.

    experiment.json                 every choice, the data's fingerprint, versions; written first, never changed
    metrics.jsonl                   one line an epoch
    checkpoints/progress.pt         where unfinished training stands; gone when the run is finished
    checkpoints/STAGE.safetensors   the network at the end of each stage
    model.safetensors               the finished network; its presence says that the run is finished

A run that is killed is resumed by starting it again, and ends with the weights of an unbroken one.
"""

import json
import platform
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from facerec_oltr.data import DataSet
from facerec_oltr.engine.checkpoint import (
    Progress,
    load_progress,
    load_weights,
    read_json,
    save_progress,
    save_weights,
    write_json,
)
from facerec_oltr.engine.model import Model, build_model
from facerec_oltr.engine.stage import EpochReport, StageRun, few_shot_classes
from facerec_oltr.errors import CheckpointError, ConfigError
from facerec_oltr.experiment import Experiment, Stage

FORMAT = 2
_SECONDS_BETWEEN_CHECKPOINTS = 5.0


class Reporter(Protocol):
    """Who is told how training goes."""

    def stage_begins(self, stage: Stage, epochs: int, epochs_done: int) -> None: ...  # noqa: D102
    def epoch_ends(self, stage: Stage, report: EpochReport) -> None: ...  # noqa: D102


class Silent:
    """Tells nobody."""

    def stage_begins(self, stage: Stage, epochs: int, epochs_done: int) -> None:
        """Do nothing."""

    def epoch_ends(self, stage: Stage, report: EpochReport) -> None:
        """Do nothing."""


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
        ConfigError: `out` holds something else than this experiment, or the data has no base or no few-shot classes
            where a stage is for the base classes.
        CheckpointError: a checkpoint in `out` is damaged.
        TrainingError: the loss is not finite.
    """
    data = experiment.data.build()
    few_shot_classes(
        experiment, np.bincount(data.labels, minlength=data.classes)
    )  # an error before anything is written
    _claim(out, _describe(experiment, data))
    finished = out / "model.safetensors"
    if not finished.exists():
        run = _Run(experiment, data, out, device or torch.device("cpu"), reporter or Silent(), clock)
        run.train()
    return finished


class _Run:
    def __init__(
        self,
        experiment: Experiment,
        data: DataSet,
        out: Path,
        device: torch.device,
        reporter: Reporter,
        clock: Callable[[], float],
    ) -> None:
        self.experiment, self.data, self.out, self.device = experiment, data, out, device
        self.reporter, self.clock = reporter, clock
        self.checkpoints = out / "checkpoints"
        self.progress_path = self.checkpoints / "progress.pt"
        self.metrics_path = out / "metrics.jsonl"

    def train(self) -> None:
        self.checkpoints.mkdir(exist_ok=True)
        progress = load_progress(self.progress_path) or Progress(0, 0, 0, None, None)
        lines = self._metrics_up_to(progress.lines)
        for index in range(progress.stage, len(self.experiment.stages)):
            stage_run = self._prepare(index, progress)
            self._train_stage(stage_run, progress, lines)
            save_weights(self._weights_path(stage_run.stage), stage_run.model.state_dict(), self._facts(stage_run))
            progress = Progress(index + 1, 0, len(lines), None, None)
            save_progress(self.progress_path, progress)
        last = self.experiment.stages[-1]
        weights = load_weights(self._weights_path(last))
        save_weights(self.out / "model.safetensors", weights, {"stage": last.name})
        self.progress_path.unlink()

    def _train_stage(self, stage_run: StageRun, progress: Progress, lines: list[str]) -> None:
        stage = stage_run.stage
        self.reporter.stage_begins(stage, stage_run.epochs, progress.epochs)
        saved_at = self.clock()
        with self.metrics_path.open("a", encoding="utf-8") as metrics:
            for report in stage_run.train(progress.epochs, progress.optimizer):
                lines.append(json.dumps({"stage": stage.name, **report._asdict()}))
                metrics.write(lines[-1] + "\n")
                metrics.flush()
                self.reporter.epoch_ends(stage, report)
                if self.clock() - saved_at >= _SECONDS_BETWEEN_CHECKPOINTS:
                    state = stage_run.model.state_dict(), stage_run.optimizer.state_dict()
                    save_progress(self.progress_path, Progress(stage_run.index, report.epoch, len(lines), *state))
                    saved_at = self.clock()
        # the centroids of the finished network, not of its last epoch's start
        stage_run.refresh_memory("stage ends" if stage_run.epochs else "stage begins")

    def _prepare(self, index: int, progress: Progress) -> StageRun:
        stage = self.experiment.stages[index]
        model, new_weights = self._fresh(stage, index), []
        if stage.start_from is not None:
            source = next(s for s in self.experiment.stages if s.name == stage.start_from)
            previous = self._fresh(source, 0)
            path = self._weights_path(source)
            previous.load(load_weights(path), str(path))
            new_weights = model.take_over(previous)
        if progress.model is not None:
            model.load(progress.model, str(self.progress_path))
        return StageRun(self.experiment, index, model.to(self.device), new_weights, self.data, self.device, self.clock)

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


def _describe(experiment: Experiment, data: DataSet) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "experiment": experiment.model_dump(mode="json"),
        "data": {
            "fingerprint": data.fingerprint,
            "images": len(data),
            "classes": data.classes,
            "shape": list(data.shape),
        },
        "made_with": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("facerec-oltr", "torch", "numpy", "opencv-python")},
            "git_commit": _git_commit(),
        },
    }


def _git_commit() -> str | None:
    """The commit of the checkout that this package runs from; None for an installed package."""
    home = Path(__file__).resolve().parents[2]
    if not (home / ".git").exists():
        return None
    try:
        git = subprocess.run(  # noqa: S603
            ["git", "-C", str(home), "rev-parse", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return git.stdout.strip()


def _claim(out: Path, description: dict[str, Any]) -> None:
    """Make the run folder, or make sure that it is a run of the same experiment on the same data."""
    path = out / "experiment.json"
    if path.exists():
        known = read_json(path)
        for part in ("format", "experiment", "data"):
            if difference := _first_difference(known.get(part), description[part], part):
                raise ConfigError(f"{out}: holds another run: {difference}; choose another --out, or remove it")
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: exists but is no run folder (no experiment.json); choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, description)


def _first_difference(there: Any, here: Any, place: str) -> str | None:
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted(there.keys() | here.keys()):
            if found := _first_difference(there.get(key), here.get(key), f"{place}.{key}"):
                return found
        return None
    return None if there == here else f"{place} is {there!r} there and {here!r} here"
