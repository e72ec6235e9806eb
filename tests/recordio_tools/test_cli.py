import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from recordio_tools import FaceSet, Reader

RECORDIO = [sys.executable, "-c", "from recordio_tools.cli import main; main()"]


Run = Callable[..., Any]


def test_the_main_job(recordio: Run, photos: Path, tmp_path: Path) -> None:
    faces, cut = tmp_path / "faces", tmp_path / "lt"
    done = recordio("pack", photos, faces, "--size", 24)
    assert (done.code, done.out) == (0, "")
    assert done.err == f"{faces}: 20 images of 5 people\n"
    done = recordio(
        "build-lt", faces, cut, "--identities", 3, "--images", 9, "--law", "pareto", "--alpha", 1.5, "--json"
    )
    assert done.code == 0
    assert "9 images of 3 identities, 2 left open" in done.err
    assert json.loads(done.out)["output"]["fingerprint"] == FaceSet(cut).fingerprint
    done = recordio("info", cut, "--json")
    assert (done.code, done.err) == (0, "")
    facts = json.loads(done.out)
    assert (facts["layout"], facts["images"], facts["classes"], facts["size"]) == ("face2rec2", 9, 3, [24, 24])
    counts = FaceSet(cut).counts()
    assert facts["images_per_identity"] == {"min": counts.min(), "median": sorted(counts)[1], "max": counts.max()}
    done = recordio("info", cut)
    assert re.search(r"^images +9$", done.out, re.MULTILINE)
    assert re.search(r"^size +24 x 24$", done.out, re.MULTILINE)


def test_pack_reports_what_it_skipped(recordio: Run, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    (tmp_path / "photos" / "p1" / "2.png").write_bytes(b"")
    done = recordio("pack", tmp_path / "photos", tmp_path / "set", "--skip-unreadable", "--json")
    assert done.code == 0
    assert "left out 1 unreadable" in done.err
    assert json.loads(done.out)["skipped"] == [str(tmp_path / "photos" / "p1" / "2.png")]


def test_index_is_made_anew(recordio: Run, photos: Path, tmp_path: Path) -> None:
    recordio("pack", photos, tmp_path / "set", "--size", 24)
    rec, idx = tmp_path / "set" / "train.rec", tmp_path / "set" / "train.idx"
    before = idx.read_bytes()
    done = recordio("index", rec)
    assert (done.code, done.err) == (1, f"error: {idx}: already there; replace it with --force\n")
    idx.unlink()
    missing = recordio("info", rec)
    assert missing.code == 1
    assert f"recordio index {rec}" in missing.err
    assert recordio("index", rec).code == 0
    assert idx.read_bytes() == before
    raw = bytearray(rec.read_bytes())
    raw[0] ^= 1
    rec.write_bytes(raw)
    assert recordio("index", rec, "--force").code == 1
    assert idx.read_bytes() == before
    done = recordio("index", rec, "--force", "--past-damage")
    assert done.code == 0
    assert "passed over: " in done.err
    assert len(Reader(rec)) == 25


def spoil(photos: Path, room: Path) -> dict[str, tuple[list[object], str]]:
    """Bad input by name: the arguments, and what the message must say."""
    shutil.copytree(photos, room / "photos")
    broken = shutil.copytree(photos, room / "broken")
    (broken / "p1" / "3.png").write_bytes((broken / "p1" / "3.png").read_bytes()[:-30])
    lonely = shutil.copytree(photos, room / "lonely")
    (lonely / "nobody").mkdir()
    (room / "empty").mkdir()
    (room / "thesis").mkdir()
    (room / "thesis" / "thesis.tex").touch()
    cli_out = room / "out"
    return {
        "missing folder": (["pack", room / "no", cli_out], "no: not there"),
        "empty folder": (["pack", room / "empty", cli_out], "empty: no sub-folder"),
        "person without image": (["pack", lonely, cli_out], "nobody: no image"),
        "broken image": (["pack", broken, cli_out], "p1/3.png"),
        "existing out": (["pack", room / "photos", room / "thesis"], "thesis.tex"),
        "existing out by force": (["pack", room / "photos", room / "thesis", "--force"], "thesis.tex"),
        "unknown format": (["pack", room / "photos", cli_out, "--format", "gif"], "'gif' is unknown"),
        "size 0": (["pack", room / "photos", cli_out, "--size", 0], "size 0"),
        "missing set": (["build-lt", room / "no", cli_out, "--images", 3], "no: not there"),
        "folder without a set": (["build-lt", room / "empty", cli_out, "--images", 3], "no train.rec"),
        "info of nothing": (["info", room / "no"], "no: not there"),
        "info of a text": (["info", room / "thesis" / "thesis.tex"], "thesis.idx: not there"),
        "index of nothing": (["index", room / "no.rec"], "no.rec: not there"),
    }


NAMES = [
    "missing folder", "empty folder", "person without image", "broken image", "existing out", "existing out by force",
    "unknown format", "size 0", "missing set", "folder without a set", "info of nothing", "info of a text",
    "index of nothing",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_bad_input_is_one_line_and_code_1(recordio: Run, photos: Path, tmp_path: Path, name: str) -> None:
    cases = spoil(photos, tmp_path)
    assert list(cases) == NAMES
    before = sorted(tmp_path.rglob("*"))
    arguments, said = cases[name]
    done = recordio(*arguments)
    assert (done.code, done.out) == (1, "")
    assert re.fullmatch(r"error: [^\n]+\n", done.err), done.err
    assert said in done.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--images", 500], "give 1 to 20"),
        (["--images", 9, "--identities", 50], "50 identities"),
        (["--images", 9, "--law", "zipf"], "'zipf' is unknown"),
        (["--law", "pareto"], "needs alpha"),
        (["--images", 9, "--alpha", 2], "alpha belongs to"),
        (["--images", 9, "--seed", -1], "seed -1"),
        ([], "needs a number of images"),
    ],
)
def test_plans_that_cannot_be(recordio: Run, photos: Path, tmp_path: Path, options: list[object], said: str) -> None:
    recordio("pack", photos, tmp_path / "set", "--size", 24)
    done = recordio("build-lt", tmp_path / "set", tmp_path / "lt", *options)
    assert (done.code, done.out) == (1, "")
    assert re.fullmatch(r"error: [^\n]+\n", done.err), done.err
    assert said in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.fixture
