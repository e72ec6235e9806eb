"""Verification on the way: figures by slow loops over every pair and threshold, and that nothing follows from them."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from facerec_oltr.config import load_experiment
from facerec_oltr.engine.finished import load_run
from facerec_oltr.engine.reporting import EpochReport
from facerec_oltr.engine.run import train
from facerec_oltr.errors import ConfigError, DataError
from facerec_oltr.experiment import Experiment
from recordio_tools.errors import RecordIOError
from recordio_tools.pack_folder import write_pack
from recordio_tools.verification import VerificationPack, gather

from ..conftest import TINY
from .conftest import StopAt, StopError, hours, on_vectors, without_times

FOLDS = 10


def make_pack(folder: Path, seed: int = 0, pairs: int = 20, same: list[bool] | None = None) -> VerificationPack:
    """Pairs of 16 × 16 faces of three people with a good deal of noise, in turn of one and of two of them."""
    rng = np.random.default_rng(seed)
    faces = rng.integers(40, 216, (3, 16, 16, 3))
    photos = [
        cv2.imencode(".png", np.clip(faces[k % 3] + rng.normal(0, 60, (16, 16, 3)), 0, 255).astype(np.uint8))[1]
        for k in range(12)
    ]
    flags = [k % 2 == 0 for k in range(pairs)] if same is None else same
    entries: list[bytes] = []
    for one in flags:
        first = int(rng.integers(12))
        other = (first + (3 * int(rng.integers(1, 4)) if one else int(rng.integers(1, 3)))) % 12
        entries += [photos[first].tobytes(), photos[other].tobytes()]
    made = gather(folder, entries, np.array(flags))
    folder.mkdir(parents=True)
    write_pack(made, folder, "a test", {})
    return made


def experiment_with(face_set: Path, *overrides: str) -> Experiment:
    return load_experiment("oltr", "att_lt", overrides=[*TINY, f"data.path={face_set}", *overrides])


def lines_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def slow_scores(run: Path, pack: VerificationPack, embedding: str) -> list[float]:
    """The cosine of each pair: each photo alone, OpenCV's own reading, the sum over the face and its mirror image."""
    model = load_run(run).model

    def vector(image: bytes) -> np.ndarray:
        rgb = np.asarray(cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR))[:, :, ::-1].astype(np.float64)
        total = np.zeros(model.features_size)
        for view in (rgb, rgb[:, ::-1]):
            x = torch.from_numpy(((view - 127.5) / 127.5).transpose(2, 0, 1).copy()).float().unsqueeze(0)
            with torch.no_grad():
                total += model.head.embed(model.features(x), embedding)[0].double().numpy()
        return total / np.linalg.norm(total)

    return [float(vector(pack.images[a]) @ vector(pack.images[b])) for a, b in pack.pairs.tolist()]


