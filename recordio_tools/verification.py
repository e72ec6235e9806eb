"""What a verification pack is: pairs of face images, and whether both show the same person.

The same photo stands in several pairs (LFW has 12,000 entries and 7,701 photos), so a pack keeps each different
image once, to be embedded once. It is held in memory: 60 to 75 MB for the known ones.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recordio_tools.errors import FaceSetError
from recordio_tools.images import Image, decode_rgb
from recordio_tools.index import Int64s


@dataclass(frozen=True, eq=False, slots=True)
class VerificationPack:
    """P pairs of images, in the order of their source: its folds are equal stretches of it.

    >>> pack = open_pack("lfw.bin")
    >>> vectors = np.stack([embed(pack.image(number)) for number in range(len(pack.images))])
    >>> similarity = (vectors[pack.pairs[:, 0]] * vectors[pack.pairs[:, 1]]).sum(1)

    Attributes:
        path: Where it was read from, for messages.
        images: The different images, encoded, in the order in which pairs first name them.
        pairs: (P, 2), the numbers in `images` of each pair.
        same: (P,) bool, whether both show the same person.

    Raises:
        FaceSetError: There is no pair, or an image is empty.
    """

    path: Path
    images: tuple[bytes, ...]
    pairs: Int64s
    same: NDArray[np.bool_]

    def __post_init__(self) -> None:
        assert self.pairs.shape == (len(self.same), 2)
        assert not self.pairs.size or 0 <= self.pairs.min() <= self.pairs.max() < len(self.images)
        if not len(self.same):
            raise FaceSetError(f"{self.path}: holds no pair, expected one or more; get the pack again")
        empty = [number for number, image in enumerate(self.images) if not image]
        if empty:
            pair = int(np.flatnonzero((self.pairs == empty[0]).any(1))[0])
            raise FaceSetError(f"{self.path}: pair {pair:,} has an empty image, expected two; get the pack again")

    def __len__(self) -> int:
        return len(self.same)

    def image(self, number: int) -> Image:
        """Image `number`, decoded: (height, width, 3) uint8 RGB.

        Raises:
            SourceError: The bytes are not an image, or OpenCV cannot be loaded.
        """
        return decode_rgb(self.images[number], f"{self.path}: image {number:,}")

    def fingerprint(self) -> str:
        """SHA-256 of the images, the pairs and the flags, in hexadecimal: the same in every form of a pack."""
        digest = hashlib.sha256()
        for image in self.images:
            digest.update(hashlib.sha256(image).digest())
        digest.update(self.pairs.astype("<i8").tobytes())
        digest.update(self.same.astype(np.uint8).tobytes())
        return digest.hexdigest()

    def sizes(self, progress: Callable[[int, int], None] = lambda done, total: None) -> dict[str, int]:
        """How many images there are of each "height x width"; every image is decoded for it.

        Args:
            progress: Called with (images decoded, images in all).

        Raises:
            SourceError: As `image`.
        """
        found: dict[str, int] = {}
        for number in range(len(self.images)):
            height, width = self.image(number).shape[:2]
            found[f"{height} x {width}"] = found.get(f"{height} x {width}", 0) + 1
            progress(number + 1, len(self.images))
        return found

    def summary(self) -> dict[str, Any]:
        """What the pack holds, ready for JSON."""
        return {
            "path": str(self.path),
            "form": "folder" if self.path.is_dir() else "pickle",
            "pairs": len(self),
            "same": int(self.same.sum()),
            "different": int((~self.same).sum()),
            "images": len(self.images),
            "image_bytes": sum(map(len, self.images)),
            "fingerprint": self.fingerprint(),
        }


def gather(path: Path, entries: Iterable[bytes], same: NDArray[np.bool_]) -> VerificationPack:
    """A pack out of two images a pair, one after the other; equal images become one.

    Raises:
        FaceSetError: There are not two images a flag, or VerificationPack finds fault.
    """
    numbers: dict[bytes, int] = {}
    places = [numbers.setdefault(entry, len(numbers)) for entry in entries]
    if len(places) != 2 * len(same):
        raise FaceSetError(
            f"{path}: holds {len(places):,} images for {len(same):,} pairs, expected {2 * len(same):,}; "
            "get the pack again"
        )
    return VerificationPack(path, tuple(numbers), np.array(places, np.int64).reshape(-1, 2), same)
