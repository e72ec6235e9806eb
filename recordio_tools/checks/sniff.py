"""An image's kind and size from its first bytes, without decoding it."""

import enum

from recordio_tools.images import is_cut_short

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_OTHERS = (b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*", b"\xff\x0a", b"\0\0\0\x0cjP", b"\0\0\0\x0cJXL")
_PNM = tuple(b"P%d" % kind for kind in range(1, 8))
_MOST_SEGMENTS = 1000


class State(enum.IntEnum):
    """What a look at a record's payload gave; each but FINE has a code in `findings.CODES`."""

    FINE = 0
    SHORT = 1  # too short for an image record's header
    LABELS = 2  # too short for the labels that it claims
    EMPTY = 3  # no byte behind the labels
    CUT = 4
    HEADER = 5  # JPEG or PNG by its first bytes, but its size is not to be found
    UNKNOWN = 6
    LARGE = 7
    UNDECODABLE = 8


STATE_CODES = {
    State.SHORT: "record.short-header",
    State.LABELS: "record.labels",
    State.EMPTY: "image.empty",
    State.CUT: "image.cut-short",
    State.HEADER: "image.header",
    State.UNKNOWN: "image.unknown",
    State.LARGE: "image.too-large",
    State.UNDECODABLE: "image.undecodable",
}


def sniff(image: bytes | memoryview) -> tuple[State, int, int]:
    """(state, height, width) of encoded image bytes; 0 × 0 where the format's size is not read here."""
    start = bytes(image[:12])
    if not start:
        return State.EMPTY, 0, 0
    if start.startswith(_JPEG):
        whole = bytes(image[-2:]) == b"\xff\xd9"  # the whole answer needs a copy of the image
        size = _jpeg_size(image)
    elif start.startswith(_PNG):
        whole = bytes(image[-8:-4]) == b"IEND"
        size = _png_size(bytes(image[8:24]))
    else:
        known = start.startswith(_OTHERS) or (start.startswith(_PNM) and start[2:3].isspace())
        return State.FINE if known else State.UNKNOWN, 0, 0
    height, width = size or (0, 0)
    if not whole and is_cut_short(bytes(image)):
        return State.CUT, height, width
    return State.FINE if size else State.HEADER, height, width


def _jpeg_size(image: bytes | memoryview) -> tuple[int, int] | None:
    """(height, width) from the frame header, found by stepping over the segments before it."""
    place = 2
    for _ in range(_MOST_SEGMENTS):
        if place + 9 > len(image) or image[place] != 0xFF:
            return None
        mark = image[place + 1]
        if 0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC):
            height = image[place + 5] << 8 | image[place + 6]
            width = image[place + 7] << 8 | image[place + 8]
            return (height, width) if height and width else None
        if mark in (0xD9, 0xDA):
            return None
        place += 1 if mark == 0xFF else 2 + (image[place + 2] << 8 | image[place + 3])
    return None


def _png_size(header: bytes) -> tuple[int, int] | None:
    if len(header) < 16 or header[4:8] != b"IHDR":
        return None
    width, height = int.from_bytes(header[8:12], "big"), int.from_bytes(header[12:16], "big")
    return (height, width) if 0 < height < 1 << 31 and 0 < width < 1 << 31 else None
