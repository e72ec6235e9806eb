"""What training tells of itself: a step's and an epoch's figures, and who is told."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple, Protocol

from facerec_oltr.experiment import Stage
from facerec_oltr.metrics.shots import ShotAccuracies


class StagePlan(NamedTuple):
    """How long a stage is: `epochs` of so many `steps` each; a stage may have none."""

    name: str
    epochs: int
    steps: int


class RunFacts(NamedTuple):
    """What is about to be trained.

    Attributes:
        method: name of the method file.
        dataset: name of the data-set file.
        images: of the training split.
        classes: C.
        parameters: numbers that the last stage's network learns, its head included; of all ranks together.
        device: where it computes.
        ranks: processes that train together; 1 alone.
        stages: all of the run, also those that are done.
    """

    method: str
    dataset: str
    images: int
    classes: int
    parameters: int
    device: str
    ranks: int
    stages: tuple[StagePlan, ...]


class StepReport(NamedTuple):
    """How an epoch goes, after one of its steps; every mean is over the epoch's images so far.

    Attributes:
        epoch: its number, from 1.
        step: of the epoch, from 1.
        steps: that the epoch has.
        loss: mean total loss.
        parts: mean of each term of the loss, unweighted, by kind.
        accuracy: share of the (augmented) images whose highest logit was their class.
        learning_rate: of the first parameter group.
        images_per_second: of the epoch so far.
        waiting: share of the epoch's time so far in which the trainer waited for data, 0 to 1.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    parts: Mapping[str, float]
    accuracy: float
    learning_rate: float
    images_per_second: float
    waiting: float


class EpochReport(NamedTuple):
    """What an epoch came to.

    Attributes:
        epoch: its number, from 1.
        loss: mean total loss over the images.
        parts: mean of each term of the loss, unweighted, by kind.
        accuracy: share of the (augmented) training images whose highest logit was their class.
        learning_rate: of the first parameter group, after the last step.
        images_per_second: over the epoch's steps; without validation, and without the pass for the memory.
        validation: accuracy on the validation split at the end of the epoch; None if it was not measured.
        waiting: share of the steps' time in which the trainer waited for data, 0 to 1.
        skipped: damaged images that were left out.
        verification: figures on verification packs at the end of the epoch, see engine/verifying.py; None if they were
            not measured.
    """

    epoch: int
    loss: float
    parts: Mapping[str, float]
    accuracy: float
    learning_rate: float
    images_per_second: float
    validation: ShotAccuracies | None = None
    waiting: float = 0.0
    skipped: int = 0
    verification: dict[str, float] | None = None

    def line(self, stage: str) -> str:
        """As a line of metrics.jsonl; a bin without validation images is null, as JSON has no NaN."""
        table: dict[str, Any] = {"stage": stage, **self._asdict(), "parts": dict(self.parts)}
        measured = {
            "validation": None if self.validation is None else asdict(self.validation),
            "verification": self.verification,
        }
        for name, figures in measured.items():
            if figures is None:
                del table[name]
            else:
                table[name] = {key: None if math.isnan(value) else value for key, value in figures.items()}
        return json.dumps(table)


class Reporter(Protocol):
    """Who is told how training goes.

    A run begins; then each stage that is left begins, its steps end, and after the last step of an epoch (and what is
    measured then) the epoch ends. A run that goes on in the middle of an epoch tells of the steps that are left of it.
    Steps may be many a second: a reporter picks those that it shows. A remark is a sentence that a person should read,
    between two stages.
    """

    def run_begins(self, facts: RunFacts) -> None: ...  # noqa: D102
    def remarks(self, words: str) -> None: ...  # noqa: D102
    def stage_begins(self, stage: Stage, epochs: int, epochs_done: int) -> None: ...  # noqa: D102
    def step_ends(self, stage: Stage, report: StepReport) -> None: ...  # noqa: D102
    def epoch_ends(self, stage: Stage, report: EpochReport) -> None: ...  # noqa: D102


class Silent:
    """Tells nobody."""

    def run_begins(self, facts: RunFacts) -> None:
        """Do nothing."""

    def remarks(self, words: str) -> None:
        """Do nothing."""

    def stage_begins(self, stage: Stage, epochs: int, epochs_done: int) -> None:
        """Do nothing."""

    def step_ends(self, stage: Stage, report: StepReport) -> None:
        """Do nothing."""

    def epoch_ends(self, stage: Stage, report: EpochReport) -> None:
        """Do nothing."""


class Several:
    """Tells each of several reporters, in their order."""

    def __init__(self, *reporters: Reporter) -> None:
        self._reporters = reporters

    def run_begins(self, facts: RunFacts) -> None:
        """Pass it on."""
        for reporter in self._reporters:
            reporter.run_begins(facts)

    def remarks(self, words: str) -> None:
        """Pass it on."""
        for reporter in self._reporters:
            reporter.remarks(words)

    def stage_begins(self, stage: Stage, epochs: int, epochs_done: int) -> None:
        """Pass it on."""
        for reporter in self._reporters:
            reporter.stage_begins(stage, epochs, epochs_done)

    def step_ends(self, stage: Stage, report: StepReport) -> None:
        """Pass it on."""
        for reporter in self._reporters:
            reporter.step_ends(stage, report)

    def epoch_ends(self, stage: Stage, report: EpochReport) -> None:
        """Pass it on."""
        for reporter in self._reporters:
            reporter.epoch_ends(stage, report)
