"""The wheel works from any folder: installed into an empty environment, both programs help and do a small job.

The environment has the project's dependencies on its path but not the project itself, so whatever runs comes from the
wheel.
"""

import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from .facerec_oltr.conftest import TINY, write_people

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env/bin/python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True, capture_output=True)
    own = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], check=True, capture_output=True
    )
    # a .pth adds the folder, but reads no further .pth in it: the editable project there stays out of sight
    (Path(own.stdout.decode().strip()) / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "env/bin"


def run(programs: Path, name: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([programs / name, *map(str, arguments)], cwd=cwd, capture_output=True, text=True)


def test_the_code_and_the_configs_come_from_the_wheel(programs: Path, tmp_path: Path) -> None:
    code = "import facerec_oltr.config as c; print(c.config_folder(), c.available('methods'))"
    result = run(programs, "python", "-c", code, cwd=tmp_path)
    assert result.stdout.startswith(str(programs.parent)), result
    assert "'oltr'" in result.stdout


@pytest.mark.parametrize("name", ["facerec", "recordio"])
def test_help(name: str, programs: Path, tmp_path: Path) -> None:
    result = run(programs, name, "--help", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "Usage" in result.stdout


def test_a_small_job(programs: Path, tmp_path: Path) -> None:
    write_people(tmp_path / "photos", {"ann": 4, "bob": 3, "cem": 2})
    packed = run(programs, "recordio", "pack", "photos", "set", "--size", 32, cwd=tmp_path)
    assert packed.returncode == 0, packed.stderr
    info = run(programs, "recordio", "info", "set", "--json", cwd=tmp_path)
    assert json.loads(info.stdout)["images"] == 9
    settings = [part for override in (*TINY, "data.path=set") for part in ("--set", override)]
    trained = run(programs, "facerec", "train", "plain", "--on", "att_lt", "--out", "run", *settings, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / "run/model.safetensors").exists()
