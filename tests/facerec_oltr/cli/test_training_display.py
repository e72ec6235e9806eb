"""What a person sees while a network is trained: live lines, lines in a log, or nothing."""

import io
import os
import subprocess
import sys
import threading
from contextlib import redirect_stderr
from pathlib import Path

import pytest
from rich.console import Console

from facerec_oltr.cli._training_display import LineReporter, LiveReporter, display
from facerec_oltr.cli._training_figures import Pace, duration, wrapped
from facerec_oltr.config import load_experiment
from facerec_oltr.engine.reporting import EpochReport, Reporter, RunFacts, Silent, StagePlan, StepReport
from facerec_oltr.metrics.shots import ShotAccuracies

PLAIN, MEMORY = load_experiment("oltr", "lfw_features").stages
FACTS = RunFacts(
    "oltr",
    "ms1m_lt",
    887_530,
    74_532,
    24_567_890,
    "cuda",
    8,
    (StagePlan("plain", 12, 1_734), StagePlan("memory", 8, 1_734)),
)
PARTS = {"cross_entropy": 12.0012, "disc_centroids": 0.000344}
STEP = StepReport(3, 867, 1_734, 12.0346, PARTS, 0.451, 0.1, 1_234.4, 0.12)
EPOCH = EpochReport(
    2,
    13.5,
    PARTS,
    0.402,
    0.1,
    1_230.0,
    ShotAccuracies(0.5, 0.4, float("nan"), 0.43, 0.42),
    verification={"lfw/accuracy": 0.989, "lfw/eer": 0.012, "cfp_fp/accuracy": 0.912},
)
WORDS = (
    "loss 12.035",
    "cross_entropy 12.001",
    "disc_centroids 3.4e-04",
    "accuracy 45.1%",
    "validation 43.0% (epoch 2)",
    "lfw 98.9% (epoch 2)",
    "cfp_fp 91.2% (epoch 2)",
    "rate 0.1000",
    "1,234 images/s",
    "waiting for data 12%",
)
"""What the two reports above are in words, by hand."""


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Screen:
    """A live display on a terminal of some width: what it last drew, and all that it printed above."""

    def __init__(self, width: int, clock: Clock) -> None:
        self.console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
        self.reporter = LiveReporter(self.console, clock)

    def drawn(self) -> list[str]:
        with self.console.capture() as captured:
            self.console.print(self.reporter)
        return captured.get().splitlines()

    def printed(self) -> list[str]:
        assert isinstance(self.console.file, io.StringIO)
        return self.console.file.getvalue().splitlines()


def in_the_third_epoch(reporter: Reporter, clock: Clock) -> None:
    """Twelve epochs of ten minutes each, in the middle of the third."""
    reporter.run_begins(FACTS)
    reporter.stage_begins(PLAIN, 12, 0)
    clock.now += 60
    reporter.step_ends(PLAIN, STEP._replace(epoch=1, step=867))
    clock.now += 900
    reporter.epoch_ends(PLAIN, EPOCH)
    clock.now += 300
    reporter.step_ends(PLAIN, STEP)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_live_lines_hold_all_and_break_between_words(width: int, clock: Clock) -> None:
    screen = Screen(width, clock)
    in_the_third_epoch(screen.reporter, clock)
    head, *rest = screen.drawn()
    assert head.startswith("plain  epoch 3/12  step 867/1,734  ━")
    assert head.rstrip().endswith(" 21%")  # 2.5 of 12 epochs
    for words in (*WORDS, "0:21:00 gone", "1:35:00 left of this stage", "then memory"):
        assert sum(words in line for line in rest) == 1, words
    assert all(len(line) <= width for line in (head, *rest, *screen.printed()))


def test_at_120_columns_each_row_is_one_line(clock: Clock) -> None:
    screen = Screen(120, clock)
    in_the_third_epoch(screen.reporter, clock)
    assert screen.drawn()[1:] == [
        "  loss 12.035  cross_entropy 12.001  disc_centroids 3.4e-04",
        "  accuracy 45.1%  validation 43.0% (epoch 2)  lfw 98.9% (epoch 2)  cfp_fp 91.2% (epoch 2)",
        "  rate 0.1000  1,234 images/s  waiting for data 12%",
        "  0:21:00 gone  1:35:00 left of this stage  then memory",
    ]


