"""Checkpoints of the OLTR authors' code as runs of ours: names, sizes and logits are theirs (see conftest)."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from facerec_oltr.classification import measure_run
from facerec_oltr.config import load_experiment
from facerec_oltr.engine.authors import import_authors, their_name
from facerec_oltr.engine.finished import load_run
from facerec_oltr.engine.model import Model, build_model
from facerec_oltr.engine.run import train
from facerec_oltr.errors import CheckpointError, ConfigError, DataError
from facerec_oltr.experiment import Experiment
from recordio_tools.errors import SourceError

from ..conftest import (
    AUTHORS_CHECKPOINTS,
    authors_centroids,
    authors_checkpoint,
    authors_images,
    fill,
    write_listed,
)

CASES = [
    ("imagenet_stage_1", "plain", []),
    ("imagenet_stage_1_before_december_2019", "plain", ["stages.0.fc_add=512"]),
    ("imagenet_stage_2", "oltr_authors", []),
]


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ImageNet-LT with seven classes."""
    folder = tmp_path_factory.mktemp("imagenet")
    for split, counts in {"train": (4, 3, 2, 2, 1, 1, 1), "val": (1,) * 7, "test": (2,) * 7}.items():
        write_listed(folder, f"ImageNet_LT_{split}", [label for label, n in enumerate(counts) for _ in range(n)])
    write_listed(folder, "ImageNet_LT_open", [-1] * 3)
    return folder


def experiment_of(method: str, root: Path, *overrides: str, dataset: str = "imagenet_lt") -> Experiment:
    return load_experiment(method, dataset, overrides=[f"data.root={root}", "data.expect={}", *overrides])


def written(content: Any, folder: Path, **how: Any) -> Path:
    path = folder / "final_model_checkpoint.pth"
    torch.save(content, path, **how)
    return path


