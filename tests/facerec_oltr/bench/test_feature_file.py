"""Published vectors: whole ones, and all that can be wrong with them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facerec_oltr.bench.feature_file import FeatureFile, is_feature_file
from facerec_oltr.errors import DataError

PATHS = ["ann/0.png", "ann/1.png", "bob/0.png"]


def unit(seed: int = 0, kind: str = "f2") -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(3, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(kind)


def test_halves_become_vectors_of_length_1(tmp_path: Path) -> None:
    file = tmp_path / "f.npz"
    np.savez(file, path=np.array(PATHS), one=unit(1), other=unit(2), score=np.ones(3))
    found = FeatureFile(f"{file}:other")
    assert (found.name, found.dimensions) == ("other", 16)
    rows, has_face = found.find([PATHS[2], PATHS[0]])
    assert has_face.all()
    expected = unit(2)[[2, 0]].astype(float)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(found.vectors()[rows], expected, atol=1e-7)
    assert found.fingerprint != FeatureFile(f"{file}:one").fingerprint
    assert is_feature_file(f"{file}:one") and is_feature_file(str(file)) and not is_feature_file("run:meta")


def test_keys_of_a_face_set_may_be_numbers(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", path=np.array([7, 9, 8]), vectors=unit())
    assert FeatureFile(str(tmp_path / "f.npz")).find(["9", "7"])[0].tolist() == [1, 0]


def changed(change: Callable[[np.ndarray], object]) -> np.ndarray:
    vectors = unit(kind="f4")
    change(vectors)
    return vectors


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "NaN": ({"v": changed(lambda v: v.__setitem__((1, 3), np.nan))}, "", "'ann/1.png' holds NaN or infinity"),
    "infinite": ({"v": changed(lambda v: v.__setitem__((2, 3), np.inf))}, "", "'bob/0.png' holds NaN or infinity"),
    "zero": ({"v": changed(lambda v: v.__setitem__(0, 0))}, "", "'ann/0.png' has length 0 (and 0 more)"),
    "not normalised": ({"v": 3 * unit()}, "", "'ann/0.png' has length 3 (and 2 more), expected 1; normalise"),
    "mixed dimensions": (
        {"v": np.array([np.zeros(3), np.zeros(4), np.zeros(3)], object)},
        "",
        "features of several models",
    ),
    "one dimension": ({"v": np.ones(3)}, "", "found 0 arrays that may be vectors"),
    "two models": ({"v": unit(), "w": unit(1)}, "", "found 2 arrays that may be vectors"),
    "no such array": ({"v": unit()}, ":w", "found no array 'w' of vectors"),
    "another count": ({"v": unit()[:2]}, ":v", "expected a path for each row"),
    "a path twice": ({"path": np.array([*PATHS[:2], PATHS[0]]), "v": unit()}, "", "has 'ann/0.png' twice"),
    "no paths": ({"path": None, "v": unit()}, "", "has no array 'path'"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_one_line(what: str, tmp_path: Path) -> None:
    arrays, array, told = WRONG[what]
    held: dict[str, Any] = {
        name: value for name, value in ({"path": np.array(PATHS)} | arrays).items() if value is not None
    }
    np.savez(tmp_path / "f.npz", **held)
    with pytest.raises(DataError) as error:
        FeatureFile(f"{tmp_path / 'f.npz'}{array}")
    assert told in str(error.value) and "\n" not in str(error.value)


def test_missing_files_torn_files_and_missing_images(tmp_path: Path) -> None:
    file = tmp_path / "f.npz"
    with pytest.raises(DataError, match="cannot be read"):
        FeatureFile(str(file))
    np.savez(file, path=np.array(PATHS), v=unit())
    FeatureFile(str(file)).check(PATHS, "p")
    with pytest.raises(DataError, match=r"no vector of 'cem/0.png' \(and 1 more\), but p names it"):
        FeatureFile(str(file)).check([*PATHS, "cem/0.png", "cem/1.png"], "p")
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"is no whole \.npz"):
        FeatureFile(str(file))