def test_before_the_first_step_and_after_the_last_it_says_so(clock: Clock) -> None:
    screen = Screen(120, clock)
    screen.reporter.run_begins(FACTS)
    screen.reporter.stage_begins(MEMORY, 8, 2)
    clock.now += 90_000
    head, *rest = screen.drawn()
    assert head.startswith("memory  epoch 3/8  ━")
    assert rest == ["  before the first step", "  1 day, 1:00:00 gone  time left not known yet"]
    screen.reporter.step_ends(MEMORY, STEP._replace(step=1_734))
    assert screen.drawn()[0].startswith("memory  epoch 3/8  step 1,734/1,734, finishing  ━")


def test_a_finished_stage_stays_as_a_line(clock: Clock) -> None:
    screen = Screen(120, clock)
    in_the_third_epoch(screen.reporter, clock)
    clock.now += 300
    screen.reporter.epoch_ends(PLAIN, EPOCH._replace(epoch=12, loss=1.5))
    assert screen.drawn() == []
    screen.reporter.stage_begins(MEMORY, 0, 0)
    screen.reporter.stage_begins(MEMORY, 8, 8)
    assert screen.drawn() == []
    assert screen.printed() == [
        "training oltr on ms1m_lt: 887,530 images, 74,532 classes, 24,567,890 parameters, on cuda, 8 ranks,",
        "  plain 12 epochs of 1,734 steps, memory 8 epochs of 1,734 steps",
        "plain  12 epochs in 0:26:00  loss 1.500  accuracy 40.2%  validation 43.0%  lfw 98.9%  cfp_fp 91.2%",
        "memory  no epochs to train",
        "memory  8 epochs, all done before",
    ]


def test_a_log_has_a_line_every_ten_seconds_within_an_epoch_too(clock: Clock) -> None:
    said: list[str] = []
    reporter = LineReporter(said.append, clock)
    reporter.run_begins(FACTS._replace(ranks=1, device="cpu"))
    reporter.stage_begins(PLAIN, 3, 1)
    for number in (2, 3):
        for step in range(1, 9):  # four seconds each
            clock.now += 4
            reporter.step_ends(PLAIN, STEP._replace(epoch=number, step=step, steps=8, parts={"cross_entropy": 1.0}))
        clock.now += 1
        reporter.epoch_ends(PLAIN, EPOCH._replace(epoch=number, verification=None, skipped=number - 1))
    places = [line.split(": ")[1] for line in said[1:]]
    assert places == [
        "3 epochs, 1 of them done before",
        *("epoch 2/3, step 3/8", "epoch 2/3, step 6/8", "epoch 2/3"),
        *("epoch 3/3, step 3/8", "epoch 3/3, step 6/8", "epoch 3/3"),
    ]
    assert said[0] == (
        "training oltr on ms1m_lt: 887,530 images, 74,532 classes, 24,567,890 parameters, on cpu, "
        "plain 12 epochs of 1,734 steps, memory 8 epochs of 1,734 steps"
    )
    # from the first step to the sixth 20 seconds for 5/8 of an epoch; 1 and 2/8 epochs are left
    assert said[3] == (
        "stage plain: epoch 2/3, step 6/8: loss 12.035  accuracy 45.1%  rate 0.1000  1,234 images/s  "
        "waiting for data 12%  0:00:40 left"
    )
    assert said[-1] == (
        "stage plain: epoch 3/3: loss 13.500  cross_entropy 12.001  disc_centroids 3.4e-04  accuracy 40.2%  "
        "validation 43.0%  rate 0.1000  1,230 images/s  waiting for data 0%  2 damaged images skipped"
    )
    assert "1 damaged image skipped" in said[4]


