"""Encoded image → its format, width and height, from the header alone: nothing is decoded, nothing is allocated.

A few bytes can claim an image of many gigabytes (a decompression bomb), and OpenCV believes them up to 2^30 pixels.
So every image is measured here before it is decoded. Only formats that are known here are let through: a claim
that cannot be read cannot be checked.
"""

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

MAX_SIDE = 10_000
"""The longest side that is decoded. A photo is padded to a square, and 10,000 × 10,000 RGB pixels are 300 MB;
the largest full-frame cameras make 9,504 × 6,336, a face crop has a few hundred."""

_PNG = b"\x89PNG\r\n\x1a\n"
_PNM_NUMBER = re.compile(rb"(?:[ \t\n\v\f\r]|#[^\n\r]*[\n\r])+([0-9]{1,10})(?=[ \t\n\v\f\r])")
_IMAGE_WIDTH, _IMAGE_LENGTH, _TILE_WIDTH, _TILE_LENGTH = 256, 257, 322, 323
_WHOLE_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # TIFF's BYTE, SHORT, LONG, BigTIFF's LONG8
_MOST_TIFF_ENTRIES = 4096


class ImageHeader(NamedTuple):
    """What an image's header says, true or not.

    Attributes:
        format: JPEG, PNG, PNM, BMP, WebP or TIFF.
        width: In pixels, before a photo's orientation is applied; of a TIFF that of its tiles if they are wider.
        height: The same.
    """

    format: str
    width: int
    height: int


def read_header(data: bytes) -> ImageHeader | None:
    """The header of an encoded image; None where the bytes are of no known format or the header is not whole."""
    for format_, is_one, size_of in _FORMATS:
        if is_one(data):
            try:
                size = size_of(data)
            except (struct.error, IndexError):  # the data end inside the header
                return None
            return ImageHeader(format_, *size) if size else None
    return None


def _png(data: bytes) -> tuple[int, int] | None:
    return struct.unpack_from(">II", data, 16) if data[12:16] == b"IHDR" else None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    """The first frame header (SOFn) ahead of the picture; markers are found as libjpeg finds them."""
    place = 2
    while True:
        place = data.find(b"\xff", place)
        if place < 0:
            return None
        while data[place] == 0xFF:
            place += 1
        marker = data[place]
        place += 1
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD7:
            continue  # garbage, or a marker that stands alone
        if marker in (0xD9, 0xDA):
            return None
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, place + 3)
            return width, height
        place += max(2, *struct.unpack_from(">H", data, place))


def _pnm(data: bytes) -> tuple[int, int] | None:
    width = _PNM_NUMBER.match(data, 2)
    height = width and _PNM_NUMBER.match(data, width.end())
    return (int(width[1]), int(height[1])) if width and height else None


def _bmp(data: bytes) -> tuple[int, int] | None:
    (length,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if length == 12 else "<ii", data, 18)
    return abs(width), abs(height)  # a negative height says that the rows run downwards


def _webp(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        width, width_high, height, height_high = struct.unpack_from("<HBHB", data, 24)
        return 1 + width + (width_high << 16), 1 + height + (height_high << 16)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff(data: bytes) -> tuple[int, int] | None:
    """The first directory's size; that of its tiles where they are larger, because a decoder allocates whole tiles."""
    order = "<" if data.startswith(b"II") else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    (place,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    (entries,) = struct.unpack_from(order + ("Q" if big else "H"), data, place)
    place, step = (place + 8, 20) if big else (place + 2, 12)
    sizes: dict[int, int] = {}
    for entry in range(place, place + step * min(entries, _MOST_TIFF_ENTRIES), step):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag in (_IMAGE_WIDTH, _IMAGE_LENGTH, _TILE_WIDTH, _TILE_LENGTH):
            if kind not in _WHOLE_NUMBERS:
                return None
            (value,) = struct.unpack_from(order + _WHOLE_NUMBERS[kind], data, entry + (12 if big else 8))
            sizes[tag] = max(value, sizes.get(tag, 0))
    if _IMAGE_WIDTH not in sizes or _IMAGE_LENGTH not in sizes:
        return None
    return max(sizes[_IMAGE_WIDTH], sizes.get(_TILE_WIDTH, 0)), max(sizes[_IMAGE_LENGTH], sizes.get(_TILE_LENGTH, 0))


_FORMATS: list[tuple[str, Callable[[bytes], bool], Callable[[bytes], tuple[int, int] | None]]] = [
    ("JPEG", lambda data: data.startswith(b"\xff\xd8\xff"), _jpeg),
    ("PNG", lambda data: data.startswith(_PNG), _png),
    ("PNM", lambda data: data[:2] in (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"), _pnm),
    ("BMP", lambda data: data.startswith(b"BM"), _bmp),
    ("WebP", lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", _webp),
    ("TIFF", lambda data: data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")), _tiff),
]
