"""The conversions through the command line; offsets and lengths are counted by hand from the format."""

import json
import re
import shlex
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recordio_tools import FaceSet, Header, Reader, Writer, contents, pack
from recordio_tools.build import build_longtail
from recordio_tools.contents import describe, in_file_order
from recordio_tools.longtail import Rule

RECORDIO = [sys.executable, "-c", "from recordio_tools.cli import main; main()"]
Run = Callable[..., Any]
MakeSet = Callable[..., Path]


def test_cat_lists_every_kind_of_record(recordio: Run, tmp_path: Path) -> None:
    """A record takes 8 bytes and its payload, filled up to a multiple of 4; the header 24, a label 4."""
    rec = tmp_path / "a.rec"
    with Writer(rec) as writer:
        writer.write(2, pack(Header(0, 7.0, 9), b"\xff\xd8\xff\xe0"))
        writer.write(1, pack(Header(0, [1.0, 2.5], 1), b"\x89PNG\r\n\x1a\n"))
        writer.write(5, b"a raw text")
        writer.write(6, pack(Header(0, [0.0] * 10, 6), b"GIF8"))
        writer.write(3, pack(Header(0, float("nan"), 3), b""))
        writer.write(0, struct.pack("<IfQQff", 2, 0, 0, 0, 2, 4))  # key 2 is no range: this is no header record
    lines = [
        "2\t0\t28\t0\t7\t9\tJPEG",
        "1\t36\t40\t2\t1,2.5\t1\tPNG",
        "5\t84\t10\t-\t-\t-\traw record",
        "6\t104\t68\t10\t0,0,0,0,0,0,0,0,... (10)\t6\tother content",
        "3\t180\t24\t0\tnan\t3\tempty",
        "0\t212\t32\t2\t2,4\t0\tempty",
    ]
    done = recordio("cat", rec)
    assert (done.code, done.err, done.out.splitlines()) == (0, "", lines)
    assert recordio("cat", rec, "--limit", 2).out.splitlines() == lines[:2]
    assert recordio("cat", rec, "--limit", 0).out == ""
    assert recordio("cat", rec, "--keys", 5, "--keys", "1-3").out.splitlines() == [lines[at] for at in (2, 1, 0, 4)]
    facts = [json.loads(line) for line in recordio("cat", rec, "--json").out.splitlines()]
    assert facts[2] == {"key": 5, "offset": 84, "length": 10, "content": 10, "kind": "raw record"}
    assert facts[4] == {
        "key": 3, "offset": 180, "length": 24, "flag": 0, "labels": ["nan"], "id": 3, "id2": 0, "content": 0,
        "kind": "empty",
    }  # fmt: skip
    assert facts[3]["labels"] == [0.0] * 10


@pytest.mark.parametrize("layout", ["face2rec2", "RecBuilder", "SeqRecBuilder"])
def test_cat_names_header_and_identities(recordio: Run, make_set: MakeSet, tmp_path: Path, layout: str) -> None:
    folder = make_set(tmp_path / "set", [3, 2], layout)
    kinds = [line.split("\t")[-1] for line in recordio("cat", folder).out.splitlines()]
    header, identities = ["header record"], ["identity record"] * 2
    tail = {"face2rec2": header + identities, "RecBuilder": identities + header, "SeqRecBuilder": []}[layout]
    assert kinds == ["other content"] * 5 + tail


def test_cat_lists_the_images_of_a_view(recordio: Run, make_set: MakeSet, tmp_path: Path) -> None:
    """The lines of those images in the set, in file order, and no others."""
    folder, view = make_set(tmp_path / "set", [4, 3, 5], "face2rec2"), tmp_path / "view"
    build_longtail(folder, view, Rule("uniform_images", 6, 2), seed=0, view=True)
    keys = np.load(view / "view.npz")["keys"].tolist()
    lines = [line for line in recordio("cat", folder).out.splitlines() if int(line.split("\t")[0]) in keys]
    done = recordio("cat", view)
    assert (done.code, done.err, done.out.splitlines()) == (0, "", lines)
    assert recordio("cat", view / "view.npz").out.splitlines() == lines
    assert recordio("cat", view, "--keys", lines[4].split("\t")[0]).out.splitlines() == [lines[4]]
    done = recordio("cat", view, "--keys", 0)
    assert (done.code, done.out) == (1, "")
    assert re.fullmatch(r"error: [^\n]*view.npz: no key 0; it holds 6 keys from [^\n]+\n", done.err)
    (view / "view.npz").write_bytes(b"")
    for command in (["cat", view], ["extract", view, "1", "--out", tmp_path / "x"]):
        done = recordio(*command)
        assert (done.code, done.out) == (1, "")
        assert re.fullmatch(r"error: [^\n]*view.npz: is not the file that [^\n]+\n", done.err)
    assert not (tmp_path / "x").exists()


