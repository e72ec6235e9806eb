"""Encoded images in one ``.npz``, and some of its classes held out as strangers: CIFAR-100-LT, Tiny-ImageNet-LT.

Three arrays make a part: ``bytes`` (uint8, the images' files end to end), ``offsets`` (N + 1: image i is
``bytes[offsets[i]:offsets[i + 1]]``) and ``labels`` (N). A file has a training and a test part; their names stand in
the config. From them come all five splits:

    train       the training images of the known classes, relabelled 0 … K − 1 in their old order
    val         a share of each known class's test images; the training tail is too short to give any away
    test        the rest of them
    open_val    the test images of the first half of the held-out classes
    open_test   those of the second half; or, in their place, those of `far`, another file of the same kind

So the strangers that a threshold is chosen by are of other classes than those it is judged by, and nobody's training
images are ever shown as a stranger. The classes and the shares are drawn by `split_seed`, not by the run's seed.
"""

import hashlib
import zipfile
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from facerec_oltr.components import Config
from facerec_oltr.data._base import NO_STAND_INS, STRANGER, Split
from facerec_oltr.data._labels import count_classes
from facerec_oltr.data.crop import RandomCrop, centre_view
from facerec_oltr.errors import DataError
from recordio_tools.images import decode_rgb

Ints = npt.NDArray[np.int64]


class Part(Config):
    """Names of a part's arrays in the file."""

    bytes: str
    offsets: str
    labels: str


class Blob(Config):
    """Another file, all of whose test images are strangers."""

    path: Path
    test: Part


class ImageBlob:
    """One split of encoded images, in memory.

    Args:
        images: the encoded images.
        names: of each, for an error.
        labels: (N,).
        classes: K; 0 for strangers.
        size: side of the squares in pixels.

    Attributes:
        fingerprint: SHA-256 of the encoded images and the labels.
    """

    stand_ins = NO_STAND_INS

    def __init__(self, images: list[bytes], names: list[str], labels: Ints, *, classes: int, size: int) -> None:
        self._images, self._names, self.labels, self.classes = images, names, labels, classes
        self.shape = (size, size, 3)
        digest = hashlib.sha256(labels.tobytes())
        for image in images:
            digest.update(len(image).to_bytes(8, "little"))
            digest.update(image)
        self.fingerprint = digest.hexdigest()

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, positions: npt.NDArray[np.int64], crop: RandomCrop | None = None) -> npt.NDArray[np.uint8]:
        """Decode the images at `positions` (B,) to (B, size, size, 3) uint8 RGB.

        Raises:
            recordio_tools.errors.SourceError: an image is damaged.
        """
        images = np.empty((len(positions), *self.shape), np.uint8)
        size = self.shape[0]
        for place, position in enumerate(positions.tolist()):
            image = decode_rgb(self._images[position], self._names[position])
            images[place] = centre_view(image, size, 1.0) if crop is None else crop.view(image, place, size)
        return images

    def name(self, position: int) -> str:
        """The image's place in its file."""
        return self._names[position]


