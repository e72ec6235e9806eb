"""Photos → pixels: one folder a person, decoding to RGB, and the square that training and enrolment both see.

OpenCV is imported inside the functions that need it, so that the rest of the package works without it.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recordio_tools.errors import SourceError
from recordio_tools.framing import MAX_LENGTH
from recordio_tools.image_header import (
    MAX_SIDE,
    ImageHeader,
    avif_turn,
    is_cut_short,
    read_header,
)

Image = NDArray[np.uint8]

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".pgm", ".ppm", ".pnm", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".avif"}
)
MOST_PIXELS = 64_000_000
"""Pixels of a whole photo in memory, 192 MB."""


@dataclass(frozen=True, slots=True)
class Person:
    """One person's photos: the sub-folder's name and the image files in it, in natural order."""

    name: str
    paths: tuple[Path, ...]


def list_people(folder: str | Path) -> list[Person]:
    """The people in `folder`, one sub-folder each, in natural order (s2 before s10), hidden ones skipped.

    Files are taken by their suffix (IMAGE_SUFFIXES), unread. What lies beside the sub-folders, or deeper, is
    ignored. Links are followed; one that leads nowhere is a photo that cannot be read, not one that is not there.

    Raises:
        SourceError: The folder is missing or has no sub-folder, a sub-folder has no image file, or a link in
            place of a sub-folder leads nowhere.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "not there"
        raise SourceError(f"{folder}: {what}, expected a folder with one sub-folder of photos a person")
    people = []
    for home in _visible(folder):
        if not home.is_dir():
            if _leads_nowhere(home):
                raise SourceError(f"{home}: a link that leads nowhere, expected a folder of photos; mend or remove it")
            continue
        paths = tuple(
            path
            for path in _visible(home)
            if path.suffix.lower() in IMAGE_SUFFIXES and (path.is_file() or _leads_nowhere(path))
        )
        if not paths:
            raise SourceError(
                f"{home}: no image in it, expected photos of one person "
                f"({' '.join(sorted(IMAGE_SUFFIXES))}); add some or remove the folder"
            )
        people.append(Person(home.name, paths))
    if not people:
        raise SourceError(f"{folder}: no sub-folder in it, expected one sub-folder of photos a person")
    return people


def read_rgb(path: str | Path) -> Image:
    """An image file as (height, width, 3) uint8 RGB, as `decode_rgb` does it.

    Raises:
        SourceError: The file is missing, unreadable or not a whole image.
    """
    return decode_rgb(read_image_file(path), str(path))


