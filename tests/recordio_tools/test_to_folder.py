"""A set as a folder of people, and the way back by `pack`."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from recordio_tools import whole
from recordio_tools.errors import SourceError
from recordio_tools.packing import pack_folder
from recordio_tools.to_folder import to_folder

JPEG = b"\xff\xd8\xff\xe0"
MakeSet = Callable[..., Path]
Contents = Callable[[Path], dict[str, bytes]]


def test_there_and_back_again(png_set: Path, photos: Path, tmp_path: Path, contents: Contents) -> None:
    to_folder(png_set, tmp_path / "photos")
    names = {path.relative_to(photos) for path in photos.rglob("*")}
    assert {path.relative_to(tmp_path / "photos") for path in (tmp_path / "photos").rglob("*")} == names | {
        Path("manifest.json")
    }
    pack_folder(tmp_path / "photos", tmp_path / "set", size=24, image_format="png")
    there, back = contents(png_set), contents(tmp_path / "set")
    assert {**there, "manifest.json": b""} == {**back, "manifest.json": b""}
    to_folder(tmp_path / "set", tmp_path / "again")
    made = {name: data for name, data in contents(tmp_path / "again").items() if name != "manifest.json"}
    assert made == {name: data for name, data in contents(tmp_path / "photos").items() if name != "manifest.json"}


def test_to_folder_puts_suffixes_right(tmp_path: Path, contents: Contents, make_listed_set: MakeSet) -> None:
    paths = ["a/x.jpeg", "a/y.JPG", "a/z.v2", "a/noend", "/raid/b/w.bmp", "q\udcff.PNG"]
    source = make_listed_set(tmp_path / "source", paths, [0, 0, 0, 0, 1, 2])
    manifest = to_folder(source, tmp_path / "out")
    expected = ["a/noend.jpg", "a/x.jpeg", "a/y.png", "a/z.v2.bin", "b/w.png", "2/q\udcff.PNG.bin"]
    assert sorted(contents(tmp_path / "out")) == sorted([*expected[:-1], "2/q\udcff.bin", "manifest.json"])
    assert manifest["neither_jpeg_nor_png"] == 2
    assert (tmp_path / "out" / "a" / "x.jpeg").read_bytes() == JPEG + b"0"
    to_folder(source, tmp_path / "numbers", numbered=True)
    assert "0/0.jpg" in contents(tmp_path / "numbers")


def test_to_folder_numbers_people_without_a_listing(make_set: MakeSet, tmp_path: Path, contents: Contents) -> None:
    to_folder(make_set(tmp_path / "source", [1] * 11, "face2rec2"), tmp_path / "out")
    assert sorted(contents(tmp_path / "out"))[:3] == ["00/01.bin", "01/02.bin", "02/03.bin"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("../../x/1.jpg", "climbs out"),
        ("../1.jpg", "climbs out"),
        ("a/..", "climbs out"),
        ("a/\0.jpg", "NUL byte"),
        ("a/" + "n" * 300, "more than 250 bytes"),
        ("é" * 130 + "/1.jpg", "more than 250 bytes"),
        (".a/1.jpg", "hidden"),
        ("/", "names no file"),
        ("", "names no file"),
        ("b/1.jpg", "both named 'b'"),
        ("manifest.json/1.jpg", "which is ours"),
    ],
)
def test_hostile_names_are_refused_before_anything_is_written(
    tmp_path: Path, path: str, said: str, contents: Contents, make_listed_set: MakeSet
) -> None:
    source = make_listed_set(tmp_path / "source", ["b/1.jpg", path], [0, 1])
    steps = []
    with pytest.raises(SourceError, match=f"{said}.*--numbered"):
        to_folder(source, tmp_path / "home" / "out", progress=lambda *step: steps.append(step))
    assert not steps
    assert [name.name for name in tmp_path.iterdir()] == ["source"]
    to_folder(source, tmp_path / "home" / "out", numbered=True)
    assert sorted(contents(tmp_path)) == sorted(
        [f"home/out/{name}" for name in ("0/0.jpg", "1/1.png", "manifest.json")]
        + [f"source/{name}" for name in ("property", "train.idx", "train.lst", "train.rec")]
    )


def test_two_images_of_one_name_leave_nothing(tmp_path: Path, make_listed_set: MakeSet) -> None:
    source = make_listed_set(tmp_path / "source", ["x/a/1.jpg", "a/2", "b/3", "y/a/1.jpg"], [0, 0, 1, 0])
    with pytest.raises(SourceError, match=r"two images would be a/1\.jpg; .*--numbered"):
        to_folder(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_many_files_are_flushed_at_once(png_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that cannot write back what it took says so at the flush; then there is no folder."""

    class FullDisk:
        def syncfs(self, handle: int) -> int:
            return -1

    monkeypatch.setattr(whole.ctypes, "CDLL", lambda *_, **__: FullDisk())
    monkeypatch.setattr(whole.ctypes, "get_errno", lambda: 28)
    with pytest.raises(OSError, match="No space left"):
        to_folder(png_set, tmp_path / "out")
    assert not list(tmp_path.iterdir())
    synced = []
    monkeypatch.setattr(whole.ctypes, "CDLL", lambda *_, **__: object())
    monkeypatch.setattr(os, "sync", lambda: synced.append(1))
    to_folder(png_set, tmp_path / "out")
    assert synced == [1]