def test_identities_beyond_what_float32_counts(tmp_path: Path) -> None:
    """Identities 16,777,219 to 16,777,221: float32 makes of 16,777,219 and 16,777,222 the range 16,777,220 and …222."""
    first = (1 << 24) + 3
    with Writer(tmp_path / "a.rec") as writer:
        writer.write(first - 1, pack(Header(0, 0.0, 0), b""))
        for key in (first, first + 1, first + 2):
            writer.write(key, struct.pack("<IfQQff", 2, 0, key, 0, 1, 2))
        writer.write(0, struct.pack("<IfQQff", 2, 0, 0, 0, first, first + 3))
    reader = Reader(tmp_path / "a.rec")
    kinds = [entry.kind for entry in describe(reader, in_file_order(reader))]
    assert kinds == ["empty", *["identity record"] * 3, "header record"]
    with Writer(tmp_path / "b.rec") as writer:  # a hostile header: nothing is looked for between 2 and 10^38
        writer.write(0, struct.pack("<IfQQff", 2, 0, 0, 0, 2, 1e38))
        writer.write(2, struct.pack("<IfQQff", 2, 0, 0, 0, 1, 2))
    reader = Reader(tmp_path / "b.rec")
    assert [entry.kind for entry in describe(reader, in_file_order(reader))] == ["empty", "empty"]


def test_cat_looks_at_one_record_at_a_time(numbered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(numbered)
    looked: list[object] = []
    entry = contents._entry
    monkeypatch.setattr(contents, "_entry", lambda *given: looked.append(given) or entry(*given))
    entries = describe(reader, in_file_order(reader))
    assert next(entries).key == 10
    assert len(looked) == 1


def test_cat_tells_what_stands_before_the_damage(recordio: Run, numbered: Path) -> None:
    raw = bytearray(numbered.read_bytes())
    place = int(Reader(numbered).index.offsets[3])
    raw[place] ^= 1
    numbered.write_bytes(raw)
    done = recordio("cat", numbered)
    assert done.code == 1
    assert [line.split("\t")[0] for line in done.out.splitlines()] == ["10", "11", "12"]
    assert re.fullmatch(rf"error: {numbered}: key 13, byte {place}: [^\n]+\n", done.err)


def test_a_reader_of_the_pipe_that_leaves(tmp_path: Path) -> None:
    with Writer(tmp_path / "a.rec") as writer:
        for key in range(20_000):
            writer.write(key, b"")
    command = f"{shlex.join(RECORDIO)} cat {tmp_path / 'a.rec'} | head -2"
    done = subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True)
    assert done.stdout == "0\t0\t0\t-\t-\t-\traw record\n1\t8\t0\t-\t-\t-\traw record\n"
    assert done.stderr == ""


def test_extract_to_a_folder_a_file_and_stdout(recordio: Run, png_set: Path, tmp_path: Path) -> None:
    image = bytes(FaceSet(png_set).encoded(16))
    done = recordio("extract", png_set, "1-3", "--identity", 4, "--position", 16, "--out", tmp_path / "out", "--json")
    assert (done.code, done.err) == (0, f"{tmp_path / 'out'}: 6 records\n")
    files = json.loads(done.out)
    assert [(Path(file["file"]).name, file["kind"]) for file in files] == [
        (f"{key}.png", "PNG") for key in (1, 2, 3, 17, 19, 20)
    ]
    assert Path(files[3]["file"]).read_bytes() == image
    done = recordio("extract", png_set, 17, "--out", tmp_path / "face.png")
    assert (done.code, done.out, done.err) == (0, "", f"{tmp_path / 'face.png'}: key 17\n")
    assert (tmp_path / "face.png").read_bytes() == image
    piped = subprocess.run([*RECORDIO, "extract", png_set, "17", "--out", "-"], check=True, capture_output=True)
    assert (piped.stdout, piped.stderr) == (image, b"")
    done = recordio("extract", png_set, 0, "--json")
    assert json.loads(done.out) == [
        {"file": None, "key": 0, **json.loads(recordio("cat", png_set, "--keys", 0, "--json").out)}
    ]
    assert json.loads(done.out)[0]["labels"] == [21.0, 26.0]


