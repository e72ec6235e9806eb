"""A run measured on made vectors, held against the metrics called by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facerec_oltr.classification import RULES, measure_run
from facerec_oltr.config import load_experiment
from facerec_oltr.engine.finished import FinishedRun, load_run
from facerec_oltr.engine.run import train
from facerec_oltr.errors import DataError
from facerec_oltr.metrics.open_set import f_measures
from facerec_oltr.metrics.ranking import auroc
from facerec_oltr.metrics.shots import shot_accuracies

COUNTS = [6, 4, 2, 1]  # many, medium, medium, few by the convention of faces


def write_splits(folder: Path, splits: tuple[str, ...]) -> None:
    """Four classes around the corners of a cube, strangers around a fifth and a sixth."""
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    corners = 3 * np.eye(6, 8)
    for split in splits:
        counts = COUNTS if split == "train" else [5, 5, 5, 5]
        labels = np.repeat(np.arange(4), counts)
        places = labels if not split.startswith("open") else labels % 2 + 4
        vectors = corners[places] + 0.8 * rng.normal(size=(len(labels), 8))
        np.savez(folder / f"{split}.npz", features=vectors, labels=labels)


ALL = ("train", "val", "test", "open_val", "open_test")


def run_on(folder: Path, method: str, splits: tuple[str, ...] = ALL) -> FinishedRun:
    write_splits(folder / "data", splits)
    small = [f"data.path={folder / 'data'}", "schedule.epochs=10", "schedule.batch_size=8"]
    train(load_experiment(method, "lfw_features", overrides=small), folder / method)
    return load_run(folder / method)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[FinishedRun, dict[str, Any]]:
    run = run_on(tmp_path_factory.mktemp("measured"), "oltr")
    return run, measure_run(run).table


def test_the_closed_set_is_that_of_the_test_split(measured: tuple[FinishedRun, dict[str, Any]]) -> None:
    run, result = measured
    data = run.experiment.data.build("test")
    _, logits = run.outputs(data)
    expected = shot_accuracies(logits.argmax(axis=1), data.labels, COUNTS, "faces")
    assert result["closed"] == vars(expected)
    assert result["images"] == {"train": 13, "val": 20, "test": 20, "open_val": 20, "open_test": 20}
    assert (result["method"], result["dataset"], result["seed"], result["shots"]) == (
        "oltr",
        "lfw_features",
        0,
        "faces",
    )


def test_the_papers_line_is_a_tenth_on_the_maximum_softmax(measured: tuple[FinishedRun, dict[str, Any]]) -> None:
    run, result = measured
    (_, known), (_, strangers) = (run.outputs(run.experiment.data.build(split)) for split in ("test", "open_test"))
    labels = np.concatenate([run.experiment.data.build("test").labels, np.full(20, -1)])
    logits = np.concatenate([known, strangers]).astype(np.float64)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    decided = np.where(softmax.max(axis=1) >= 0.1, softmax.argmax(axis=1), -1)
    figures = result["open"]["max_softmax"]
    assert figures["paper"]["threshold"] == 0.1
    assert figures["paper"]["authors"] == pytest.approx(f_measures(decided, labels).authors)
    never = f_measures(softmax.argmax(axis=1), labels)
    assert result["never_reject"]["authors"] == pytest.approx(never.authors)
    assert figures["auroc"] == pytest.approx(auroc(softmax[:20].max(axis=1), softmax[20:].max(axis=1)))


def test_every_rule_is_there_and_its_threshold_comes_from_validation(
    measured: tuple[FinishedRun, dict[str, Any]],
) -> None:
    run, result = measured
    assert result["open"].keys() == RULES.keys()
    assert all("paper" not in figures for name, figures in result["open"].items() if name != "max_softmax")
    (_, known), (_, strangers) = (run.outputs(run.experiment.data.build(split)) for split in ("val", "open_val"))
    scores = np.concatenate([known, strangers]).max(axis=1).astype(np.float64)
    top = np.concatenate([known, strangers]).argmax(axis=1)
    labels = np.concatenate([run.experiment.data.build("val").labels, np.full(20, -1)])

    def worth(threshold: float) -> float:
        return f_measures(np.where(scores >= threshold, top, -1), labels).authors

    chosen = result["open"]["max_logit"]["validation"]["threshold"]
    assert worth(chosen) == pytest.approx(max(map(worth, scores)))


def test_it_is_json(measured: tuple[FinishedRun, dict[str, Any]]) -> None:
    _, result = measured
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_a_head_without_memory_is_not_asked_for_one(tmp_path: Path) -> None:
    assert "memory" not in measure_run(run_on(tmp_path, "plain")).table["open"]


def test_without_strangers_there_is_no_open_set(tmp_path: Path) -> None:
    result = measure_run(run_on(tmp_path, "plain", ("train", "test"))).table
    assert result["open"] == {}
    assert "never_reject" not in result


def test_without_strangers_to_choose_by_95_percent_of_the_knowns_are_accepted(tmp_path: Path) -> None:
    run = run_on(tmp_path, "plain", ("train", "val", "test", "open_test"))
    _, logits = run.outputs(run.experiment.data.build("val"))
    chosen = measure_run(run).table["open"]["max_logit"]["validation"]["threshold"]
    assert np.mean(logits.max(axis=1).astype(np.float64) >= chosen) == 0.95  # 19 of 20


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (("train", "val"), r"test\.npz: not there"),
        (("train", "test", "open_test"), "no validation split to choose a threshold on"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, splits: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        measure_run(run_on(tmp_path, "plain", splits))


def test_data_that_changed_since_the_training_is_refused(tmp_path: Path) -> None:
    run = run_on(tmp_path, "plain")
    table = dict(np.load(tmp_path / "data/train.npz"))
    np.savez(tmp_path / "data/train.npz", features=table["features"][::-1], labels=table["labels"])
    with pytest.raises(DataError, match="was trained on other data"):
        measure_run(run)
