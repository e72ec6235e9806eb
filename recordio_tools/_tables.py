"""The tables of a face set: `property`, the identity ranges, the label of every image; `faces` joins them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recordio_tools._words import Words
from recordio_tools.errors import FaceSetError
from recordio_tools.header import FLOAT32_EXACT, HEADER
from recordio_tools.index import Int64s
from recordio_tools.reader import Reader


@dataclass(frozen=True, slots=True)
class Property:
    """What `property` says: 'classes,height,width', in newer sets with the number of images below."""

    path: Path
    classes: int
    height: int
    width: int
    images: int | None


def read_property(path: Path) -> Property | None:
    """What the file says; None where there is none. Further lines, as shuffled sets have them, are ignored."""
    if not path.exists():
        return None
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    try:
        classes, height, width = (int(field) for field in lines[0].split(","))
        images = int(lines[1]) if len(lines) > 1 and lines[1].strip() else None
        if min(classes, height, width) < 1 or classes > FLOAT32_EXACT:
            raise ValueError
    except (ValueError, IndexError):
        found = lines[0][:60] if lines else ""
        raise FaceSetError(f"{path}: found {found!r}, expected: classes,height,width") from None
    return Property(path, classes, height, width, images)


def read_ranges(reader: Reader) -> Int64s | None:
    """The identity ranges, (K, 2); None where the set has no header record."""
    if 0 not in reader:
        return None
    bounds = _range_at(reader, 0)
    if bounds is None or not 2 <= bounds[0] < bounds[1] or bounds[0] not in reader:
        return None
    if _range_at(reader, bounds[0]) is None:
        return None
    first, end = bounds
    if end > FLOAT32_EXACT:
        raise FaceSetError(
            f"{reader.path}: its header record ends at key {end:,}, above {FLOAT32_EXACT:,}, where "
            "float32 rounds the identity ranges; they cannot be trusted"
        )
    words = Words(reader, np.arange(first, end))
    odd = np.flatnonzero((words.flags != 2) | (words.lengths != HEADER.size + 8))
    if len(odd):
        raise FaceSetError(
            f"{reader.path}: key {first + odd[0]}: found another record, expected an identity's range of image keys"
        )
    starts, ends = words.label(0), words.label(1)
    astray = (starts != np.concatenate([[1.0], ends[:-1]])) | ~(ends > starts)
    astray[-1] |= ends[-1] != first
    odd = np.flatnonzero(astray)
    if len(odd):
        raise FaceSetError(
            f"{reader.path}: key {first + odd[0]}: identity range [{starts[odd[0]]:g}, {ends[odd[0]]:g}), "
            f"expected ranges that follow one another from 1 to {first}"
        )
    return np.stack([starts, ends], axis=1).astype(np.int64)


def _range_at(reader: Reader, key: int) -> tuple[int, int] | None:
    """The range that the record of `key` holds; None where it is anything else, as an image with two labels."""
    words = Words(reader, np.array([key]))
    if words.flags[0] != 2 or words.lengths[0] != HEADER.size + 8:
        return None
    start, end = float(words.label(0)[0]), float(words.label(1)[0])
    return (int(start), int(end)) if start.is_integer() and end.is_integer() else None


def labels_of_ranges(reader: Reader, ranges: Int64s) -> Int64s:
    """The label of every image from the first image of each identity; first and last must agree.

    Two records an identity are touched instead of every image, which on a cold disk is the difference between
    seconds and reading the whole set.
    """
    first, last = (whole_labels(reader, keys) for keys in (ranges[:, 0], ranges[:, 1] - 1))
    apart = np.flatnonzero(first != last)
    if len(apart):
        start, end = ranges[apart[0]]
        raise FaceSetError(
            f"{reader.path}: keys {start} to {end - 1} are one identity but their labels are "
            f"{first[apart[0]]} and {last[apart[0]]}"
        )
    return np.repeat(first, ranges[:, 1] - ranges[:, 0])


def whole_labels(reader: Reader, keys: Int64s) -> Int64s:
    """The class label of each image: the label, or the first of several."""
    labels = Words(reader, keys).label(0)
    odd = np.flatnonzero(~((labels >= 0) & (labels <= FLOAT32_EXACT) & (labels == np.floor(labels))))
    if len(odd):
        raise FaceSetError(
            f"{reader.path}: key {keys[odd[0]]}: label {labels[odd[0]]:g}, expected a whole number from 0 to 2^24"
        )
    return labels.astype(np.int64)
