"""Two processes, as torchrun starts them: stopped, killed, failing, and gone on with by one."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from facerec_oltr.engine import before
from facerec_oltr.engine.checkpoint import load_weights
from facerec_oltr.engine.run import train
from facerec_oltr.errors import TrainingError

from .conftest import on_vectors

ROOT = Path(__file__).parents[3]
FACEREC = "import sys; from facerec_oltr.cli import main; main()"
Two = list["subprocess.Popen[str]"]


def two(out: Path, *vectors: Path, epochs: int) -> Two:
    """Both ranks of a run, started; the second may have other files."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    started = []
    for rank, path in enumerate((vectors[0], vectors[-1])):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
        environment = {**os.environ, **place, "MASTER_PORT": port, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        choices = (f"data.path={path}", f"schedule.epochs={epochs}", "schedule.batch_size=16")
        words = ["train", "oltr", "--on", "lfw_features", "--out", str(out), "--patience", "30"]
        for choice in choices:
            words += ["--set", choice]
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", FACEREC, *words],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return started


def ends(ranks: Two) -> list[tuple[int, str]]:
    """Exit code and last words of each."""
    said = [process.communicate(timeout=120)[1].strip().splitlines() for process in ranks]
    return [(process.returncode, words[-1] if words else "") for process, words in zip(ranks, said, strict=True)]


def under_way(out: Path, ranks: Two) -> None:
    """Wait until a moment of the run is kept."""
    for _ in range(1200):
        if list(out.glob("checkpoints/progress-*")):
            return
        assert all(process.poll() is None for process in ranks), ends(ranks)
        time.sleep(0.05)
    raise AssertionError("no moment was kept in a minute")


def test_a_signal_to_one_rank_stops_both_and_one_process_goes_on(vectors: Path, tmp_path: Path) -> None:
    out, epochs = tmp_path / "run", 30
    ranks = two(out, vectors, epochs=epochs)
    for _ in range(1200):
        if (out / "metrics.jsonl").exists() and (out / "metrics.jsonl").stat().st_size:
            break
        time.sleep(0.05)
    ranks[1].send_signal(signal.SIGTERM)
    (first, said), (second, nothing) = ends(ranks)
    assert (first, second, nothing) == (75, 75, "")
    assert "stopped in stage 'plain' after" in said
    assert "which are saved; the same command goes on" in said
    experiment = on_vectors(vectors, f"schedule.epochs={epochs}")
    mixed = load_weights(train(experiment, out))
    alone = load_weights(train(experiment, tmp_path / "alone"))
    for name, weight in alone.items():
        torch.testing.assert_close(mixed[name], weight, rtol=1e-2, atol=1e-2, msg=name)  # after 150 steps


def test_a_killed_rank_is_told_by_the_other_and_what_was_kept_stays(vectors: Path, tmp_path: Path) -> None:
    ranks = two(tmp_path / "run", vectors, epochs=40000)
    under_way(tmp_path / "run", ranks)
    ranks[1].kill()
    (code, said), _ = ends(ranks)
    assert code == 1
    assert said.startswith("error: rank 0 of 2 cannot go on alone: another rank has died or hangs (Connection")
    assert said.endswith("the same command goes on from the last checkpoint")
    assert list((tmp_path / "run/checkpoints").glob("progress-*"))


def test_what_stops_one_rank_is_said_by_the_other_too(vectors: Path, tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        table = dict(np.load(vectors / f"{split}.npz"))
        np.savez(tmp_path / f"{split}.npz", **table if split != "train" else {"labels": table["labels"]})
    (first, said), (second, reason) = ends(two(tmp_path / "run", vectors, tmp_path, epochs=4))
    assert (first, second) == (1, 1)
    assert reason.startswith("error: ")
    assert f"rank 0 of 2 cannot go on alone: rank 1 has stopped: {reason.removeprefix('error: ')}" in said


@pytest.mark.parametrize("size", [2, 7])
def test_a_batch_too_small_for_the_processes_is_refused(size: int, vectors: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patched, pytest.raises(TrainingError, match=r"set it to 8 or more, or start"):
        patched.setattr(before, "rank_and_ranks", lambda: (0, 2))
        train(on_vectors(vectors, f"schedule.batch_size={size}"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