def read_image_file(path: str | Path) -> bytes:
    """The bytes of an image file, whatever they are.

    Raises:
        SourceError: The file is missing, unreadable, or larger than a record can be.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            length = os.fstat(file.fileno()).st_size
            data = file.read() if length <= MAX_LENGTH else b""
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}), expected an image file") from error
    if length > MAX_LENGTH:
        raise SourceError(
            f"{path}: {length:,} bytes, expected an image file of {MAX_LENGTH:,} at most; replace or remove it"
        )
    return data


def decode_rgb(data: bytes | memoryview, name: str) -> Image:
    """Encoded image bytes as (height, width, 3) uint8 RGB.

    Grey becomes three equal channels, transparency is dropped (a TIFF's is blended with black), 16 bits are
    scaled to 8, CMYK is converted, a photo's EXIF orientation is applied, and of several frames or pages the
    first is taken. An image that claims a side above MAX_SIDE is refused before it is decoded.

    Args:
        data: JPEG, PNG, PNM, BMP, WebP, TIFF, GIF or AVIF.
        name: What to call the image in an error message.

    Raises:
        SourceError: The bytes are not a whole image of one of these formats, or claim too large a one, or
            OpenCV cannot be loaded.
    """
    data = bytes(data)
    header = read_header(data)
    if header and max(header.width, header.height) > MAX_SIDE:
        raise SourceError(
            f"{name}: a {header.format} of {header.width:,} × {header.height:,} pixels, expected {MAX_SIDE:,} a side "
            "at most; make it smaller, replace or remove it"
        )
    return _decode(data, name, header)


def decode_photo(data: bytes | memoryview, name: str) -> Image:
    """A whole photo as (height, width, 3) uint8 RGB of at most MOST_PIXELS, as `decode_rgb` otherwise.

    A JPEG of more is decoded at a half, a quarter or an eighth of its sides, so 100 and 200 megapixels work and never
    lie in memory whole. Other formats have no such way: of them up to 2 × MOST_PIXELS are decoded, and then halved.
    Either way the pixels take 400 MB at most on the way.

    Raises:
        SourceError: As `decode_rgb`; or the photo claims more pixels than that.
    """
    data = bytes(data)
    header = read_header(data)
    pixels = header.width * header.height if header else 0
    shrink = next((by for by in (1, 2, 4, 8) if pixels <= MOST_PIXELS * by * by), 0)
    if header and header.format == "JPEG" and shrink:
        return _decode(data, name, header, shrink)
    if header and pixels > 2 * MOST_PIXELS:
        most = MOST_PIXELS * (64 if header.format == "JPEG" else 2) // 1_000_000
        raise SourceError(
            f"{name}: a {header.format} of {header.width:,} × {header.height:,} pixels, expected {most:,} million "
            "at most; make it smaller, replace or remove it"
        )
    picture = _decode(data, name, header)
    if picture.shape[0] * picture.shape[1] <= MOST_PIXELS:
        return picture
    half = (max(1, picture.shape[1] // 2), max(1, picture.shape[0] // 2))
    cv2 = _cv2()
    return cv2.resize(picture, half, interpolation=cv2.INTER_AREA)


def _decode(data: bytes, name: str, header: ImageHeader | None, shrink: int = 1) -> Image:
    if is_cut_short(data):
        raise SourceError(f"{name}: the image breaks off before its end; replace or remove it")
    cv2 = _cv2()
    flags = {
        1: cv2.IMREAD_COLOR_RGB,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    }[shrink]
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if header else None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise SourceError(f"{name}: {len(data):,} bytes that are not a readable image; replace or remove it")
    if shrink > 1:  # OpenCV has no flag for these in RGB
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    if header and header.format == "AVIF":
        turns, axis = avif_turn(data)
        pixels = np.rot90(pixels, turns)
        return np.ascontiguousarray(pixels if axis is None else np.flip(pixels, axis))
    return pixels


def encode_rgb(image: Image, suffix: str, quality: int) -> bytes:
    """`image` as JPEG of `quality` 1 to 100, or as PNG, which keeps every pixel.

    Args:
        image: (height, width, 3) uint8 RGB.
        suffix: ".jpg" or ".png".
        quality: Of the JPEG; PNG does not use it.

    Raises:
        SourceError: OpenCV cannot be loaded.
    """
    cv2 = _cv2()
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else []
    done, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    assert done, "OpenCV encodes every RGB image as JPEG and PNG"
    return data.tobytes()


def fit_square(image: Image, size: int) -> Image:
    """`image` padded to a square by repeating its border pixels, then resized to `size` × `size`.

    Nothing is cropped and nobody's face is stretched. A 92 × 112 photo at size 112 gets 10 columns on both
    sides and is not resampled. An odd pixel of padding goes to the right or the bottom.

    Args:
        image: (height, width, 3) uint8.
        size: Side of the result in pixels.

    Returns:
        The square; `image` itself where nothing is to do.
    """
    height, width = image.shape[:2]
    side = max(height, width)
    square = image
    if height != width:
        top, left = (side - height) // 2, (side - width) // 2
        margins = ((top, side - height - top), (left, side - width - left), (0, 0))
        square = np.pad(image, margins, mode="edge")
    if side == size:
        return square
    cv2 = _cv2()
    return cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR)


def opencv_version() -> str:
    """The version of OpenCV: two of them may encode the same image differently.

    Raises:
        SourceError: OpenCV cannot be loaded.
    """
    return _cv2().__version__


def natural_order(name: str) -> list[tuple[int, str]]:
    """A sort key under which s2 comes before s10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split("([0-9]+)", name)]


def _visible(folder: Path) -> list[Path]:
    entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return sorted(entries, key=lambda path: (natural_order(path.name), path.name))


def _leads_nowhere(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def require_opencv() -> None:
    """Tell a missing OpenCV from a broken image before the first image is decoded.

    Raises:
        SourceError: OpenCV cannot be loaded.
    """
    _cv2()


def _cv2() -> Any:
    try:
        import cv2
    except ImportError as error:
        if "libGL" in str(error) or "libgthread" in str(error):
            advice = "a system library is missing; install it with: apt-get install libgl1 libglib2.0-0"
        else:
            advice = "install it with: pip install opencv-python"
        raise SourceError(f"OpenCV cannot be loaded ({error}); {advice}") from error
    return cv2
