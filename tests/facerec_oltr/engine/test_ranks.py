"""Two processes train as one does: real ones, that talk by gloo."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facerec_oltr import ranks as ranks_module
from facerec_oltr.config import load_experiment
from facerec_oltr.engine.model import build_model
from facerec_oltr.engine.stage import StageRun

from .rank import CASES, CPU, WHOLE, drawn, experiment_of, on_images, trained

RANK, ROOT = Path(__file__).with_name("rank.py"), Path(__file__).parents[3]
Found = dict[str, dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def together(vectors: Path, face_set: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    """What each of two ranks saw and holds in the end, by case."""
    folder = tmp_path_factory.mktemp("ranks")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    places = [str(folder / "met"), str(vectors), str(face_set)]
    processes = [
        subprocess.Popen(
            [sys.executable, str(RANK), str(rank), "2", *places, str(folder / f"{rank}.npz")],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=180)
        assert process.returncode == 0, errors
    return [by_case(dict(np.load(folder / f"{rank}.npz"))) for rank in range(2)]


def by_case(flat: dict[str, Any]) -> Found:
    found: Found = {}
    for name, value in flat.items():
        case, _, what = name.partition("|")
        found.setdefault(case, {})[what] = value
    return found


@pytest.mark.parametrize("case", [*CASES, "images"])
def test_loss_gradients_and_weights_are_those_of_one_process(
    case: str, vectors: Path, face_set: Path, together: list[Found]
) -> None:
    alone = trained(on_images(face_set) if case == "images" else experiment_of(case, vectors))
    first = together[0][case]
    assert first.keys() == alone.keys()
    assert first["split"] == (case not in WHOLE)
    assert any(name.startswith("gradient of head.") for name in alone)
    assert any(name.startswith("gradient of ") and "head" not in name for name in alone)
    for name in alone.keys() - {"split"}:
        near = 1e-5 if name.startswith("gradient of ") else 1e-4  # the first step's; what follows adds up
        np.testing.assert_allclose(first[name], alone[name], rtol=near, atol=near, err_msg=name)
    np.testing.assert_allclose(first["losses"][0], alone["losses"][0], rtol=1e-5)
    for name in ("losses", "accuracies", "validated"):
        np.testing.assert_array_equal(together[1][case][name], first[name])


def test_each_rank_holds_a_part_of_the_classes(together: list[Found]) -> None:
    for rank, classes in enumerate((range(3), range(3, 6))):
        drawn_here = together[rank]["drawn"]["columns"]
        assert set(drawn_here.tolist()) <= set(classes)


def test_gradients_that_overflow_float16_on_one_rank_stop_the_step_of_both(together: list[Found]) -> None:
    for rank in range(2):
        assert together[rank]["overflow"]["scale"] == 32768
        assert together[rank]["overflow"]["weight"] == 1.0


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_loss_of_drawn_classes_is_a_loop_over_them(ranks: int, vectors: Path, together: list[Found]) -> None:
    """ArcFace over the drawn classes alone, image by image in double; the classes that were not drawn rest."""
    found = drawn(vectors) if ranks == 1 else together[0]["drawn"]
    columns = found["columns"] if ranks == 1 else np.concatenate([part["drawn"]["columns"] for part in together])
    table = np.load(vectors / "train.npz")
    x = table["features"] * 16 / np.linalg.norm(table["features"], axis=1, keepdims=True)
    labels, total = table["labels"], 0.0
    weight = found["head.weight"].astype(float)
    for position in found["positions"]:
        feature = np.maximum(found["fc_add.weight"].astype(float) @ x[position] + found["fc_add.bias"], 0)
        cosine = weight @ feature / np.linalg.norm(weight, axis=1) / np.linalg.norm(feature)
        logits = 8 * cosine
        own = labels[position]
        logits[own] = 8 * np.cos(np.arccos(cosine[own]) + 0.5)
        assert own in columns
        total += np.log(np.exp(logits[columns]).sum()) - logits[own]
    assert found["loss"] == pytest.approx(total / len(found["positions"]), rel=1e-5)
    weight = found["after head.weight"].astype(float)
    v = np.maximum(x @ found["after fc_add.weight"].astype(float).T + found["after fc_add.bias"], 0)
    decided = (v @ (weight / np.linalg.norm(weight, axis=1, keepdims=True)).T).argmax(axis=1)
    assert found["micro"] == pytest.approx((decided == labels).mean())  # of all classes, drawn or not
    rest = np.setdiff1d(np.arange(6), columns)
    assert len(set(columns.tolist())) == len(columns)
    assert len(rest) or ranks == 1
    np.testing.assert_array_equal(found["after head.weight"][rest], found["head.weight"][rest])
    assert (found["after head.weight"][columns] != found["head.weight"][columns]).any(axis=1).all()


@pytest.mark.parametrize("ranks", [2, 3, 4])
@pytest.mark.parametrize("method", ["plain", "plain_balanced"])
def test_the_parts_of_all_ranks_are_the_epoch_of_one_process(
    method: str, ranks: int, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No image is repeated or lost: there is no padding at all."""
    overrides = (f"data.path={vectors}", "schedule.epochs=2", "schedule.batch_size=25")
    experiment = load_experiment(method, "lfw_features", overrides=overrides)
    data = experiment.data.build()
    model = build_model(experiment, experiment.stages[0], shape=data.shape, classes=data.classes, seed=0)
    run = StageRun(experiment, 0, model, [], data, CPU)
    for epoch in (1, 2):
        for batch in run._batches(epoch):
            parts = []
            for rank in range(ranks):
                monkeypatch.setattr(ranks_module, "rank_and_ranks", lambda rank=rank: (rank, ranks))
                parts.append(ranks_module.own_part(batch))
            np.testing.assert_array_equal(np.concatenate(parts), batch)
            assert max(map(len, parts)) - min(map(len, parts)) <= 1
        if method == "plain":
            assert sorted(np.concatenate(run._batches(epoch)).tolist()) == list(range(len(data)))
