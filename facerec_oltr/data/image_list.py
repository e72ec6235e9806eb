"""Images that list files name: ImageNet-LT, Places-LT and any set published as lines of `<relative path> <label>`.

What a list says is checked when it is opened; of the images themselves only up to a thousand, spread evenly, are looked
for, since a million look-ups on a network disk take minutes. ``facerec data check`` looks for all of them.
"""

import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field

from facerec_oltr.components import Config
from facerec_oltr.data._base import NO_STAND_INS, Split
from facerec_oltr.data._image_lines import Lines, check_known, check_strangers, read_lines
from facerec_oltr.data._labels import count_classes
from facerec_oltr.data._layouts import Layout, category, relocate
from facerec_oltr.data.crop import RandomCrop, centre_view
from facerec_oltr.errors import DataError
from facerec_oltr.metrics.shots import shot_bins
from recordio_tools.images import read_rgb

_LOOKED_FOR = 1000
_THREADS = 8  # OpenCV decodes outside Python's lock; more than this seldom helps one disk


class ImageList:
    """One split of listed images, read a batch at a time.

    Args:
        root: the folder that the paths start from.
        paths: of the images, relative to it.
        labels: (N,).
        classes: C; 0 for strangers.
        size: side of the squares in pixels.
        centre: share of an image's short side that evaluation sees.

    Attributes:
        fingerprint: SHA-256 of paths and labels. The images' content is not in it: to read it whole at every start
            would take longer than an epoch.
    """

    stand_ins = NO_STAND_INS

    def __init__(
        self, root: Path, paths: list[str], labels: npt.NDArray[np.int64], *, classes: int, size: int, centre: float
    ) -> None:
        self.root, self.paths, self.labels, self.classes = root, paths, labels, classes
        self.shape = (size, size, 3)
        self._centre = centre
        digest = hashlib.sha256("\n".join(paths).encode(errors="surrogateescape"))
        digest.update(labels.tobytes())
        self.fingerprint = digest.hexdigest()

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, positions: npt.NDArray[np.int64], crop: RandomCrop | None = None) -> npt.NDArray[np.uint8]:
        """Read the images at `positions` (B,) as (B, size, size, 3) uint8 RGB.

        Raises:
            recordio_tools.errors.SourceError: an image is missing or damaged.
        """
        images = np.empty((len(positions), *self.shape), np.uint8)
        size = self.shape[0]

        def read(place: int) -> None:
            image = read_rgb(self.root / self.paths[positions[place]])
            images[place] = centre_view(image, size, self._centre) if crop is None else crop.view(image, place, size)

        with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
            for _ in pool.map(read, range(len(positions))):
                pass
        return images

    def name(self, position: int) -> str:
        """The image's file, as listed."""
        return self.paths[position]

    def look_for(self, position: int) -> Path | None:
        """The path of the image at `position` if it is missing or empty; None if it is there."""
        path = self.root / self.paths[position]
        try:
            found = path.stat()
        except OSError:  # not there, or in a folder that may not be entered: it cannot be read either way
            return path
        return None if stat.S_ISREG(found.st_mode) and found.st_size else path

    def look_for_some(self, source: str) -> None:
        """Look for up to a thousand images, spread evenly.

        Raises:
            DataError: one is missing or empty; `source` says where it is named.
        """
        some = np.unique(np.linspace(0, len(self) - 1, min(len(self), _LOOKED_FOR)).astype(int))
        for position in some.tolist():
            if (path := self.look_for(position)) is not None:
                raise DataError(
                    f"{path}: is missing or empty, expected image {position + 1} of {len(self):,} in {source}; list "
                    "all that is missing with: facerec data check"
                )


