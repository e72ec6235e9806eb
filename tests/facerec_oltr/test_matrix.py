"""Every method on every data set, as the folders list them, is built and trained for a step or two."""

from pathlib import Path

import numpy as np
import pytest
import torch

from facerec_oltr.config import available, load_experiment
from facerec_oltr.engine.finished import load_run
from facerec_oltr.engine.model import to_input
from facerec_oltr.engine.run import train

from .conftest import TINY, write_blob, write_listed

METHODS, DATASETS = available("methods"), available("datasets")


def test_the_folders_hold_what_the_documentation_says() -> None:
    assert METHODS == [
        "adaface", "arcface", "balanced_softmax", "cosine", "crt", "focal", "fslwf", "ldam_drw", "lifted",
        "logit_adjusted", "lws", "ncm", "oltr", "oltr_arcface", "oltr_authors", "plain", "plain_balanced", "range",
        "tau_norm",
    ]  # fmt: skip
    assert DATASETS == [
        "att_lt", "cifar100_lt", "imagenet_lt", "lfw_faces", "lfw_features", "ms1m_lt", "places_lt", "tiny_imagenet_lt",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Feature vectors of four classes with 9, 5, 2 and 1 of them."""
    folder = tmp_path_factory.mktemp("vectors")
    labels = np.repeat(np.arange(4), [9, 5, 2, 1])
    rng = np.random.default_rng(0)
    np.savez(folder / "train.npz", features=np.eye(4, 12)[labels] + 0.1 * rng.normal(size=(17, 12)), labels=labels)
    return folder


@pytest.fixture(scope="session")
def blob(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Encoded images of six classes, two of which are strangers."""
    return write_blob(tmp_path_factory.mktemp("blob") / "blob.npz", [9, 7, 5, 4, 1, 2])


@pytest.fixture(scope="session")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Listed images of four classes with 7, 5, 2 and 1 of them."""
    folder = tmp_path_factory.mktemp("listed")
    write_listed(folder, "train", [label for label, n in enumerate((7, 5, 2, 1)) for _ in range(n)])
    write_listed(folder, "val", [0, 1, 2, 3, 3])
    return folder


ARRAYS = '{ bytes = "PART_png", offsets = "PART_offset", labels = "PART_label" }'
# by no other convention do so few images make both base and few-shot classes
TINY_IMAGES = (
    "data.size=16",
    "backbone.width=1",
    "schedule.epochs=2",
    "schedule.batch_size=8",
    "shots=faces",
    "schedule.learning_rate=0.01",
)


def small(dataset: str, request: pytest.FixtureRequest) -> list[str]:
    """What brings a data set down to a few inputs that are here."""
    if dataset == "lfw_features":
        return [f"data.path={request.getfixturevalue('vectors')}", "schedule.epochs=3", "schedule.batch_size=8"]
    if dataset in ("imagenet_lt", "places_lt"):
        root = request.getfixturevalue("listed")
        here = [f"data.root={root}", "data.train=train.txt", "data.val=val.txt", "data.expect={}"]
        return [*TINY_IMAGES, "backbone.depth=10", *here]
    if dataset in ("cifar100_lt", "tiny_imagenet_lt"):
        depth = "backbone.depth=8" if dataset == "cifar100_lt" else "backbone.depth=10"
        parts = [f"data.{part}={ARRAYS.replace('PART', part)}" for part in ("train", "test")]
        return [*TINY_IMAGES, depth, *parts, f"data.path={request.getfixturevalue('blob')}", "data.open_classes=2"]
    if dataset == "ms1m_lt":
        return [*TINY_IMAGES, "backbone.depth=10", f"data.path={request.getfixturevalue('face_set')}"]
    return [*TINY, f"data.path={request.getfixturevalue('face_set')}", "schedule.epochs=2"]


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("method", METHODS)
def test_it_trains_and_embeds(method: str, dataset: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    # two steps at the full rate would leave the running statistics, on which the next stage may rest, far behind
    overrides = [*small(dataset, request), "schedule.learning_rate=0.01"]
    experiment = load_experiment(method, dataset, overrides=overrides)
    train(experiment, tmp_path / "run")
    finished = load_run(tmp_path / "run")
    model, data = finished.model, experiment.data.build()
    features, logits = finished.outputs(data)
    assert data.shape == finished.shape
    assert logits.shape == (len(data), 4)
    with torch.no_grad():  # in blocks as in one go
        again = model(to_input(torch.from_numpy(data.batch(np.arange(3)))))[1]
    np.testing.assert_allclose(logits[:3], again, atol=1e-5)
    for embedding in model.head.embeddings:
        vectors = model.head.embed(torch.from_numpy(features), embedding)
        assert vectors.shape == features.shape
        assert torch.isfinite(vectors).all()
