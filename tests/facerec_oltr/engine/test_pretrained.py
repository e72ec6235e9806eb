"""A ResNet that starts from a file of weights, and OLTR on Places-LT as its authors train it from there."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from facerec_oltr.backbones import ResNetConfig
from facerec_oltr.config import load_experiment
from facerec_oltr.engine.checkpoint import load_weights
from facerec_oltr.engine.finished import load_run
from facerec_oltr.engine.model import build_model
from facerec_oltr.engine.pretrained import open_pretrained
from facerec_oltr.engine.run import train
from facerec_oltr.engine.stage import StageRun
from facerec_oltr.errors import CheckpointError, ConfigError
from facerec_oltr.experiment import Experiment

from ..conftest import fill, write_listed

SMALL = (
    "data.size=32",
    "backbone.width=2",
    "backbone.depth=10",
    "schedule.epochs=2",
    "schedule.batch_size=8",
    "schedule.validate_every=0",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("places")
    write_listed(folder, "train", [label for label, n in enumerate((7, 5, 3, 1)) for _ in range(n)])
    return folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Weights as converted from Caffe: no batches counted, and a classifier of ImageNet."""
    return write_file(tmp_path / "caffe.pth")


def write_file(path: Path, more: dict[str, Any] | None = None) -> Path:
    state = ResNetConfig(width=2).build(shape=(32, 32, 3), attention=None).state_dict()
    fill(state)
    state = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    torch.save(state | {"fc.weight": torch.ones(1000, 16), "fc.bias": torch.ones(1000)} | (more or {}), path)
    return path


def places(method: str, root: Path, *overrides: str) -> Experiment:
    fixed = [*SMALL, f"data.root={root}", "data.train=train.txt", "data.expect={}"]
    return load_experiment(method, "places_lt", overrides=[*fixed, *overrides])


@pytest.mark.parametrize(("depth", "published"), [(18, 11_689_512), (50, 25_557_032), (152, 60_192_808)])
def test_the_networks_are_torchvisions(depth: Any, published: int) -> None:
    """The numbers of parameters in torchvision's documentation, with their classifier for 1,000 classes."""
    with torch.device("meta"):
        net = ResNetConfig(depth=depth).build(shape=(224, 224, 3), attention=None)
    assert sum(p.numel() for p in net.parameters()) + 1000 * (net.features_size + 1) == published


def test_a_run_starts_from_the_file_and_keeps_its_fingerprint(root: Path, file: Path, tmp_path: Path) -> None:
    still = ("stages.0.backbone_rate=0.0", "stages.0.freeze_statistics=true")
    experiment = places("plain", root, f"backbone.weights={file}", *still)
    train(experiment, tmp_path / "run")
    trained, given = load_weights(tmp_path / "run/model.safetensors"), torch.load(file, weights_only=True)
    kept = [name for name in given if not name.startswith("fc.")]
    assert len(kept) > 50
    for name in kept:
        torch.testing.assert_close(trained[f"backbone.{name}"], given[name], atol=0, rtol=0)
    description = json.loads((tmp_path / "run/experiment.json").read_text())
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert description["weights"] == {"file": str(file), "sha256": sha256}

    write_file(file, {"fc.bias": torch.zeros(1000)})
    with pytest.raises(ConfigError, match=rf"holds another run: weights.sha256 is '{sha256}' there"):
        train(experiment, tmp_path / "run")
    file.unlink()
    load_run(tmp_path / "run")  # needs the file no more


