"""`recordio verify` and `recordio repair` as a person meets them."""

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

from recordio_tools import FaceSet, Reader, Writer

Run = Callable[..., Any]


@pytest.fixture
def packed(recordio: Run, photos: Path, tmp_path: Path) -> Path:
    """20 images of 5 people, packed; their keys are 1 to 20, their identity records 21 to 25."""
    assert recordio("pack", photos, tmp_path / "set", "--size", 24).code == 0
    return tmp_path / "set"


def break_magic(folder: Path, *keys: int) -> None:
    index = Reader(folder / "train.rec").index
    raw = bytearray((folder / "train.rec").read_bytes())
    for key in keys:
        raw[index.offsets[index.position(key)]] ^= 1
    (folder / "train.rec").write_bytes(raw)


def test_a_sound_set(recordio: Run, packed: Path) -> None:
    done = recordio("verify", packed, "--decode", "--strict")
    held = "26 records, 20 images of 5 identities"
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{packed}: sound: {held}; nothing to say against it\n"
    done = recordio("verify", packed, "--json")
    assert done.code == 0
    assert json.loads(done.out) == {
        "path": str(packed),
        "damaged": False,
        "bytes": (packed / "train.rec").stat().st_size,
        "records": 26,
        "images": 20,
        "identities": 5,
        "totals": {"damage": 0, "warning": 0, "note": 0},
        "counts": {},
        "findings": [],
    }


def test_damage_is_told_and_repaired(recordio: Run, packed: Path, tmp_path: Path) -> None:
    break_magic(packed, 2, 9)
    offset = Reader(packed / "train.rec").index.offsets[1]
    done = recordio("verify", packed)
    assert (done.code, done.err) == (1, "")
    lines = done.out.splitlines()
    assert lines[:2] == ["damage: 2", "  framing.bad-magic: 2"]
    assert lines[2] == (
        f"    {packed / 'train.rec'}: key 2, byte {offset:,}: found bytes 0b23d7ce, expected the magic 0a23d7ce"
    )
    assert lines[-1] == (
        f"{packed}: DAMAGED: 2 damage(s) in 24 records, 18 images of 5 identities; "
        f"save what is whole with: recordio repair {packed} OUT"
    )
    found = json.loads(recordio("verify", packed, "--json").out)
    assert (found["damaged"], found["counts"]) == (True, {"framing.bad-magic": 2})
    assert [finding["key"] for finding in found["findings"]] == [2, 9]
    done = recordio("repair", packed, tmp_path / "saved", "--json")
    assert done.code == 0
    said = done.err.splitlines()
    assert [line[:6] for line in said[:2]] == ["lost: "] * 2
    assert said[2] == f"{tmp_path / 'saved'}: 18 images of 5 identities saved, 2 lost"
    assert [one["key"] for one in json.loads(done.out)["lost"]] == [2, 9]
    assert recordio("verify", tmp_path / "saved").code == 0
    assert FaceSet(tmp_path / "saved").names == FaceSet(packed).names


def test_a_view_is_checked_with_the_records_that_it_uses(recordio: Run, packed: Path, tmp_path: Path) -> None:
    view = tmp_path / "view"
    assert recordio("build-lt", packed, view, "--images", 6, "--identities", 2, "--view").code == 0
    done = recordio("verify", view, "--decode")
    held = "6 records, 6 images of 2 identities"
    assert (done.code, done.out) == (0, f"{view}: sound: {held}; nothing to say against it\n")
    key = int(FaceSet(view).keys[3])
    break_magic(packed, key)
    done = recordio("verify", view, "--json")
    found = json.loads(done.out)
    assert (done.code, found["path"], found["records"]) == (1, str(view), 5)
    assert found["counts"]["framing.bad-magic"] == 1
    assert key in [finding["key"] for finding in found["findings"]]
    last = recordio("verify", view).out.splitlines()[-1]
    assert last.endswith(f"; once {packed / 'train.rec'} is sound, make the view anew with: recordio build-lt")
    (view / "manifest.json").write_text("{}")
    last = recordio("verify", view / "view.npz").out.splitlines()[-1]
    assert last.endswith("in 0 records, 0 images of 0 identities; make the view anew with: recordio build-lt")


def test_warnings_fail_only_where_asked(recordio: Run, packed: Path) -> None:
    (packed / "property").write_text("5,24,23\n")
    done = recordio("verify", packed)
    assert done.code == 0
    assert "image.size: 20" in done.out
    assert "    and 15 more" in done.out
    assert recordio("verify", packed, "--strict").code == 1