def packed(recordio: Run, photos: Path, tmp_path: Path) -> Path:
    recordio("pack", photos, tmp_path / "set", "--size", 24)
    return tmp_path / "set"


def test_a_view_and_its_open_lists(recordio: Run, packed: Path, tmp_path: Path) -> None:
    out = tmp_path / "view"
    options = ["--identities", 2, "--images", 4, "--view", "--open-enrolled", 0.4, "--open-calibration", 0.3, "--json"]
    done = recordio("build-lt", packed, out, *options, "--gallery-photos", 1, "--open-distinct")
    assert done.code == 0
    assert f"{out}: 4 images of 2 identities, 3 left open\n" in done.err
    assert "open images of identities: gallery 1 of 1, probe " in done.err
    manifest = json.loads(done.out)
    assert manifest["view"]["records"] == "../set/train.rec"
    choices = {"enrolled": 0.4, "calibration": 0.3, "gallery_photos": 1, "distinct": True}
    assert manifest["open_roles"]["choices"] == choices
    assert manifest["recordio_tools"] == version("facerec-oltr")
    facts = json.loads(recordio("info", out, "--json").out)
    assert (facts["layout"], facts["images"], facts["looks_into"]) == ("view", 4, str(packed / "train.rec"))
    done = recordio("build-lt", packed, out, "--identities", 3, "--images", 5, "--force")
    assert done.code == 0
    assert "no open lists: 2 people are left out" in done.err
    shutil.rmtree(packed)
    assert recordio("info", out).code == 0


