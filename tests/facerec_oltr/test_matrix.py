"""Every method on every data set, as the folders list them, is built and trained for a step or two."""

from pathlib import Path

import numpy as np
import pytest

from facerec_oltr.config import available, load_experiment
from facerec_oltr.engine.embedder import load_embedder
from facerec_oltr.engine.run import train

from .conftest import TINY

METHODS, DATASETS = available("methods"), available("datasets")


def test_the_folders_hold_what_the_documentation_says() -> None:
    assert METHODS == [
        "balanced_softmax", "cosine", "crt", "focal", "ldam_drw", "lifted", "logit_adjusted", "lws", "ncm", "oltr",
        "plain", "plain_balanced", "range", "tau_norm",
    ]  # fmt: skip
    assert DATASETS == ["att_lt"]


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("method", METHODS)
def test_it_trains_and_embeds(method: str, dataset: str, face_set: Path, tmp_path: Path) -> None:
    experiment = load_experiment(method, dataset, overrides=[*TINY, "schedule.epochs=2", f"data.path={face_set}"])
    train(experiment, tmp_path / "run")
    embedder = load_embedder(tmp_path / "run")
    faces = np.random.default_rng(0).integers(0, 256, (3, embedder.size, embedder.size, 3), np.uint8)
    vectors = embedder.embed(faces)
    assert vectors.shape == (3, embedder.dimensions)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
