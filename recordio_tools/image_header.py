"""Encoded image → its format, width and height, from the header alone: nothing is decoded, nothing is allocated.

A few bytes can claim an image of many gigabytes (a decompression bomb), and OpenCV believes them up to 2^30 pixels.
So every image is measured here before it is decoded. Only formats that are known here are let through: a claim
that cannot be read cannot be checked. Of a JPEG the markers are found as OpenCV's libjpeg finds them, past garbage
between them and past lengths below 2; where OpenCV sees no size there is none.

An image may be a view into a record file: nothing but the few bytes that are looked at is copied.
"""

import re
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

MAX_SIDE = 10_000
"""The longest side that is decoded. A photo is padded to a square, and 10,000 × 10,000 RGB pixels are 300 MB;
the largest full-frame cameras make 9,504 × 6,336, a face crop has a few hundred."""

Encoded = bytes | memoryview

_START = 12  # bytes that tell every format from the others
_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_END_OF_JPEG = b"\xff\xd9"
_EOI, _SOS = 0xD9, 0xDA
_PICTURE = frozenset({_EOI, _SOS})  # no header behind these
_FRAMES_OR_PICTURE = _PICTURE | (frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC})
_ALONE = frozenset({0x00, 0x01, *range(0xD0, 0xD8)})  # garbage, or a marker without a segment
_FRAME = struct.Struct(">xxxHH")  # length, bits, then height and width
_PREFIX = 1024
_MOST_MARKERS = 100_000  # ahead of the picture; a large colour profile has 256
_WINDOW = 256  # bytes that are searched for a marker at once
_LONGEST_PNM = 1 << 16  # bytes of a header, comments included
_LARGEST_PNG = (1 << 31) - 1
_PNM_NUMBER = re.compile(rb"(?:[ \t\n\v\f\r]|#[^\n\r]*[\n\r])+([0-9]{1,10})(?=[ \t\n\v\f\r])")
_IMAGE_WIDTH, _IMAGE_LENGTH, _TILE_WIDTH, _TILE_LENGTH = 256, 257, 322, 323
_WHOLE_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # TIFF's BYTE, SHORT, LONG, BigTIFF's LONG8
_MOST_TIFF_ENTRIES = 4096
_MOST_BOXES = 4096


class ImageHeader(NamedTuple):
    """What an image's header says, true or not.

    Attributes:
        format: JPEG, PNG, PNM, BMP, WebP, TIFF, GIF or AVIF.
        width: In pixels, before a photo's orientation is applied; of a TIFF that of its tiles if they are wider.
        height: The same.
    """

    format: str
    width: int
    height: int


def read_header(data: Encoded) -> ImageHeader | None:
    """The header of an encoded image; None where the bytes are of no known format, or tell no size of one pixel."""
    start = bytes(data[:_START])
    for format_, is_one, size_of in _FORMATS:
        if is_one(start):
            try:
                size = size_of(data)
            except (struct.error, IndexError, OverflowError):  # the data end inside the header
                return None
            return ImageHeader(format_, *size) if size and size[0] and size[1] else None
    return None


def format_of(data: Encoded) -> str | None:
    """The format that an encoded image begins as, whatever follows; None where it is none that is known here."""
    start = bytes(data[:_START])
    return next((format_ for format_, is_one, _ in _FORMATS if is_one(start)), None)


def is_cut_short(data: Encoded) -> bool:
    """Whether a JPEG or PNG lacks its end mark: some decoders say nothing then and return half a face."""
    if data[: len(_PNG)] == _PNG:
        return data[-8:-4] != b"IEND" and b"IEND" not in bytes(data)
    if data[-2:] == _END_OF_JPEG or data[: len(_JPEG)] != _JPEG:
        return False
    try:  # something may follow the end mark, and a thumbnail ahead of the picture has one of its own
        marker, place = _find_marker(data, _PICTURE)
    except IndexError:
        return True
    return marker == _SOS and bytes(data[place:]).rfind(_END_OF_JPEG) < 0


def _png(data: Encoded) -> tuple[int, int] | None:
    if data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", data, 16)
    return (width, height) if max(width, height) <= _LARGEST_PNG else None


def _jpeg(data: Encoded) -> tuple[int, int] | None:
    """The first frame header (SOFn) ahead of the picture."""
    marker, place = _find_marker(data, _FRAMES_OR_PICTURE)
    if marker in _PICTURE:
        return None
    height, width = _FRAME.unpack_from(data, place)
    return width, height


def _find_marker(data: Encoded, wanted: frozenset[int]) -> tuple[int, int]:
    """(marker, place behind it) of the first of the `wanted` markers; IndexError where there is none."""
    try:
        return _walk_markers(bytes(data[:_PREFIX]), wanted)  # nearly always enough, and bytes are faster than a view
    except IndexError:
        return _walk_markers(data, wanted)


