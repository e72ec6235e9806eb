"""SIGKILL at random moments of `recordio build-lt`: the old set, the new one, or none; and a rerun mends it."""

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from recordio_tools import FaceSet
from recordio_tools.set_writer import SetWriter

BUILD = [
    sys.executable,
    "-c",
    "import sys; print('up', flush=True); from recordio_tools.cli import main; main()",
    "build-lt",
]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 people with 20 images of about 2 kB: some 16 MB."""
    folder = tmp_path_factory.mktemp("source") / "set"
    folder.mkdir()
    random_bytes = np.random.default_rng(0).integers(0, 200, 1 << 16, np.uint8).tobytes()
    with SetWriter(folder, 112, 112) as faces:
        for person in range(400):
            for photo in range(20):
                start = 13 * (20 * person + photo) % 60_000
                faces.add(person, random_bytes[start : start + 2000 + photo], f"m{person}/{photo}.jpg")
    return folder


def contents(folder: Path) -> dict[str, bytes] | None:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else None


def killed(source: Path, room: Path, options: list[str], rounds: int, seed: int) -> set[str]:
    """Which states were found after killing `rounds` builds of `room/lt`, each at a moment of its own."""
    arguments = [str(source), str(room / "lt"), "--images", "6000", *options]

    def run(where: Path, *more: str) -> None:
        given = [str(where) if argument == str(room / "lt") else argument for argument in arguments]
        subprocess.run([*BUILD, *given, *more], check=True, capture_output=True)

    began = time.monotonic()
    run(room / "whole", "--seed", "1")
    whole_run = time.monotonic() - began
    run(room / "before", "--seed", "2")
    new = contents(room / "whole")
    assert new not in (None, contents(room / "before"))
    chance = random.Random(seed)
    found = set()
    for number in range(rounds):
        shutil.rmtree(room / "lt", ignore_errors=True)
        if number % 2:
            shutil.copytree(room / "before", room / "lt")
        before = contents(room / "lt")
        command = [*BUILD, *arguments, "--seed", "1", "--force"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as build:
            assert build.stdout is not None
            build.stdout.readline()
            time.sleep(chance.uniform(0, 1.1 * whole_run))
            build.kill()
        after = contents(room / "lt")
        assert after in (before, new, None), "half a set"
        found.add("none" if after is None else "new" if after == new else "old")
        if after is not None:
            assert len(FaceSet(room / "lt")) == 6000
    run(room / "lt", "--seed", "1", "--force")
    assert contents(room / "lt") == new
    assert sorted(path.name for path in room.iterdir()) == ["before", "lt", "whole"], "something is left lying about"
    return found


@pytest.mark.parametrize("options", [[], ["--view"]], ids=["copy", "view"])
def test_killed_four_times(source: Path, tmp_path: Path, options: list[str]) -> None:
    killed(source, tmp_path, options, rounds=4, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--view"]], ids=["copy", "view"])
def test_killed_sixty_times(source: Path, tmp_path: Path, options: list[str]) -> None:
    found = killed(source, tmp_path, options, rounds=60, seed=2)
    assert found == {"none", "old", "new"}
