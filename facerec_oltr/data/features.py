"""Feature vectors that some network made before: every head, loss and open-set rule trains on them in seconds.

A folder with one ``.npz`` a split: ``train.npz``, and where the benchmark has them ``val.npz``, ``test.npz``,
``open_val.npz``, ``open_test.npz``. Each holds ``features`` (N, D), any float type, and ``labels`` (N,), whole numbers;
the open splits need no labels.
"""

import hashlib
import zipfile
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field

from facerec_oltr.components import Config
from facerec_oltr.data._base import NO_STAND_INS, STRANGER, Split
from facerec_oltr.data._labels import count_classes
from facerec_oltr.data.crop import RandomCrop
from facerec_oltr.errors import DataError


class Features:
    """One split of feature vectors, in memory.

    Args:
        path: the ``.npz``.
        classes: C of the training split; None for the training split itself, and 0 for strangers.
        length: that every vector is brought to; None leaves them as they are.

    Raises:
        DataError: the file is missing or no such file, its arrays do not fit, a value is not finite, or labels are not
            what the split needs: 0 … C − 1, in training each at least once and at least two.
    """

    stand_ins = NO_STAND_INS

    def __init__(self, path: Path, *, classes: int | None, length: float | None) -> None:
        table = _read(path)
        vectors = _array(table, "features", path).astype(np.float32)
        labels = np.full(len(vectors), STRANGER) if classes == 0 else _array(table, "labels", path)
        if vectors.ndim != 2 or not vectors.shape[1] or labels.shape != vectors.shape[:1]:
            raise DataError(
                f"{path}: found features of shape {vectors.shape} and labels of shape {labels.shape}, expected (N, D) "
                "and (N,)"
            )
        if (broken := np.flatnonzero(~np.isfinite(vectors).all(axis=1))).size:
            raise DataError(
                f"{path}: vector {broken[0]} has NaN or infinity in it ({broken.size} such); leave them out"
            )
        if not np.issubdtype(labels.dtype, np.integer):
            raise DataError(f"{path}: found labels of type {labels.dtype}, expected whole numbers")
        self.labels: npt.NDArray[np.int64] = labels.astype(np.int64)
        self.classes = count_classes(self.labels, path) if classes is None else classes
        if classes and labels.size and not (labels.min() >= 0 and labels.max() < classes):
            raise DataError(
                f"{path}: found labels from {labels.min()} to {labels.max()}, expected those of training, "
                f"0 to {classes - 1}"
            )
        if length is not None:
            vectors *= length / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        self._path, self._vectors = path, vectors
        self.shape = (vectors.shape[1],)
        digest = hashlib.sha256(vectors.tobytes())
        digest.update(self.labels.tobytes())
        self.fingerprint = digest.hexdigest()

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, positions: npt.NDArray[np.int64], crop: RandomCrop | None = None) -> npt.NDArray[np.float32]:
        """The vectors at `positions` (B,), as (B, D) float32."""
        assert crop is None, "vectors have no picture to cut from"
        return self._vectors[positions]

    def name(self, position: int) -> str:
        """The vector's place in its file."""
        return f"{self._path.name}: vector {position}"


class FeaturesConfig(Config):
    """Where the splits are.

    Attributes:
        path: the folder.
        length: that every vector is brought to, as face embeddings are compared by angle; None leaves them as they
            are. A cosine head does not care; a linear one learns next to nothing from vectors of length 1.
    """

    kind: Literal["features"] = "features"
    path: Path
    length: Annotated[float, Field(gt=0)] | None = 16.0

    def splits(self) -> tuple[Split, ...]:
        """The splits whose files are there."""
        return tuple(split for split in get_args(Split) if (self.path / f"{split}.npz").exists())

    def build(self, split: Split = "train") -> Features:
        """Open a split.

        Raises:
            DataError: as ``Features``; or the vectors of the split are longer or shorter than those of training.
        """
        train = Features(self.path / "train.npz", classes=None, length=self.length)
        if split == "train":
            return train
        path = self.path / f"{split}.npz"
        made = Features(path, classes=0 if split.startswith("open") else train.classes, length=self.length)
        if made.shape != train.shape:
            raise DataError(
                f"{path}: found vectors of length {made.shape[0]}, expected {train.shape[0]} as in training"
            )
        return made


def _read(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as table:
            return {name: table[name] for name in table.files if name in ("features", "labels")}
    except FileNotFoundError:
        raise DataError(f"{path}: not there; expected an .npz with features (N, D) and labels (N,)") from None
    except (OSError, ValueError, AttributeError, TypeError, EOFError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: is no .npz that can be read ({reason}); make it anew with numpy.savez") from None


def _array(table: dict[str, npt.NDArray[Any]], name: str, path: Path) -> npt.NDArray[Any]:
    if name not in table:
        raise DataError(f"{path}: has no array {name!r}, expected features (N, D) and labels (N,)")
    return table[name]
