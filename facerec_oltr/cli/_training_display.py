"""How training shows itself: a few live lines on a terminal, a line now and then elsewhere."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from facerec_oltr.cli._training_figures import (
    Measured,
    Pace,
    counted,
    duration,
    facts_in_words,
    figures,
    joined,
    wrapped,
)
from facerec_oltr.engine.reporting import EpochReport, Reporter, RunFacts, Silent, StepReport
from facerec_oltr.experiment import Stage
from recordio_tools.door import say

_SECONDS_BETWEEN_LINES = 10.0


def speaks() -> bool:
    """Whether this process is the one of a training that talks to a person: under torchrun the first rank alone."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def display(quiet: bool = False) -> Iterator[Reporter]:
    """A reporter for the stderr at hand; it tells nobody where `quiet`, or where another rank speaks."""
    if quiet or not speaks():
        yield Silent()
        return
    console = Console(stderr=True)
    if not (sys.stderr.isatty() and console.is_interactive):  # a dumb terminal cannot go back over its lines
        yield LineReporter(say)
        return
    reporter = LiveReporter(console)
    with Live(reporter, console=console, refresh_per_second=4):
        yield reporter


class LiveReporter:
    """Lines that change in place while a stage is trained; one that stays when it is done.

    It renders as the stage at hand, for a ``rich.live.Live`` on the same console, which draws it from a thread of its
    own: reports are stored whole, in one assignment.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._stages: tuple[str, ...] = ()
        self._shown: _StageShown | None = None

    def run_begins(self, facts: RunFacts) -> None:
        """Say what is trained."""
        self._stages = tuple(stage.name for stage in facts.stages)
        self._print(facts_in_words(facts), between=" ")

    def remarks(self, words: str) -> None:
        """Say it, in a line that stays."""
        self._print(words.split(" "), between=" ")

    def stage_begins(self, stage: Stage, epochs: int, epochs_done: int) -> None:
        """Show the stage."""
        after = self._stages[self._stages.index(stage.name) + 1 :] if stage.name in self._stages else ()
        if epochs_done < epochs:
            self._shown = _StageShown(stage.name, epochs, epochs_done, after, self._clock)
        else:
            words = f"{counted(epochs, 'epoch')}, all done before" if epochs else "no epochs to train"
            self._print([stage.name, words])

    def step_ends(self, stage: Stage, report: StepReport) -> None:
        """Show the step, when the lines are next drawn."""
        assert self._shown is not None
        self._shown.hear(report)

    def epoch_ends(self, stage: Stage, report: EpochReport) -> None:
        """Show the epoch, or close the stage."""
        shown = self._shown
        assert shown is not None
        shown.hear(report)
        if report.epoch == shown.epochs:
            self._shown = None
            self._print(shown.summary(report))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if (shown := self._shown) is not None:
            yield from shown.drawn(options.max_width)

    def _print(self, words: list[str], between: str = "  ") -> None:
        for line in wrapped(words, self._console.width, between):
            self._console.print(Text(line, no_wrap=True))


class _StageShown:
    """The stage that is trained, as lines."""

    def __init__(
        self, name: str, epochs: int, epochs_done: int, after: tuple[str, ...], clock: Callable[[], float]
    ) -> None:
        self.name, self.epochs, self.epochs_done, self.after = name, epochs, epochs_done, after
        self.pace, self.measured = Pace(clock), Measured()
        self.report: StepReport | EpochReport | None = None

    def hear(self, report: StepReport | EpochReport) -> None:
        if isinstance(report, EpochReport):
            self.measured.hear(report)
        self.pace.reaches(_epochs_done(report))
        self.report = report

    def summary(self, report: EpochReport) -> list[str]:
        """The stage when it is done."""
        (loss, *_), accuracies, _ = figures(report, self.measured)
        before = f" ({self.epochs_done} before)" if self.epochs_done else ""
        epochs = f"{counted(self.epochs, 'epoch')}{before}"
        return [self.name, f"{epochs} in {duration(self.pace.gone())}", loss, *accuracies]

    def drawn(self, width: int) -> Iterator[Table | Text]:
        report = self.report
        done = self.epochs_done if report is None else _epochs_done(report)
        head = Table.grid(padding=(0, 2), expand=True)
        head.add_column(no_wrap=True)
        head.add_column(ratio=1)
        head.add_column(no_wrap=True)
        bar = ProgressBar(total=self.epochs, completed=done)
        head.add_row(Text(f"{self.name}  {self._place(report)}"), bar, f"{done / self.epochs:4.0%}")
        yield head
        rows = [["before the first step"]] if report is None else figures(report, self.measured)
        for row in (*rows, self._time()):
            for line in wrapped(row, width - 2):
                yield Text(f"  {line}", no_wrap=True)

    def _place(self, report: StepReport | EpochReport | None) -> str:
        epoch = f"epoch {self.epochs_done + 1 if report is None else report.epoch}/{self.epochs}"
        if not isinstance(report, StepReport):
            return epoch
        finishing = ", finishing" if report.step == report.steps else ""
        return f"{epoch}  step {report.step:,}/{report.steps:,}{finishing}"

    def _time(self) -> list[str]:
        """Of the run no time is told: another stage's steps take another time."""
        seconds = self.pace.left(self.epochs)
        left = "time left not known yet" if seconds is None else f"{duration(seconds)} left"
        then = [f"then {', '.join(self.after)}"] if self.after else []
        return [
            f"{duration(self.pace.gone())} gone",
            f"{left} of this stage" if then and seconds is not None else left,
            *then,
        ]


