"""Mixed precision: near to float32, float32 where it counts, resumed bit for bit, refused where it cannot be right."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facerec_oltr.config import load_experiment
from facerec_oltr.engine.checkpoint import load_weights
from facerec_oltr.engine.model import build_model
from facerec_oltr.engine.precision import Arithmetic
from facerec_oltr.engine.progress import load_progress
from facerec_oltr.engine.run import train
from facerec_oltr.engine.stage import StageRun
from facerec_oltr.errors import ConfigError, TrainingError
from facerec_oltr.experiment import Experiment
from facerec_oltr.losses import Batch

from ..conftest import TINY
from .conftest import StopAt, StopError, hours, on_vectors

CPU = torch.device("cpu")
HALVES = ("bfloat16", "float16")


def faces(face_set: Path, precision: str, method: str = "oltr") -> Experiment:
    overrides = [*TINY, f"data.path={face_set}", f"schedule.precision={precision}"]
    return load_experiment(method, "att_lt", overrides=overrides)


@pytest.mark.parametrize(("precision", "bits"), [("bfloat16", 8), ("float16", 11)])
def test_logits_are_near_to_those_of_float32(precision: Any, bits: int, face_set: Path) -> None:
    """A few places of the last bit, relative to the largest logit: each of the layers rounds anew."""
    experiment = faces(face_set, precision, "plain")
    model = build_model(experiment, experiment.stages[0], shape=(16, 16, 3), classes=4, seed=0).eval()
    images = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        exact = model(images)[1]
        with Arithmetic(precision, CPU).autocast():
            rounded = model(images)[1].float()
    error = (rounded - exact).abs().max() / exact.abs().max()
    assert 0 < error < 8 * 2.0**-bits  # and it was really computed in fewer bits


@pytest.mark.parametrize("precision", HALVES)
def test_training_learns_in_fewer_bits_too(precision: str, face_set: Path, tmp_path: Path) -> None:
    listens = StopAt(99)
    train(faces(face_set, precision, "plain"), tmp_path / "run", reporter=listens)
    losses = [report.loss for report in listens.reports]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("precision", HALVES)
def test_a_stopped_run_ends_with_the_bytes_of_an_unbroken_one(precision: str, face_set: Path, tmp_path: Path) -> None:
    experiment = faces(face_set, precision)
    unbroken = train(experiment, tmp_path / "unbroken")
    for epochs in (2, 2):
        with pytest.raises(StopError):
            train(experiment, tmp_path / "run", reporter=StopAt(epochs), clock=hours)
    assert train(experiment, tmp_path / "run", clock=hours).read_bytes() == unbroken.read_bytes()
    assert {value.dtype for value in load_weights(unbroken).values()} <= {torch.float32, torch.int64}


@pytest.mark.parametrize("precision", HALVES)
def test_losses_and_memory_see_float32(precision: str, face_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = faces(face_set, precision, "plain")
    model = build_model(experiment, experiment.stages[0], shape=(16, 16, 3), classes=4, seed=0)
    run, seen = StageRun(experiment, 0, model, [], experiment.data.build(), CPU), []

    def loss(batch: Batch) -> torch.Tensor:
        seen.append((batch.features.dtype, batch.logits.dtype, (batch.logits @ batch.logits.T).dtype))
        return batch.logits.square().mean()

    run.step.losses = [("cross_entropy", 1.0, loss)]
    monkeypatch.setattr(model.head, "observe", lambda features, labels: seen.append((features.dtype,) * 3))
    next(run.train())
    assert set(seen) == {(torch.float32,) * 3}


def test_the_backbone_computes_in_that_precision(face_set: Path) -> None:
    experiment = faces(face_set, "bfloat16", "plain")
    model = build_model(experiment, experiment.stages[0], shape=(16, 16, 3), classes=4, seed=0)
    seen = []
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    with Arithmetic("bfloat16", CPU).autocast():
        model.eval()(torch.zeros(2, 3, 16, 16))
    assert set(seen) == {torch.bfloat16}


def test_a_step_whose_gradients_overflow_float16_is_left_out_and_the_scale_halved() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer, arithmetic = torch.optim.SGD([weight], lr=0.25), Arithmetic("float16", CPU)
    half = weight.to(torch.float16)  # the gradient passes through float16, scaled by 65,536
    assert arithmetic.step((half.float() * 2.0).sum(), optimizer)
    assert weight.item() == 1.0
    assert arithmetic.state_dict()["scale"] == 32768
    assert arithmetic.step((weight.to(torch.float16).float() * 0.5).sum(), optimizer)
    assert weight.item() == 1.0 - 0.25 * 0.5
    again = Arithmetic("float16", CPU)
    again.load_state_dict(arithmetic.state_dict())
    assert again.state_dict() == arithmetic.state_dict()
    assert again.state_dict()["_growth_tracker"] == 1


def test_the_scale_of_the_loss_is_part_of_progress(vectors: Path, tmp_path: Path) -> None:
    with pytest.raises(StopError):
        experiment = on_vectors(vectors, "schedule.precision=float16")
        train(experiment, tmp_path / "run", reporter=StopAt(2), clock=hours)
    progress = load_progress(tmp_path / "run/checkpoints")
    assert progress is not None
    assert progress.state is not None
    steps = progress.state["arithmetic"]["_growth_tracker"]  # since the last overflow, if there was one
    assert 0 < steps <= 10  # two epochs of 79 vectors in batches of 16


def test_gradients_that_overflow_at_every_scale_are_an_error(vectors: Path) -> None:
    experiment = on_vectors(vectors, "schedule.precision=float16", method="plain")
    model = build_model(experiment, experiment.stages[0], shape=(12,), classes=6, seed=0)
    run = StageRun(experiment, 0, model, [], experiment.data.build(), CPU)
    run.step.losses = [("cross_entropy", 1.0, lambda batch: (batch.logits * 1e30).sum() * 0 + batch.logits.sum() * 1e9)]
    with pytest.raises(
        TrainingError, match=r"stage 'plain', epoch 4, step \d: the gradients overflow float16 at every"
    ):
        for _ in run.train():
            pass


def test_what_cannot_be_right_is_refused(face_set: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'disc_centroids_authors' does not pass the scale on to the memory"):
        faces(face_set, "float16", "oltr_authors")
    faces(face_set, "bfloat16", "oltr_authors")
    with pytest.raises(ConfigError, match="the device 'meta' does not compute in bfloat16"):
        train(faces(face_set, "bfloat16"), tmp_path / "run", device=torch.device("meta"))
    assert not (tmp_path / "run").exists()
