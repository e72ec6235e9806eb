import fcntl
import hashlib
import json
import os
import shutil
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from recordio_tools import FaceSet
from recordio_tools._encoding import Format
from recordio_tools.errors import SourceError
from recordio_tools.images import encode_rgb, fit_square, read_rgb
from recordio_tools.packing import Packed, pack_folder, pack_listing
from recordio_tools.photos import Photos

from .conftest import worker_threads

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


@pytest.mark.parametrize("image_format", ["jpg", "png"])
def test_the_number_of_workers_does_not_change_a_byte(photos: Path, tmp_path: Path, image_format: Format) -> None:
    for workers in (1, 2, 3, 20):
        pack_folder(photos, tmp_path / str(workers), size=24, image_format=image_format, workers=workers)
    assert all(digests(tmp_path / str(workers)) == digests(tmp_path / "1") for workers in (2, 3, 20))


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_photos_are_in_flight_than_the_workers_need(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """200 photos: what was read and not yet written is bounded by 3 tasks of 8 photos a worker."""
    root = tmp_path / "photos" / "p"
    root.mkdir(parents=True)
    for number in range(200):
        shutil.copy(photos / "p1" / "1.png", root / f"{number}.png")
    read, most, lock = 0, 0, threading.Lock()
    real = Photos.read

    def counted(self: Photos, place: int) -> bytes:
        nonlocal read
        with lock:
            read += 1
        return real(self, place)

    def progress(done: int, total: int) -> None:
        nonlocal most
        most = max(most, read - done)

    monkeypatch.setattr(Photos, "read", counted)
    pack_folder(root.parent, tmp_path / "set", size=24, workers=workers, progress=progress)
    assert read == 200
    assert most <= (0 if workers == 1 else 3 * 8 * workers)


def test_an_error_of_our_own_in_a_worker_is_not_swallowed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr("recordio_tools._encoding.encode_rgb", broken)
    for workers in (1, 3):
        with pytest.raises(ZeroDivisionError):
            pack_folder(photos, tmp_path / "set", workers=workers, skip_unreadable=True)
    assert not names(tmp_path)
    assert worker_threads() == []


def test_workers_below_one(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="0 workers were given"):
        pack_folder(photos, tmp_path / "set", workers=0)


def test_a_list_of_all_photos_gives_the_records_of_the_folder(photos: Path, tmp_path: Path) -> None:
    pack_folder(photos, tmp_path / "folder", size=24)
    lines = (tmp_path / "folder" / "train.lst").read_text().splitlines(keepends=True)
    (tmp_path / "a.lst").write_text("".join(lines))
    done = pack_listing(tmp_path / "a.lst", tmp_path / "listed", photos, size=24)
    assert done == Packed(20, 5, ())
    before, after = digests(tmp_path / "folder"), digests(tmp_path / "listed")
    assert {name for name in FILES if before[name] != after[name]} == {"manifest.json"}
    said = json.loads((tmp_path / "listed" / "manifest.json").read_text())
    assert (said["source"], said["root"]) == (str(tmp_path / "a.lst"), str(photos))
    assert "source_labels" not in said


def test_a_list_of_scattered_identities_and_labels_with_gaps(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "a.lst").write_text("0\t70\tp3/2.png\n1\t5\tp1/1.png\n2\t70\tp3/1.png\n3\t6\tp2/1.png\n")
    pack_listing(tmp_path / "a.lst", tmp_path / "set", photos, size=24, image_format="png")
    faces = FaceSet(tmp_path / "set")
    assert list(faces.paths or ()) == ["p1/1.png", "p2/1.png", "p3/2.png", "p3/1.png"]
    assert (faces.labels.tolist(), faces.names) == ([0, 1, 2, 2], ["p1", "p2", "p3"])
    np.testing.assert_array_equal(faces.image(2), fit_square(read_rgb(photos / "p3" / "2.png"), 24))
    assert json.loads((tmp_path / "set" / "manifest.json").read_text())["source_labels"] == [5, 6, 70]


def test_unreadable_and_missing_photos_of_a_list(copy: Path, tmp_path: Path) -> None:
    (copy / "p1" / "1.png").write_bytes(b"broken")
    text = "1\tp1/1.png\t7\n1\tp1/2.png\t7\n1\tp1/none.png\t7\n1\tp2/1.png\t9\n"
    (tmp_path / "a.lst").write_text(text)
    done = pack_listing(tmp_path / "a.lst", tmp_path / "set", copy, skip_unreadable=True)
    assert done == Packed(2, 2, (copy / "p1" / "1.png", copy / "p1" / "none.png"))
    with pytest.raises(SourceError, match=r"a\.lst: line 3: 'p1/none\.png' is not a file"):
        pack_listing(tmp_path / "a.lst", tmp_path / "other", copy)
    (copy / "p2" / "1.png").unlink()
    with pytest.raises(SourceError, match=r"label 9 .*: no photo of this person can be read"):
        pack_listing(tmp_path / "a.lst", tmp_path / "other", copy, skip_unreadable=True)
    assert names(tmp_path) == ["a.lst", "photos", "set"]


def test_photos_kept_as_they_are(tmp_path: Path) -> None:
    """JPEG, PNG, and JPEG with what a camera writes ahead of the picture: the file's bytes, hash for hash."""
    (tmp_path / "photos" / "p").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    jpeg = encode_rgb(pixels, ".jpg", 90)
    files = {
        "1.jpg": jpeg,
        "2.png": encode_rgb(pixels, ".png", 0),
        "3.jpg": jpeg[:2] + b"\xff\xfe\0\x06note" + jpeg[2:] + b"a phone's clip",
    }
    for name, data in files.items():
        (tmp_path / "photos" / "p" / name).write_bytes(data)
    pack_folder(tmp_path / "photos", tmp_path / "set", size=24, as_is=True)
    faces = FaceSet(tmp_path / "set")
    assert [bytes(faces.encoded(position)) for position in range(3)] == list(files.values())
    said = json.loads((tmp_path / "set" / "manifest.json").read_text())
    assert (said["image_format"], said["quality"]) == ("as the files are", None)


@pytest.mark.parametrize(
    ("suffix", "shape", "said"),
    [
        (".png", (24, 20, 3), "a PNG of 20 × 24 pixels"),
        (".jpg", (25, 25, 3), "a JPEG of 25 × 25 pixels"),
        (".bmp", (24, 24, 3), "a BMP of 24 × 24 pixels"),
    ],
)
def test_what_cannot_be_kept_as_it_is(
    copy: Path, tmp_path: Path, suffix: str, shape: tuple[int, ...], said: str
) -> None:
    shutil.rmtree(copy)
    (copy / "p").mkdir(parents=True)
    assert cv2.imwrite(str(copy / "p" / f"1{suffix}"), np.zeros(shape, np.uint8))
    for skip in (False, True):  # it is readable, so it is never left out
        with pytest.raises(SourceError, match=rf"1\{suffix}: {said}, expected a JPEG or PNG of 24 × 24 to keep"):
            pack_folder(copy, tmp_path / "set", size=24, as_is=True, skip_unreadable=skip)
    assert names(tmp_path) == ["photos"]


def test_a_damaged_photo_is_not_kept_as_it_is(copy: Path, tmp_path: Path) -> None:
    (copy / "p1" / "1.png").write_bytes((copy / "p1" / "1.png").read_bytes()[:-20])
    with pytest.raises(SourceError, match=r"1\.png: the image breaks off"):
        pack_folder(copy, tmp_path / "set", size=24, as_is=True)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_folder_that_changes_while_it_is_packed(copy: Path, tmp_path: Path, workers: int) -> None:
    last = copy / "p20" / "2.png"
    for number in range(3, 99):  # beyond what is in flight when the first photo is done
        shutil.copy(last, copy / "p20" / f"{number}.png")
    late = copy / "p20" / "98.png"

    def change(done: int, total: int) -> None:
        if done == 1:
            late.write_bytes(last.read_bytes() + b"more")

    def remove(done: int, total: int) -> None:
        if done == 1:
            late.unlink()

    for meddle, said in ((change, "changed while it was packed"), (remove, "No such file")):
        with pytest.raises(SourceError, match=rf"98\.png: .*{said}"):
            pack_folder(copy, tmp_path / "set", size=24, progress=meddle, workers=workers)
        assert names(tmp_path) == ["photos"]
        late.unlink(missing_ok=True)
        shutil.copy(last, late)
    with pytest.raises(SourceError, match="changed while"):  # that is no unreadable photo
        pack_folder(copy, tmp_path / "set", size=24, progress=change, workers=workers, skip_unreadable=True)
