"""Faces of a RecordIO set, decoded a batch at a time."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from facerec_oltr.components import Config
from facerec_oltr.data._base import Split
from facerec_oltr.data.crop import RandomCrop
from facerec_oltr.errors import DataError
from recordio_tools import FaceSet
from recordio_tools.images import fit_square


class RecordIOFaces:
    """The training images of a face set as square uint8 batches.

    Args:
        path: the set's folder, with train.rec, train.idx and property, or a view of another set.
        size: side of the squares in pixels; other sizes are padded and resized.

    Attributes:
        labels: (N,) int64, the class of each image.
        classes: C.
        shape: (size, size, 3).
        fingerprint: what the set is known by, see FaceSet.

    Raises:
        DataError: the set has fewer than two classes or two images, or a class without an image.
        recordio_tools.errors.RecordIOError: the set is missing or damaged.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._faces = FaceSet(path)
        self.labels: npt.NDArray[np.int64] = self._faces.labels
        self.classes = self._faces.classes
        self.shape = (size, size, 3)
        counts = self._faces.counts()
        if self.classes < 2 or len(self.labels) < 2:
            raise DataError(
                f"{path}: found {len(self.labels)} images of {self.classes} classes, expected at least 2 of each; "
                "pack a folder with more people"
            )
        if (empty := np.flatnonzero(counts == 0)).size:
            raise DataError(
                f"{path}: class {empty[0]} has no image ({empty.size} such classes), expected one or more each; "
                "rebuild the set with: recordio build-lt"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def fingerprint(self) -> str:
        """What the set is known by, 64 hexadecimal digits."""
        return self._faces.fingerprint

    def batch(self, positions: npt.NDArray[np.int64], crop: RandomCrop | None = None) -> npt.NDArray[np.uint8]:
        """Decode the images at `positions` (B,) to (B, size, size, 3) uint8 RGB."""
        faces = np.empty((len(positions), *self.shape), np.uint8)
        for place, position in enumerate(positions.tolist()):
            image = self._faces.image(position)
            size = self.shape[0]
            faces[place] = fit_square(image, size) if crop is None else crop.view(image, place, size)
        return faces

    def name(self, position: int) -> str:
        """The image's key in its record file."""
        return f"{self._faces.reader.path.name}: key {self._faces.keys[position]}"


class RecordIOFacesConfig(Config):
    """Which face set, and at what size the network sees it."""

    kind: Literal["recordio_faces"] = "recordio_faces"
    path: Path
    size: Annotated[int, Field(ge=16)] = 112

    def splits(self) -> tuple[Split, ...]:
        """Only the training split."""
        return ("train",)

    def build(self, split: Split = "train") -> RecordIOFaces:
        """Open the set.

        Raises:
            DataError: another split than `train` was asked for.
        """
        if split != "train":
            raise DataError(
                f"{self.path}: a face set is for training, it has no split {split!r}; measure runs on people never "
                "trained on with: facerec evaluate-faces --model RUN --faces SET --open MANIFEST.json"
            )
        return RecordIOFaces(self.path, self.size)