class LineReporter:
    """A line at the start and the end of a stage, and every ten seconds between, within a long epoch too."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._epochs, self._said, self._said_in, self._epoch_began = 0, 0.0, 0, 0.0
        self._pace, self._measured = Pace(clock), Measured()

    def run_begins(self, facts: RunFacts) -> None:
        """Say what is trained."""
        self._say(" ".join(facts_in_words(facts)))

    def remarks(self, words: str) -> None:
        """Say it."""
        self._say(words)

    def stage_begins(self, stage: Stage, epochs: int, epochs_done: int) -> None:
        """Say what begins, or goes on."""
        self._epochs, self._said, self._said_in = epochs, self._clock(), 0
        self._epoch_began = self._said
        self._pace, self._measured = Pace(self._clock), Measured()
        resumed = f", {epochs_done} of them done before" if epochs_done else ""
        self._say(f"stage {stage.name}: {counted(epochs, 'epoch')}{resumed}")

    def step_ends(self, stage: Stage, report: StepReport) -> None:
        """Say how the epoch goes, if it is time to, and it has gone on for long: a short one is told of at its end."""
        self._pace.reaches(_epochs_done(report))
        if self._clock() - max(self._said, self._epoch_began) >= _SECONDS_BETWEEN_LINES:
            self._said_in = report.epoch
            self._tell(stage, report, f", step {report.step:,}/{report.steps:,}")

    def epoch_ends(self, stage: Stage, report: EpochReport) -> None:
        """Say what the epoch came to, if it is time to, or if it was spoken of before."""
        self._measured.hear(report)
        self._pace.reaches(_epochs_done(report))
        due = self._clock() - self._said >= _SECONDS_BETWEEN_LINES
        if due or report.epoch in (self._epochs, self._said_in):
            self._tell(stage, report, "")
        self._epoch_began = self._clock()

    def _tell(self, stage: Stage, report: StepReport | EpochReport, step: str) -> None:
        self._said = self._clock()
        done, left = _epochs_done(report), self._pace.left(self._epochs)
        time_left = "" if left is None or done == self._epochs else f"  {duration(left)} left"
        words = joined(figures(report, self._measured))
        self._say(f"stage {stage.name}: epoch {report.epoch}/{self._epochs}{step}: {words}{time_left}")


def _epochs_done(report: StepReport | EpochReport) -> float:
    if isinstance(report, EpochReport):
        return report.epoch
    return report.epoch - 1 + report.step / report.steps
