"""Faces of a RecordIO set, decoded a batch at a time.

A damaged image stops whoever reads it, with file and key, unless it was asked that such images be skipped. A batch
keeps its size then, since the ranks of a distributed run must not differ in theirs: another image stands in, the next
whole one of the same class in the order of the set, the first following the last. So the label stays, and no class is
seen less often than its sampler meant. Only where a class has no whole image it is the next whole one of any class,
with that one's label. Either follows from the position and the file alone, and so does not depend on who reads what
when.
"""

from collections.abc import Iterator
from itertools import chain
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
from recordio_tools.errors import DamageError, SourceError
from recordio_tools.images import fit_square, require_opencv

OnDamage = Literal["stop", "skip"]


class RecordIOFaces:
    """The training images of a face set as square uint8 batches.

    Args:
        path: the set's folder, with train.rec, train.idx and property, or a view of another set.
        size: side of the squares in pixels; other sizes are padded and resized.
        on_damage: what to do about an image that cannot be read, see the module's words.

    Attributes:
        labels: (N,) int64, the class of each image.
        classes: C.
        shape: (size, size, 3).
        fingerprint: what the set is known by, see FaceSet.
        stand_ins: position of each damaged image that was met → position of the one that stands in for it.

    Raises:
        DataError: the set has fewer than two classes or two images, or a class without an image.
        recordio_tools.errors.RecordIOError: the set is missing or damaged.
    """

    def __init__(self, path: Path, size: int, on_damage: OnDamage = "stop") -> None:
        self._faces = FaceSet(path)
        self._skips = on_damage == "skip"
        if self._skips:
            require_opencv()  # without it no image can be read, and none of them is to blame
        self.stand_ins: dict[int, int] = {}
        self._damaged: set[int] = set()  # stand-ins that were tried among them
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
        """Decode the images at `positions` (B,) to (B, size, size, 3) uint8 RGB.

        Raises:
            recordio_tools.errors.RecordIOError: an image is damaged, and damage is not to be skipped.
            DataError: it is, and the set has no whole image.
        """
        faces, size = np.empty((len(positions), *self.shape), np.uint8), self.shape[0]
        read = self._whole_image if self._skips else self._faces.image
        for place, position in enumerate(positions.tolist()):
            image = read(position)
            faces[place] = fit_square(image, size) if crop is None else crop.view(image, place, size)
        return faces

    def name(self, position: int) -> str:
        """The image's key in its record file."""
        return f"{self._faces.reader.path.name}: key {self._faces.keys[position]}"

    def _whole_image(self, position: int) -> npt.NDArray[np.uint8]:
        """The image at `position`, or its stand-in's."""
        image = self._read(self.stand_ins.get(position, position))
        if image is not None:
            return image
        for other in self._followers(position):
            if (image := self._read(other)) is not None:
                self.stand_ins[position] = other
                return image
        raise DataError(
            f"{self._faces.path}: none of its {len(self):,} images can be read; see recordio verify --decode"
        )

    def _read(self, position: int) -> npt.NDArray[np.uint8] | None:
        """The image at `position`; None if it is damaged, which is found out once."""
        if position in self._damaged:
            return None
        try:
            return self._faces.image(position)
        except (DamageError, SourceError):
            self._damaged.add(position)
            return None

    def _followers(self, position: int) -> Iterator[int]:
        """All other positions, those of the same class first; each time what follows, and then from the front on."""
        N, same = len(self), np.flatnonzero(self.labels == self.labels[position])
        own = np.roll(same, -np.searchsorted(same, position))[1:]
        return chain(own.tolist(), ((position + step) % N for step in range(1, N)))


class RecordIOFacesConfig(Config):
    """Which face set, at what size the network sees it, and whether a damaged image stops it.

    Attributes:
        on_damage: "stop", or "skip": another image stands in for it, see the module's words; it is counted and named.
    """

    kind: Literal["recordio_faces"] = "recordio_faces"
    path: Path
    size: Annotated[int, Field(ge=16)] = 112
    on_damage: OnDamage = "stop"

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
        return RecordIOFaces(self.path, self.size, self.on_damage)