def check_logits(model: Model, case: str) -> None:
    """On images as they come, in [−1, 1]: those that the authors' normalisation brings to theirs."""
    mean, deviation = (torch.tensor(v).double().view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        _, logits = model.double()(2 * (authors_images() * deviation + mean) - 1)
    torch.testing.assert_close(logits, torch.tensor(AUTHORS_CHECKPOINTS[case]["logits"]).double(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("case", "method", "overrides"), CASES)
def test_an_imported_run_gives_the_authors_logits(
    case: str, method: str, overrides: list[str], root: Path, tmp_path: Path
) -> None:
    path = written(authors_checkpoint(case), tmp_path)
    made = import_authors(path, experiment_of(method, root, *overrides), tmp_path / "run")
    assert (made.run, made.classes) == (tmp_path / "run", 7)
    run = load_run(tmp_path / "run")
    assert run.experiment.method == f"{method}_imported"
    check_logits(run.model, case)
    description = json.loads((tmp_path / "run/experiment.json").read_text())
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    facts = {"file": str(path), "sha256": sha256, "best_epoch": 27, "best_acc": 0.25}
    assert description["imported"] == made.checkpoint == facts


@pytest.mark.parametrize(("case", "stage"), [("places_stage_1", 0), ("places_stage_2", 1)])
def test_the_names_and_sizes_on_places_lt_are_the_authors(case: str, stage: int) -> None:
    """A ResNet-152 has over 900 names, so the golden file keeps their hash."""
    experiment = experiment_of("oltr_authors", Path("nowhere"), dataset="places_lt")
    with torch.device("meta"):
        model = build_model(experiment, experiment.stages[stage], shape=(224, 224, 3), classes=7, seed=0)
    names = {their_name(name): tensor for name, tensor in model.state_dict().items()}
    assert ("centroids" in names) == (case == "places_stage_2")
    names.pop("centroids", None)
    lines = sorted(f"{name.replace('.', ' ', 1)} {tuple(tensor.shape)}" for name, tensor in names.items())
    golden = AUTHORS_CHECKPOINTS[case]
    assert len(lines) == golden["names"]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == golden["names_sha256"]


@pytest.mark.slow
@pytest.mark.parametrize(("case", "stages"), [("places_stage_1", 1), ("places_stage_2", 2)])
def test_a_resnet_152_gives_the_authors_logits_too(case: str, stages: int, root: Path, tmp_path: Path) -> None:
    whole = experiment_of("oltr_authors", root, "data.train=ImageNet_LT_train.txt", dataset="places_lt")
    experiment = whole.model_copy(update={"stages": whole.stages[:stages]})
    model = build_model(experiment, experiment.stages[-1], shape=(224, 224, 3), classes=7, seed=0)
    content: dict[str, Any] = {"state_dict_best": {"feat_model": {}, "classifier": {}}, "centroids": None}
    for ours, tensor in model.state_dict().items():
        part, _, name = their_name(ours).partition(".")
        if name:
            content["state_dict_best"][part][name] = tensor
    for weights in content["state_dict_best"].values():
        fill(weights)
    content["centroids"] = authors_centroids() if stages == 2 else None
    import_authors(written(content, tmp_path), experiment, tmp_path / "run")
    check_logits(load_run(tmp_path / "run").model, case)


def test_an_imported_run_is_measured_as_any(root: Path, tmp_path: Path) -> None:
    experiment = experiment_of("oltr_authors", root)
    import_authors(written(authors_checkpoint("imagenet_stage_2"), tmp_path), experiment, tmp_path / "run")
    figures = measure_run(load_run(tmp_path / "run")).table
    assert figures["images"] == {"train": 14, "val": 7, "test": 14, "open_test": 3}
    assert "memory" in figures["open"]
    schedule = experiment.schedule.model_copy(update={"batch_size": 8, "validate_every": 0})
    experiment = experiment.model_copy(update={"schedule": schedule})
    with pytest.raises(ConfigError, match=r"holds another run: experiment.method is 'oltr_authors_imported' there"):
        train(experiment, tmp_path / "run")


@pytest.mark.parametrize("new_format", [True, False])
def test_files_of_old_versions_of_pytorch_load(new_format: bool, root: Path, tmp_path: Path) -> None:
    """Until 1.6 they were no zip archives; until 0.4.1 batch norms counted no batches, and nothing needs the count."""
    content = authors_checkpoint("imagenet_stage_1")
    weights = content["state_dict_best"]["feat_model"]
    for name in [name for name in weights if name.endswith("num_batches_tracked")]:
        del weights[name]
    path = written(content, tmp_path, _use_new_zipfile_serialization=new_format)
    import_authors(path, experiment_of("plain", root), tmp_path / "run")
    check_logits(load_run(tmp_path / "run").model, "imagenet_stage_1")


def edit(part: str, name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["state_dict_best"][part].update({name: value})


def drop(part: str, name: str) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["state_dict_best"][part].pop(name)


BN = "module.layer4.0.bn2.running_var"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("feat_model", BN), f"lacks feat_model.{BN}, in stage 'plain'"),
        (
            edit("feat_model", "module.relu.weight", torch.ones(3)),
            "has feat_model.module.relu.weight, which the network",
        ),
        (edit("classifier", "module.fc.bias", torch.ones(8)), r"fc.bias has shape \(8,\), expected \(7,\)"),
        (edit("classifier", "module.fc.bias", "seven"), r"fc.bias is str, expected a tensor \(7,\)"),
        (edit("classifier", "module.fc.bias", torch.ones(7, dtype=torch.int64)), "is a tensor of torch.int64"),
        (edit("feat_model", BN, torch.full((512,), torch.nan)), f"{BN} holds NaN or infinity"),
        (lambda content: content.update(centroids=torch.ones(7, 512)), "has centroids, which the network lacks"),
        (
            lambda content: content.pop("state_dict_best"),
            "holds 'epoch', 'best_epoch', 'best_acc', 'centroids', expected",
        ),
        (lambda content: content.update(state_dict_best=[1]), "expected 'state_dict_best' with 'feat_model' and"),
    ],
)
def test_weights_that_do_not_fit_are_named_and_leave_no_run(
    change: Callable[[dict[str, Any]], Any], message: str, root: Path, tmp_path: Path
) -> None:
    content = authors_checkpoint("imagenet_stage_1")
    change(content)
    with pytest.raises(CheckpointError, match=message):
        import_authors(written(content, tmp_path), experiment_of("plain", root), tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["final_model_checkpoint.pth"]


@pytest.mark.parametrize(
    ("case", "method", "overrides", "advice"),
    [
        ("imagenet_stage_1", "oltr_authors", [], "it is of stage 1: take --method plain"),
        ("imagenet_stage_2", "plain", [], "it is of stage 2: take --method oltr_authors"),
        ("imagenet_stage_2", "oltr", [], "its attention is not that of this method: take oltr_authors"),
        ("imagenet_stage_1_before_december_2019", "plain", [], "give --set stages.0.fc_add=512"),
        ("imagenet_stage_1", "plain", ["stages.0.fc_add=512"], "it has no layer in front of the classifier"),
        (
            "imagenet_stage_1",
            "plain",
            ["backbone.depth=18"],
            "has a ResNet-18 for 7 classes: see --on and backbone.depth",
        ),
    ],
)
def test_the_wrong_network_comes_with_advice(
    case: str, method: str, overrides: list[str], advice: str, root: Path, tmp_path: Path
) -> None:
    path = written(authors_checkpoint(case), tmp_path)
    with pytest.raises(CheckpointError, match=advice):
        import_authors(path, experiment_of(method, root, *overrides), tmp_path / "run")


@pytest.mark.parametrize(
    ("method", "override", "message"),
    [
        ("oltr_authors", "backbone.layout=caffe", "backbone.layout is 'caffe', expected 'usual'"),
        ("plain", "backbone.normalisation=half", "backbone.normalisation is 'half', expected 'imagenet'"),
        ("oltr_authors", "stages.1.head.reach_scale=1.0", "stages.1.head.reach_scale is 1.0, expected 10.0"),
        ("cosine", "seed=0", "stages.0.head is 'cosine', expected 'dot_product'"),
    ],
)
def test_a_network_that_would_answer_otherwise_is_refused(
    method: str, override: str, message: str, root: Path, tmp_path: Path
) -> None:
    """No shape of a weight tells these apart, so they would load and be wrong."""
    with pytest.raises(ConfigError, match=message):
        import_authors(tmp_path / "any.pth", experiment_of(method, root, override), tmp_path / "run")


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_a_file_that_would_run_code_is_refused_and_does_not(root: Path, tmp_path: Path) -> None:
    content = authors_checkpoint("imagenet_stage_1") | {"best_acc": Runs(tmp_path / "made")}
    with pytest.raises(CheckpointError, match=r"holds posix.mkdir, and to read more than weights could run code"):
        import_authors(written(content, tmp_path), experiment_of("plain", root), tmp_path / "run")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_file_that_breaks_off_is_refused(new_format: bool, share: float, root: Path, tmp_path: Path) -> None:
    path = written(authors_checkpoint("imagenet_stage_1"), tmp_path, _use_new_zipfile_serialization=new_format)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match="is no torch file of weights, or a damaged one; expected a final_model"):
        import_authors(path, experiment_of("plain", root), tmp_path / "run")


def test_what_is_not_there_or_in_the_way_is_told(root: Path, tmp_path: Path) -> None:
    experiment = experiment_of("plain", root)
    with pytest.raises(CheckpointError, match=r"no.pth: there is no such file; expected a final_model_checkpoint.pth"):
        import_authors(tmp_path / "no.pth", experiment, tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"is a folder; expected a final_model_checkpoint.pth"):
        import_authors(tmp_path, experiment, tmp_path / "run")
    path = written(authors_checkpoint("imagenet_stage_1"), tmp_path)
    with pytest.raises(DataError, match=r"ImageNet_LT_train.txt: cannot be read"):
        import_authors(path, experiment_of("plain", tmp_path), tmp_path / "run")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/mine.txt").write_text("mine")
    with pytest.raises(SourceError, match=r"holds 'mine.txt', which this tool did not write"):
        import_authors(path, experiment, tmp_path / "run")
    assert (tmp_path / "run/mine.txt").read_text() == "mine"
