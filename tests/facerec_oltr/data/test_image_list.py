"""Listed images: what a batch holds by hand, and one line with file and number for all that a list can have wrong."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from facerec_oltr.data import STRANGER, Expected, ImageListConfig
from facerec_oltr.data._layouts import category, relocate
from facerec_oltr.errors import DataError
from recordio_tools.errors import SourceError

TRAIN = "a/0.png 0\na/1.png 0\nb/0.png 1\n"


def write(root: Path, **lists: str) -> ImageListConfig:
    """Lists, and for every image that a list names a grey one, 32 × 48, as bright as its place times ten."""
    root.mkdir(exist_ok=True)
    for split, text in lists.items():
        (root / f"{split}.txt").write_text(text)
        for place, line in enumerate(text.splitlines()):
            path = root / line.split(" ")[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((32, 48, 3), 10 * place, np.uint8))
    rest: dict[str, Any] = {split: f"{split}.txt" for split in lists if split != "train"}
    return ImageListConfig(root=root, size=16, **rest)


def test_images_come_in_the_order_asked_for(tmp_path: Path) -> None:
    data = write(tmp_path, train=TRAIN).build()
    assert (len(data), data.classes, data.shape) == (3, 2, (16, 16, 3))
    assert data.labels.tolist() == [0, 0, 1]
    batch = data.batch(np.array([2, 0, 1]))
    assert batch.shape == (3, 16, 16, 3)
    assert batch.dtype == np.uint8
    assert [np.unique(image).tolist() for image in batch] == [[20], [0], [10]]


def test_evaluation_sees_the_middle_of_the_resized_image_in_rgb(tmp_path: Path) -> None:
    config = write(tmp_path, train=TRAIN).model_copy(update={"size": 28})  # the short side of 32 is resized to 32
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a/0.png"), image)
    np.testing.assert_array_equal(config.build().batch(np.array([0]))[0], image[2:30, 10:38, ::-1])
    whole = config.model_copy(update={"size": 32, "centre": 1.0}).build()
    np.testing.assert_array_equal(whole.batch(np.array([0]))[0], image[:, 8:40, ::-1])


def test_other_splits_have_the_labels_of_training_and_strangers_none(tmp_path: Path) -> None:
    config = write(tmp_path, train=TRAIN, test="c/0.png 1\n", open_test="d/0.png -1\nd/1.png -1\n")
    assert config.splits() == ("train", "test", "open_test")
    test, strangers = config.build("test"), config.build("open_test")
    assert (test.labels.tolist(), test.classes) == ([1], 2)
    assert (strangers.labels.tolist(), strangers.classes) == ([STRANGER] * 2, 0)
    with pytest.raises(DataError, match="has no split 'val'"):
        config.build("val")


def test_strangers_may_lie_under_another_root_and_lists_too(tmp_path: Path) -> None:
    write(tmp_path / "known", train=TRAIN)
    write(tmp_path / "strangers", open_test="d/0.png -1\n")
    (tmp_path / "lists").mkdir()
    for folder, split in (("known", "train"), ("strangers", "open_test")):
        (tmp_path / folder / f"{split}.txt").rename(tmp_path / "lists" / f"{split}.txt")
    config = ImageListConfig(
        root=tmp_path / "known", open_root=tmp_path / "strangers", lists=tmp_path / "lists", open_test="open_test.txt"
    )
    assert (len(config.build()), len(config.build("open_test"))) == (3, 1)


def test_the_fingerprint_follows_paths_and_labels_but_not_the_place(tmp_path: Path) -> None:
    first = write(tmp_path / "1", train=TRAIN).build().fingerprint
    assert write(tmp_path / "2", train=TRAIN.replace("\n", "\r\n")).build().fingerprint == first
    assert write(tmp_path / "3", train=TRAIN.replace("a/1.png 0", "a/1.png 1")).build().fingerprint != first
    assert write(tmp_path / "4", train=TRAIN.replace("a/1", "a/2")).build().fingerprint != first


@pytest.mark.parametrize(
    ("split", "text", "message"),
    [
        ("train", "", "is empty"),
        ("train", "\n\n", "is empty"),
        ("train", "a.png\n", "line 1: found 1 columns, expected 2"),
        ("train", "a.png 0\n\nmy photo.png 1\n", "line 3: found 3 columns, expected 2"),
        ("train", "a.png zero\n", "line 1: found the label 'zero'"),
        ("train", "a.png 0\nb.png 1.0\n", "line 2: found the label '1.0'"),
        ("train", "a.png 99999999999999999999\n", "line 1: found the label '99999999999999999999'"),
        ("train", "a.png 0\n../b.png 1\n", r"line 2: found the path '\.\./b.png'"),
        ("train", "/etc/passwd 0\n", "line 1: found the path '/etc/passwd'"),
        ("train", "a.png 0\nb.png 1\na.png 1\n", r"line 3: a\.png stands in line 1 too"),
        ("train", "a.png 0\nb.png -1\n", "line 2: found label -1, expected 0 or more"),
        ("train", "a.png 0\nb.png 0\n", "found labels up to 0; expected 0 to C - 1, two or more"),
        ("train", "a.png 0\nb.png 2\n", "found labels up to 2, without 1"),
        ("train", "a.png 0\nb.png 999999999\n", "found labels up to 999999999;"),
        ("test", "a.png 0\nb.png 2\n", "line 2: found label 2, expected those of training, 0 to 1"),
        ("test", "a.png -1\n", "line 1: found label -1, .* strangers belong in the list of an open split"),
        ("open_test", "a.png -1\nb.png 1\n", "line 2: found label 1, expected -1 in an open split"),
    ],
)
def test_what_a_list_has_wrong_is_said_with_file_and_line(tmp_path: Path, split: Any, text: str, message: str) -> None:
    config = write(tmp_path, train=TRAIN).model_copy(update={split: f"{split}.txt"})
    (tmp_path / f"{split}.txt").write_text(text)
    with pytest.raises(DataError, match=message) as raised:
        config.build(split)
    assert str(tmp_path / f"{split}.txt") in str(raised.value)
    assert "\n" not in str(raised.value)


def test_lists_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.txt: cannot be read \(No such file"):
        ImageListConfig(root=tmp_path).build()
    (tmp_path / "train.txt").write_bytes(b"a\xff.png 0\n")
    with pytest.raises(DataError, match=r"is no text in UTF-8 \(byte 1\)"):
        ImageListConfig(root=tmp_path).build()
    (tmp_path / "train.txt").unlink()
    (tmp_path / "train.txt").mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        ImageListConfig(root=tmp_path).build()


def test_images_that_are_missing_empty_or_broken(tmp_path: Path) -> None:
    config = write(tmp_path, train=TRAIN)
    data = config.build()
    (tmp_path / "b/0.png").write_bytes(b"\x89PNG not")
    with pytest.raises(
        SourceError, match=r"b/0\.png: 8 bytes that are not a readable image|b/0\.png: the image breaks"
    ):
        data.batch(np.arange(3))
    (tmp_path / "b/0.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"b/0\.png: is missing or empty, expected image 3 of 3 .*facerec data check"):
        config.build()
    with pytest.raises(DataError, match="is no folder, expected the images of"):
        config.model_copy(update={"root": tmp_path / "no", "lists": tmp_path}).build()


def test_known_facts_are_asserted(tmp_path: Path) -> None:
    config = write(tmp_path, train=TRAIN, test="c/0.png 1\n")
    right = Expected(images=3, classes=2, smallest=1, largest=2, many=0, medium=0, few=2, test=1)
    config.model_copy(update={"expect": right}).build("test")
    for name, value in right.model_dump(exclude_none=True).items():
        wrong = config.model_copy(update={"expect": right.model_copy(update={name: value + 1})})
        with pytest.raises(DataError, match=f"found {name} = {value}, expected {value + 1}; this is another list"):
            wrong.build("test")


NESTED, EASY = "data_256/a/apartment_building/outdoor/00000001.jpg", "train/apartment_building-outdoor/00000001.jpg"
FLAT, SORTED = "val_256/Places365_val_00000435.jpg", "val/airfield/Places365_val_00000435.jpg"


def test_both_forms_of_places365_lead_to_either() -> None:
    names = {7: "airfield"}
    for path in (NESTED, EASY):
        assert category(path) == "apartment_building-outdoor"
        assert relocate(path, "by_class", names, 0) == EASY
        assert relocate(path, "places365_256", names, 0) == NESTED
        assert relocate(path, "as_listed", names, 0) == path
    for path in (FLAT, SORTED):
        assert relocate(path, "by_class", names, 7) == SORTED
        assert relocate(path, "places365_256", names, 7) == FLAT
    assert relocate("abbey_extra_test_00000001.jpg", "by_class", names, -1) == "abbey_extra_test_00000001.jpg"
    for path in ("val/ILSVRC2012_val_00000293.JPEG", "val/n01440764/ILSVRC2012_val_00000293.JPEG"):
        assert relocate(path, "by_class", {0: "n01440764"}, 0) == "val/n01440764/ILSVRC2012_val_00000293.JPEG"
        assert relocate(path, "flat_val", {}, 0) == "val/ILSVRC2012_val_00000293.JPEG"
    assert relocate("train/n01440764/1.JPEG", "flat_val", {}, 0) == "train/n01440764/1.JPEG"
    with pytest.raises(DataError, match="category of label 8"):
        relocate(FLAT, "by_class", names, 8)


def test_the_training_list_tells_the_category_of_flat_test_images(tmp_path: Path) -> None:
    config = write(tmp_path, train="train/x/0.png 0\ntrain/y-z/0.png 1\n")
    (tmp_path / "train.txt").write_text("data_256/x/x/0.png 0\ndata_256/y/y/z/0.png 1\n")
    (tmp_path / "test.txt").write_text("val_256/5.png 1\n")
    config = config.model_copy(update={"layout": "by_class", "test": "test.txt"})
    assert config.build().paths == ["train/x/0.png", "train/y-z/0.png"]
    assert config.open_list("test").paths == ["val/y-z/5.png"]