def test_repeats_can_be_left_alone(recordio: Run, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    shutil.copy(photos / "p1" / "1.png", tmp_path / "photos" / "p2" / "9.png")
    recordio("pack", tmp_path / "photos", tmp_path / "set", "--size", 24)
    assert "duplicates.across: 1" in recordio("verify", tmp_path / "set").out
    assert "duplicates" not in recordio("verify", tmp_path / "set", "--no-duplicates").out


def test_labels_that_were_set_right_or_left_in_doubt_are_told(recordio: Run, packed: Path, tmp_path: Path) -> None:
    """The first identity has six images; its range outvotes one label, until the range itself is wrong."""
    raw = bytearray((packed / "train.rec").read_bytes())
    offsets = dict(line.split("\t") for line in (packed / "train.idx").read_text().splitlines())
    label = int(offsets["2"]) + 8 + 24
    raw[label : label + 4] = b"\0\0\x80\x40"  # 4.0
    (packed / "train.rec").write_bytes(raw)
    said = recordio("repair", packed, tmp_path / "right").err
    assert "\n1 image(s) got the label of their identity's others\n" in said
    end = int(offsets["21"]) + 8 + 28
    raw[end : end + 4] = b"\0\0\xc0\x40"  # 6.0, where 7.0 is right
    (packed / "train.rec").write_bytes(raw)
    said = recordio("repair", packed, tmp_path / "doubt").err
    assert f"\n1 image(s) keep a label that their identity contradicts; see: recordio verify {packed}\n" in said


def test_a_long_list_of_losses_is_cut(recordio: Run, tmp_path: Path) -> None:
    with Writer(tmp_path / "x.rec") as writer:
        for key in range(60):
            writer.write(key, b"record %d" % key)
    raw = bytearray((tmp_path / "x.rec").read_bytes())
    for start in Reader(tmp_path / "x.rec").index.offsets[:30].tolist():
        raw[start + 7] = 0xFF
    (tmp_path / "x.rec").write_bytes(raw)
    done = recordio("repair", tmp_path / "x.rec", tmp_path / "y.rec")
    assert done.code == 0
    lines = done.err.splitlines()
    assert len(lines) == 22
    assert lines[20] == f"lost: 10 more; see {tmp_path / 'y.repair.json'}"
    assert lines[21] == f"{tmp_path / 'y.rec'}: 30 records saved, 30 lost"
    assert len(json.loads((tmp_path / "y.repair.json").read_text())["lost"]) == 30


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["verify", "no"], "no: not there"),
        (["verify", "empty"], "empty: has no train.rec"),
        (["verify", "odd"], "is a folder, expected a record file"),
        (["repair", "no", "out"], "no: not there"),
        (["repair", "empty", "out"], "empty: has no train.rec"),
        (["repair", "set", "set", "--force"], "set: is the source"),
        (["repair", "set", "set/inside"], "is the source, lies in it"),
        (["repair", "set", "thesis", "--force"], "thesis.tex"),
        (["repair", "set", "file"], "file: is a file"),
        (["repair", "set", "there"], "replace it with --force"),
        (["repair", "set", "out.rec"], "without .rec"),
        (["repair", "file", "out.rec"], "nothing can be saved"),
    ],
)
def test_bad_input_is_one_line_and_code_1(
    recordio: Run, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd" / "train.rec").mkdir(parents=True)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").touch()
    (tmp_path / "file").touch()
    shutil.copytree(packed, tmp_path / "there")
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() if path.is_file() else b"" for path in sorted(tmp_path.rglob("*"))}
    done = recordio(*arguments)
    assert (done.code, done.out) == (1, "")
    assert re.fullmatch(r"error: [^\n]+\n", done.err), done.err
    assert said in done.err
    assert {path: path.read_bytes() if path.is_file() else b"" for path in sorted(tmp_path.rglob("*"))} == before


DYING = """
import os, signal
from recordio_tools.cli import main
from recordio_tools.set_writer import SetWriter
add = SetWriter.add
def dying_add(self, *arguments):
    if self.images == {images}:
        os.kill(os.getpid(), signal.SIGKILL)
    add(self, *arguments)
SetWriter.add = dying_add
main()
"""


@pytest.mark.parametrize("images", [0, 18])
def test_a_killed_repair_leaves_what_was_there(recordio: Run, packed: Path, tmp_path: Path, images: int) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", DYING.format(images=images), "repair", packed, out, "--force"]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    assert not out.exists()
    assert recordio("repair", packed, out).code == 0
    whole = (out / "train.rec").read_bytes()
    break_magic(packed, 3)
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    assert (out / "train.rec").read_bytes() == whole
    assert recordio("repair", packed, out, "--force").code == 0
    assert len(FaceSet(out)) == 19
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set"]


def test_a_bar_where_stderr_is_a_terminal(recordio: Run, packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    done = recordio("verify", packed, "--json")
    size = (packed / "train.rec").stat().st_size
    assert json.loads(done.out)["records"] == 26
    assert f"{size}/{size}" in done.err
