"""Encoded images in an npz: the deal of classes by hand, and one line for all that a file can have wrong."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facerec_oltr.config import load_experiment
from facerec_oltr.data import STRANGER, ImageBlobConfig
from facerec_oltr.errors import DataError
from recordio_tools.errors import SourceError

from ..conftest import write_blob

NAMES: dict[str, Any] = {
    part: {"bytes": f"{part}_png", "offsets": f"{part}_offset", "labels": f"{part}_label"} for part in ("train", "test")
}


def config(path: Path, **choices: Any) -> ImageBlobConfig:
    return ImageBlobConfig.model_validate({"path": path, "size": 16, **NAMES, **choices})


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    """Six classes with 6, 5, 4, 3, 2 and 1 training and 5 test images; every image's grey is 40 times its class."""
    return write_blob(tmp_path / "blob.npz", [6, 5, 4, 3, 2, 1])


def greys(data: Any) -> list[int]:
    return [int(image[0, 0, 0]) // 40 for image in data.batch(np.arange(len(data)))]


def test_without_strangers_the_parts_are_as_in_the_file(blob: Path) -> None:
    choices = config(blob, val_share=0.0)
    assert choices.splits() == ("train", "test")
    train, test = choices.build(), choices.build("test")
    assert (len(train), train.classes, train.shape) == (21, 6, (16, 16, 3))
    assert np.bincount(train.labels).tolist() == [6, 5, 4, 3, 2, 1]
    assert greys(train) == train.labels.tolist()
    assert np.bincount(test.labels).tolist() == [5] * 6


def test_known_classes_are_renumbered_in_order_and_the_others_are_strangers(blob: Path) -> None:
    choices = config(blob, open_classes=3, val_share=0.4, split_seed=5)
    assert choices.splits() == ("train", "val", "test", "open_val", "open_test")
    parts = {split: choices.build(split) for split in choices.splits()}
    known = sorted(set(greys(parts["train"])))
    assert len(known) == 3 == parts["train"].classes
    for split, images in (("train", None), ("val", 2), ("test", 3)):
        assert [known[label] for label in parts[split].labels] == greys(parts[split])
        if images:
            assert np.bincount(parts[split].labels).tolist() == [images] * 3
    for_threshold, strangers = greys(parts["open_val"]), greys(parts["open_test"])
    assert sorted({*for_threshold, *strangers, *known}) == list(range(6))
    assert (len(for_threshold), len(strangers)) == (5, 10)  # one class and two, of five test images each
    assert parts["open_test"].labels.tolist() == [STRANGER] * 10
    assert parts["open_test"].classes == 0


def test_validation_and_test_share_no_image(blob: Path) -> None:
    """The images of a class differ by their last pixel."""
    choices = config(blob, open_classes=2, val_share=0.4)

    def pictures(split: Any) -> set[bytes]:
        data = choices.build(split)
        return {image.tobytes() for image in data.batch(np.arange(len(data)))}

    val, test = pictures("val"), pictures("test")
    assert (len(val), len(test)) == (8, 12)
    assert not val & test


def test_the_deal_follows_the_seed(blob: Path) -> None:
    first = config(blob, open_classes=3, split_seed=0)
    assert first.build().fingerprint == first.build().fingerprint
    drawn = {tuple(sorted(set(greys(config(blob, open_classes=3, split_seed=s).build())))) for s in range(8)}
    assert len(drawn) > 3


def test_another_file_gives_far_strangers(blob: Path, tmp_path: Path) -> None:
    far = {"path": write_blob(tmp_path / "far.npz", [2, 1], test=4), "test": NAMES["test"]}
    choices = config(blob, open_classes=2, far=far)
    assert len(choices.build("open_test")) == 8
    assert len(choices.build("open_val")) == 5  # the threshold is chosen by near ones all the same
    assert config(blob, far=far).splits() == ("train", "val", "test", "open_test")


def change(path: Path, **arrays: Any) -> Path:
    with np.load(path) as table:
        np.savez(path, **{**table, **arrays})
    return path


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"train_label": np.zeros(21, int)}, "found labels up to 0; expected 0 to C - 1, two or more"),
        ({"train_label": np.arange(21) * 2}, "found labels up to 40, without 1"),
        ({"train_label": np.zeros(21)}, "'train_label' of type float64"),
        ({"train_label": np.arange(20)}, r"for 20 labels, expected uint8 \(bytes,\) and whole numbers \(21,\)"),
        ({"train_png": np.zeros((3, 3))}, "'train_png' float64"),
        ({"train_offset": np.arange(22)[::-1]}, "'train_offset' does not rise"),
        ({"train_offset": np.arange(22) * 10**9}, "'train_offset' does not rise"),
    ],
)
def test_what_does_not_fit_is_said(blob: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        config(change(blob, **arrays)).build()
    assert str(blob) in str(raised.value)


def test_labels_and_choices_that_do_not_fit(blob: Path) -> None:
    with pytest.raises(DataError, match="holding out 5 of 6 classes leaves fewer than 2 known"):
        config(blob, open_classes=5).build()
    with pytest.raises(DataError, match="has no split 'open_test'"):
        config(blob).build("open_test")
    with pytest.raises(DataError, match="nothing is left for the split 'val'"):
        config(blob, val_share=0.05).build("val")
    with pytest.raises(
        DataError, match="found labels from 1 to 30 in 'test_label', expected those of training, 0 to 5"
    ):
        config(change(blob, test_label=np.arange(1, 31))).build("test")


def test_files_that_cannot_be_read(blob: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not there; set data\.path"):
        config(tmp_path / "no.npz").build()
    wrong = config(blob).model_copy(update={"train": config(blob).train.model_copy(update={"labels": "y"})})
    with pytest.raises(DataError, match="has no array 'y', only train_png"):
        wrong.build()
    (tmp_path / "cut.npz").write_bytes(blob.read_bytes()[:100])
    with pytest.raises(DataError, match=r"is no \.npz that can be read"):
        config(tmp_path / "cut.npz").build()
    data = config(change(blob, train_png=np.zeros(10**6, np.uint8))).build()
    with pytest.raises(SourceError, match=r"blob\.npz: image 2 of 'train_png'"):
        data.batch(np.array([2]))


REAL = Path(os.environ.get("FACEREC_DATA", "../shared/data"))


@pytest.mark.parametrize(
    ("dataset", "file", "sizes"),
    [
        ("cifar100_lt", "cifar100_lt/cifar100_lt.npz", {"val": 800, "test": 3200, "open_val": 500, "open_test": 500}),
        (
            "tiny_imagenet_lt",
            "tiny_imagenet_lt/tiny_imagenet_lt_if100.npz",
            {"val": 1620, "test": 6480, "open_val": 1000, "open_test": 1000},
        ),
    ],
)
def test_the_real_files_are_dealt_as_their_configs_say(dataset: str, file: str, sizes: dict[Any, int]) -> None:
    if not (REAL / file).is_file():
        pytest.skip(f"{REAL / file} is not there; set FACEREC_DATA to the folder of the real data")
    data = load_experiment("plain", dataset, overrides=[f"data.path={REAL / file}"]).data
    train = data.build()
    assert train.classes == {"cifar100_lt": 80, "tiny_imagenet_lt": 162}[dataset]
    assert np.bincount(train.labels).min() == 5
    for split, images in sizes.items():
        assert len(data.build(split)) == images
    assert train.batch(np.arange(2)).shape == (2, *train.shape)