def test_the_other_commands_say_and_print_what_they_made(recordio: Run, png_set: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for out, command, said in [
        ("other", ["shuffle", png_set, other, "--seed", 4], "20 images in the order of seed 4"),
        ("m", ["merge", png_set, other, tmp_path / "m"], "40 images of 10 identities"),
        ("n", ["merge", png_set, other, tmp_path / "n", "--by-name"], "40 images of 5 identities, 5 joined by name"),
        ("f", ["to-folder", png_set, tmp_path / "f"], "20 images of 5 people"),
        ("w", ["to-webdataset", png_set, tmp_path / "w/x-%d.tar", "--shard-images", 6],
         "20 images; 4 shards from x-0.tar"),
    ]:  # fmt: skip
        done = recordio(*command, "--json")
        assert (done.code, done.err) == (0, f"{tmp_path / out}: {said}\n")
        written = json.loads((tmp_path / out / "manifest.json").read_text())
        assert written.items() >= json.loads(done.out).items()
        assert recordio(*command).code == 1
        assert recordio(*command, "--force").code == 0
    assert json.loads((other / "manifest.json").read_text())["seed"] == 4


BAD: dict[str, tuple[str, str]] = {
    "extract nothing": ("extract {set}", "no record was asked for"),
    "extract to nowhere": ("extract {set} 1", "give --out"),
    "extract no key": ("extract {set} 99 --out {out}", "no key 99"),
    "extract no number": ("extract {set} 1..3 --out {out}", "'1..3' was given"),
    "extract no position": ("extract {set} --position 20 --out {out}", "images are 0 to 19"),
    "extract a negative position": ("extract {set} --position -1 --out {out}", "position -1 was given"),
    "extract no identity": ("extract {set} --identity 5 --out {out}", "no image of identity 5"),
    "extract a header": ("extract {set} 0 --out {out}", "with --raw"),
    "extract a header to a file": ("extract {set} 0 --out {out}.jpg", "with --raw"),
    "extract two to stdout": ("extract {set} 1 2 --out -", "one record"),
    "extract json to stdout": ("extract {set} 1 --out - --json", "one record"),
    "extract over the index": ("extract {set} 1 --out {set}/train.idx --force", "the source itself"),
    "extract into the set": ("extract {set} 1 --out {set}/new.png", "the source itself"),
    "extract into a missing folder": ("extract {set} 1 --out {out}/a/b.png", "No such file or directory"),
    "extract from text": ("extract {text} 1 --out {out}", "words.idx: not there"),
    "cat nothing": ("cat {out}", "not there"),
    "cat a folder": ("cat {photos}", "no train.rec"),
    "cat without an index": ("cat {text}", "recordio index"),
    "cat no key": ("cat {set} --keys 90-99", "no key from 90 to 99"),
    "cat a huge range": ("cat {set} --keys 90-999999999999999999", "no key from 90"),
    "cat a negative limit": ("cat {set} --limit -1", "--limit -1"),
    "shuffle nothing": ("shuffle {out}/no {out}", "not there"),
    "shuffle negative": ("shuffle {set} {out} --seed -1", "seed -1"),
    "shuffle onto itself": ("shuffle {set} {set} --force", "the source itself"),
    "shuffle onto photos": ("shuffle {set} {photos} --force", "did not write"),
    "shuffle onto a file": ("shuffle {set} {text}", "is a file"),
    "merge one": ("merge {set} {out}", "expected two or more"),
    "merge twice": ("merge {set} {set}/train.rec {out}", "given twice"),
    "merge onto itself": ("merge {set} {plain} {plain} --force", "the source itself"),
    "merge two sizes": ("merge {set} {plain} {out}", "are 112 x 112"),
    "to-folder onto photos": ("to-folder {set} {photos} --force", "did not write"),
    "to-folder into itself": ("to-folder {set} {set}/new", "the source itself"),
    "to-webdataset a bad size": ("to-webdataset {set} {out} --shard-size 1XB", "'1XB' was given"),
    "to-webdataset no size": ("to-webdataset {set} {out} --shard-size 0", "0 bytes"),
    "to-webdataset no images": ("to-webdataset {set} {out} --shard-images 0", "0 images"),
    "to-webdataset a bad pattern": ("to-webdataset {set} {out}/%s.tar", "is no pattern"),
    "to-webdataset onto a set": ("to-webdataset {set} {plain} --force", "did not write"),
}


@pytest.fixture(scope="session")
def room(png_set: Path, make_set: MakeSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets of different size, photos, and a text."""
    place = tmp_path_factory.mktemp("room")
    (place / "set").mkdir()
    for path in png_set.iterdir():
        (place / "set" / path.name).write_bytes(path.read_bytes())
    make_set(place / "plain", [2, 2], "face2rec2")
    (place / "photos" / "anna").mkdir(parents=True)
    (place / "photos" / "anna" / "1.jpg").touch()
    (place / "words.txt").write_text("words")
    return place


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_code_1(recordio: Run, room: Path, name: str) -> None:
    arguments, said = BAD[name]
    before = {path: path.stat().st_mtime_ns for path in room.rglob("*")}
    places = {word: str(room / word) for word in ("set", "plain", "photos", "out")}
    done = recordio(*arguments.format(text=room / "words.txt", **places).split())
    assert (done.code, done.out) == (1, "")
    assert re.fullmatch(r"error: [^\n]+\n", done.err), done.err
    assert said in done.err
    assert {path: path.stat().st_mtime_ns for path in room.rglob("*")} == before


def test_a_bar_where_stderr_is_a_terminal(
    recordio: Run, png_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for command, label in [
        (["extract", png_set, "1-20", "--out", tmp_path / "e"], "extracting"),
        (["to-folder", png_set, tmp_path / "f"], "writing"),
    ]:
        done = recordio(*command)
        assert label in done.err
        assert "20/20" in done.err
