"""A store of vectors that is killed, shared, damaged and confused with others."""

import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facerec_oltr.bench.store import FACTS, ROWS, VECTORS, FeatureStore, StoreFacts
from facerec_oltr.errors import DataError

FACTS_HERE = StoreFacts("5a" * 32, "3b" * 32, 4)
BATCH = 5


def keys(count: int) -> list[str]:
    return [f"person {number % 3}/é{number}.png" for number in range(count)]


def rows_of(some: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """A vector that follows from the key, and no face in every fourth."""
    has_face = np.array([int(key.split("é")[1][:-4]) % 4 != 3 for key in some], bool)
    vectors = np.array([[hash_of(key, at) for at in range(4)] for key in some], np.float32)
    vectors[~has_face] = 0
    return vectors, has_face


def hash_of(key: str, at: int) -> float:
    return (sum(key.encode()) * (at + 3) % 97) / 97


def fill(cache: Path, wanted: list[str]) -> None:
    with FeatureStore.open(cache, FACTS_HERE) as store:
        missing = store.missing(wanted)
        for start in range(0, len(missing), BATCH):
            store.add(missing[start : start + BATCH], *rows_of(missing[start : start + BATCH]))


def folder(cache: Path) -> Path:
    return cache / FACTS_HERE.folder


def contents(cache: Path) -> dict[str, bytes]:
    return {name: (folder(cache) / name).read_bytes() for name in (FACTS, VECTORS, ROWS)}


def test_rows_are_found_again(tmp_path: Path) -> None:
    fill(tmp_path, keys(12))
    with FeatureStore.open(tmp_path, FACTS_HERE) as store:
        assert len(store) == 12 and store.missing([*keys(14), keys(14)[13]]) == keys(14)[12:]
        wanted = keys(12)[::-2]
        rows, has_face = store.find(wanted)
        vectors, faces = rows_of(wanted)
        assert np.array_equal(store.vectors()[rows], vectors)
        assert np.array_equal(has_face, faces)


def test_a_kill_at_any_byte_leaves_what_an_unbroken_run_makes(tmp_path: Path) -> None:
    fill(tmp_path / "whole", keys(13))
    whole = contents(tmp_path / "whole")
    fill(tmp_path / "before", keys(BATCH))
    before = contents(tmp_path / "before")
    cuts = [(VECTORS, at) for at in range(len(before[VECTORS]), len(whole[VECTORS]), 7)]
    cuts += [(ROWS, at) for at in range(len(before[ROWS]), len(whole[ROWS]), 3)]
    assert len(cuts) > 80
    for number, (name, at) in enumerate(cuts):
        cache = tmp_path / "cut"
        folder(cache).mkdir(parents=True)
        (folder(cache) / FACTS).write_bytes(whole[FACTS])
        # Vectors reach the disk before their lines: whoever dies among the lines has written all of a batch's vectors.
        (folder(cache) / VECTORS).write_bytes(whole[VECTORS][:at] if name == VECTORS else whole[VECTORS])
        lines = before[ROWS] if name == VECTORS else whole[ROWS][:at]
        (folder(cache) / ROWS).write_bytes(lines + b"\0" * (number % 3))  # and blank pages after a power cut
        fill(cache, keys(13))
        assert contents(cache) == whole, (name, at)
        shutil.rmtree(cache)


def test_two_processes_at_once_make_one_whole_store(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=fill, args=(tmp_path, keys(200)[start:])) for start in (0, 30, 60)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    with FeatureStore.open(tmp_path, FACTS_HERE) as store:
        assert len(store) == 200 and not store.missing(keys(200))
        rows, _ = store.find(keys(200))
        assert np.array_equal(store.vectors()[rows], rows_of(keys(200))[0])


def test_who_waits_is_told(tmp_path: Path) -> None:
    told: list[Path] = []
    fork = multiprocessing.get_context("fork")
    ready, leave = fork.Event(), fork.Event()

    def hold() -> None:
        with FeatureStore.open(tmp_path, FACTS_HERE):
            ready.set()
            leave.wait(60)

    holder = fork.Process(target=hold)
    holder.start()
    assert ready.wait(60)

    def on_wait(place: Path) -> None:
        told.append(place)
        leave.set()

    with FeatureStore.open(tmp_path, FACTS_HERE, on_wait) as store:
        assert len(store) == 0
    holder.join(60)
    assert told == [folder(tmp_path)]


def flip(path: Path, at: int) -> None:
    held = bytearray(path.read_bytes())
    held[at] ^= 4
    path.write_bytes(bytes(held))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a vector": (lambda p: flip(p / VECTORS, 37), "does not fit its vector"),
    "a line": (lambda p: flip(p / ROWS, 45), "does not fit its vector"),
    "vectors cut short": (lambda p: (p / VECTORS).write_bytes((p / VECTORS).read_bytes()[:50]), "was cut short"),
    "no vectors": (lambda p: (p / VECTORS).unlink(), "was cut short"),
    "facts": (lambda p: (p / FACTS).write_text("{"), "is damaged"),
    "no facts": (lambda p: (p / FACTS).unlink(), "no facts.json"),
    "a line twice": (
        lambda p: (
            (p / ROWS).write_bytes((p / ROWS).read_bytes() * 2),
            (p / VECTORS).write_bytes((p / VECTORS).read_bytes() * 2),
        ),
        "has a key twice",
    ),
    "a foreign file": (lambda p: (p / "letter.txt").write_text("dear"), "'letter.txt'"),
    "another model": (
        lambda p: (p / FACTS).write_text((p / FACTS).read_text().replace("3b3b", "3c3b", 1)),
        "two models' vectors are never mixed",
    ),
    "a newer version": (
        lambda p: (p / FACTS).write_text((p / FACTS).read_text().replace('"version": 1', '"version": 9')),
        "version 9, expected",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_one_line_and_nothing_is_written_over(what: str, tmp_path: Path) -> None:
    fill(tmp_path, keys(8))
    damage, told = DAMAGE[what]
    damage(folder(tmp_path))
    before = {path: path.read_bytes() for path in folder(tmp_path).iterdir()}
    with pytest.raises(DataError) as error:
        fill(tmp_path, keys(9))
    assert told in str(error.value) and "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in folder(tmp_path).iterdir()} == before
