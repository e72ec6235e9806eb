"""Images in folders: what goes into which split, counted by hand, and one line for all that a folder can have wrong."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from facerec_oltr.config import load_data, load_experiment
from facerec_oltr.data import STRANGER, Deal, ImageFolderConfig, ImageList, Split
from facerec_oltr.data.check import check_data
from facerec_oltr.engine.finished import load_run
from facerec_oltr.engine.run import train
from facerec_oltr.errors import DataError
from recordio_tools.errors import SourceError

SPLITS: tuple[Split, ...] = ("train", "val", "test", "open_val", "open_test")


def write(root: Path, **classes: int) -> Path:
    """So many grey 32 × 32 images a class, as bright as ten times the class's place plus the image's."""
    for place, (name, count) in enumerate(classes.items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            assert cv2.imwrite(str(root / name / f"{number}.png"), np.full((32, 32, 3), 10 * place + number, np.uint8))
    return root


def config(root: Path, **deal: float) -> ImageFolderConfig:
    return ImageFolderConfig(root=root, size=16, deal=Deal.model_validate(deal) if deal else None)


def test_splits_are_found_as_folders_and_classes_numbered_in_natural_order(tmp_path: Path) -> None:
    write(tmp_path / "train", s2=3, s10=2, s1=1)
    write(tmp_path / "test", s10=1, s1=2)
    write(tmp_path / "open_test", anybody=2, else_=1)
    (tmp_path / "train/s1/notes.txt").write_text("no image")
    found = config(tmp_path)
    assert found.splits() == ("train", "test", "open_test")
    data, test, strangers = (found.build(split) for split in found.splits())
    assert data.paths == ["train/s1/0.png", "train/s2/0.png", "train/s2/1.png", "train/s2/2.png", "train/s10/0.png",
                          "train/s10/1.png"]  # fmt: skip
    assert (data.labels.tolist(), data.classes) == ([0, 1, 1, 1, 2, 2], 3)
    assert (test.paths, test.labels.tolist()) == (["test/s1/0.png", "test/s1/1.png", "test/s10/0.png"], [0, 0, 2])
    assert (strangers.labels.tolist(), strangers.classes) == ([STRANGER] * 3, 0)
    batch = data.batch(np.array([4, 0]))
    assert [np.unique(image).tolist() for image in batch] == [[10], [20]]  # s10 was written second, s1 third


def everything(found: ImageFolderConfig) -> dict[Split, ImageList]:
    return {split: found.build(split) for split in found.splits()}


def test_dealing_gives_each_image_to_one_split_and_each_class_its_shares(tmp_path: Path) -> None:
    sizes = {"a": 10, "b": 7, "c": 2, "d": 1, "e": 10, "f": 4, "g": 3}
    write(tmp_path, **sizes)
    splits = everything(config(tmp_path, val=0.2, test=0.3, open_classes=3, seed=4))
    assert splits.keys() == set(SPLITS)
    paths = [path for data in splits.values() for path in data.paths]
    assert len(paths) == len(set(paths)) == sum(sizes.values())
    strangers = {path.split("/")[0] for split in ("open_val", "open_test") for path in splits[split].paths}
    assert [len({path[0] for path in splits[split].paths}) for split in ("open_val", "open_test")] == [1, 2]
    assert splits["open_val"].labels.tolist() == [STRANGER] * len(splits["open_val"])
    known = sorted(sizes.keys() - strangers)
    assert splits["train"].classes == splits["val"].classes == len(known) == 4
    for label, name in enumerate(known):
        counts: dict[Split, int] = {
            split: [path[0] for path in splits[split].paths].count(name) for split in SPLITS[:3]
        }
        # by hand: test = round(.3 n), val = round(.2 n), as far as one image stays
        test, val = {10: (3, 2), 7: (2, 1), 2: (1, 0), 1: (0, 0), 4: (1, 1), 3: (1, 1)}[sizes[name]]
        assert counts == {"train": sizes[name] - test - val, "val": val, "test": test}
        for split in counts:
            mine = [path[0] == name for path in splits[split].paths]
            assert set(splits[split].labels[mine].tolist()) <= {label}


def test_dealing_is_by_its_own_seed(tmp_path: Path) -> None:
    write(tmp_path, a=9, b=9, c=9, d=9)
    first, again, other = (everything(config(tmp_path, open_classes=1, seed=seed)) for seed in (1, 1, 2))
    assert {s: d.fingerprint for s, d in first.items()} == {s: d.fingerprint for s, d in again.items()}
    assert first["train"].fingerprint != other["train"].fingerprint
    assert "open_val" not in first  # one open class tests, and none is left to choose by


def test_no_share_for_a_split_is_no_split(tmp_path: Path) -> None:
    write(tmp_path, a=3, b=3)
    assert config(tmp_path, val=0, test=0.4).splits() == ("train", "test")
    with pytest.raises(DataError, match=r"no split 'val': data\.deal leaves nothing for it"):
        config(tmp_path, val=0).build("val")
    with pytest.raises(DataError, match="nothing is left for the split 'val'; raise its share"):
        config(tmp_path, val=0.1).build("val")
    with pytest.raises(ValidationError):
        Deal(test=1.0)


@pytest.mark.parametrize(
    ("classes", "deal", "error", "message"),
    [
        ({"a": 3}, {}, DataError, r"train: found 1 known classes, expected 2 or more"),
        ({"a": 3, "b": 0}, {}, SourceError, "b: no image in it"),
        ({}, {}, SourceError, "train: not there"),
        ({"a": 3, "b": 3}, {"open_classes": 1}, DataError, "found 1 known classes beside 1 open ones"),
        ({"a": 3, "b": 3}, {"open_classes": 9}, DataError, "found 0 known classes beside 9 open ones"),
    ],
)
def test_what_a_folder_may_have_wrong(
    tmp_path: Path, classes: dict[str, int], deal: dict[str, float], error: type[Exception], message: str
) -> None:
    write(tmp_path if deal else tmp_path / "train", **classes)
    with pytest.raises(error, match=message):
        config(tmp_path, **deal).build()


def test_a_class_that_is_not_trained_on_belongs_in_an_open_split(tmp_path: Path) -> None:
    write(tmp_path / "train", a=2, b=2)
    write(tmp_path / "test", c=1)
    with pytest.raises(DataError, match=r"test/c: is of a class without a folder in .*train; remove it, or move it"):
        config(tmp_path).build("test")
    with pytest.raises(DataError, match="no split 'val': no folder of that name"):
        config(tmp_path).build("val")


def test_empty_images_and_links_that_lead_nowhere_are_missing(tmp_path: Path) -> None:
    write(tmp_path / "train", a=2, b=2)
    (tmp_path / "train/a/1.png").write_bytes(b"")
    (tmp_path / "train/b/9.png").symlink_to("nowhere.png")
    with pytest.raises(DataError, match=r"a/1\.png: is missing or empty, expected image 2 of 5"):
        config(tmp_path).build()
    found = check_data(config(tmp_path))
    assert found.missing == {"train": 2}
    assert found.advice == ["train: 2 images are empty or links that lead nowhere; mend or remove them"]


def test_a_set_is_checked_trained_on_and_measured_by_a_file_that_names_it(tmp_path: Path) -> None:
    write(tmp_path / "images", a=9, b=6, c=4, d=3, e=5, f=5)
    toml = tmp_path / "mine.toml"
    toml.write_text(
        f"""[data]
kind = "image_folder"
root = {json.dumps(str(tmp_path / "images"))}
size = 16
deal = {{ test = 0.3, open_classes = 2 }}
[backbone]
kind = "resnet_cifar"
depth = 8
width = 2
[schedule]
epochs = 1
batch_size = 8
"""
    )
    assert check_data(load_data(str(toml))).whole
    assert load_data(str(toml), root=tmp_path / "other").root == tmp_path / "other"  # pyright: ignore[reportAttributeAccessIssue]
    train(load_experiment("plain", str(toml)), tmp_path / "run")
    run = load_run(tmp_path / "run")
    data = run.experiment.data.build("test")
    _, logits = run.outputs(data)
    assert logits.shape == (len(data), 4)
