"""Which part of an image the network sees: the middle for evaluation, a random part for training.

Both are those of the OLTR authors (torchvision's Resize + CenterCrop, and RandomResizedCrop), written with OpenCV:
where an image shrinks, the mean over each pixel's area stands in for Pillow's filter, so values differ a little.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

_TRIES = 10  # torchvision's: then the middle, as much of it as the aspect ratios allow


class Box(NamedTuple):
    """A part of an image, in whole pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class RandomCrop:
    """Random parts of the images of one batch; the part of an image follows from `seed` and its place in the batch.

    So it does not matter in which order, or in how many threads, the images are read.

    Attributes:
        scale: lowest and highest share of the image's area.
        ratio: lowest and highest width / height; drawn evenly on a logarithmic scale.
        seed: of this batch.
    """

    scale: tuple[float, float]
    ratio: tuple[float, float]
    seed: tuple[int, ...]

    def box(self, place: int, height: int, width: int) -> Box:
        """The part of the image at `place` in the batch, which has this height and width."""
        rng = np.random.default_rng((*self.seed, place))
        for _ in range(_TRIES):
            area = height * width * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                return Box(int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w)
        return _middle(height, width, self.ratio)

    def view(self, image: Image, place: int, size: int) -> Image:
        """The part of `image` (H, W, 3), resized to (size, size, 3)."""
        top, left, height, width = self.box(place, *image.shape[:2])
        return resize(image[top : top + height, left : left + width], size, size)


def centre_view(image: Image, size: int, share: float) -> Image:
    """The middle of `image` (H, W, 3) as (size, size, 3): the square with `share` of the short side.

    The short side is resized to size / share pixels first, as the authors do: 256 for 224 with share 0.875.

    >>> centre_view(np.zeros((300, 500, 3), np.uint8), 224, 0.875).shape
    (224, 224, 3)
    """
    height, width = image.shape[:2]
    short, whole = min(height, width), round(size / share)
    height, width = (max(whole, int(whole * side / short)) for side in (height, width))
    resized = resize(image, height, width)
    top, left = round((height - size) / 2), round((width - size) / 2)
    return resized[top : top + size, left : left + size]


def resize(image: Image, height: int, width: int) -> Image:
    """`image` (H, W, 3) at another height and width; itself where it has them already."""
    if image.shape[:2] == (height, width):
        return image
    import cv2

    shrinks = image.shape[0] > height or image.shape[1] > width
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)


def _middle(height: int, width: int, ratio: tuple[float, float]) -> Box:
    w, h = width, height
    if width / height < ratio[0]:
        h = round(w / ratio[0])
    elif width / height > ratio[1]:
        w = round(h * ratio[1])
    return Box((height - h) // 2, (width - w) // 2, h, w)
