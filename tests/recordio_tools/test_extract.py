"""Single records out of a file; expected are the bytes that a slow reader finds."""

import json
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from recordio_tools.build import build_longtail
from recordio_tools.errors import MissingKeyError, SourceError
from recordio_tools.extract import Selection
from recordio_tools.longtail import Rule


def test_extract_gives_the_files_that_were_packed_in(png_set: Path, tmp_path: Path, slow: SimpleNamespace) -> None:
    chosen = Selection(png_set, keys=["20", "3-5", "4"], positions=[0], identities=[4])
    assert chosen.write(tmp_path / "out") == [f"{key}.png" for key in (20, 3, 4, 5, 1, 19)]
    payloads = slow.decode((png_set / "train.rec").read_bytes())  # in file order: keys 1, 2, 3 …
    for key in (20, 3, 4, 5, 1, 19):
        assert (tmp_path / "out" / f"{key}.png").read_bytes() == payloads[key - 1][32:]
    files = json.loads((tmp_path / "out" / "manifest.json").read_text())["files"]
    assert [(file["key"], file["labels"]) for file in files][:2] == [(20, [4.0, 1.0]), (3, [0.0, 1.0])]
    Selection(png_set, keys=["0"], raw=True).write_file(tmp_path / "header.bin")
    assert (tmp_path / "header.bin").read_bytes() == struct.pack("<IfQQff", 2, 0, 0, 0, 21, 26)


def test_extract_from_a_file_that_is_no_face_set(numbered: Path, tmp_path: Path) -> None:
    chosen = Selection(numbered, keys=["15", "10"], raw=True)
    assert chosen.write(tmp_path / "out") == ["15.bin", "10.bin"]
    assert (tmp_path / "out" / "15.bin").read_bytes() == b"15" * 15 + b"\x0a\x23\xd7\xce" * 2
    with pytest.raises(SourceError, match=r"key 10: .* with --raw"):
        Selection(numbered, keys=["10"]).write(tmp_path / "other")
    with pytest.raises(MissingKeyError, match="no key from 20 to 30"):
        Selection(numbered, keys=["20-30"])


@pytest.fixture
def png_view(png_set: Path, tmp_path: Path) -> Path:
    """Nine images of three of the five people."""
    build_longtail(png_set, tmp_path / "view", Rule("uniform_images", 9, 3), seed=3, view=True)
    return tmp_path / "view"


def test_extract_from_a_view(png_set: Path, png_view: Path, tmp_path: Path, slow: SimpleNamespace) -> None:
    """Positions and identities are the view's, keys the set's; the bytes are those of the set's file."""
    payloads = slow.decode((png_set / "train.rec").read_bytes())  # in file order: keys 1, 2, 3 …
    keys, counts = (array.tolist() for array in np.load(png_view / "view.npz").values())
    third = keys[counts[0] + counts[1] :]
    for number, source in enumerate((png_view, png_view / "view.npz")):
        out = tmp_path / f"out{number}"
        chosen = Selection(source, keys=[f"{keys[-1]}"], positions=[0, 8], identities=[2])
        expected = list(dict.fromkeys([keys[-1], keys[0], *third]))
        assert chosen.write(out) == [f"{key}.png" for key in expected]
        for key in expected:
            assert (out / f"{key}.png").read_bytes() == payloads[key - 1][32:]
    missing = next(key for key in range(1, 21) if key not in keys)
    with pytest.raises(MissingKeyError, match=rf"view.npz: no key {missing}; it holds 9 keys"):
        Selection(png_view, keys=[str(missing)])
    with pytest.raises(SourceError, match="position 9 was given, the set's images are 0 to 8"):
        Selection(png_view, positions=[9])
    for out in (png_view, png_view / "deeper", png_set):
        with pytest.raises(SourceError, match="is the source itself or lies in it"):
            Selection(png_view / "view.npz", positions=[0]).write(out, force=True)
    with pytest.raises(SourceError, match="lies in the source"):
        Selection(png_view / "view.npz", positions=[0]).write_file(png_view / "a.png")


def test_one_file_is_never_put_into_the_source_or_over_another(png_set: Path, tmp_path: Path) -> None:
    one, two = Selection(png_set, keys=["1"]), Selection(png_set, keys=["1", "2"])
    target = tmp_path / "theirs.txt"
    target.write_text("theirs")
    (tmp_path / "link.png").symlink_to(target)
    for out, chosen, said in [
        (png_set / "a.png", one, "lies in the source"),
        (tmp_path / "train.rec", one, "record file"),
        (tmp_path / "a.idx", one, "record file"),
        (target, one, "already there"),
        (tmp_path / "link.png", one, "already there"),
        (tmp_path, one, "is a folder"),
        (tmp_path / "a.png", two, "2 records do not fit"),
    ]:
        with pytest.raises(SourceError, match=said):
            chosen.write_file(out)
    one.write_file(tmp_path / "link.png", force=True)
    assert target.read_text() == "theirs"  # the link was replaced, not followed
    assert not (tmp_path / "link.png").is_symlink()
