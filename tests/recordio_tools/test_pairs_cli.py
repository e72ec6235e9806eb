import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recordio_tools.images import encode_rgb, read_rgb

Run = Callable[..., Any]


@pytest.fixture
def pack(photos: Path, tmp_path: Path) -> Path:
    """A pickle of four pairs of three photos of 24 × 20 pixels."""
    images = [(photos / "p1" / f"{number}.png").read_bytes() for number in (1, 2, 1, 3, 2, 3, 3, 1)]
    path = tmp_path / "toy.bin"
    path.write_bytes(pickle.dumps((images, [True, False, False, True]), 2))
    return path


def test_the_main_job(recordio: Run, pack: Path, tmp_path: Path) -> None:
    out = tmp_path / "toy"
    done = recordio("pairs", "convert", pack, out)
    assert (done.code, done.out) == (0, "")
    assert done.err == f"{out}: 4 pairs (2 of the same person) of 3 images\n"
    done = recordio("pairs", "convert", pack, out, "--force", "--json")
    converted = json.loads(done.out)
    assert (converted["path"], converted["form"]) == (str(out), "folder")
    for path, form in ((pack, "pickle"), (out, "folder")):
        done = recordio("pairs", "info", path, "--json")
        assert (done.code, done.err) == (0, "")
        facts = json.loads(done.out)
        assert facts == converted | {"path": str(path), "form": form}
        assert (facts["pairs"], facts["same"], facts["different"], facts["images"]) == (4, 2, 2, 3)
    done = recordio("pairs", "info", out, "--decode")
    assert re.search(r"^pairs +4$", done.out, re.MULTILINE)
    assert re.search(r"^sizes +24 x 20 3$", done.out, re.MULTILINE)


def test_makes_a_pack(recordio: Run, photos: Path, tmp_path: Path) -> None:
    for person in ("p1", "p2"):
        (tmp_path / "lfw" / person).mkdir(parents=True)
        for number in (1, 2):
            pixels = read_rgb(photos / person / f"{number}.png")
            (tmp_path / "lfw" / person / f"{person}_000{number}.jpg").write_bytes(encode_rgb(pixels, ".jpg", 95))
    (tmp_path / "pairs.txt").write_text("1\t1\np1\t1\t2\np1\t1\tp2\t2\n")
    done = recordio("pairs", "make", tmp_path / "pairs.txt", tmp_path / "lfw", tmp_path / "out", "--size", 16, "--json")
    assert done.code == 0
    assert done.err == f"{tmp_path / 'out'}: 2 pairs (1 of the same person) of 3 images\n"
    assert json.loads(done.out)["pairs"] == 2
    done = recordio("pairs", "info", tmp_path / "out", "--decode", "--json")
    assert json.loads(done.out)["sizes"] == {"16 x 16": 3}


def spoil(pack: Path, room: Path) -> dict[str, tuple[list[object], str]]:
    """Bad input by name: the arguments, and what the message must say."""
    data = pack.read_bytes()
    (room / "cut.bin").write_bytes(data[:-9])
    (room / "evil.bin").write_bytes(b"cos\nsystem\n(S'touch " + str(room / "ran").encode() + b"'\ntR.")
    (room / "photo.bin").write_bytes(b"\xff\xd8\xff\xe0")
    (room / "broken.bin").write_bytes(pickle.dumps(([b"broken"] * 2, [True])))
    (room / "pairs.txt").write_text("1\t1\n../p1\t1\t2\n../p1\t1\tp2\t2\n")
    (room / "thesis").mkdir()
    (room / "thesis" / "thesis.tex").touch()
    out = room / "out"
    return {
        "missing pack": (["info", room / "no.bin"], "no.bin: not there"),
        "pack cut short": (["convert", room / "cut.bin", out], f"cut.bin: byte {len(data) - 9:,}: found 0 byte(s)"),
        "program": (["convert", room / "evil.bin", out], "evil.bin: byte 0: found the name 'os.system'"),
        "photo": (["info", room / "photo.bin"], "photo.bin: byte 0: found the byte 0xff"),
        "broken image": (["info", room / "broken.bin", "--decode"], "broken.bin: image 0: 6 bytes"),
        "folder without a pack": (["info", room / "thesis"], "thesis: has no pairs.rec and manifest.json"),
        "existing out": (["convert", pack, room / "thesis", "--force"], "thesis.tex"),
        "climbing out": (["make", room / "pairs.txt", room, out], "pairs.txt: line 2: found '../p1"),
        "size 0": (["make", room / "pairs.txt", room, out, "--size", 0], "size 0"),
        "unknown format": (["make", room / "pairs.txt", room, out, "--format", "gif"], "'gif' is unknown"),
        "missing list": (["make", room / "no.txt", room, out], "no.txt: not there"),
        "missing photos": (["make", room / "pairs.txt", room / "no", out], "no: is not a folder"),
    }


NAMES = [
    "missing pack", "pack cut short", "program", "photo", "broken image", "folder without a pack", "existing out",
    "climbing out", "size 0", "unknown format", "missing list", "missing photos",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_bad_input_is_one_line_and_code_1(recordio: Run, pack: Path, tmp_path: Path, name: str) -> None:
    cases = spoil(pack, tmp_path)
    assert list(cases) == NAMES
    before = sorted(tmp_path.rglob("*"))
    arguments, said = cases[name]
    done = recordio("pairs", *arguments)
    assert (done.code, done.out) == (1, "")
    assert re.fullmatch(r"error: [^\n]+\n", done.err), done.err
    assert said in done.err
    assert sorted(tmp_path.rglob("*")) == before
