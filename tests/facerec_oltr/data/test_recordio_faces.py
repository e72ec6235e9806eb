from pathlib import Path

import numpy as np
import pytest
import torch

from facerec_oltr.data import RandomCrop, RecordIOFacesConfig, taken
from facerec_oltr.data.recordio_faces import RecordIOFaces
from facerec_oltr.errors import DataError
from recordio_tools import FaceSet
from recordio_tools.build import build_longtail
from recordio_tools.errors import DamageError, SourceError
from recordio_tools.images import encode_rgb
from recordio_tools.longtail import Rule
from recordio_tools.packing import pack_folder

COUNTS = (3, 4, 1, 2)  # images of each class: keys 1 to 3, 4 to 7, 8, 9 to 10


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A set whose image of key k is grey, 20 k."""
    key = 0
    for person, count in enumerate(COUNTS):
        (tmp_path / f"photos/p{person}").mkdir(parents=True)
        for photo in range(count):
            key += 1
            pixels = np.full((16, 16, 3), 20 * key, np.uint8)
            (tmp_path / f"photos/p{person}/{photo}.png").write_bytes(encode_rgb(pixels, ".png", 95))
    pack_folder(tmp_path / "photos", tmp_path / "set", size=16, image_format="png")
    return tmp_path / "set"


def spoil(folder: Path, *keys: int, what: str = "image") -> None:
    """Overwrite the image bytes of some records, or the mark that a record begins with."""
    faces = FaceSet(folder)
    content = bytearray((folder / "train.rec").read_bytes())
    for key in keys:
        start = int(faces.offsets()[key - 1])
        encoded = bytes(faces.encoded(key - 1))
        if what == "image":
            start = content.index(encoded, start)
        content[start : start + 8] = b"\0" * 8
    (folder / "train.rec").write_bytes(content)


def keys_of(batch: np.ndarray) -> list[int]:
    """By their grey."""
    assert (batch == batch[:, :1, :1, :1]).all()
    return (batch[:, 0, 0, 0] // 20).tolist()


def test_a_view_is_trained_on_like_the_set_that_a_copy_makes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for person in range(6):
        (tmp_path / "photos" / f"p{person}").mkdir(parents=True)
        for photo in range(5):
            pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            (tmp_path / "photos" / f"p{person}" / f"{photo}.png").write_bytes(encode_rgb(pixels, ".png", 95))
    pack_folder(tmp_path / "photos", tmp_path / "set", size=24)
    rule = Rule("exponential", 14, 4, imbalance=4)
    build_longtail(tmp_path / "set", tmp_path / "copy", rule, seed=0)
    build_longtail(tmp_path / "set", tmp_path / "view", rule, seed=0, view=True)
    copy, view = (RecordIOFaces(tmp_path / name, 16) for name in ("copy", "view"))
    assert (len(view), view.classes) == (len(copy), copy.classes) == (14, 4)
    assert np.array_equal(view.labels, copy.labels)
    assert view.fingerprint != copy.fingerprint
    order = torch.randperm(14, generator=torch.Generator().manual_seed(0)).numpy()
    assert np.array_equal(view.batch(order), copy.batch(order))


@pytest.mark.parametrize(
    ("what", "error", "words"),
    [
        ("image", SourceError, r"train\.rec: key 5: .* not a readable image; replace or remove it"),
        ("record", DamageError, r"train\.rec: key 5, byte [0-9,]+: found .*, expected .*; .*recordio index"),
    ],
)
def test_damage_stops_with_file_and_key(whole: Path, what: str, error: type[Exception], words: str) -> None:
    spoil(whole, 5, what=what)
    data = RecordIOFacesConfig(path=whole, size=16).build()
    assert keys_of(data.batch(np.array([3, 5, 9]))) == [4, 6, 10]
    with pytest.raises(error, match=words) as caught:
        data.batch(np.arange(len(data)))
    assert "\n" not in str(caught.value)
    assert data.stand_ins == {}


@pytest.mark.parametrize("what", ["image", "record"])
def test_skipped_the_next_whole_image_of_the_class_stands_in_and_the_batch_keeps_its_size(
    whole: Path, what: str
) -> None:
    spoil(whole, 5, 6, what=what)
    spoil(whole, 10)
    data = RecordIOFacesConfig(path=whole, size=16, on_damage="skip").build()
    positions = np.array([9, 0, 4, 5, 4, 6])  # keys 10, 1, 5, 6, 5, 7
    batch = data.batch(positions)
    assert keys_of(batch) == [9, 1, 7, 7, 7, 7]  # after 10, the last of its class, comes 9, the first
    assert batch.shape == (6, 16, 16, 3)
    of = taken(data, positions)
    assert of.tolist() == [8, 0, 6, 6, 6, 6]
    assert of.dtype == np.int64
    assert data.labels[of].tolist() == data.labels[positions].tolist()
    assert data.stand_ins == {9: 8, 4: 6, 5: 6}
    assert [data.name(position) for position in data.stand_ins] == [f"train.rec: key {key}" for key in (10, 5, 6)]


def test_a_class_without_a_whole_image_has_the_next_of_any_class_stand_in_with_its_own_label(whole: Path) -> None:
    spoil(whole, 8, 9)
    data = RecordIOFaces(whole, 16, "skip")
    positions = np.array([7, 2])
    assert keys_of(data.batch(positions)) == [10, 3]
    assert data.labels[positions].tolist() == [2, 0]
    assert data.labels[taken(data, positions)].tolist() == [3, 0]
    assert data.stand_ins == {7: 9}  # 9 was met as a stand-in only, and is in no batch


def test_who_stands_in_does_not_depend_on_what_was_read_before(whole: Path) -> None:
    spoil(whole, 1, 3, 8, 9, 10)
    found = []
    for seed in range(8):
        data = RecordIOFaces(whole, 16, "skip")
        for position in np.random.default_rng(seed).permutation(10):
            data.batch(np.array([position]))
        found.append(dict(data.stand_ins))
    assert found == [{0: 1, 2: 1, 7: 1, 8: 1, 9: 1}] * 8  # by hand: after the last image of the set comes the first


def test_a_whole_set_is_read_the_same_whatever_is_to_be_done_about_damage(whole: Path) -> None:
    stop, skip = RecordIOFaces(whole, 16), RecordIOFaces(whole, 16, "skip")
    order = np.random.default_rng(0).permutation(10)
    for crop in (None, RandomCrop((0.2, 0.9), (0.5, 2.0), (1, 2))):
        np.testing.assert_array_equal(stop.batch(order, crop), skip.batch(order, crop))
    assert taken(skip, order) is order
    assert stop.fingerprint == skip.fingerprint


def test_a_set_without_a_whole_image_stops_in_any_case(whole: Path) -> None:
    spoil(whole, *range(1, 11))
    with pytest.raises(DataError, match=r"set: none of its 10 images can be read; see recordio verify --decode$"):
        RecordIOFaces(whole, 16, "skip").batch(np.array([3]))
