import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recordio_tools import FaceSet
from recordio_tools.build import build_longtail
from recordio_tools.chosen import ChosenList, ListOf, chosen_positions
from recordio_tools.errors import SourceError
from recordio_tools.packing import pack_folder


@pytest.fixture(scope="session")
def source(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("source") / "set"
    pack_folder(photos, out, size=24)
    return out


def test_the_images_that_are_listed_are_kept_and_no_others(source: Path, tmp_path: Path) -> None:
    """p2 has keys 7 to 11, p20 has 19 and 20: packed as 6, 5, 4, 3, 2 photos."""
    (tmp_path / "list").write_bytes(b"20\tanything\n8\n\r\n11\t1\tp2/5.png\r\n7")
    whole = FaceSet(source)
    assert whole.paths is not None
    manifest = build_longtail(source, tmp_path / "lt", ChosenList(tmp_path / "list"), seed=0)
    cut = FaceSet(tmp_path / "lt")
    assert cut.labels.tolist() == [0, 0, 0, 1]
    assert cut.paths is not None
    assert list(cut.paths) == [whole.paths[key - 1] for key in (7, 8, 11, 20)]
    assert [entry["name"] for entry in manifest["kept"]] == ["p2", "p20"]
    assert manifest["rule"]["law"] == "list"
    assert manifest["rule"]["of"] == "keys"
    assert len(manifest["rule"]["sha256"]) == 64
    assert json.loads((tmp_path / "lt" / "manifest.json").read_text()) == manifest


def test_an_open_list_can_be_a_list(source: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("p1\n")
    build_longtail(source, tmp_path / "lt", ChosenList(tmp_path / "list", "names"), seed=0)
    probes = ChosenList(tmp_path / "lt" / "open_probe.lst")
    manifest = build_longtail(source, tmp_path / "probes", probes, seed=0, view=True)
    lines = (tmp_path / "lt" / "open_probe.lst").read_text().splitlines()
    assert sorted(FaceSet(tmp_path / "probes").keys.tolist()) == [int(line.split("\t")[0]) for line in lines]
    assert manifest["output"]["images"] == len(lines)


@pytest.mark.parametrize(("of", "text"), [("names", "p20\np2\n"), ("labels", "4\n1\n")])
def test_people_are_kept_with_all_their_images(source: Path, tmp_path: Path, of: ListOf, text: str) -> None:
    (tmp_path / "list").write_text(text)
    places = chosen_positions(FaceSet(source), ChosenList(tmp_path / "list", of))
    assert places.tolist() == [6, 7, 8, 9, 10, 18, 19]


def test_all_of_a_set_leaves_nobody_open(source: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("".join(f"{label}\n" for label in range(5)))
    manifest = build_longtail(source, tmp_path / "lt", ChosenList(tmp_path / "list", "labels"), seed=0)
    assert manifest["open"] == []
    assert "0 people are left out" in manifest["open_roles"]["none"]
    assert not list((tmp_path / "lt").glob("open_*"))
    for name in ("train.rec", "train.idx", "train.lst", "property"):
        assert (tmp_path / "lt" / name).read_bytes() == (source / name).read_bytes()


@pytest.mark.parametrize(
    ("of", "text", "said"),
    [
        ("keys", b"", "is empty"),
        ("keys", b"\n\n", "is empty"),
        ("keys", b"3\n21\n", r"line 2: key 21 is no image of .* but a record of its tables"),
        ("keys", b"0\n", "line 1: key 0 is no image"),
        ("keys", b"3\n\n99\n", "line 3: .* has no key 99"),
        ("keys", b"3\n4\n3\n", "line 3: names again what line 1 names"),
        ("keys", b"1\tp1/1.png\t0\n1\tp1/2.png\t0\n", r"line 2: names again .* a face .lst has no keys"),
        ("keys", b"-3\n", "line 1: found '-3', expected the key of an image"),
        ("keys", b"3.0\n", "line 1: found '3.0'"),
        ("keys", "٣\n".encode(), "line 1: found"),
        ("keys", b"9" * 30, "line 1: found"),
        ("keys", b"\t3\n", "line 1: found ''"),
        ("keys", b"9" * 70000, "line 1: has 65,536 bytes"),
        ("keys", b"\xff\xfe\n", "line 1: found"),
        ("labels", b"0\n5\n", "line 2: .* has no image of class 5"),
        ("labels", b"0\n999999999999\n", "line 2: .* has no image of class"),
        ("labels", b"2\n2\n", "line 2: names again what line 1 names"),
        ("names", b"p1\nnobody\n", "line 2: .* has nobody named 'nobody'"),
        ("names", b"p1\np1\n", "line 2: names again"),
        ("faces", b"p1\n", "a list of 'faces' is unknown, expected one of: keys, labels, names"),
    ],
)
def test_lists_that_cannot_be(source: Path, tmp_path: Path, of: ListOf, text: bytes, said: str) -> None:
    (tmp_path / "list").write_bytes(text)
    with pytest.raises(SourceError, match=said):
        build_longtail(source, tmp_path / "lt", ChosenList(tmp_path / "list", of), seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["list"]


def test_no_list_no_names_and_two_of_a_name(source: Path, tmp_path: Path, make_set: Callable[..., Path]) -> None:
    whole = FaceSet(source)
    for path, said in ((tmp_path / "no", "not there"), (tmp_path, "is a folder")):
        with pytest.raises(SourceError, match=said):
            chosen_positions(whole, ChosenList(path))
    plain = make_set(tmp_path / "plain", [2, 2, 1], "SeqRecBuilder")
    (tmp_path / "list").write_text("a\n")
    with pytest.raises(SourceError, match=r"has no train.lst"):
        chosen_positions(FaceSet(plain), ChosenList(tmp_path / "list", "names"))
    (plain / "train.lst").write_text("".join(f"1\t{'aab'[label]}/{label}\t{label}\n" for label in (0, 0, 1, 1, 2)))
    with pytest.raises(SourceError, match=r"line 1: .* several people named 'a'"):
        chosen_positions(FaceSet(plain), ChosenList(tmp_path / "list", "names"))
    (tmp_path / "keys").write_text("0\n4\n")
    assert chosen_positions(FaceSet(plain), ChosenList(tmp_path / "keys")).tolist() == [0, 4]
    assert np.array_equal(FaceSet(plain).find(np.array([-1, 0, 4, 5])), [-1, 0, 4, -1])
