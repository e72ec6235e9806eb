"""Runs: resumed as if never stopped, claimed by one experiment, refused where they do not fit."""

import errno
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from facerec_oltr.config import load_experiment
from facerec_oltr.data import Features
from facerec_oltr.engine import progress as progress_module
from facerec_oltr.engine.checkpoint import load_weights
from facerec_oltr.engine.embedder import load_embedder
from facerec_oltr.engine.finished import load_run
from facerec_oltr.engine.model import build_model
from facerec_oltr.engine.progress import load_progress
from facerec_oltr.engine.run import train
from facerec_oltr.engine.stage import StageRun
from facerec_oltr.errors import CheckpointError, ConfigError, StoppedError, TrainingError
from facerec_oltr.experiment import Experiment
from facerec_oltr.heads import WeightGenerator

from ..conftest import TINY, write_listed
from .conftest import StopAt, StopError, hours, on_vectors, without_times


@pytest.mark.parametrize("stops", [(1,), (2,), (3,), (4,), (2, 1, 1)])
def test_a_run_stopped_anywhere_ends_with_the_weights_of_an_unbroken_one(
    stops: tuple[int, ...], tiny_oltr: Experiment, tmp_path: Path
) -> None:
    unbroken = load_weights(train(tiny_oltr, tmp_path / "unbroken"))
    for epochs in stops:
        with pytest.raises(StopError):
            train(tiny_oltr, tmp_path / "run", reporter=StopAt(epochs), clock=hours)
    resumed = StopAt(99)
    weights = load_weights(train(tiny_oltr, tmp_path / "run", reporter=resumed, clock=hours))
    assert weights.keys() == unbroken.keys()
    assert all(torch.equal(weights[name], unbroken[name]) for name in unbroken)
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["epoch"]) for line in lines] == [
        *(("plain", e) for e in (1, 2, 3)),
        *(("memory", e) for e in (1, 2)),
    ]
    assert not list((tmp_path / "run/checkpoints").glob("*progress*"))


def test_without_a_checkpoint_due_the_stage_starts_again_and_metrics_are_not_repeated(
    tiny_oltr: Experiment, tmp_path: Path
) -> None:
    with pytest.raises(StopError):
        train(tiny_oltr, tmp_path / "run", reporter=StopAt(2), clock=lambda: 0.0)
    again = StopAt(99)
    train(tiny_oltr, tmp_path / "run", reporter=again, clock=lambda: 0.0)
    assert again.resumed_at == [("plain", 0), ("memory", 0)]
    assert len((tmp_path / "run/metrics.jsonl").read_text().splitlines()) == 5


def test_a_finished_run_is_left_as_it_is(tiny_oltr: Experiment, tmp_path: Path) -> None:
    path = train(tiny_oltr, tmp_path / "run")
    before = path.stat().st_mtime_ns
    silent = StopAt(1)
    assert train(tiny_oltr, tmp_path / "run", reporter=silent) == path
    assert path.stat().st_mtime_ns == before
    assert silent.resumed_at == []


def test_the_run_folder_says_what_it_rests_on(tiny_oltr: Experiment, tmp_path: Path) -> None:
    train(tiny_oltr, tmp_path / "run")
    description = json.loads((tmp_path / "run/experiment.json").read_text())
    assert description["experiment"]["schedule"]["epochs"] == 5
    assert description["experiment"]["schedule"]["momentum"] == 0.9  # defaults too
    assert description["data"]["images"] == 14
    assert description["data"]["classes"] == 4
    assert len(description["data"]["fingerprint"]) == 64
    assert description["made_with"]["torch"] == torch.__version__


