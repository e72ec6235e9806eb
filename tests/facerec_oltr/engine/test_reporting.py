"""What is told of training: a line of metrics.jsonl, and everyone who listens."""

import json
from typing import Any

from facerec_oltr.config import load_experiment
from facerec_oltr.engine.reporting import EpochReport, RunFacts, Several, StagePlan, StepReport
from facerec_oltr.experiment import Stage
from facerec_oltr.metrics.shots import ShotAccuracies

BARE = EpochReport(3, 1.5, {"cross_entropy": 1.5}, 0.25, 0.1, 200.0)


def test_a_line_has_what_was_measured_and_nothing_else() -> None:
    bare = json.loads(BARE.line("plain"))
    assert bare == {
        "stage": "plain",
        "epoch": 3,
        "loss": 1.5,
        "parts": {"cross_entropy": 1.5},
        "accuracy": 0.25,
        "learning_rate": 0.1,
        "images_per_second": 200.0,
        "waiting": 0.0,
        "skipped": 0,
    }
    measured = BARE._replace(
        waiting=0.12,
        skipped=4,
        validation=ShotAccuracies(0.9, float("nan"), 0.5, 0.7, 0.6),
        verification={"lfw": 0.99, "of strangers": float("nan")},
    )
    line = measured.line("plain")
    assert "NaN" not in line
    assert json.loads(line) == bare | {
        "waiting": 0.12,
        "skipped": 4,
        "validation": {"many": 0.9, "medium": None, "few": 0.5, "micro": 0.7, "macro": 0.6},
        "verification": {"lfw": 0.99, "of strangers": None},
    }


class Listening:
    def __init__(self, name: str, heard: list[tuple[Any, ...]]) -> None:
        self.name, self.heard = name, heard

    def run_begins(self, facts: RunFacts) -> None:
        self.heard.append((self.name, facts))

    def remarks(self, words: str) -> None:
        self.heard.append((self.name, words))

    def stage_begins(self, stage: Stage, epochs: int, epochs_done: int) -> None:
        self.heard.append((self.name, stage.name, epochs, epochs_done))

    def step_ends(self, stage: Stage, report: StepReport) -> None:
        self.heard.append((self.name, stage.name, report))

    def epoch_ends(self, stage: Stage, report: EpochReport) -> None:
        self.heard.append((self.name, stage.name, report))


def test_several_hear_all_in_their_order() -> None:
    heard: list[tuple[Any, ...]] = []
    several = Several(Listening("a", heard), Listening("b", heard))
    stage = load_experiment("oltr", "lfw_features").stages[0]
    facts = RunFacts("oltr", "lfw_features", 10, 2, 7, "cpu", 1, (StagePlan("plain", 5, 3),))
    step = StepReport(3, 1, 3, 1.5, {"cross_entropy": 1.5}, 0.25, 0.1, 200.0, 0.5)
    several.run_begins(facts)
    several.remarks("taken")
    several.stage_begins(stage, 5, 2)
    several.step_ends(stage, step)
    several.epoch_ends(stage, BARE)
    events = [(facts,), ("taken",), ("plain", 5, 2), ("plain", step), ("plain", BARE)]
    assert heard == [(name, *event) for event in events for name in "ab"]
