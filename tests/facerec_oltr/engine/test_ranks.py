"""The memory of two processes is that of one: real ones, that talk by gloo."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from .conftest import COUNTS
from .rank import STEPS, memories

RANK, ROOT = Path(__file__).with_name("rank.py"), Path(__file__).parents[3]


@pytest.fixture(scope="module")
def together(vectors: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, np.ndarray]]:
    """What each of two ranks holds in the end."""
    folder = tmp_path_factory.mktemp("ranks")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, str(RANK), str(rank), "2", str(folder / "met"), str(vectors), str(folder / f"{rank}.npz")],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    return [dict(np.load(folder / f"{rank}.npz")) for rank in range(2)]


def test_all_ranks_hold_the_same_memory(together: list[dict[str, np.ndarray]]) -> None:
    for name, memory in together[0].items():
        np.testing.assert_array_equal(memory, together[1][name])


def test_it_is_the_memory_of_one_process_on_the_whole(vectors: Path, together: list[dict[str, np.ndarray]]) -> None:
    alone = memories(vectors, 0, 1)
    assert together[0].keys() == alone.keys()
    for name, memory in alone.items():
        np.testing.assert_allclose(together[0][name], memory, atol=1e-6, rtol=1e-6)


def test_it_is_the_memory_of_a_loop_over_the_vectors(vectors: Path, together: list[dict[str, np.ndarray]]) -> None:
    """Class means in double, moved by half towards each batch's means of the classes in it."""
    table = np.load(vectors / "train.npz")
    x = table["features"] * 16 / np.linalg.norm(table["features"], axis=1, keepdims=True)
    labels = table["labels"]
    memory = np.stack([x[labels == label].mean(axis=0) for label in range(len(COUNTS))])
    np.testing.assert_allclose(together[0]["recomputed begins"], memory, atol=1e-5)
    for step in range(STEPS):
        batch = np.random.default_rng(step).permutation(len(x))[:25]
        for label in set(labels[batch].tolist()):
            mean = (step + 2) * x[batch][labels[batch] == label].mean(axis=0)
            memory[label] = 0.5 * memory[label] + 0.5 * mean
    np.testing.assert_allclose(together[1]["moving_average"], memory, atol=1e-5)
    assert np.abs(memory - together[0]["moving_average begins"]).max() > 1