def test_a_list_and_a_preset(recordio: Run, packed: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("p1\np20\n")
    done = recordio("build-lt", packed, tmp_path / "lt", "--list", tmp_path / "list", "--list-of", "names", "--json")
    assert (done.code, json.loads(done.out)["output"]["images"]) == (0, 8)
    done = recordio("build-lt", packed, tmp_path / "p", "--preset", "ms1m_lt")
    assert done.err == "error: 74,500 identities are wanted but only 5 of 5 have 1 image(s) or more\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--list", "no.txt"], "no.txt: not there"),
        (["--list", "list", "--images", 3], "--list says all of what to keep, but --images was given too"),
        (["--list", "list", "--min", 1], "but --min was given too"),
        (["--list", "list", "--preset", "ms1m_lt"], "--preset says all of what to keep, but --list was given too"),
        (["--preset", "ms1m_lt", "--law", "proportional"], "but --law was given too"),
        (["--preset", "ms1m"], "the preset 'ms1m' is unknown, expected one of: ms1m_lt"),
        (["--images", 3, "--list-of", "names"], "but no --list was given"),
        (["--list", "list", "--list-of", "people"], "a list of 'people' is unknown"),
        (["--list", "list"], "list: line 2: "),
        (["--images", 3, "--open-enrolled", 1.5], "the share of enrolled people 1.5"),
        (["--images", 3, "--open-calibration", 0.6], "leave no strangers"),
        (["--images", 3, "--gallery-photos", 0], "0 gallery photos"),
    ],
)
def test_cuts_that_cannot_be_named(
    recordio: Run, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[object], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list").write_text("3\n4000\n")
    done = recordio("build-lt", packed, "lt", *options)
    assert (done.code, done.out) == (1, "")
    assert re.fullmatch(r"error: [^\n]+\n", done.err), done.err
    assert said in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["list", "set"]


def test_damaged_and_lost_views(recordio: Run, packed: Path, tmp_path: Path) -> None:
    recordio("build-lt", packed, tmp_path / "view", "--images", 9, "--view")
    sound = (tmp_path / "view" / "view.npz").read_bytes()
    (tmp_path / "view" / "view.npz").write_bytes(sound[:-1])
    for command in (["info", tmp_path / "view"], ["build-lt", tmp_path / "view", tmp_path / "lt", "--images", 2]):
        done = recordio(*command)
        assert (done.code, done.out) == (1, "")
        assert re.fullmatch(r"error: [^\n]+view.npz: is not the file that [^\n]+\n", done.err)
    (tmp_path / "view" / "view.npz").write_bytes(sound)
    packed.rename(tmp_path / "away")
    done = recordio("info", tmp_path / "view")
    assert re.fullmatch(r"error: [^\n]+looks into ../set/train.rec, which is not there; [^\n]+\n", done.err)


def test_existing_out_needs_force(recordio: Run, photos: Path, tmp_path: Path) -> None:
    for command in (["pack", photos, tmp_path / "set"], ["build-lt", tmp_path / "set", tmp_path / "lt", "--images", 9]):
        assert recordio(*command).code == 0
        done = recordio(*command)
        assert done.code == 1
        assert "replace it with --force" in done.err
        assert recordio(*command, "--force").code == 0


def test_a_bar_where_stderr_is_a_terminal(
    recordio: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    done = recordio("pack", photos, tmp_path / "set", "--size", 24, "--json")
    assert json.loads(done.out)["images"] == 20
    assert "packing" in done.err
    assert "20/20" in done.err


def test_a_reader_of_the_pipe_that_leaves(photos: Path, tmp_path: Path) -> None:
    command = f"{shlex.join(RECORDIO)} pack {photos} {tmp_path / 'set'} --json | true"
    done = subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True)
    assert done.stdout == ""
    assert "Error" not in done.stderr


def test_names_that_are_not_utf_8_can_be_said(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / os.fsdecode(b"set\xff")
    done = subprocess.run([*RECORDIO, "pack", photos, out, "--json"], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["out"] == str(out)
    assert "5 people" in done.stderr
    done = subprocess.run([*RECORDIO, "info", out], check=True, capture_output=True, text=True)
    assert r"set\udcff" in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        *("pack", "build-lt", "info", "index", "verify", "repair", "pairs info", "pairs convert", "pairs make"),
        *("extract", "cat", "shuffle", "merge", "to-folder", "to-webdataset"),
    ],
)
def test_help_shows_an_example(recordio: Run, command: str) -> None:
    done = recordio(*command.split(), "--help")
    assert done.code == 0
    assert f"Example: recordio {command}" in " ".join(done.out.split())


def test_importing_opens_no_door() -> None:
    code = "import recordio_tools, sys; print({'cv2', 'matplotlib', 'typer', 'rich', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"