def test_training_learns_the_small_set(face_set: Path, tmp_path: Path) -> None:
    strong = [*TINY, f"data.path={face_set}", "schedule.epochs=60", "backbone.dropout=0.0", "augment={flip=0.5}"]
    train(load_experiment("oltr", "att_lt", seed=1, overrides=strong), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert lines[0]["accuracy"] < 0.75
    assert lines[-1]["accuracy"] > 0.9


def test_the_memory_of_a_finished_run_is_the_class_means_of_its_own_features(
    tiny_oltr: Experiment, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    weights = load_weights(train(tiny_oltr, run))
    data = tiny_oltr.data.build()
    embedder = load_embedder(run)
    backbone = embedder._model.backbone
    images = torch.from_numpy(data.batch(np.arange(len(data)))).permute(0, 3, 1, 2).float().sub(127.5).div(127.5)
    with torch.no_grad():
        features = backbone(images)
    for c in range(data.classes):
        mean = features[torch.from_numpy(data.labels == c)].mean(dim=0)
        torch.testing.assert_close(weights["head.memory"][c], mean, atol=1e-5, rtol=1e-4)


def test_the_two_embeddings_differ_and_have_fingerprints_of_their_own(tiny_oltr: Experiment, tmp_path: Path) -> None:
    train(tiny_oltr, tmp_path / "run")
    direct, meta = (load_embedder(tmp_path / "run", name) for name in ("direct", "meta"))
    assert direct.fingerprint != meta.fingerprint
    assert direct.fingerprint == load_embedder(tmp_path / "run").fingerprint
    faces = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    assert not np.allclose(direct.embed(faces), meta.embed(faces))
    assert direct.embed(faces[:0]).shape == (0, 8)


def test_an_embedding_is_the_same_for_a_face_and_its_mirror_image(tiny_oltr: Experiment, tmp_path: Path) -> None:
    train(tiny_oltr, tmp_path / "run")
    embedder = load_embedder(tmp_path / "run")
    faces = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    np.testing.assert_allclose(embedder.embed(faces), embedder.embed(faces[:, :, ::-1].copy()), atol=1e-5)


@pytest.mark.parametrize(("method", "second"), [("crt", "retrained"), ("lws", "scaled"), ("tau_norm", "evened")])
def test_a_frozen_backbone_does_not_change_its_batch_norm_either(
    method: str, second: str, face_set: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train(load_experiment(method, "att_lt", overrides=[*TINY, f"data.path={face_set}"]), run)
    before, after = (load_weights(run / f"checkpoints/{stage}.safetensors") for stage in ("plain", second))
    names = [name for name in before if name.startswith("backbone.")]
    assert any(name.endswith("running_mean") for name in names)
    assert all(torch.equal(before[name], after[name]) for name in names)
    trained = {json.loads(line)["stage"] for line in (run / "metrics.jsonl").read_text().splitlines()}
    assert trained == ({"plain"} if method == "tau_norm" else {"plain", second})


def test_a_folder_of_another_experiment_is_refused_and_kept(tiny_oltr: Experiment, tmp_path: Path) -> None:
    train(tiny_oltr, tmp_path / "run")
    other = tiny_oltr.model_copy(update={"seed": 7})
    with pytest.raises(ConfigError, match=r"holds another run: experiment\.seed is 0 there and 7 here"):
        train(other, tmp_path / "run")
    assert (tmp_path / "run/model.safetensors").exists()


def test_a_folder_of_something_else_is_refused(tiny_oltr: Experiment, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="is no run folder"):
        train(tiny_oltr, tmp_path / "run")


@pytest.mark.parametrize("file", ["model.safetensors", "state.pt"])
def test_a_damaged_checkpoint_is_named(file: str, tiny_oltr: Experiment, tmp_path: Path) -> None:
    with pytest.raises(StopError):
        train(tiny_oltr, tmp_path / "run", reporter=StopAt(2), clock=hours)
    (moment,) = (tmp_path / "run/checkpoints").glob("progress-*")
    damaged = moment / file
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:])
    with pytest.raises(
        CheckpointError, match=rf"{file}: has SHA-256 .* remove that folder to go on from the beginning"
    ):
        train(tiny_oltr, tmp_path / "run")
    damaged.unlink()
    with pytest.raises(CheckpointError, match=r"progress-\d+: is damaged \(.*; remove that folder"):
        train(tiny_oltr, tmp_path / "run")
    assert moment.exists()


def test_damaged_unfinished_and_missing_runs_are_one_line(tiny_oltr: Experiment, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(CheckpointError, match="expected a run folder"):
        load_embedder(run)
    with pytest.raises(StopError):
        train(tiny_oltr, run, reporter=StopAt(2))
    with pytest.raises(CheckpointError, match="the run is not finished; go on with: facerec train oltr --on att_lt"):
        load_embedder(run)
    train(tiny_oltr, run)
    with pytest.raises(ConfigError, match="no embedding 'mean'; its head offers direct, meta"):
        load_embedder(run, "mean")
    model = run / "model.safetensors"
    model.write_bytes(model.read_bytes()[:50])
    with pytest.raises(CheckpointError, match="is damaged"):
        load_embedder(run)
    (run / "experiment.json").write_text("{")
    with pytest.raises(CheckpointError, match="is damaged"):
        load_embedder(run)


def test_weights_of_another_architecture_or_number_of_classes_are_refused(
    tiny_oltr: Experiment, face_set: Path, tmp_path: Path
) -> None:
    train(tiny_oltr, tmp_path / "oltr")
    plain = load_experiment("plain", "att_lt", overrides=[*TINY, f"data.path={face_set}"])
    train(plain, tmp_path / "plain")
    target = tmp_path / "plain/model.safetensors"
    own = target.read_bytes()
    target.write_bytes((tmp_path / "oltr/model.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match="another architecture"):
        load_embedder(tmp_path / "plain")
    target.write_bytes(own)
    path = tmp_path / "plain/experiment.json"
    path.write_text(path.read_text().replace('"classes": 4', '"classes": 5'))
    with pytest.raises(CheckpointError, match=r"head\.fc\.bias has shape \(4,\), expected \(5,\)"):
        load_embedder(tmp_path / "plain")


_BROKEN = r"stage 'plain', epoch \d+, step \d+: the loss is (nan|inf); .* what was in the batch: train\.rec: key \d+, "


def test_a_loss_that_is_not_finite_stops_with_the_place(face_set: Path, tmp_path: Path) -> None:
    wild = [*TINY, f"data.path={face_set}", "schedule.learning_rate=1e30", "schedule.warmup=0.0"]
    with pytest.raises(TrainingError, match=_BROKEN):
        train(load_experiment("plain", "att_lt", overrides=wild), tmp_path / "run")
    assert not (tmp_path / "run/model.safetensors").exists()


def class_means(run: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The memory of a finished run, and the mean feature of each class by a loop over the training images."""
    finished = load_run(run)
    data = finished.experiment.data.build()
    features, _ = finished.outputs(data)
    means = np.stack([features[data.labels == label].mean(axis=0) for label in range(data.classes)])
    assert finished.model.head.memory is not None
    return finished.model.head.memory.detach(), torch.from_numpy(means)


def test_the_memory_is_the_class_means_of_the_finished_network(tiny_oltr: Experiment, tmp_path: Path) -> None:
    train(tiny_oltr, tmp_path / "run")
    memory, means = class_means(tmp_path / "run")
    torch.testing.assert_close(memory, means, atol=1e-5, rtol=1e-4)


def test_the_authors_memory_lags_behind_the_class_means(face_set: Path, tmp_path: Path) -> None:
    overrides = [*TINY, f"data.path={face_set}", "schedule.epochs=12", "schedule.weight_decay=0.05"]
    train(load_experiment("oltr_authors", "att_lt", overrides=overrides), tmp_path / "run")
    memory, means = class_means(tmp_path / "run")
    assert (memory - means).norm() > 0.05 * means.norm()


def test_a_run_with_the_authors_memory_resumes_too(face_set: Path, tmp_path: Path) -> None:
    experiment = load_experiment("oltr_authors", "att_lt", overrides=[*TINY, f"data.path={face_set}"])
    unbroken = load_weights(train(experiment, tmp_path / "unbroken"))
    with pytest.raises(StopError):
        train(experiment, tmp_path / "run", reporter=StopAt(4), clock=hours)
    weights = load_weights(train(experiment, tmp_path / "run", clock=hours))
    assert all(torch.equal(weights[name], value) for name, value in unbroken.items())


def test_fc_add_starts_at_random_where_the_stage_before_had_none(face_set: Path, tmp_path: Path) -> None:
    """The authors' mismatch: the hallucinator comes from a classifier on features that this layer has changed."""
    experiment = load_experiment("oltr_authors", "att_lt", overrides=[*TINY, f"data.path={face_set}"])
    plain, memory = experiment.stages
    before, after = (
        build_model(experiment, stage, shape=(16, 16, 3), classes=4, seed=seed).eval()
        for stage, seed in ((plain, 0), (memory, 1))
    )
    new = after.take_over(before)
    assert {"fc_add.weight", "fc_add.bias"} < set(new)
    x = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    mended = build_model(experiment, memory.model_copy(update={"fc_add": None}), shape=(16, 16, 3), classes=4, seed=1)
    mended.take_over(before)
    torch.testing.assert_close(mended.eval().backbone(x), after.backbone(x))
    assert not torch.allclose(after.features(x), mended.features(x), atol=1e-2)


def test_a_stage_cannot_take_over_features_of_another_length(face_set: Path, tmp_path: Path) -> None:
    overrides = [*TINY, f"data.path={face_set}", "stages.1.fc_add=5"]
    with pytest.raises(ConfigError, match="features of length 5 starts from one with 8"):
        train(load_experiment("oltr_authors", "att_lt", overrides=overrides), tmp_path / "run")


def test_a_frozen_backbone_trains_only_what_is_new_in_it(face_set: Path, tmp_path: Path) -> None:
    overrides = [*TINY, f"data.path={face_set}", "stages.1.freeze_backbone=true"]
    train(load_experiment("oltr", "att_lt", overrides=overrides), tmp_path / "run")
    first, last = (load_weights(tmp_path / f"run/checkpoints/{stage}.safetensors") for stage in ("plain", "memory"))
    inherited = [name for name in first if name.startswith("backbone.")]
    assert all(torch.equal(first[name], last[name]) for name in inherited)
    assert last["backbone.attention.conv_mask.weight"].abs().sum() > 0  # it began at zero


def test_rates_by_part_of_the_network(face_set: Path) -> None:
    overrides = [*TINY, f"data.path={face_set}", "stages.1.head_rate=2.0", "stages.1.memory_rate=0.5"]
    experiment = load_experiment("oltr_authors", "att_lt", overrides=overrides)
    plain, memory = experiment.stages
    models = [build_model(experiment, stage, shape=(16, 16, 3), classes=4, seed=0) for stage in (plain, memory)]
    new = models[1].take_over(models[0])
    run = StageRun(experiment, 1, models[1], new, experiment.data.build(), torch.device("cpu"))
    names = {id(weight): name for name, weight in models[1].named_parameters()}
    rates = {
        names[id(weight)]: group["lr"] / experiment.schedule.learning_rate
        for group in run.optimizer.param_groups
        for weight in group["params"]
    }
    wanted = {"backbone.conv1.weight": 0.1, "backbone.attention.g.weight": 0.1, "fc_add.bias": 0.1}
    wanted |= {"head.selector.weight": 2.0, "head.memory": 0.5}
    assert {name: pytest.approx(rates[name]) for name in wanted} == wanted
    trained = {name for name, weight in models[1].named_parameters() if weight.requires_grad}
    assert rates.keys() == trained


def test_a_run_on_random_crops_is_resumed_as_if_never_stopped(tmp_path: Path) -> None:
    write_listed(tmp_path, "train", [0, 0, 0, 0, 1, 1, 2])
    write_listed(tmp_path, "val", [0, 1, 2, 2])
    small = ("data.size=16", "backbone.width=1", "backbone.depth=10", "schedule.epochs=3", "schedule.batch_size=4")
    here = (f"data.root={tmp_path}", "data.train=train.txt", "data.val=val.txt", "data.expect={}")
    experiment = load_experiment("plain", "imagenet_lt", overrides=[*small, *here])
    unbroken = load_weights(train(experiment, tmp_path / "unbroken"))
    with pytest.raises(StopError):
        train(experiment, tmp_path / "run", reporter=StopAt(2), clock=hours)
    weights = load_weights(train(experiment, tmp_path / "run", clock=hours))
    assert all(torch.equal(weights[name], unbroken[name]) for name in unbroken)
    whole = load_experiment("plain", "imagenet_lt", overrides=[*small, *here, "augment.crop_scale=[1.0, 1.0]"])
    uncropped = load_weights(train(whole, tmp_path / "uncropped"))
    assert not torch.equal(uncropped["backbone.conv1.weight"], unbroken["backbone.conv1.weight"])


def test_weights_that_the_last_step_broke_are_an_error(
    tiny_oltr: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss is finite at every step, so only the weights show it."""
    step = torch.optim.SGD.step

    def breaks(self: torch.optim.SGD, *rest: object) -> None:
        step(self)
        with torch.no_grad():
            self.param_groups[0]["params"][-1].view(-1)[0] = float("inf")

    one_step = tiny_oltr.model_copy(update={"schedule": tiny_oltr.schedule.model_copy(update={"batch_size": 14})})
    monkeypatch.setattr(torch.optim.SGD, "step", breaks)
    with pytest.raises(TrainingError, match=r"stage 'plain', epoch 1: backbone\..* has become NaN or infinite"):
        train(one_step, tmp_path / "run")


def test_an_input_that_alone_breaks_the_loss_is_named(
    vectors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Features.batch
    monkeypatch.setattr(Features, "batch", lambda self, positions, crop=None: read(self, positions) * np.where(
        (positions == 7) & (len(self) > 36), np.nan, 1).astype(np.float32)[:, None])  # fmt: skip
    alone = r"step \d+: the loss is nan; .* in the batch and has logits that are not finite: train\.npz: vector 7$"
    with pytest.raises(TrainingError, match=alone):
        train(on_vectors(vectors, method="plain"), tmp_path / "run")


def test_a_batch_larger_than_the_set_is_refused_before_anything_is_written(
    tiny_oltr: Experiment, tmp_path: Path
) -> None:
    schedule = tiny_oltr.schedule.model_copy(update={"batch_size": 15})
    with pytest.raises(TrainingError, match=r"batch_size is 15, more than the 14 inputs .*; set it to 14 or less"):
        train(tiny_oltr.model_copy(update={"schedule": schedule}), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def fslwf(face_set: Path, *overrides: str) -> Experiment:
    return load_experiment("fslwf", "att_lt", overrides=[*TINY, f"data.path={face_set}", *overrides])


def test_a_stage_for_base_classes_shows_the_network_and_the_loss_no_others(face_set: Path) -> None:
    experiment = fslwf(face_set, "stages.0.sampler.kind=class_aware")
    model = build_model(experiment, experiment.stages[0], shape=(16, 16, 3), classes=4, seed=0)
    data = experiment.data.build()
    run = StageRun(experiment, 0, model, [], data, torch.device("cpu"))
    few = int(np.bincount(data.labels).argmin())
    shown: list[int] = []
    batches = []
    load = run._load
    run._load = lambda positions, seeds: shown.extend(positions) or load(positions, seeds)
    run.step.losses = [("watched", 1.0, lambda batch: batches.append(batch) or batch.logits.sum())]
    assert [report.step for report in run._epoch(1)] == list(range(1, len(batches) + 1))
    assert len(shown) == 13  # of 14 images: 7, 4 and 2 of the base classes
    assert few not in data.labels[shown]
    assert {batch.logits.shape[1] for batch in batches} == {3}
    assert all(batch.counts.tolist() == [n for n in np.bincount(data.labels) if n > 1] for batch in batches)
    renumbered = np.delete(np.arange(4), few)[torch.cat([batch.labels for batch in batches])]
    assert renumbered.tolist() == data.labels[shown].tolist()


def test_a_finished_generator_has_made_the_few_shot_weights_from_its_own_features(
    face_set: Path, tmp_path: Path
) -> None:
    experiment = fslwf(face_set)
    train(experiment, tmp_path / "run")
    finished, data = load_run(tmp_path / "run"), experiment.data.build()
    head, few = finished.model.head, int(np.bincount(data.labels).argmin())
    assert isinstance(head, WeightGenerator)
    assert head.few_shot.tolist() == [label == few for label in range(4)]
    features = torch.from_numpy(finished.outputs(data)[0])
    with torch.no_grad():
        made = head.generate(features[data.labels == few], ~head.few_shot).mean(dim=0)
    torch.testing.assert_close(head.classifier.weight[few].detach(), made, atol=1e-5, rtol=1e-4)
    stages = [load_weights(tmp_path / f"run/checkpoints/{stage}.safetensors") for stage in ("base", "generator")]
    frozen = [name for name in stages[0] if name.startswith("backbone.")]
    assert all(torch.equal(stages[0][name], stages[1][name]) for name in frozen)
    assert not torch.equal(stages[1]["head.phi_att"], torch.ones(8))


@pytest.mark.parametrize("epochs", [2, 4])
def test_a_run_with_episodes_resumes_as_if_never_stopped(epochs: int, tmp_path: Path) -> None:
    labels = np.repeat([0, 1, 2, 3], [7, 4, 3, 1])
    vectors = np.eye(4)[labels] + np.random.default_rng(0).normal(0, 0.3, (len(labels), 4))
    np.savez(tmp_path / "train.npz", features=vectors, labels=labels)
    overrides = [f"data.path={tmp_path}", "schedule.epochs=5", "schedule.batch_size=8"]
    shares = ["stages.0.share=0.4", "stages.1.share=0.6"]
    experiment = load_experiment("fslwf", "lfw_features", overrides=[*overrides, *shares])
    unbroken = load_weights(train(experiment, tmp_path / "unbroken"))
    with pytest.raises(StopError):
        train(experiment, tmp_path / "run", reporter=StopAt(epochs), clock=hours)
    weights = load_weights(train(experiment, tmp_path / "run", clock=hours))
    assert all(torch.equal(weights[name], value) for name, value in unbroken.items())


@pytest.mark.parametrize(
    ("shots", "found"), [("decoupling", "0 base classes and 4 few-shot ones"), ("paper", "0 base .* and 4 few-shot")]
)
def test_a_data_set_without_base_classes_is_refused_before_anything_is_written(
    shots: str, found: str, face_set: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=rf"shots = '{shots}' .* {found} .*1 to 7 images a class.*--set shots=…"):
        train(fslwf(face_set, f"shots={shots}"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_data_set_without_few_shot_classes_is_refused(tmp_path: Path) -> None:
    labels = np.repeat([0, 1, 2], [5, 3, 2])
    np.savez(tmp_path / "train.npz", features=np.eye(3)[labels], labels=labels)
    experiment = load_experiment("fslwf", "lfw_features", overrides=[f"data.path={tmp_path}"])
    with pytest.raises(ConfigError, match="has 3 base classes and 0 few-shot ones"):
        train(experiment, tmp_path / "run")


@pytest.mark.parametrize("method", ["oltr", "adaface"])
def test_a_run_stopped_at_any_step_ends_with_the_bytes_of_an_unbroken_one(
    method: str, vectors: Path, tmp_path: Path
) -> None:
    experiment = on_vectors(vectors, "schedule.epochs=3", method=method)
    whole = train(experiment, tmp_path / "unbroken", reporter=StopAt()).read_bytes()
    stops = 0
    while stops < 30:  # a moment is kept before each next step, so each turn comes a step or two further
        try:
            train(experiment, tmp_path / "run", reporter=StopAt(steps=3), clock=hours)
            break
        except StopError:
            stops += 1
    assert 5 < stops < 30
    assert (tmp_path / "run/model.safetensors").read_bytes() == whole
    assert without_times(tmp_path / "run") == without_times(tmp_path / "unbroken")


def test_a_run_that_is_asked_to_stop_saves_the_step_and_goes_on(vectors: Path, tmp_path: Path) -> None:
    experiment = on_vectors(vectors, "schedule.epochs=3")
    whole = train(experiment, tmp_path / "unbroken").read_bytes()
    asked = iter([False, False, True])
    with pytest.raises(StoppedError, match="after 0 epochs and 3 steps, which are saved; the same command goes on"):
        train(experiment, tmp_path / "run", clock=lambda: 0.0, stop=lambda: next(asked))
    progress = load_progress(tmp_path / "run/checkpoints")
    assert progress is not None
    assert (progress.epochs, progress.steps) == (0, 3)
    assert train(experiment, tmp_path / "run", clock=lambda: 0.0).read_bytes() == whole


def test_older_moments_are_kept_if_asked_for_and_can_be_gone_back_to(vectors: Path, tmp_path: Path) -> None:
    experiment, run = on_vectors(vectors, "schedule.epochs=4"), tmp_path / "run"
    whole = train(experiment, tmp_path / "unbroken").read_bytes()
    with pytest.raises(StopError):
        train(experiment, run, reporter=StopAt(3), clock=hours, keep_last=4)
    moments = sorted((run / "checkpoints").glob("progress-*"))
    assert len(moments) == 4
    for moment in moments[1:]:
        shutil.rmtree(moment)
    assert train(experiment, run, clock=hours).read_bytes() == whole
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["memory.safetensors", "plain.safetensors"]


def test_a_disk_without_room_is_an_error_before_the_first_step(
    vectors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    silent = StopAt(1)
    with pytest.raises(CheckpointError, match=r"the disk has 0 MB left, expected 0 MB for checkpoints; make room"):
        train(on_vectors(vectors), tmp_path / "run", reporter=silent)
    assert silent.resumed_at == []


def test_a_disk_that_fills_up_loses_nothing_that_was_kept(
    vectors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, run = on_vectors(vectors, "schedule.epochs=3"), tmp_path / "run"
    whole = train(experiment, tmp_path / "unbroken").read_bytes()
    with pytest.raises(StopError):
        train(experiment, run, reporter=StopAt(steps=4), clock=hours)
    before = sorted(path.name for path in (run / "checkpoints").iterdir())
    with monkeypatch.context() as full, pytest.raises(OSError, match="No space left"):
        full.setattr(progress_module, "write_whole", no_space)
        train(experiment, run, clock=hours)
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == before
    assert train(experiment, run, clock=hours).read_bytes() == whole


def no_space(path: Path, data: bytes) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", str(path))
