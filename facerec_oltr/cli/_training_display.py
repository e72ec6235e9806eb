"""How training shows itself: a live bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from facerec_oltr.engine.reporting import EpochReport, Reporter, StepReport
from facerec_oltr.experiment import Stage
from recordio_tools.door import say

_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def display() -> Iterator[Reporter]:
    """A reporter for the stderr at hand."""
    if not sys.stderr.isatty():
        yield LineReporter(say)
        return
    columns = (
        TextColumn("{task.description:<8}"),
        BarColumn(bar_width=24),
        TextColumn("epoch {task.completed:>3.0f}/{task.total:.0f}  {task.fields[state]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield BarReporter(bars)


class BarReporter:
    """One bar a stage."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task: TaskID | None = None
        self._validated = ""

    def stage_begins(self, stage: Stage, epochs: int, epochs_done: int) -> None:
        """Start the stage's bar."""
        self._validated = ""
        self._task = self._bars.add_task(stage.name, total=epochs, completed=epochs_done, state="")

    def step_ends(self, stage: Stage, report: StepReport) -> None:
        """Do nothing."""

    def epoch_ends(self, stage: Stage, report: EpochReport) -> None:
        """Move it on."""
        assert self._task is not None
        self._validated = _validated(report) or self._validated
        self._bars.update(self._task, completed=report.epoch, state=_state(report, self._validated))


class LineReporter:
    """A line at the start and the end of a stage, and every ten seconds between."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._epochs, self._epochs_done, self._began, self._said, self._validated = 0, 0, 0.0, 0.0, ""

    def stage_begins(self, stage: Stage, epochs: int, epochs_done: int) -> None:
        """Say what begins, or goes on."""
        self._epochs, self._epochs_done = epochs, epochs_done
        self._began = self._said = self._clock()
        self._validated = ""
        resumed = f", {epochs_done} of them done before" if epochs_done else ""
        self._say(f"stage {stage.name}: {epochs} epochs{resumed}")

    def step_ends(self, stage: Stage, report: StepReport) -> None:
        """Do nothing."""

    def epoch_ends(self, stage: Stage, report: EpochReport) -> None:
        """Say how it goes, if it is time to."""
        now = self._clock()
        self._validated = _validated(report) or self._validated
        if now - self._said < _SECONDS_BETWEEN_LINES and report.epoch < self._epochs:
            return
        self._said = now
        pace = (now - self._began) / (report.epoch - self._epochs_done)
        left = f", {pace * (self._epochs - report.epoch):.0f} s left" if report.epoch < self._epochs else ""
        self._say(f"stage {stage.name}: epoch {report.epoch}/{self._epochs}: {_state(report, self._validated)}{left}")


def _validated(report: EpochReport) -> str:
    return "" if report.validation is None else f"validation {report.validation.micro:6.1%}  "


def _state(report: EpochReport, validated: str) -> str:
    """An epoch's figures; `validated` is of the last epoch that was measured."""
    return (
        f"loss {report.loss:7.3f}  accuracy {report.accuracy:6.1%}  {validated}rate {report.learning_rate:.4f}  "
        f"{report.images_per_second:5.0f} images/s"
    )
