"""`recordio pack` from a list, and its bad input, through the command line."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recordio_tools import FaceSet, packing


@pytest.fixture
def room(photos: Path, tmp_path: Path) -> Path:
    shutil.copytree(photos, tmp_path / "photos")
    (tmp_path / "photos" / "faces.lst").write_text("1\tp1/1.png\t3\n1\tp2/1.png\t1\n1\tp1/2.png\t3\n")
    (tmp_path / "file").touch()
    return tmp_path


def test_from_a_list_beside_its_photos_or_elsewhere(recordio: Callable[..., Any], room: Path) -> None:
    done = recordio("pack", room / "photos" / "faces.lst", room / "set", "--json", "--workers", 2)
    assert done.code == 0
    assert json.loads(done.out) == {
        "out": str(room / "set"),
        "images": 3,
        "people": 2,
        "skipped": [],
        "resumed_after": 0,
    }
    (room / "photos" / "faces.lst").rename(room / "faces.lst")
    done = recordio("pack", room / "faces.lst", room / "other", "--root", room / "photos")
    assert (done.code, done.err) == (0, f"{room / 'other'}: 3 images of 2 people\n")
    assert FaceSet(room / "set").fingerprint == FaceSet(room / "other").fingerprint


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{room}/no.lst", "{room}/out"], "no.lst: cannot be read (No such file"),
        (["{room}/photos/faces.lst", "{room}/out", "--root", "{room}/no"], "no: not a folder"),
        (["{room}/photos/faces.lst", "{room}/out", "--root", "{room}"], "line 1: 'p1/1.png' is not a file"),
        (["{room}/photos", "{room}/out", "--root", "{room}"], "--root belongs to a list"),
        (["{room}/photos/p1/1.png", "{room}/out"], "1.png: is a file"),
        (["{room}/photos", "{room}/out", "--workers", "0"], "0 workers"),
        (["{room}/photos", "{room}/out", "--as-is"], "1.png: a PNG of 20 × 24 pixels"),
        (["{room}/photos", "{room}/file/out"], "File exists"),
        (["{room}/photos/faces.lst", "{room}/photos", "--force"], "which this tool did not write"),
    ],
)
def test_bad_input_is_one_line_and_code_1(
    recordio: Callable[..., Any], room: Path, arguments: list[str], said: str
) -> None:
    before = sorted(room.rglob("*"))
    done = recordio("pack", *(argument.format(room=room) for argument in arguments))
    assert (done.code, done.out) == (1, "")
    assert re.fullmatch(r"error: [^\n]+\n", done.err), done.err
    assert said in done.err
    assert sorted(room.rglob("*")) == before


def test_many_left_out_are_named_in_part(recordio: Callable[..., Any], room: Path) -> None:
    for number in range(100, 115):
        (room / "photos" / "p1" / f"{number}.png").touch()
    done = recordio("pack", room / "photos", room / "set", "--skip-unreadable", "--json")
    assert done.code == 0
    assert re.search(r"^left out 15 unreadable: .*100\.png, .*109\.png and 5 more$", done.err, re.MULTILINE)
    assert "110.png" not in done.err
    assert len(json.loads(done.out)["skipped"]) == 15


def test_stopped_and_run_again(recordio: Callable[..., Any], room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "CHECKPOINT", 5)
    good = (room / "photos" / "p20" / "2.png").read_bytes()
    (room / "photos" / "p20" / "2.png").write_bytes(b"")
    done = recordio("pack", room / "photos", room / "set")
    assert re.fullmatch(r"error: \S+2\.png: [^\n]+; 15 of 20 photos are kept in [^\n]+ goes on there\n", done.err)
    (room / "photos" / "p20" / "2.png").write_bytes(good)
    done = recordio("pack", room / "photos", room / "set", "--json")
    assert done.err == f"goes on after 15 of 20 photos\n{room / 'set'}: 20 images of 5 people\n"
    assert json.loads(done.out)["resumed_after"] == 15


def test_ctrl_c(photos: Path, tmp_path: Path) -> None:
    """A real interrupt of a real process, once its first photos are on the disk."""
    code = """
import signal
from recordio_tools import _checkpoint, cli, packing
packing.CHECKPOINT = 5
real = _checkpoint.Checkpoint.save
def save(self, folder):
    real(self, folder)
    print("saved", flush=True)
    signal.pause() if self.photos == 10 else None
_checkpoint.Checkpoint.save = save
cli.main()
"""
    command = [sys.executable, "-c", code, "pack", str(photos), str(tmp_path / "set")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(2):
        assert process.stdout.readline() == "saved\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    kept = tmp_path / ".set.building"
    assert said.strip() == f"stopped; 10 of 20 photos are kept in {kept}, and the same command goes on there"
    assert [path.name for path in tmp_path.iterdir()] == [".set.building"]