class Expected(Config):
    """Known facts of a published set, asserted when it is opened; what is not given is not asked.

    Attributes:
        images: in the training list.
        classes: C.
        smallest: training images of the smallest class.
        largest: of the largest class.
        many: classes with more than 100 training images.
        medium: with 20 to 100.
        few: with fewer than 20.
        val: images in the validation list.
        test: in the test list.
        open_val: in the list of strangers for validation.
        open_test: in the list of strangers for the test.
    """

    images: int | None = None
    classes: int | None = None
    smallest: int | None = None
    largest: int | None = None
    many: int | None = None
    medium: int | None = None
    few: int | None = None
    val: int | None = None
    test: int | None = None
    open_val: int | None = None
    open_test: int | None = None

    def check(self, split: Split, lines: Lines) -> None:
        """Compare a list with what is known of it.

        Raises:
            DataError: naming the first fact that is another.
        """
        found: dict[str, int] = {split: len(lines.paths)}
        if split == "train":
            counts = np.bincount(lines.labels)
            bins = {name: int(mask.sum()) for name, mask in shot_bins(counts, "decoupling").items()}
            found = {
                "images": len(lines.paths),
                "classes": len(counts),
                "smallest": int(counts.min()),
                "largest": int(counts.max()),
                **bins,
            }
        for name, number in found.items():
            if (expected := getattr(self, name)) is not None and number != expected:
                raise DataError(
                    f"{lines.source}: found {name} = {number:,}, expected {expected:,}; this is another list than the "
                    "published one: fetch that, or remove data.expect"
                )


class ImageListConfig(Config):
    """Which lists, and where the images are.

    Attributes:
        root: the folder that the lists' paths start from.
        open_root: the same for the open splits; `root` if not given.
        lists: the folder of the list files; `root` if not given.
        train: the list of the training split; likewise the others, which a set need not have.
        layout: how the images lie on the disk, where it is not as listed (see _layouts.py).
        size: side in pixels at which the network sees an image.
        centre: evaluation sees the middle square with this share of the short side; the authors' is 224 of 256 pixels.
        expect: what is known of the set.
    """

    kind: Literal["image_list"] = "image_list"
    root: Path
    open_root: Path | None = None
    lists: Path | None = None
    train: str = "train.txt"
    val: str | None = None
    test: str | None = None
    open_val: str | None = None
    open_test: str | None = None
    layout: Layout = "as_listed"
    size: Annotated[int, Field(ge=16)] = 224
    centre: Annotated[float, Field(gt=0, le=1)] = 0.875
    expect: Expected = Expected()

    def splits(self) -> tuple[Split, ...]:
        """The splits that have a list."""
        return tuple(split for split in get_args(Split) if getattr(self, split) is not None)

    def build(self, split: Split = "train") -> ImageList:
        """Open a split.

        Raises:
            DataError: its list, or that of training, is not what it should be; the set has no such split; or one of
                the images that are looked for is missing.
        """
        opened = self.open_list(split)
        if not opened.root.is_dir():
            raise DataError(
                f"{opened.root}: is no folder, expected the images of {getattr(self, split)}; set data.root"
            )
        opened.look_for_some(getattr(self, split))
        return opened

    def open_list(self, split: Split) -> ImageList:
        """Read and check a split's list, without a look at the images.

        Raises:
            DataError: as ``build``, but for missing images.
        """
        name = getattr(self, split)
        if name is None:
            raise DataError(f"{self.root}: the data set has no split {split!r}; its config names no list for it")
        train = self._read("train")
        check_known(train, None)
        classes = count_classes(train.labels, train.source)
        self.expect.check("train", train)
        lines, strangers = train, split.startswith("open")
        if split != "train":
            lines = self._read(split)
            check_strangers(lines) if strangers else check_known(lines, classes)
            self.expect.check(split, lines)
        names = {} if self.layout == "as_listed" else _categories(train)
        labels = lines.labels.tolist()
        paths = [relocate(p, self.layout, names, label) for p, label in zip(lines.paths, labels, strict=True)]
        root = (self.open_root or self.root) if strangers else self.root
        return ImageList(
            root, paths, lines.labels, classes=0 if strangers else classes, size=self.size, centre=self.centre
        )

    def categories(self) -> dict[int, str]:
        """The Places365 category of each label, as far as the training list's paths tell."""
        return _categories(self._read("train"))

    def _read(self, split: Split) -> Lines:
        return read_lines((self.lists or self.root) / getattr(self, split))


def _categories(train: Lines) -> dict[int, str]:
    names: dict[int, str] = {}
    for path, label in zip(train.paths, train.labels.tolist(), strict=True):
        if label not in names and (found := category(path)) is not None:
            names[label] = found
    return names
