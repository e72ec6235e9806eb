"""TensorBoard's scalars, read back by TensorBoard's own reader."""

import sys
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

from facerec_oltr.config import load_experiment
from facerec_oltr.engine.reporting import EpochReport, RunFacts, StagePlan, StepReport
from facerec_oltr.engine.tensorboard import TensorBoardReporter
from facerec_oltr.errors import ConfigError, TrainingError
from facerec_oltr.metrics.shots import ShotAccuracies

PLAIN, MEMORY = load_experiment("oltr", "lfw_features").stages
FACTS = RunFacts("oltr", "lfw_features", 40, 4, 1000, "cpu", 1, (StagePlan("plain", 3, 4), StagePlan("memory", 2, 5)))


def step(epoch: int, step: int, steps: int, loss: float) -> StepReport:
    return StepReport(epoch, step, steps, loss, {"cross_entropy": loss / 2}, 0.5, 0.1, 300.0, 0.2)


def epoch(number: int, loss: float) -> EpochReport:
    return EpochReport(number, loss, {"cross_entropy": loss / 2}, 0.25, 0.05, 250.0)


def scalars(folder: Path) -> dict[str, list[tuple[int, Any]]]:
    """All that TensorBoard would show, by tag; a value is kept as float32."""
    events = EventAccumulator(str(folder), size_guidance={SCALARS: 0})
    events.Reload()
    tags = events.Tags()["scalars"]
    return {tag: [(event.step, pytest.approx(event.value, rel=1e-6)) for event in events.Scalars(tag)] for tag in tags}


def reporter(folder: Path, seconds_a_look: float = 60.0) -> TensorBoardReporter:
    """With a clock that goes on whenever it is looked at: by 60 each step is a point."""
    ticks = iter(range(1_000_000))
    made = TensorBoardReporter(folder, clock=lambda: next(ticks) * seconds_a_look)
    made.run_begins(FACTS)
    return made


def test_steps_count_through_the_run_and_an_epoch_stands_at_its_last(tmp_path: Path) -> None:
    told = reporter(tmp_path)
    for stage, steps, epochs in ((PLAIN, 4, 3), (MEMORY, 5, 2)):
        told.stage_begins(stage, epochs, 0)
        for number in range(1, epochs + 1):
            for place in range(1, steps + 1):
                told.step_ends(stage, step(number, place, steps, loss=100 * number + place))
            told.epoch_ends(stage, epoch(number, loss=number))
    told.close()
    read = scalars(tmp_path)
    plain = [(1, 101), (2, 102), (3, 103), (4, 1), (5, 201), (6, 202), (7, 203), (8, 2), (9, 301), (10, 302), (11, 303)]
    assert read["plain/loss"] == [*plain, (12, 3)]
    memory = [(13, 101), (14, 102), (15, 103), (16, 104), (17, 1), (18, 201), (19, 202), (20, 203), (21, 204), (22, 2)]
    assert read["memory/loss"] == memory
    assert read["memory/loss/cross_entropy"] == [(place, loss / 2) for place, loss in memory]
    assert read["plain/skipped"] == [(4, 0), (8, 0), (12, 0)]


def test_every_figure_is_under_its_name(tmp_path: Path) -> None:
    told = reporter(tmp_path)
    told.stage_begins(PLAIN, 3, 0)
    told.step_ends(PLAIN, step(1, 3, 4, loss=3.5))
    told.epoch_ends(
        PLAIN,
        epoch(1, loss=3.25)._replace(
            validation=ShotAccuracies(0.9, 0.8, float("nan"), 0.7, 0.6),
            waiting=0.125,
            skipped=2,
            verification={"lfw": 0.99, "cfp_fp": 0.95},
        ),
    )
    told.close()
    assert scalars(tmp_path) == {
        "plain/loss": [(3, 3.5), (4, 3.25)],
        "plain/loss/cross_entropy": [(3, 1.75), (4, 1.625)],
        "plain/accuracy": [(3, 0.5), (4, 0.25)],
        "plain/learning_rate": [(3, 0.1), (4, 0.05)],
        "plain/images_per_second": [(3, 300), (4, 250)],
        "plain/waiting": [(3, 0.2), (4, 0.125)],
        "plain/skipped": [(4, 2)],
        "plain/validation/many": [(4, 0.9)],
        "plain/validation/medium": [(4, 0.8)],  # of the few there was no image, so there is no point
        "plain/validation/micro": [(4, 0.7)],
        "plain/validation/macro": [(4, 0.6)],
        "plain/verification/lfw": [(4, 0.99)],
        "plain/verification/cfp_fp": [(4, 0.95)],
    }


