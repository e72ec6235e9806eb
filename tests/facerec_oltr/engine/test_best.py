"""Validation on the way, and the weights that did best at it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facerec_oltr.cli._training_display import LineReporter
from facerec_oltr.engine.best import BestWeights
from facerec_oltr.engine.checkpoint import load_weights, read_facts
from facerec_oltr.engine.finished import load_run
from facerec_oltr.engine.run import train
from facerec_oltr.errors import CheckpointError, ConfigError, DataError

from .conftest import StopAt, StopError, hours, on_vectors

FILES = ("best.safetensors", "model.safetensors")


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def by_hand(run: Path, which: Any) -> float:
    """The share of validation vectors that the weights of a finished run put into the right class."""
    finished = load_run(run, weights=which)
    val = finished.experiment.data.build("val")
    with torch.no_grad():
        _, logits = finished.model(torch.from_numpy(val.batch(np.arange(len(val)))))
    return sum(int(row.argmax()) == label for row, label in zip(logits, val.labels, strict=True)) / len(val)


@pytest.mark.parametrize("method", ["oltr", "crt"])
def test_best_and_last_are_what_the_metrics_say_of_them(method: str, vectors: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    experiment = on_vectors(vectors, "schedule.learning_rate=1.0", method=method)
    train(experiment, run)
    of_last = [line for line in lines(run) if line["stage"] == experiment.stages[-1].name]
    micro = [line["validation"]["micro"] for line in of_last]
    assert len(set(micro)) > 1  # else best and last would not be told apart
    first_best = micro.index(max(micro)) + 1
    facts = read_facts(run / "best.safetensors")
    assert (facts["stage"], facts["epoch"]) == (experiment.stages[-1].name, str(first_best))
    assert float(facts["validation_accuracy"]) == max(micro) == by_hand(run, "best")
    assert micro[-1] == by_hand(run, "last")
    assert list((run / "checkpoints").glob("best-*")) == []


def test_the_best_weights_hold_the_memory_of_their_own_epoch(vectors: Path, tmp_path: Path) -> None:
    begun_at_random = 'stages.1.head={kind="meta_embedding"}'  # the best epoch is the first then, and not the last
    settings = ("stages.1.fc_add=8", "stages.0.fc_add=8", "schedule.learning_rate=0.5", begun_at_random)
    train(on_vectors(vectors, *settings), tmp_path / "run")
    best = load_run(tmp_path / "run", weights="best")
    data = best.experiment.data.build()
    features, _ = best.outputs(data)
    means = np.stack([features[data.labels == label].mean(axis=0) for label in range(data.classes)])
    memory = best.model.head.memory
    assert memory is not None
    np.testing.assert_allclose(memory.numpy(), means, atol=1e-5, rtol=1e-4)
    last = load_run(tmp_path / "run").model.head.memory
    assert last is not None
    assert not torch.allclose(last, memory)


@pytest.mark.parametrize("stops", [(7,), (8, 1), (6, 1, 1, 1, 1)])
@pytest.mark.parametrize("due", [True, False])
def test_a_run_stopped_anywhere_ends_with_the_bytes_of_an_unbroken_one(
    stops: tuple[int, ...], due: bool, vectors: Path, tmp_path: Path
) -> None:
    """Where no checkpoint was due, the best of lost work is lost with it."""
    experiment, clock = on_vectors(vectors, "schedule.learning_rate=0.5"), hours if due else lambda: 0.0
    train(experiment, tmp_path / "unbroken")
    for epochs in stops:
        with pytest.raises(StopError):
            train(experiment, tmp_path / "run", reporter=StopAt(epochs), clock=clock)
        assert not any((tmp_path / "run" / name).exists() for name in FILES)
    train(experiment, tmp_path / "run", clock=clock)
    for name in FILES:
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()
    assert [line["validation"] for line in lines(tmp_path / "run")] == [
        line["validation"] for line in lines(tmp_path / "unbroken")
    ]


def test_the_best_that_progress_knows_of_outlives_a_better_one_of_lost_work(tmp_path: Path) -> None:
    weights = {"w": torch.zeros(1)}
    best = BestWeights(tmp_path, None)
    best.consider(3, 0.5, lambda: weights, {})
    best.forget_others()  # progress is saved here
    best.consider(4, 0.75, lambda: {"w": torch.ones(1)}, {})
    best.consider(5, 0.75, lambda: {"w": torch.ones(1)}, {})
    assert best.known == (4, 0.75)
    again = BestWeights(tmp_path, (3, 0.5))  # killed, and begun again
    again.forget_others()
    assert [path.name for path in tmp_path.iterdir()] == ["best-3.safetensors"]
    again.hand_over(tmp_path / "best.safetensors")
    assert torch.equal(load_weights(tmp_path / "best.safetensors")["w"], weights["w"])
    (tmp_path / "best-3.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"best-3\.safetensors: is missing"):
        BestWeights(tmp_path, (3, 0.5))


def test_validation_every_few_epochs_and_at_a_stages_last(vectors: Path, tmp_path: Path) -> None:
    train(on_vectors(vectors, "schedule.validate_every=4"), tmp_path / "run")
    measured = [(line["stage"], line["epoch"]) for line in lines(tmp_path / "run") if "validation" in line]
    assert measured == [("plain", 4), ("plain", 6), ("memory", 4)]
    assert read_facts(tmp_path / "run/best.safetensors")["epoch"] == "4"


def test_how_often_is_validated_does_not_touch_the_training(vectors: Path, tmp_path: Path) -> None:
    always, never = (train(on_vectors(vectors, f"schedule.validate_every={n}"), tmp_path / str(n)) for n in (1, 0))
    assert always.read_bytes() == never.read_bytes()
    assert not any("validation" in line for line in lines(tmp_path / "0"))
    with pytest.raises(CheckpointError, match="kept no best weights, since nothing was validated"):
        load_run(tmp_path / "0", weights="best")


def test_a_last_stage_without_epochs_has_its_only_weights_as_its_best(vectors: Path, tmp_path: Path) -> None:
    train(on_vectors(vectors, method="ncm"), tmp_path / "run")
    best, last = (load_weights(tmp_path / "run" / name) for name in FILES)
    assert all(torch.equal(best[name], value) for name, value in last.items())
    facts = read_facts(tmp_path / "run/best.safetensors")
    assert facts["epoch"] == "0"
    assert float(facts["validation_accuracy"]) == by_hand(tmp_path / "run", "best")


def test_a_validation_split_that_is_empty_or_damaged_stops_before_a_folder_is_made(
    vectors: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "vectors"
    folder.mkdir()
    (folder / "train.npz").write_bytes((vectors / "train.npz").read_bytes())
    np.savez(folder / "val.npz", features=np.zeros((0, 12)), labels=np.zeros(0, int))
    with pytest.raises(
        DataError, match=r"'val' is empty; to train without validation: --set schedule.validate_every=0"
    ):
        train(on_vectors(folder), tmp_path / "run")
    (folder / "val.npz").write_bytes(b"none")
    with pytest.raises(DataError, match=r"val\.npz: is no \.npz .*schedule.validate_every=0$"):
        train(on_vectors(folder), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    train(on_vectors(folder, "schedule.validate_every=0"), tmp_path / "run")


def test_a_run_does_not_go_on_with_another_validation_split(vectors: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vectors"
    folder.mkdir()
    for split in ("train", "val"):
        (folder / f"{split}.npz").write_bytes((vectors / f"{split}.npz").read_bytes())
    with pytest.raises(StopError):
        train(on_vectors(folder), tmp_path / "run", reporter=StopAt(2), clock=hours)
    (folder / "val.npz").write_bytes((vectors / "test.npz").read_bytes())
    with pytest.raises(ConfigError, match=r"holds another run: data\.validation is '"):
        train(on_vectors(folder), tmp_path / "run")


def test_bins_without_images_are_null_in_the_metrics(vectors: Path, tmp_path: Path) -> None:
    train(on_vectors(vectors, "shots=paper"), tmp_path / "run")  # no class has more than 100 images
    figures = lines(tmp_path / "run")[-1]["validation"]
    assert figures["many"] is None
    assert all(0 <= figures[name] <= 1 for name in ("medium", "few", "micro", "macro"))
    assert "NaN" not in (tmp_path / "run/metrics.jsonl").read_text()


def test_the_display_shows_the_last_accuracy_that_was_measured(vectors: Path, tmp_path: Path) -> None:
    experiment, said = on_vectors(vectors, "schedule.validate_every=4"), []
    train(experiment, tmp_path / "run", reporter=LineReporter(said.append, clock=hours))
    figures = {(line["stage"], line["epoch"]): line.get("validation") for line in lines(tmp_path / "run")}
    fourth = figures["plain", 4]
    assert fourth is not None
    fifth = next(line for line in said if line.startswith("stage plain: epoch 5/6"))
    assert f"validation {fourth['micro']:.1%} (epoch 4)" in fifth
    assert "validation" not in next(line for line in said if line.startswith("stage memory: epoch 3/4"))


def test_what_a_loss_remembers_between_batches_is_resumed(vectors: Path, tmp_path: Path) -> None:
    experiment = on_vectors(vectors, "schedule.learning_rate=0.001", method="adaface")
    train(experiment, tmp_path / "whole", clock=hours)
    with pytest.raises(StopError):
        train(experiment, tmp_path / "broken", reporter=StopAt(5), clock=hours)
    train(experiment, tmp_path / "broken", clock=hours)
    for name in ("model.safetensors", "best.safetensors"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
