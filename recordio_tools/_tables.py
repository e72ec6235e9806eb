"""The tables of a face set: `property`, the identity ranges, the label of every image; `faces` joins them."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recordio_tools._words import Words
from recordio_tools.errors import FaceSetError
from recordio_tools.header import FLOAT32_EXACT, HEADER
from recordio_tools.index import Int64s
from recordio_tools.reader import Reader

Floats = NDArray[np.float64]


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


class Ranges(NamedTuple):
    """What the header record and the identity records say.

    Attributes:
        bounds: [start, end) of the image keys of each identity, (K, 2).
        notes: What had to be worked out because the file cannot say it exactly, a sentence each.
    """

    bounds: Int64s
    notes: tuple[str, ...]


def read_ranges(reader: Reader, exact: int = FLOAT32_EXACT) -> Ranges | None:
    """The identity ranges; None where the set has no header record.

    Above 2^24 float32 cannot hold every key, so sets with more images than that (Glint360K, WebFace42M) have rounded
    ranges. There the true ones are found from the records: which of the keys near the header's hold an identity, and
    where the labels of the images change.

    Args:
        reader: The record file.
        exact: The key up to which the file's ranges are believed.

    Raises:
        FaceSetError: A range is not where it should be, even allowing for the rounding.
    """
    header = _range_at(reader, 0) if 0 in reader else None
    if header is None or not 2 <= header[0] < header[1]:
        return None
    bounds = header if header[1] <= exact else _true_bounds(reader, *header)
    if bounds is None or bounds[0] not in reader or _range_at(reader, bounds[0]) is None:
        return None
    first, end = bounds
    words = Words(reader, np.arange(first, end))
    odd = np.flatnonzero((words.flags != 2) | (words.lengths != HEADER.size + 8))
    if len(odd):
        raise FaceSetError(
            f"{reader.path}: key {first + odd[0]}: found another record, expected an identity's range of image keys"
        )
    said = np.stack([words.label(0), words.label(1)], axis=1)
    ranges, notes = said, ()
    if end > exact:
        ranges, notes = _mend_ranges(reader, said, first, exact)
    astray = (ranges[:, 0] != np.concatenate([[1.0], ranges[:-1, 1]])) | ~(ranges[:, 1] > ranges[:, 0])
    astray[-1] |= ranges[-1, 1] != first
    odd = np.flatnonzero(astray)
    if len(odd):
        start, stop = ranges[odd[0]]
        raise FaceSetError(
            f"{reader.path}: key {first + odd[0]}: identity range [{start:g}, {stop:g}), "
            f"expected ranges that follow one another from 1 to {first}"
        )
    return Ranges(ranges.astype(np.int64), notes)


def _true_bounds(reader: Reader, first: int, end: int) -> tuple[int, int] | None:
    """The header's bounds before they were rounded to float32: where the identity records begin, and where they end."""
    step = float(np.spacing(np.float32(end)))
    near = np.sort(_keys_between(reader, max(1, first - step), first + step))
    words = Words(reader, near)
    identities = near[(words.flags == 2) & (words.lengths == HEADER.size + 8)]
    if not len(identities):
        return None
    last = _keys_between(reader, end - 1 - step, end - 1 + step).max(initial=-1)
    if not 0 <= last - identities[0] < len(reader):
        raise FaceSetError(
            f"{reader.path}: its header record says that identities go from about key {first:,} to {end:,}, but "
            f"there are not the records for it; check the set with: recordio verify {reader.path}"
        )
    return int(identities[0]), int(last) + 1


def _keys_between(reader: Reader, low: float, high: float) -> Int64s:
    return reader.keys[(reader.keys >= low) & (reader.keys <= high)]


def _mend_ranges(reader: Reader, said: Floats, first: int, exact: int) -> tuple[Floats, tuple[str, ...]]:
    """`said` with the ranges above `exact` as the images' labels give them, if they round to what the file says."""
    sure = int(np.count_nonzero(np.logical_and.accumulate(said[:, 1] <= exact)))
    begin = int(said[sure - 1, 1]) if sure else 1
    labels = whole_labels(reader, np.arange(begin, first))
    bounds = np.concatenate([[begin], begin + 1 + np.flatnonzero(np.diff(labels)), [first]])
    found = np.stack([bounds[:-1], bounds[1:]], axis=1).astype(np.float64)
    rounded = said[sure:]
    if found.shape != rounded.shape or (found.astype(np.float32) != rounded.astype(np.float32)).any():
        raise FaceSetError(
            f"{reader.path}: the labels of the images from key {begin:,} on change {len(found) - 1:,} times and do not "
            f"fit the {len(rounded):,} identity ranges there, even allowing for their rounding to float32"
        )
    note = (
        f"the ranges of {len(rounded):,} identities pass key {exact:,}, where float32 rounds them; they were taken "
        "from the images' labels"
    )
    return np.concatenate([said[:sure], found]), (note,)


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