def test_short_epochs_are_told_of_now_and_then(clock: Clock) -> None:
    said: list[str] = []
    reporter = LineReporter(said.append, clock)
    reporter.stage_begins(PLAIN, 12, 0)
    for number in range(1, 13):
        clock.now += 3
        reporter.step_ends(PLAIN, STEP._replace(epoch=number, step=1, steps=1))
        reporter.epoch_ends(PLAIN, EPOCH._replace(epoch=number))
    told = [line.split(":")[1] for line in said]  # at their ends alone
    assert told == [" 12 epochs", " epoch 4/12", " epoch 8/12", " epoch 12/12"]


def test_time_left_is_by_the_steps_since_the_first(clock: Clock) -> None:
    pace = Pace(clock)
    clock.now += 500  # the memory's first pass, and the first step: they come once
    pace.reaches(2.25)
    assert pace.left(10) is None
    clock.now += 30
    pace.reaches(2.75)
    assert pace.left(10) == 60 * 7.25
    clock.now += 20  # counts down until the next step
    assert pace.left(10) == 60 * 7.25 - 20
    clock.now += 10_000
    assert pace.left(10) == 0
    assert pace.gone() == 10_550


def test_words_longer_than_a_line_are_the_only_ones_broken() -> None:
    assert wrapped(["two words", "three of them", "y"], 20) == ["two words", "  three of them  y"]
    assert wrapped(["two words", "x" * 25, "y"], 20) == ["two words  " + "x" * 9, "  " + "x" * 16, "  y"]
    assert duration(3_723.4) == "1:02:03"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


def test_an_exception_closes_the_display_and_leaves_what_it_last_said(terminal: Terminal, clock: Clock) -> None:
    before, drawing = set(threading.enumerate()), set[threading.Thread]()
    with pytest.raises(KeyboardInterrupt), redirect_stderr(terminal), display() as reporter:
        assert isinstance(reporter, LiveReporter)
        in_the_third_epoch(reporter, clock)
        drawing |= set(threading.enumerate()) - before
        raise KeyboardInterrupt
    (thread,) = drawing
    thread.join(timeout=10)
    assert not thread.is_alive()
    *_, last_frame = terminal.getvalue().split("plain  epoch")
    assert "step 867/1,734" in last_frame
    assert last_frame.index("accuracy 45.1%") < last_frame.index("\n\x1b[?25h")  # a new line, and the cursor is back


def test_the_first_rank_alone_speaks(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    for rank, kind in (("0", LiveReporter), ("1", Silent), ("12", Silent)):
        monkeypatch.setenv("RANK", rank)
        with redirect_stderr(terminal), display() as reporter:
            assert type(reporter) is kind
            in_the_third_epoch(reporter, clock)
        assert bool(terminal.getvalue()) == (rank == "0")
        terminal.seek(0)
        terminal.truncate()


def test_quiet_is_silent_and_a_terminal_that_cannot_go_back_gets_lines(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    with redirect_stderr(terminal), display(quiet=True) as reporter:
        in_the_third_epoch(reporter, clock)
    assert terminal.getvalue() == ""
    monkeypatch.setenv("TERM", "dumb")
    with redirect_stderr(terminal), display() as reporter:
        in_the_third_epoch(reporter, clock)
    assert terminal.getvalue().splitlines()[1] == "stage plain: 12 epochs"
    assert "\x1b" not in terminal.getvalue()


def test_tensorboard_that_is_not_there_is_one_line_before_anything_is_trained(tmp_path: Path) -> None:
    code = "import sys; sys.modules['tensorboard'] = None; from facerec_oltr.cli import main; main()"
    command = [sys.executable, "-c", code, "train", "oltr", "--on", "lfw_features", "--out", str(tmp_path / "run")]
    environment = os.environ | {"RANK": "0"}
    result = subprocess.run([*command, "--tensorboard"], capture_output=True, text=True, env=environment)
    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert "pip install 'facerec-oltr[tensorboard]'" in line
    assert not (tmp_path / "run").exists()
