"""Whether a data set is whole: what is missing, what is wrong, and what to do about it."""

from pathlib import Path

import pytest

from facerec_oltr.config import load_data
from facerec_oltr.data import ImageListConfig
from facerec_oltr.data.check import check_data
from facerec_oltr.errors import ConfigError

from ..conftest import write_blob, write_listed


@pytest.fixture
def listed(tmp_path: Path) -> ImageListConfig:
    write_listed(tmp_path, "train", [0, 0, 0, 1])
    write_listed(tmp_path, "test", [0, 1])
    return ImageListConfig(root=tmp_path, test="test.txt")


def test_a_whole_set_has_nothing_missing_and_progress_ends_with_all(listed: ImageListConfig) -> None:
    seen: list[tuple[int, int]] = []
    found = check_data(listed, on_progress=lambda done, total: seen.append((done, total)))
    assert found.whole
    assert found.images == {"train": 4, "test": 2}
    assert found.missing == {"train": 0, "test": 0}
    assert (found.examples, found.problems, found.advice) == ([], [], [])
    assert seen[-1] == (6, 6)


def test_missing_and_empty_images_are_counted_and_the_first_named(listed: ImageListConfig) -> None:
    root = listed.root
    (root / "train/1.png").unlink()
    (root / "train/3.png").write_bytes(b"")
    (root / "test/0.png").unlink()
    found = check_data(listed, examples=2)
    assert not found.whole
    assert found.missing == {"train": 2, "test": 1}
    assert found.examples == [root / "train/1.png", root / "train/3.png"]
    assert found.advice[0] == "train: fetch the 2 images that are missing, and check again"


def test_a_wrong_root_is_told_by_what_it_lacks(listed: ImageListConfig, tmp_path: Path) -> None:
    elsewhere = listed.model_copy(update={"root": tmp_path / "elsewhere", "lists": tmp_path})
    found = check_data(elsewhere)
    assert found.missing == {"train": 4, "test": 2}
    assert found.advice[0] == (
        f"train: none of its images is under {tmp_path / 'elsewhere'}; its list calls the first one train/0.png: "
        "set data.root to the folder in which that is found"
    )


def test_a_missing_image_right_under_the_root(listed: ImageListConfig, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("train/0.png 0\ntop.png 1\n")
    found = check_data(listed.model_copy(update={"test": None}))
    assert found.examples == [tmp_path / "top.png"]
    assert found.advice == ["train: fetch the 1 images that are missing, and check again"]


def test_another_layout_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "train/x-y").mkdir(parents=True)
    for number in (0, 1):
        (tmp_path / f"train/x-y/{number}.jpg").write_bytes(b"image")
    (tmp_path / "train.txt").write_text("data_256/x/x/y/0.jpg 0\ndata_256/x/x/y/1.jpg 1\n")
    config = ImageListConfig(root=tmp_path)
    found = check_data(config)
    assert found.missing == {"train": 2}
    assert found.advice == ["train: the images lie otherwise than its list says: --set data.layout=by_class"]
    assert check_data(config.model_copy(update={"layout": "by_class"})).whole


def test_lists_that_are_missing_wrong_or_share_images(listed: ImageListConfig, tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text("test/0.png 0\ntrain/2.png 0\n")
    [shared] = check_data(listed).problems
    assert "train/2.png: stands in the lists of both train and test (1 such images)" in shared
    (tmp_path / "test.txt").unlink()
    found = check_data(listed)
    assert found.images == {"train": 4}
    assert "test.txt: cannot be read" in found.problems[0]
    assert "put the published lists into" in found.advice[0]
    (tmp_path / "train.txt").write_text("train/0.png x\n")
    found = check_data(listed)
    assert len(found.problems) == 1  # of both splits, which need it; once
    assert "line 1: found the label 'x'" in found.problems[0]


def test_other_kinds_are_opened(tmp_path: Path) -> None:
    names = {p: {"bytes": f"{p}_png", "offsets": f"{p}_offset", "labels": f"{p}_label"} for p in ("train", "test")}
    settings = [f"data.{p}.{k}={v}" for p, arrays in names.items() for k, v in arrays.items()]
    path = write_blob(tmp_path / "blob.npz", [3, 2, 1])
    config = load_data("cifar100_lt", root=path, overrides=[*settings, "data.open_classes=1"])
    found = check_data(config)
    assert found.whole
    assert found.images == {"train": found.images["train"], "val": 2, "test": 8, "open_test": 5}
    broken = check_data(load_data("cifar100_lt", root=tmp_path / "no.npz"))
    assert not broken.whole
    assert [problem.split(":")[0] for problem in broken.problems] == [str(tmp_path / "no.npz")]


def test_a_data_set_without_its_place_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"imagenet_lt\.toml: data\.root: is missing"):
        load_data("imagenet_lt")
    with pytest.raises(ConfigError, match="unknown dataset 'imagenet'; did you mean 'imagenet_lt'"):
        load_data("imagenet")
