import fcntl
import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from recordio_tools import FaceSet
from recordio_tools.errors import SourceError
from recordio_tools.images import fit_square, read_rgb
from recordio_tools.packing import Packed, pack_folder

FILES = ["manifest.json", "property", "train.idx", "train.lst", "train.rec"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture
def copy(photos: Path, tmp_path: Path) -> Path:
    """The photos, to be spoilt."""
    return shutil.copytree(photos, tmp_path / "photos")


def test_packs_in_the_layout_of_face2rec2(photos: Path, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    done = pack_folder(
        photos, tmp_path / "new" / "set", size=24, image_format="png", progress=lambda *step: steps.append(step)
    )
    out = tmp_path / "new" / "set"
    assert done == Packed(20, 5, ())
    assert names(out) == FILES
    assert names(tmp_path / "new") == ["set"]
    assert (out / "property").read_bytes() == b"5,24,24\n"
    assert steps == [(number, 20) for number in range(1, 21)]
    faces = FaceSet(out)
    assert faces.layout == "face2rec2"
    assert faces.names == ["p1", "p2", "p3", "p10", "p20"]
    assert faces.counts().tolist() == [6, 5, 4, 3, 2]
    assert faces.paths is not None
    for position in range(20):
        photo = read_rgb(photos / faces.paths[position])
        np.testing.assert_array_equal(faces.image(position), fit_square(photo, 24))
    # keys as the layout's description has them: images 1..N, header 0 -> [N+1, N+1+K), identities after it
    index = [int(line.split()[0]) for line in (out / "train.idx").read_text().splitlines()]
    assert index == [*range(1, 21), 0, *range(21, 26)]
    assert faces.ranges is not None
    assert faces.ranges.tolist() == [[1, 7], [7, 12], [12, 16], [16, 19], [19, 21]]
    assert (out / "train.lst").read_text().splitlines()[6] == "1\tp2/1.png\t1"


def test_jpeg_and_its_quality(photos: Path, tmp_path: Path) -> None:
    for quality in (30, 95):
        pack_folder(photos, tmp_path / str(quality), size=24, quality=quality)
    small, large = (FaceSet(tmp_path / str(quality)) for quality in (30, 95))
    assert bytes(small.encoded(0)[:3]) == b"\xff\xd8\xff"
    assert len(small.encoded(0)) < len(large.encoded(0))
    assert json.loads((tmp_path / "95" / "manifest.json").read_text())["quality"] == 95


def test_the_same_photos_give_the_same_bytes(photos: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        pack_folder(photos, tmp_path / name, size=24)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_an_unreadable_photo_fails_the_whole_and_names_the_file(copy: Path, tmp_path: Path) -> None:
    (copy / "p2" / "3.png").write_bytes(b"broken")
    with pytest.raises(SourceError, match=r"p2/3\.png"):
        pack_folder(copy, tmp_path / "new" / "set")
    assert names(tmp_path) == ["photos"]
    done = pack_folder(copy, tmp_path / "set", skip_unreadable=True)
    assert done == Packed(19, 5, (copy / "p2" / "3.png",))
    assert FaceSet(tmp_path / "set").counts().tolist() == [6, 4, 4, 3, 2]
    assert json.loads((tmp_path / "set" / "manifest.json").read_text())["skipped"] == ["p2/3.png"]


def test_a_person_without_a_readable_photo_is_always_an_error(copy: Path, tmp_path: Path) -> None:
    for path in (copy / "p10").iterdir():
        path.write_bytes(b"")
    with pytest.raises(SourceError, match="p10: no photo of this person"):
        pack_folder(copy, tmp_path / "set", skip_unreadable=True)
    assert names(tmp_path) == ["photos"]


@pytest.mark.parametrize(
    "options", [{"size": 0}, {"size": 5000}, {"quality": 0}, {"quality": 101}, {"image_format": "gif"}]
)
def test_options_out_of_range(photos: Path, tmp_path: Path, options: dict) -> None:
    with pytest.raises(SourceError, match=r"was given|is unknown"):
        pack_folder(photos, tmp_path / "set", **options)
    assert not names(tmp_path)


def test_a_name_that_cannot_be_listed(copy: Path, tmp_path: Path) -> None:
    (copy / "p1").rename(copy / "p\t1")
    with pytest.raises(SourceError, match="tab or line break"):
        pack_folder(copy, tmp_path / "set")
    assert names(tmp_path) == ["photos"]


def test_names_that_are_not_utf_8(copy: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(b"p\xff")
    (copy / "p1").rename(copy / odd)
    pack_folder(copy, tmp_path / "set", size=24)
    faces = FaceSet(tmp_path / "set")
    assert faces.names is not None
    assert odd in faces.names


def test_out_may_be_empty_or_ours(copy: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    out.mkdir()
    pack_folder(copy, out, size=24)
    before = digests(out)
    with pytest.raises(SourceError, match="already holds a face set; replace it with --force"):
        pack_folder(copy, out, size=16)
    assert digests(out) == before
    pack_folder(copy, out, size=16, force=True)
    assert FaceSet(out).size == (16, 16)
    assert names(tmp_path) == ["photos", "set"]
    (copy / "p1" / "1.png").write_bytes(b"")
    before = digests(out)
    with pytest.raises(SourceError, match=r"1\.png"):
        pack_folder(copy, out, size=24, force=True)
    assert digests(out) == before
    assert names(tmp_path) == ["photos", "set"]


def test_what_we_did_not_write_is_never_replaced(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    pack_folder(photos, out, size=24)
    (out / "thesis.tex").touch()
    with pytest.raises(SourceError, match=r"holds 'thesis\.tex', which this tool did not write"):
        pack_folder(photos, out, force=True)
    (out / "thesis.tex").unlink()
    (out / "manifest.json").unlink()  # now it could be a downloaded set
    with pytest.raises(SourceError, match=r"no manifest\.json"):
        pack_folder(photos, out, force=True)
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match="is a file"):
        pack_folder(photos, tmp_path / "file", force=True)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SourceError, match="is a file"):
        pack_folder(photos, tmp_path / "dangling", force=True)


def test_out_within_the_photos_is_refused(copy: Path) -> None:
    before = names(copy)
    for out in (copy, copy / "set", copy / "p1"):
        with pytest.raises(SourceError, match="lies in"):
            pack_folder(copy, out, force=True)
    assert names(copy) == before


def test_what_a_killed_packer_left_is_cleared(photos: Path, tmp_path: Path) -> None:
    for left in (tmp_path / ".set.building", tmp_path / ".set.old"):
        left.mkdir()
        (left / "train.rec").write_bytes(b"half")
    pack_folder(photos, tmp_path / "set", size=24)
    assert names(tmp_path) == ["set"]
    assert names(tmp_path / "set") == FILES


def test_two_packers_of_one_set_do_not_mix(photos: Path, tmp_path: Path) -> None:
    building = tmp_path / ".set.building"
    building.mkdir()
    lock = os.open(building, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(SourceError, match="another process"):
        pack_folder(photos, tmp_path / "set", size=24)
    os.close(lock)
    assert names(tmp_path) == [".set.building"]
    pack_folder(photos, tmp_path / "set", size=24)