class ImageBlobConfig(Config):
    """Which file, and how its classes are dealt; see the module's words.

    Attributes:
        path: the ``.npz``.
        train: the arrays of its training part.
        test: of its test part.
        size: side in pixels at which the network sees an image.
        open_classes: classes held out as strangers.
        val_share: share of each known class's test images that validate.
        split_seed: of the classes and of the shares.
        far: another file, whose test images take the place of `open_test`: strangers of quite another kind.
    """

    kind: Literal["image_blob"] = "image_blob"
    path: Path
    train: Part
    test: Part
    size: Annotated[int, Field(ge=16)] = 32
    open_classes: Annotated[int, Field(ge=0)] = 0
    val_share: Annotated[float, Field(ge=0, lt=1)] = 0.2
    split_seed: Annotated[int, Field(ge=0)] = 0
    far: Blob | None = None

    def splits(self) -> tuple[Split, ...]:
        """The splits that these choices leave something in."""
        there: dict[Split, bool] = {
            "train": True,
            "val": self.val_share > 0,
            "test": True,
            "open_val": self.open_classes > 1,
            "open_test": self.open_classes > 0 or self.far is not None,
        }
        return tuple(split for split, is_there in there.items() if is_there)

    def build(self, split: Split = "train") -> ImageBlob:
        """Open a split.

        Raises:
            DataError: the file is missing or no such file, its arrays do not fit, its labels are not 0 … C − 1, too few
                classes stay known, or nothing is left for the split.
        """
        if split not in self.splits():
            raise DataError(
                f"{self.path}: the data set has no split {split!r}; set data.val_share, data.open_classes or data.far"
            )
        table = _Table(self.path)
        train_labels = table.labels(self.train)
        known, held_out = self._deal(count_classes(train_labels, self.path))
        part = self.train if split == "train" else self.test
        labels = train_labels if split == "train" else table.labels(part)
        self._check_range(labels, len(known) + len(held_out))
        if split in ("train", "val", "test"):
            chosen = np.flatnonzero(np.isin(labels, known))
            if split != "train":
                chosen = self._share(labels, chosen, validates=split == "val")
            new = np.searchsorted(known, labels[chosen])
            return self._made(split, *table.images(part, chosen), new, len(known))
        if split == "open_test" and self.far is not None:
            table, part = _Table(self.far.path), self.far.test
            chosen = np.arange(len(table.labels(part)))
        else:
            first, second = np.array_split(held_out, [len(held_out) // 2])
            chosen = np.flatnonzero(np.isin(labels, first if split == "open_val" else second))
        return self._made(split, *table.images(part, chosen), np.full(len(chosen), STRANGER), 0)

    def _check_range(self, labels: Ints, classes: int) -> None:
        if labels.size and not (labels.min() >= 0 and labels.max() < classes):
            raise DataError(
                f"{self.path}: found labels from {labels.min()} to {labels.max()} in {self.test.labels!r}, expected "
                f"those of training, 0 to {classes - 1}"
            )

    def _made(self, split: Split, images: list[bytes], names: list[str], labels: Ints, classes: int) -> ImageBlob:
        if not images:
            raise DataError(f"{self.path}: nothing is left for the split {split!r}; change data.val_share")
        return ImageBlob(images, names, labels.astype(np.int64), classes=classes, size=self.size)

    def _deal(self, classes: int) -> tuple[Ints, Ints]:
        """The known classes in order, and those held out in the order in which they were drawn."""
        if classes - self.open_classes < 2:
            raise DataError(
                f"{self.path}: holding out {self.open_classes} of {classes} classes leaves fewer than 2 known; lower "
                "data.open_classes"
            )
        drawn = np.random.default_rng(self.split_seed).permutation(classes)
        return np.sort(drawn[self.open_classes :]), drawn[: self.open_classes]

    def _share(self, labels: Ints, chosen: Ints, *, validates: bool) -> Ints:
        """Of the test images `chosen`, those of validation or the others; of each class the same share."""
        rng = np.random.default_rng((self.split_seed, 1))
        taken = np.zeros(len(labels), bool)
        for label in np.unique(labels[chosen]):
            mine = rng.permutation(np.flatnonzero(labels == label))
            taken[mine[: round(self.val_share * len(mine))]] = True
        return chosen[taken[chosen] == validates]


class _Table:
    """An ``.npz`` of encoded images; each array is read when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def labels(self, part: Part) -> Ints:
        labels = self._array(part.labels)
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            raise DataError(
                f"{self.path}: found {part.labels!r} of type {labels.dtype} and shape {labels.shape}, expected whole "
                "numbers (N,)"
            )
        return labels.astype(np.int64)

    def images(self, part: Part, positions: Ints) -> tuple[list[bytes], list[str]]:
        """The encoded images at `positions`, and a name for each."""
        if not len(positions):
            return [], []
        blob, offsets, N = self._array(part.bytes), self._array(part.offsets), len(self.labels(part))
        fits = blob.ndim == 1 and blob.dtype == np.uint8 and offsets.shape == (N + 1,)
        if not fits or not np.issubdtype(offsets.dtype, np.integer):
            raise DataError(
                f"{self.path}: found {part.bytes!r} {blob.dtype} {blob.shape} and {part.offsets!r} {offsets.dtype} "
                f"{offsets.shape} for {N} labels, expected uint8 (bytes,) and whole numbers ({N + 1},)"
            )
        if offsets[0] < 0 or offsets[-1] > len(blob) or (np.diff(offsets.astype(np.int64)) <= 0).any():
            raise DataError(
                f"{self.path}: {part.offsets!r} does not rise from 0 to at most {len(blob):,}; fetch it anew"
            )
        images = [blob[offsets[i] : offsets[i + 1]].tobytes() for i in positions.tolist()]
        return images, [f"{self.path}: image {i} of {part.bytes!r}" for i in positions.tolist()]

    def _array(self, name: str) -> npt.NDArray[Any]:
        try:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as table:
                if name in table.files:
                    return table[name]
                names = ", ".join(table.files)
        except FileNotFoundError:
            raise DataError(f"{self.path}: not there; set data.path to an .npz of encoded images") from None
        except (OSError, ValueError, AttributeError, TypeError, EOFError, zipfile.BadZipFile) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{self.path}: is no .npz that can be read ({reason}); fetch it anew") from None
        raise DataError(f"{self.path}: has no array {name!r}, only {names}; set data.train and data.test")