def _walk_markers(data: Encoded, wanted: frozenset[int]) -> tuple[int, int]:
    place = 2
    for _ in range(_MOST_MARKERS):
        if data[place] != 0xFF:
            place = _next_mark(data, place)
        marker = data[place + 1]
        place += 2
        if marker in wanted:
            return marker, place
        if marker == 0xFF:
            place -= 1  # any number of them may stand ahead of a marker
        elif marker not in _ALONE:
            length = data[place] << 8 | data[place + 1]
            place += length if length > 2 else 2
    raise IndexError


def _next_mark(data: Encoded, place: int) -> int:
    """Where the next 0xFF stands; the end of the data where none does."""
    for start in range(place, len(data), _WINDOW):
        hit = bytes(data[start : start + _WINDOW]).find(b"\xff")
        if hit >= 0:
            return start + hit
    return len(data)


def _pnm(data: Encoded) -> tuple[int, int] | None:
    text = bytes(data[:_LONGEST_PNM])
    width = _PNM_NUMBER.match(text, 2)
    height = width and _PNM_NUMBER.match(text, width.end())
    return (int(width[1]), int(height[1])) if width and height else None


def _bmp(data: Encoded) -> tuple[int, int] | None:
    (length,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if length == 12 else "<ii", data, 18)
    return abs(width), abs(height)  # a negative height says that the rows run downwards


def _webp(data: Encoded) -> tuple[int, int] | None:
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


def _tiff(data: Encoded) -> tuple[int, int] | None:
    """The first directory's size; that of its tiles where they are larger, because a decoder allocates whole tiles."""
    order = "<" if data[:2] == b"II" else ">"
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


def _gif(data: Encoded) -> tuple[int, int] | None:
    return struct.unpack_from("<HH", data, 6)


def _avif(data: Encoded) -> tuple[int, int] | None:
    """The largest of the sizes that are told: an image may have tiles, a mask and a thumbnail with their own."""
    sizes = [struct.unpack_from(">II", data, place + 4) for kind, place in _avif_properties(data) if kind == b"ispe"]
    return (max(width for width, _ in sizes), max(height for _, height in sizes)) if sizes else None


def avif_turn(data: Encoded) -> tuple[int, int | None]:
    """How an AVIF is to be turned once it is decoded, which OpenCV leaves to others.

    Returns:
        Quarter turns anticlockwise, and then the axis to mirror (0: upside down, 1: left to right) or None.
    """
    turns, axis = 0, None
    try:
        for kind, place in _avif_properties(data):
            if kind == b"irot":
                turns = data[place] & 3
            elif kind == b"imir":
                axis = data[place] & 1
    except (struct.error, IndexError, OverflowError):
        pass  # such an image cannot be decoded either, and that is said there
    return turns, axis


def _avif_properties(data: Encoded) -> Iterator[tuple[bytes, int]]:
    """(kind, place of its content) of each item property (ISO 23008-12, 9.3)."""
    meta = _box(data, b"meta", 0, len(data))
    iprp = meta and _box(data, b"iprp", meta[0] + 4, meta[1])  # 4: version and flags
    ipco = iprp and _box(data, b"ipco", *iprp)
    return ((kind, start) for kind, start, _ in _boxes(data, *ipco)) if ipco else iter(())


def _box(data: Encoded, wanted: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Where the content of the first box of a kind begins and ends."""
    return next(((begin, over) for kind, begin, over in _boxes(data, start, end) if kind == wanted), None)


def _boxes(data: Encoded, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, begin and end of its content) of the boxes between two places (ISO 14496-12, 4.2)."""
    for _ in range(_MOST_BOXES):
        if start + 8 > end:
            return
        length, kind = struct.unpack_from(">I4s", data, start)
        content = start + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, content)
            content += 8
        over = end if length == 0 else start + length
        if not content <= over <= end:
            return
        yield kind, content, over
        start = over


_FORMATS: list[tuple[str, Callable[[bytes], bool], Callable[[Encoded], tuple[int, int] | None]]] = [
    ("JPEG", lambda start: start.startswith(_JPEG), _jpeg),
    ("PNG", lambda start: start.startswith(_PNG), _png),
    ("PNM", lambda start: start[:2] in (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"), _pnm),
    ("BMP", lambda start: start.startswith(b"BM"), _bmp),
    ("WebP", lambda start: start[:4] == b"RIFF" and start[8:12] == b"WEBP", _webp),
    ("GIF", lambda start: start.startswith((b"GIF87a", b"GIF89a")), _gif),
    ("AVIF", lambda start: start[4:8] == b"ftyp" and start[8:12] in (b"avif", b"avis"), _avif),
    ("TIFF", lambda start: start.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")), _tiff),
]
