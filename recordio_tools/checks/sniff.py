"""What a look at an image's first and last bytes tells of it; nothing is decoded."""

import enum

from recordio_tools.image_header import MAX_SIDE, Encoded, format_of, is_cut_short, read_header


class State(enum.IntEnum):
    """What a look at a record's payload gave; each but FINE has a code in `findings.CODES`."""

    FINE = 0
    SHORT = 1  # too short for an image record's header
    LABELS = 2  # too short for the labels that it claims
    EMPTY = 3  # no byte behind the labels
    CUT = 4
    HEADER = 5  # of a known format by its first bytes, but its size is not to be found
    UNKNOWN = 6
    LARGE = 7  # it is not decoded here
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


def sniff(image: Encoded) -> tuple[State, int, int]:
    """(state, height, width) of encoded image bytes; 0 × 0 where the size is not known."""
    if not len(image):
        return State.EMPTY, 0, 0
    header = read_header(image)
    if header is None:
        if format_of(image) is None:
            return State.UNKNOWN, 0, 0
        return State.CUT if is_cut_short(image) else State.HEADER, 0, 0
    format_, width, height = header
    if is_cut_short(image):
        return State.CUT, height, width
    if height > MAX_SIDE or width > MAX_SIDE:
        return State.LARGE, height, width
    return (State.FINE, 0, 0) if format_ == "TIFF" else (State.FINE, height, width)  # a TIFF's may be its tiles'
