"""Vectors with a validation split: an experiment on them trains in a moment."""

import json
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facerec_oltr.config import load_experiment
from facerec_oltr.engine.reporting import EpochReport, Silent, StepReport
from facerec_oltr.experiment import Experiment, Stage

COUNTS = (40, 20, 9, 5, 3, 2)


class StopError(Exception):
    """Stands for a kill at the end of an epoch."""


class StopAt(Silent):
    """Interrupts after so many epochs of the whole run, or after so many steps."""

    def __init__(self, epochs: int = 0, steps: int = 0) -> None:
        self.left, self.left_steps = epochs, steps
        self.resumed_at: list[tuple[str, int]] = []
        self.reports: list[EpochReport] = []

    def stage_begins(self, stage: Stage, epochs: int, epochs_done: int) -> None:
        self.resumed_at.append((stage.name, epochs_done))

    def step_ends(self, stage: Stage, report: StepReport) -> None:
        self.left_steps -= 1
        if self.left_steps == 0:
            raise StopError

    def epoch_ends(self, stage: Stage, report: EpochReport) -> None:
        self.reports.append(report)
        self.left -= 1
        if self.left == 0:
            raise StopError


def hours() -> float:
    """A clock by which a checkpoint is due after every epoch."""
    return float(next(_ticks)) * 3600


_ticks = count()


def without_times(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl, without what depends on how fast it went."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("images_per_second", "waiting")} for line in lines]


@pytest.fixture(scope="session")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six overlapping classes with 40 to 2 training vectors of length 12, and splits `val` and `test`."""
    folder = tmp_path_factory.mktemp("vectors")
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(len(COUNTS), 12))
    for split, counts in (("train", COUNTS), ("val", [6] * 6), ("test", [8] * 6)):
        labels = np.repeat(np.arange(len(COUNTS)), counts)
        noise = 0.9 * rng.normal(size=(len(labels), 12))
        np.savez(folder / f"{split}.npz", features=centres[labels] + noise, labels=labels)
    return folder


def on_vectors(vectors: Path, *overrides: str, method: str = "oltr") -> Experiment:
    """A method on the vectors, ten epochs."""
    few = (f"data.path={vectors}", "schedule.epochs=10", "schedule.batch_size=16")
    return load_experiment(method, "lfw_features", overrides=[*few, *overrides])
