from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facerec_oltr.data import STRANGER, FeaturesConfig
from facerec_oltr.errors import DataError

VECTORS = np.array([[3.0, 4.0], [0.0, 2.0], [1.0, 0.0]])
LABELS = np.array([1, 0, 1])


def write(folder: Path, split: str = "train", change: dict[str, Any] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    arrays: dict[str, Any] = {"features": VECTORS, "labels": LABELS} | (change or {})
    np.savez(folder / f"{split}.npz", **arrays)
    return folder


def test_vectors_come_in_the_order_and_of_the_length_asked_for(tmp_path: Path) -> None:
    data = FeaturesConfig(path=write(tmp_path), length=5).build()
    assert (len(data), data.classes, data.shape) == (3, 2, (2,))
    assert data.labels.tolist() == [1, 0, 1]
    batch = data.batch(np.array([1, 0]))
    assert batch.dtype == np.float32
    np.testing.assert_allclose(batch, [[0, 5], [3, 4]], rtol=1e-6)


def test_lengths_are_kept_where_asked_and_a_zero_vector_stays_zero(tmp_path: Path) -> None:
    folder = write(tmp_path, change={"features": VECTORS * [[1], [0], [1]]})
    np.testing.assert_array_equal(FeaturesConfig(path=folder, length=None).build().batch(np.array([0])), [[3, 4]])
    np.testing.assert_array_equal(FeaturesConfig(path=folder).build().batch(np.array([1])), [[0, 0]])


def test_the_fingerprint_follows_vectors_and_labels(tmp_path: Path) -> None:
    first = FeaturesConfig(path=write(tmp_path / "a")).build().fingerprint
    assert (
        first
        == FeaturesConfig(path=write(tmp_path / "b", change={"features": VECTORS.astype("f4")})).build().fingerprint
    )
    for change in ({"labels": 1 - LABELS}, {"features": VECTORS[::-1]}):
        assert first != FeaturesConfig(path=write(tmp_path / "c", change=change)).build().fingerprint


def test_strangers_need_no_labels_and_tests_may_lack_a_class(tmp_path: Path) -> None:
    write(write(tmp_path), "test", {"features": VECTORS[:1], "labels": LABELS[:1]})
    np.savez(tmp_path / "open_test.npz", features=VECTORS)
    config = FeaturesConfig(path=tmp_path)
    assert config.build("test").labels.tolist() == [1]
    assert config.build("open_test").labels.tolist() == [STRANGER] * 3


@pytest.mark.parametrize(
    ("split", "change", "message"),
    [
        ("train", {"features": VECTORS[:2]}, r"features of shape \(2, 2\) and labels of shape \(3,\)"),
        ("train", {"features": VECTORS[:, 0]}, r"features of shape \(3,\)"),
        ("train", {"features": np.full((3, 2), np.nan)}, "vector 0 has NaN .*3 such"),
        ("train", {"labels": LABELS.astype(float)}, "labels of type float64"),
        ("train", {"labels": LABELS + 1}, "labels up to 2, without 0"),
        ("train", {"labels": LABELS - 1}, "the lowest -1"),
        ("train", {"labels": LABELS * 0}, "labels up to 0"),
        ("train", {"labels": LABELS * 10**15}, "labels up to 1000000000000000;"),
        ("test", {"labels": LABELS + 1}, "labels from 1 to 2, expected those of training, 0 to 1"),
        ("test", {"features": np.ones((3, 5))}, "length 5, expected 2"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, split: Any, change: dict[str, Any], message: str) -> None:
    write(write(tmp_path), split, change)
    with pytest.raises(DataError, match=message) as raised:
        FeaturesConfig(path=tmp_path).build(split)
    assert str(tmp_path / f"{split}.npz") in str(raised.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.npz: not there"):
        FeaturesConfig(path=tmp_path).build()
    np.savez(tmp_path / "train.npz", features=VECTORS)
    with pytest.raises(DataError, match="no array 'labels'"):
        FeaturesConfig(path=tmp_path).build()
    np.savez(tmp_path / "train.npz", features=np.array([{}, {}]), labels=LABELS[:2])  # objects would run code
    with pytest.raises(DataError, match=r"is no \.npz that can be read"):
        FeaturesConfig(path=tmp_path).build()
    for content in (b"", b"text", (tmp_path / "train.npz").read_bytes()[:100]):
        (tmp_path / "train.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"is no \.npz that can be read"):
            FeaturesConfig(path=tmp_path).build()
