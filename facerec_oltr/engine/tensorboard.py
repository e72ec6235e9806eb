"""Training as TensorBoard's scalars: the extra `tensorboard`.

Tags are `STAGE/loss`, `STAGE/loss/KIND`, `STAGE/accuracy`, `STAGE/learning_rate`, `STAGE/images_per_second`,
`STAGE/waiting`, and of an epoch's end `STAGE/skipped`, `STAGE/validation/many` and its kin, `STAGE/verification/PACK`.
Steps count through the whole run, all stages; an epoch's figures stand at its last step, and what stands at a step
before is the mean over the epoch so far. metrics.jsonl stays the record: these are for the eye.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from facerec_oltr.engine.reporting import EpochReport, RunFacts, StepReport
from facerec_oltr.errors import ConfigError, TrainingError
from facerec_oltr.experiment import Stage

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
"""In a run folder: a run that goes on finds it, two runs never mix, and `--logdir runs` shows each by its name."""

_SECONDS_BETWEEN_POINTS = 10.0


class TensorBoardReporter:
    """Writes scalars into a folder, a point every ten seconds and at each epoch's end.

    A run that goes on takes back what an earlier process wrote of steps that are now made again: TensorBoard drops all
    that lies at or after the first step of this process. Each point has left this process when the call returns, so a
    killed run lacks none that its checkpoint covers.

    Args:
        folder: of one run; made with the first point.
        clock: seconds.

    Raises:
        ConfigError: the package is not installed.
        TrainingError: of an event: the point cannot be written.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        try:
            import torch.utils.tensorboard  # noqa: F401
        except ImportError as error:
            raise ConfigError(
                f"TensorBoard's events cannot be written ({error}); install what writes them with: "
                "pip install 'facerec-oltr[tensorboard]', or leave --tensorboard out"
            ) from None
        self._folder, self._clock = folder, clock
        self._writer: SummaryWriter | None = None
        self._offsets: dict[str, int] = {}
        self._steps: dict[str, int] = {}
        self._wrote_at: float | None = None

    def run_begins(self, facts: RunFacts) -> None:
        """Learn at which step of the run each stage begins."""
        self._steps = {stage.name: stage.steps for stage in facts.stages}
        begins = accumulate((stage.epochs * stage.steps for stage in facts.stages), initial=0)
        self._offsets = dict(zip(self._steps, begins, strict=False))

    def remarks(self, words: str) -> None:
        """Words are no scalars."""

    def stage_begins(self, stage: Stage, epochs: int, epochs_done: int) -> None:
        """Let the stage's first step be a point."""
        self._wrote_at = None

    def step_ends(self, stage: Stage, report: StepReport) -> None:
        """Write a point, if it is time to; the last step's is the epoch's."""
        now = self._clock()
        due = self._wrote_at is None or now - self._wrote_at >= _SECONDS_BETWEEN_POINTS
        if due and report.step < report.steps:
            self._wrote_at = now
            self._write(stage, self._place(stage, report.epoch - 1) + report.step, _common(report))

    def epoch_ends(self, stage: Stage, report: EpochReport) -> None:
        """Write what the epoch came to."""
        self._write(stage, self._place(stage, report.epoch), _common(report) | _of_an_epoch(report))

    def close(self) -> None:
        """Close the file; nothing may be reported after it."""
        if self._writer is not None:
            self._writer.close()

    def _place(self, stage: Stage, epochs: int) -> int:
        """The run's steps up to the end of so many epochs of a stage."""
        return self._offsets[stage.name] + epochs * self._steps[stage.name]

    def _write(self, stage: Stage, step: int, scalars: dict[str, float]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        try:
            if self._writer is None:
                self._writer = SummaryWriter(self._folder, purge_step=step)
            for name, value in scalars.items():
                self._writer.add_scalar(f"{stage.name}/{name}", value, step)
            self._writer.flush()
        except OSError as error:
            self._writer = None  # it could not be closed either
            raise TrainingError(
                f"{self._folder}: TensorBoard's scalars cannot be written ({error}); make room for them, or leave "
                "--tensorboard out, and the same command goes on from the last checkpoint"
            ) from None


def _common(report: StepReport | EpochReport) -> dict[str, float]:
    return {
        "loss": report.loss,
        **{f"loss/{kind}": value for kind, value in report.parts.items()},
        "accuracy": report.accuracy,
        "learning_rate": report.learning_rate,
        "images_per_second": report.images_per_second,
        "waiting": report.waiting,
    }


def _of_an_epoch(report: EpochReport) -> dict[str, float]:
    """What only an epoch has; a bin without validation images has no point."""
    validation = {} if report.validation is None else asdict(report.validation)
    return {
        "skipped": report.skipped,
        **{f"validation/{name}": value for name, value in validation.items() if not math.isnan(value)},
        **{f"verification/{pack}": accuracy for pack, accuracy in (report.verification or {}).items()},
    }
