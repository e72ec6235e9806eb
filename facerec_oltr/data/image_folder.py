"""Images in one folder a class: any set that lies that way, with its own split or with one that is drawn.

Without ``deal`` the set brings its split along, and the strangers' classes are of no interest:

    root/train/CLASS/…    root/val/CLASS/…    root/test/CLASS/…    root/open_val/ANY/…    root/open_test/ANY/…

With it, ``root/CLASS/…`` is all there is, and the images are dealt. Classes are numbered by name in natural order; what
is an image is told by its suffix, and what lies deeper is not looked at.
"""

from pathlib import Path
from typing import Annotated, Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field

from facerec_oltr.components import Config
from facerec_oltr.data._base import STRANGER, Split
from facerec_oltr.data.image_list import ImageList
from facerec_oltr.errors import DataError
from recordio_tools.images import Person, list_people

Ints = npt.NDArray[np.int64]


class Deal(Config):
    """How images are dealt to splits, by `seed` and not by the run's seed.

    Attributes:
        val: share of each known class's images that validate, rounded; at least one image stays to train on.
        test: share that tests, likewise; it goes before validation where a class has too few for both.
        open_classes: classes that nobody trains on: the first half drawn are strangers to choose a threshold by, the
            others strangers to test it by.
        seed: of the classes and of the shares.
    """

    val: Annotated[float, Field(ge=0, lt=1)] = 0.1
    test: Annotated[float, Field(ge=0, lt=1)] = 0.2
    open_classes: Annotated[int, Field(ge=0)] = 0
    seed: Annotated[int, Field(ge=0)] = 0

    def classes(self, there: int) -> tuple[Ints, Ints]:
        """Of so many classes the known ones in order, and the open ones in the order in which they were drawn."""
        drawn = np.random.default_rng(self.seed).permutation(there)
        return np.sort(drawn[self.open_classes :]), drawn[: self.open_classes]

    def shares(self, label: int, images: int) -> dict[Split, Ints]:
        """The places of a known class's images in its splits, each in order."""
        order = np.random.default_rng((self.seed, 1, label)).permutation(images)
        test = min(round(self.test * images), images - 1)
        val = min(round(self.val * images), images - 1 - test)
        return {
            "test": np.sort(order[:test]),
            "val": np.sort(order[test : test + val]),
            "train": np.sort(order[test + val :]),
        }


class ImageFolderConfig(Config):
    """Which folder, and how its images become splits; see the module's words.

    Attributes:
        root: the folder.
        deal: how images are dealt; None where the folder has the splits as its sub-folders.
        size: side in pixels at which the network sees an image.
        centre: evaluation sees the middle square with this share of the short side.
    """

    kind: Literal["image_folder"] = "image_folder"
    root: Path
    deal: Deal | None = None
    size: Annotated[int, Field(ge=16)] = 224
    centre: Annotated[float, Field(gt=0, le=1)] = 0.875

    def splits(self) -> tuple[Split, ...]:
        """The splits that have a folder, or that dealing leaves something for; training always."""
        if self.deal is None:
            return tuple(s for s in get_args(Split) if s == "train" or (self.root / s).is_dir())
        there: dict[Split, bool] = {
            "train": True,
            "val": self.deal.val > 0,
            "test": self.deal.test > 0,
            "open_val": self.deal.open_classes > 1,
            "open_test": self.deal.open_classes > 0,
        }
        return tuple(split for split, is_there in there.items() if is_there)

    def build(self, split: Split = "train") -> ImageList:
        """Open a split.

        Raises:
            DataError: as ``open_list``, or one of the images that are looked for is empty or leads nowhere.
        """
        opened = self.open_list(split)
        opened.look_for_some(str(self.root))
        return opened

    def open_list(self, split: Split) -> ImageList:
        """List a split's images, without a look at them.

        Raises:
            DataError: the set has no such split, fewer than two known classes, nothing left for the split, or images
                of a class that is not trained on.
            recordio_tools.errors.SourceError: a folder is missing, empty or a class without an image.
        """
        if split not in self.splits():
            what = "no folder of that name in it" if self.deal is None else "data.deal leaves nothing for it"
            raise DataError(f"{self.root}: the data set has no split {split!r}: {what}")
        paths, labels, classes = self._as_found(split) if self.deal is None else self._dealt(split, self.deal)
        if not paths:
            raise DataError(f"{self.root}: nothing is left for the split {split!r}; raise its share in data.deal")
        places = [str(path.relative_to(self.root)) for path in paths]
        return ImageList(
            self.root, places, np.array(labels, np.int64), classes=classes, size=self.size, centre=self.centre
        )

    def _as_found(self, split: Split) -> tuple[list[Path], list[int], int]:
        known = list_people(self.root / "train")
        self._check_known(self.root / "train", len(known))
        found = known if split == "train" else list_people(self.root / split)
        if split.startswith("open"):
            paths = [path for one in found for path in one.paths]
            return paths, [STRANGER] * len(paths), 0
        label = {one.name: number for number, one in enumerate(known)}
        for one in found:
            if one.name not in label:
                raise DataError(
                    f"{self.root / split / one.name}: is of a class without a folder in {self.root / 'train'}; remove "
                    "it, or move it to an open split"
                )
        return *_listed([(label[one.name], list(one.paths)) for one in found]), len(known)

    def _dealt(self, split: Split, deal: Deal) -> tuple[list[Path], list[int], int]:
        found: list[Person] = list_people(self.root)
        known, strange = deal.classes(len(found))
        self._check_known(self.root, len(known), deal.open_classes)
        if split.startswith("open"):
            first, second = np.array_split(strange, [len(strange) // 2])
            chosen = np.sort(first if split == "open_val" else second).tolist()
            return *_listed([(STRANGER, list(found[place].paths)) for place in chosen]), 0
        shares = [
            (label, [found[place].paths[i] for i in deal.shares(place, len(found[place].paths))[split].tolist()])
            for label, place in enumerate(known.tolist())
        ]
        return *_listed(shares), len(known)

    def _check_known(self, folder: Path, known: int, held_out: int = 0) -> None:
        if known < 2:
            without = f" beside {held_out} open ones" if held_out else ""
            raise DataError(
                f"{folder}: found {max(known, 0)} known classes{without}, expected 2 or more, a folder each; "
                "add some or lower data.deal.open_classes"
            )


def _listed(classes: list[tuple[int, list[Path]]]) -> tuple[list[Path], list[int]]:
    return [path for _, paths in classes for path in paths], [label for label, paths in classes for _ in paths]