def slow_fold_accuracies(scores: list[float], same: list[bool]) -> list[float]:
    """LFW's protocol: the threshold with the most right answers on nine folds, judged on the tenth.

    Of the thresholds that are as good, the middle of the middle gap, as ``fold_accuracy`` says that it takes.
    """
    each, found = len(scores) // FOLDS, []
    for fold in range(FOLDS):
        inside = range(fold * each, (fold + 1) * each)
        others = [(scores[k], same[k]) for k in range(len(scores)) if k not in inside]
        values = sorted({score for score, _ in others})
        gaps = [values[0], *((a + b) / 2 for a, b in pairwise(values)), values[-1] + 1]
        right = [sum((score >= gap) == flag for score, flag in others) for gap in gaps]
        best = [gap for gap, count in zip(gaps, right, strict=True) if count == max(right)]
        threshold = best[(len(best) - 1) // 2]
        found.append(sum((scores[k] >= threshold) == same[k] for k in inside) / each)
    return found


def slow_tar(scores: list[float], same: list[bool], far: float) -> float:
    """The share of one person's pairs that the lowest threshold accepts that accepts at most `far` of the others."""
    impostors = [score for score, flag in zip(scores, same, strict=True) if not flag]
    genuine = [score for score, flag in zip(scores, same, strict=True) if flag]
    candidates = [np.nextafter(score, 2) for score in impostors] + [-1.0]
    fitting = [t for t in candidates if sum(score >= t for score in impostors) <= far * len(impostors)]
    return sum(score >= min(fitting) for score in genuine) / len(genuine)


@pytest.mark.parametrize("embedding", ["direct", "meta"])
def test_the_last_figures_are_those_of_a_slow_loop_over_the_finished_network(
    embedding: str, face_set: Path, tmp_path: Path
) -> None:
    pack = make_pack(tmp_path / "toy")
    run = tmp_path / "run"
    train(experiment_with(face_set, f'watch.verify=["{tmp_path / "toy"}"]', f"embedding={embedding}"), run)
    said = lines_of(run)[-1]["verification"]
    scores, same = slow_scores(run, pack, embedding), pack.same.tolist()
    folds = slow_fold_accuracies(scores, same)
    assert said["toy/accuracy"] == pytest.approx(sum(folds) / FOLDS)
    assert said["toy/accuracy_sd"] == pytest.approx(np.std(folds, ddof=1))
    assert 0 < sum(folds) < FOLDS  # the pack is neither hopeless nor solved, so the figures could differ
    assert said["toy/tar_at_far_0.1"] == slow_tar(scores, same, 0.1)
    assert set(said) == {"toy/accuracy", "toy/accuracy_sd", "toy/eer", "toy/tar_at_far_0.1"}  # ten impostor pairs
    assert all(set(line["verification"]) == set(said) for line in lines_of(run))


def test_every_second_epoch_and_the_last_of_each_stage(face_set: Path, tmp_path: Path) -> None:
    make_pack(tmp_path / "toy")
    told = StopAt(99)
    watch = (f'watch.verify=["{tmp_path / "toy"}"]', "watch.verify_every=2")
    train(experiment_with(face_set, *watch), tmp_path / "run", reporter=told)
    measured = [(line["stage"], line["epoch"]) for line in lines_of(tmp_path / "run") if "verification" in line]
    assert measured == [("plain", 2), ("plain", 3), ("memory", 2)]
    assert [report.verification is not None for report in told.reports] == [False, True, True, False, True]


def test_nothing_follows_from_it(face_set: Path, tmp_path: Path) -> None:
    make_pack(tmp_path / "toy")
    plain = train(experiment_with(face_set), tmp_path / "plain")
    watched = train(experiment_with(face_set, f'watch.verify=["{tmp_path / "toy"}"]'), tmp_path / "watched")
    assert watched.read_bytes() == plain.read_bytes()
    assert not (tmp_path / "watched/best.safetensors").exists()
    without = [{k: v for k, v in line.items() if k != "verification"} for line in without_times(tmp_path / "watched")]
    assert without == without_times(tmp_path / "plain")


def test_a_stopped_run_goes_on_with_the_same_figures(face_set: Path, tmp_path: Path) -> None:
    make_pack(tmp_path / "toy")
    experiment = experiment_with(face_set, f'watch.verify=["{tmp_path / "toy"}"]')
    train(experiment, tmp_path / "unbroken")
    with pytest.raises(StopError):
        train(experiment, tmp_path / "run", reporter=StopAt(2), clock=hours)
    train(experiment, tmp_path / "run", clock=hours)
    assert without_times(tmp_path / "run") == without_times(tmp_path / "unbroken")


def test_another_pack_is_another_run(face_set: Path, tmp_path: Path) -> None:
    first = make_pack(tmp_path / "toy")
    experiment = experiment_with(face_set, f'watch.verify=["{tmp_path / "toy"}"]')
    train(experiment, tmp_path / "run")
    description = json.loads((tmp_path / "run/experiment.json").read_text())
    assert description["data"]["verification"] == {"toy": first.fingerprint()}
    (tmp_path / "toy").rename(tmp_path / "elsewhere")
    make_pack(tmp_path / "toy", seed=1)
    with pytest.raises(ConfigError, match=r"holds another run: data\.verification\.toy is '[0-9a-f]{64}' there"):
        train(experiment, tmp_path / "run")


@pytest.mark.parametrize(
    ("pairs", "same", "said"),
    [
        (21, None, "toy: holds 11 pairs of the same person and 10 of two, expected some of each and a multiple of 10"),
        (0, [True] * 10, "toy: holds 10 pairs of the same person and 0 of two, expected"),
        (0, [False] * 10, "toy: holds 0 pairs of the same person and 10 of two, expected"),
    ],
)
def test_a_pack_that_cannot_be_measured_is_refused_before_there_is_a_folder(
    pairs: int, same: list[bool] | None, said: str, face_set: Path, tmp_path: Path
) -> None:
    make_pack(tmp_path / "toy", pairs=pairs, same=same)
    with pytest.raises(DataError, match=said):
        train(experiment_with(face_set, f'watch.verify=["{tmp_path / "toy"}"]'), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_missing_pack_two_of_one_name_and_vectors_are_refused(face_set: Path, vectors: Path, tmp_path: Path) -> None:
    for folder in ("a/toy", "b/toy"):
        make_pack(tmp_path / folder)
    cases = [
        (experiment_with(face_set, 'watch.verify=["none.bin"]'), RecordIOError, r"none\.bin: not there; expected a"),
        (
            experiment_with(face_set, f'watch.verify=["{tmp_path}/a/toy", "{tmp_path}/b/toy"]'),
            ConfigError,
            "have one name, 'toy'; rename one",
        ),
        (on_vectors(vectors, f'watch.verify=["{tmp_path}/a/toy"]'), ConfigError, "holds feature vectors, expected"),
    ]
    for experiment, error, said in cases:
        with pytest.raises(error, match=said):
            train(experiment, tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_an_epoch_without_it_has_no_such_entry() -> None:
    report = EpochReport(1, 0.5, {"cross_entropy": 0.5}, 0.25, 0.1, 10.0)
    assert "verification" not in json.loads(report.line("plain"))
    assert json.loads(report._replace(verification={"lfw/eer": 0.5}).line("plain"))["verification"] == {"lfw/eer": 0.5}