@pytest.mark.parametrize("first", [(2, 3), (3, 1)], ids=["in the middle of an epoch", "at an epoch's start"])
def test_a_run_that_goes_on_takes_lost_work_back(first: tuple[int, int], tmp_path: Path) -> None:
    """The first process comes to step 11 of the run and is killed, so it never closes; the second goes on before."""
    killed = reporter(tmp_path)
    killed.stage_begins(PLAIN, 3, 0)
    for number in (1, 2, 3):
        for place in (1, 2, 3, 4):
            if (number, place) < (3, 4):
                killed.step_ends(PLAIN, step(number, place, 4, loss=1))
        if number < 3:
            killed.epoch_ends(PLAIN, epoch(number, loss=1)._replace(skipped=1))
    assert [place for place, _ in scalars(tmp_path)["plain/loss"]] == [*range(1, 12)]  # all out before it is closed

    second = reporter(tmp_path)
    second.stage_begins(PLAIN, 3, first[0] - 1)
    for number in range(first[0], 4):
        for place in range(first[1] if number == first[0] else 1, 5):
            second.step_ends(PLAIN, step(number, place, 4, loss=2))
        second.epoch_ends(PLAIN, epoch(number, loss=2))
    second.stage_begins(MEMORY, 2, 0)
    second.step_ends(MEMORY, step(1, 1, 5, loss=2))
    second.close()
    lost_from = 4 * (first[0] - 1) + first[1]
    read = scalars(tmp_path)
    assert read["plain/loss"] == [(place, 1 if place < lost_from else 2) for place in range(1, 13)]
    assert read["plain/skipped"] == [(place, 1 if place < lost_from else 0) for place in (4, 8, 12)]
    assert read["memory/loss"] == [(13, 2)]
    killed.close()


def test_a_point_is_written_every_ten_seconds_and_at_an_epochs_end(tmp_path: Path) -> None:
    told = reporter(tmp_path, seconds_a_look=4)  # so at 0, 12, 24, … of the run
    facts = FACTS._replace(stages=(StagePlan("plain", 1, 10),))
    told.run_begins(facts)
    told.stage_begins(PLAIN, 1, 0)
    for place in range(1, 11):
        told.step_ends(PLAIN, step(1, place, 10, loss=place))
    told.epoch_ends(PLAIN, epoch(1, loss=99))
    told.close()
    assert scalars(tmp_path)["plain/loss"] == [(1, 1), (4, 4), (7, 7), (10, 99)]


def test_nothing_is_made_before_there_is_a_point(tmp_path: Path) -> None:
    told = reporter(tmp_path / "run/tensorboard")
    told.stage_begins(PLAIN, 3, 3)
    told.close()
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("a file")
    told = reporter(tmp_path / "tensorboard")
    told.stage_begins(PLAIN, 3, 0)
    with pytest.raises(TrainingError, match=r"tensorboard: TensorBoard's scalars cannot be written \(.*File exists"):
        told.step_ends(PLAIN, step(1, 1, 4, loss=1))
    told.close()


def test_without_the_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ConfigError, match=r"pip install 'facerec-oltr\[tensorboard\]'"):
        TensorBoardReporter(tmp_path)