def test_only_what_the_file_brings_learns_at_the_backbones_rate(root: Path, file: Path, tmp_path: Path) -> None:
    """The rates of the authors' `config/Places_LT`: for their network before the classifier, it, and the memory."""
    experiment = places("oltr_authors", root, f"backbone.weights={file}")
    assert experiment.backbone.layout == "usual"  # type: ignore[union-attr]
    data, cpu = experiment.data.build(), torch.device("cpu")
    models = [build_model(experiment, s, shape=data.shape, classes=4, seed=0) for s in experiment.stages]
    pretrained = open_pretrained(experiment, data.shape)
    assert pretrained is not None
    new = [pretrained.start(models[0]), models[1].take_over(models[0])]
    assert new[0] == ["fc_add.weight", "fc_add.bias"]
    assert {name.split(".")[1] for name in new[1]} == {"modulatedatt"}
    rates = []
    for index in (0, 1):
        run = StageRun(experiment, index, models[index], new[index], data, cpu)
        names = {id(weight): name for name, weight in models[index].named_parameters()}
        groups = run.optimizer.param_groups
        rates.append({names[id(weight)]: pytest.approx(group["lr"]) for group in groups for weight in group["params"]})
    assert rates[0]["backbone.conv1.weight"] == rates[0]["fc_add.weight"] == 0.001
    assert rates[0]["head.fc.weight"] == 0.1
    assert rates[1]["fc_add.weight"] == rates[1]["backbone.modulatedatt.g.weight"] == 0.0001
    assert rates[1]["head.selector.weight"] == rates[1]["head.memory"] == 0.01
    # their `fix` spares what has "modulatedatt" or "fc" in its name
    assert not [n for n in rates[1] if n.startswith("backbone.") and "modulatedatt" not in n]


def test_the_authors_frozen_backbone_gathers_statistics_all_the_same(root: Path, file: Path, tmp_path: Path) -> None:
    train(places("oltr_authors", root, f"backbone.weights={file}"), tmp_path / "run")
    first, last = (load_weights(tmp_path / f"run/checkpoints/{stage}.safetensors") for stage in ("plain", "memory"))
    parameters = [name for name in first if name.startswith("backbone.") and name.endswith((".weight", ".bias"))]
    statistics = [name for name in first if name.endswith("running_mean")]
    assert all(torch.equal(first[name], last[name]) for name in parameters)
    assert not any(torch.equal(first[name], last[name]) for name in statistics)
    assert not torch.equal(first["fc_add.weight"], last["fc_add.weight"])


def test_a_missing_file_says_where_it_is_and_how_to_go_without(root: Path, tmp_path: Path) -> None:
    experiment = places("plain", root, f"backbone.weights={tmp_path / 'no.pth'}")
    with pytest.raises(
        CheckpointError, match=r"no.pth: there is no such file; .* README .* leave backbone.weights out"
    ):
        train(experiment, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("overrides", "more", "message"),
    [
        (["backbone.depth=18"], {}, r"lacks layer1.1.conv1.weight, .* and \d+ more; expected weights for a ResNet-18"),
        (["backbone.width=4"], {}, r"conv1.weight has shape \(2, 3, 7, 7\), expected \(4, 3, 7, 7\)"),
        (["backbone.stem=small"], {}, r"conv1.weight has shape \(2, 3, 7, 7\), expected \(2, 3, 3, 3\)"),
        ([], {"layer5.0.conv1.weight": torch.ones(1)}, r"has layer5.0.conv1.weight, which the network lacks"),
        ([], {"bn1.running_var": torch.tensor([1, torch.inf])}, r"bn1.running_var holds NaN or infinity"),
    ],
)
def test_weights_that_do_not_fit_are_named_and_leave_no_run(
    overrides: list[str], more: dict[str, Any], message: str, root: Path, tmp_path: Path
) -> None:
    file = write_file(tmp_path / "caffe.pth", more)
    with pytest.raises(CheckpointError, match=message):
        train(places("plain", root, f"backbone.weights={file}", *overrides), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_no_state_dict_is_refused(root: Path, tmp_path: Path) -> None:
    torch.save([torch.ones(2)], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match=r"holds list, expected the state dict of a ResNet"):
        train(places("plain", root, f"backbone.weights={tmp_path / 'list.pth'}"), tmp_path / "run")
