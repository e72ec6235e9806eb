"""Stages that several runs share are trained once, and what is trained does not depend on it.

The bytes to compare with are always those of a run without a cache.
"""

import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch

from facerec_oltr.engine import stage_cache
from facerec_oltr.engine.checkpoint import load_weights, save_weights
from facerec_oltr.engine.folder import describe
from facerec_oltr.engine.run import train
from facerec_oltr.engine.stage_cache import StageCache, source_digest
from facerec_oltr.errors import ConfigError
from facerec_oltr.experiment import Experiment

from ..conftest import TINY
from .conftest import StopAt, StopError, hours, on_vectors, without_times

FILES = ("best.safetensors", "model.safetensors")


class Hearing(StopAt):
    """Knows what was said and which stages were trained."""

    def __init__(self, epochs: int = 0) -> None:
        super().__init__(epochs)
        self.said: list[str] = []

    def remarks(self, words: str) -> None:
        self.said.append(words)

    @property
    def trained(self) -> list[str]:
        return [name for name, _ in self.resumed_at]


def cached(experiment: Experiment, out: Path, cache: Path) -> Hearing:
    hearing = Hearing()
    train(experiment, out, reporter=hearing, stage_cache=cache)
    return hearing


def same_results(run: Path, other: Path) -> None:
    stages = {path.name for path in (run / "checkpoints").glob("*.safetensors")}
    assert stages == {path.name for path in (other / "checkpoints").glob("*.safetensors")}
    for name in (*FILES, *(f"checkpoints/{stage}" for stage in stages)):
        assert (run / name).read_bytes() == (other / name).read_bytes(), name
    assert without_times(run) == without_times(other)


@pytest.mark.parametrize("method", ["lws", "crt"])
def test_a_shared_stage_is_trained_once_and_the_results_are_those_without_a_cache(
    method: str, vectors: Path, tmp_path: Path
) -> None:
    other = {"lws": "crt", "crt": "lws"}[method]
    assert cached(on_vectors(vectors, method=other), tmp_path / "other", tmp_path / "cache").trained[0] == "plain"
    second = cached(on_vectors(vectors, method=method), tmp_path / "run", tmp_path / "cache")
    assert second.trained == [on_vectors(vectors, method=method).stages[1].name]
    (said,) = second.said
    assert said.startswith("stage plain: taken as it was trained before, ")
    train(on_vectors(vectors, method=method), tmp_path / "without")
    same_results(tmp_path / "run", tmp_path / "without")


def test_the_last_stage_of_one_method_is_the_first_of_another(vectors: Path, tmp_path: Path) -> None:
    cached(on_vectors(vectors, method="plain"), tmp_path / "plain", tmp_path / "cache")
    assert cached(on_vectors(vectors, method="ncm"), tmp_path / "ncm", tmp_path / "cache").trained == ["means"]
    train(on_vectors(vectors, method="ncm"), tmp_path / "without")
    same_results(tmp_path / "ncm", tmp_path / "without")


def test_a_last_stage_is_trained_for_its_best_epoch(vectors: Path, tmp_path: Path) -> None:
    for name in "ab":
        assert cached(on_vectors(vectors, method="plain"), tmp_path / name, tmp_path / "cache").trained == ["plain"]
    same_results(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize(
    "changed",
    [
        "schedule.learning_rate=0.2",
        "schedule.epochs=9",
        "schedule.validate_every=2",
        "stages.0.head_rate=0.5",
        "stages.0.sampler={kind='class_aware'}",
        "augment.flip=0.0",
        "data.length=8.0",
        "shots='decoupling'",
    ],
)
def test_a_change_in_what_the_stage_rests_on_misses(changed: str, vectors: Path, tmp_path: Path) -> None:
    cached(on_vectors(vectors, method="crt"), tmp_path / "first", tmp_path / "cache")
    again = cached(on_vectors(vectors, changed, method="crt"), tmp_path / "run", tmp_path / "cache")
    assert again.trained == ["plain", "retrained"]
    assert again.said == []


def test_another_seed_other_vectors_and_other_code_miss(
    vectors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = on_vectors(vectors, method="crt")
    cached(experiment, tmp_path / "first", tmp_path / "cache")
    assert cached(experiment, tmp_path / "again", tmp_path / "cache").trained == ["retrained"]
    shutil.copytree(vectors, tmp_path / "vectors")
    moved = on_vectors(tmp_path / "vectors", method="crt")
    with np.load(vectors / "train.npz") as table:
        np.savez(tmp_path / "vectors/train.npz", features=table["features"] * 1.01 + 0.01, labels=table["labels"])
    for name, other in (("seed", experiment.model_copy(update={"seed": 1})), ("data", moved)):
        assert cached(other, tmp_path / name, tmp_path / "cache").trained == ["plain", "retrained"]
    monkeypatch.setattr(stage_cache, "source_digest", lambda *folders: "other code")
    assert cached(experiment, tmp_path / "code", tmp_path / "cache").trained == ["plain", "retrained"]


def test_stages_after_it_names_of_files_and_the_embedding_in_use_do_not_matter(vectors: Path, tmp_path: Path) -> None:
    cached(on_vectors(vectors), tmp_path / "first", tmp_path / "cache")
    other = on_vectors(vectors, "stages.1.head.reach_scale=1.0", "stages.1.losses.0.weight=0.5", "embedding='meta'")
    other = other.model_copy(update={"method": "mine", "dataset": "theirs"})
    assert cached(other, tmp_path / "run", tmp_path / "cache").trained == ["memory"]


def test_the_number_of_threads_and_their_settings_are_part_of_the_key(
    vectors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = on_vectors(vectors)
    cache = StageCache(tmp_path, experiment, describe(experiment, experiment.data.build()), torch.device("cpu"))
    keys = {cache.path(0)}
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    keys.add(cache.path(0))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    keys.add(cache.path(0))
    assert len(keys) == 3
    assert cache.path(0) != cache.path(1)


def test_every_source_file_and_its_place_count(tmp_path: Path) -> None:
    digests = set()
    (tmp_path / "a/b").mkdir(parents=True)
    for place, words in (("a/x.py", "1"), ("a/x.py", "2"), ("a/b/x.py", "2"), ("a/note.txt", "2")):
        (tmp_path / place).write_text(words)
        source_digest.cache_clear()
        digests.add(source_digest(tmp_path / "a"))
    source_digest.cache_clear()
    assert len(digests) == 3  # the note is no source


def corrupt_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def without_facts(path: Path) -> None:
    save_weights(path, load_weights(path), {})


@pytest.mark.parametrize("damage", [corrupt_bit, cut, empty, without_facts])
def test_a_damaged_stage_is_found_said_and_trained_again(damage, vectors: Path, tmp_path: Path) -> None:
    experiment = on_vectors(vectors, method="crt")
    cached(experiment, tmp_path / "first", tmp_path / "cache")
    paths = list((tmp_path / "cache").iterdir())
    for path in paths:
        damage(path)
    again = cached(experiment, tmp_path / "run", tmp_path / "cache")
    assert again.trained == ["plain", "retrained"]
    (said,) = again.said
    assert "is damaged (" in said
    assert said.endswith("; removed, and stage 'plain' is trained again")
    same_results(tmp_path / "run", tmp_path / "first")
    assert cached(experiment, tmp_path / "third", tmp_path / "cache").trained == ["retrained"]
    same_results(tmp_path / "third", tmp_path / "first")


def test_a_stage_under_the_name_of_another_is_not_taken(vectors: Path, tmp_path: Path) -> None:
    """The file name alone is not believed: what the stage rests on stands in the file."""
    experiment = on_vectors(vectors, method="crt")
    cached(experiment, tmp_path / "first", tmp_path / "cache")
    other = on_vectors(vectors, "schedule.epochs=9", method="crt")
    cached(other, tmp_path / "other", tmp_path / "cache")
    facts = describe(experiment, experiment.data.build(), experiment.data.build("val"), None, {})
    here, there = (StageCache(tmp_path / "cache", e, facts, torch.device("cpu")).path(0) for e in (experiment, other))
    shutil.copy(there, here)
    assert "is damaged" in cached(experiment, tmp_path / "run", tmp_path / "cache").said[0]
    same_results(tmp_path / "run", tmp_path / "first")


@pytest.mark.parametrize("epochs", [3, 7, 9])
def test_a_run_stopped_anywhere_shares_its_stages_too(epochs: int, vectors: Path, tmp_path: Path) -> None:
    experiment = on_vectors(vectors, method="crt")  # eight epochs and two
    with pytest.raises(StopError):
        train(experiment, tmp_path / "run", reporter=StopAt(epochs), clock=hours, stage_cache=tmp_path / "cache")
    train(experiment, tmp_path / "run", clock=hours, stage_cache=tmp_path / "cache")
    train(experiment, tmp_path / "without")
    same_results(tmp_path / "run", tmp_path / "without")
    assert cached(experiment, tmp_path / "next", tmp_path / "cache").trained == ["retrained"]
    same_results(tmp_path / "next", tmp_path / "without")


def test_a_stage_that_went_on_under_other_code_is_not_shared(
    vectors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, cache = on_vectors(vectors, method="crt"), tmp_path / "cache"
    with monkeypatch.context() as patched, pytest.raises(StopError):
        patched.setattr(stage_cache, "source_digest", lambda *folders: "older code")
        train(experiment, tmp_path / "run", reporter=StopAt(3), clock=hours, stage_cache=cache)
    train(experiment, tmp_path / "run", clock=hours, stage_cache=cache)
    assert not cache.exists()  # neither the first stage nor the second, which starts from it


def test_a_stage_that_went_on_without_the_cache_is_not_shared(vectors: Path, tmp_path: Path) -> None:
    experiment, cache = on_vectors(vectors, method="crt"), tmp_path / "cache"
    for epochs, folder in ((2, cache), (2, None)):
        with pytest.raises(StopError):
            train(experiment, tmp_path / "run", reporter=StopAt(epochs), clock=hours, stage_cache=folder)
    train(experiment, tmp_path / "run", clock=hours, stage_cache=cache)
    assert not cache.exists()


def test_images_and_a_memory_come_out_the_same(face_set: Path, tmp_path: Path) -> None:
    from facerec_oltr.config import load_experiment

    experiment = load_experiment("oltr", "att_lt", overrides=[*TINY, f"data.path={face_set}"])
    for name in ("first", "run"):
        hearing = cached(experiment, tmp_path / name, tmp_path / "cache")
    assert hearing.trained == ["memory"]
    train(experiment, tmp_path / "without")
    assert (tmp_path / "run/model.safetensors").read_bytes() == (tmp_path / "without/model.safetensors").read_bytes()


def test_a_file_in_the_place_of_the_cache_is_refused_before_anything_is_trained(vectors: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("letter")
    with pytest.raises(ConfigError, match="cache: is a file, expected a folder of finished stages"):
        train(on_vectors(vectors), tmp_path / "run", stage_cache=tmp_path / "cache")
    assert not (tmp_path / "run").exists()


def _train_here(arguments: tuple[str, str, Path]) -> list[str]:
    torch.set_num_threads(1)
    vectors, out, cache = arguments
    return cached(on_vectors(Path(vectors), method="crt"), Path(out), cache).trained


def test_two_processes_at_once_end_alike_and_leave_one_whole_stage(vectors: Path, tmp_path: Path) -> None:
    runs = [(str(vectors), str(tmp_path / name), tmp_path / "cache") for name in ("a", "b")]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        trained = list(pool.map(_train_here, runs))
        assert list(pool.map(_train_here, [(str(vectors), str(tmp_path / "c"), tmp_path / "cache")])) == [["retrained"]]
    assert all(stages[-1] == "retrained" for stages in trained)
    assert ["plain", "retrained"] in trained
    same_results(tmp_path / "a", tmp_path / "b")
    same_results(tmp_path / "a", tmp_path / "c")
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".safetensors"] * 2
