"""Bytes ↔ (flag, label, id, id2): the header of an image record, as in mxnet.recordio.

    header := u32 flag | f32 label | u64 id | u64 id2      (24 bytes, little-endian)

flag 0: the label is the header's own. flag n > 0: n float32 labels follow the 24 bytes and the header's own
label is written as 0. Then come the image's bytes. A label is a float32, so integers above 2^24 are rounded:
mxnet does so silently (apache/mxnet#10584), `pack` refuses.
"""

import struct
from collections.abc import Sequence
from numbers import Number
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from recordio_tools.errors import DamageError, LimitError

HEADER = struct.Struct("<IfQQ")
FLOAT32_EXACT = 1 << 24
"""The largest integer up to which float32 holds every integer."""

Payload = TypeVar("Payload", bytes, memoryview)


class Header(NamedTuple):
    """The header of an image record; mxnet's IRHeader under a shorter name.

    Attributes:
        flag: 0 for a scalar label, else the number of labels. `pack` sets it from the label.
        label: One number, or a one-dimensional float32 array.
        id: In face sets the record's own key.
        id2: 0 nearly everywhere; 1 in the header record of InsightFace's RecBuilder.
    """

    flag: int
    label: float | Sequence[float] | NDArray[np.float32]
    id: int = 0
    id2: int = 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, tuple) or len(other) != 4:
            return NotImplemented
        return (self.flag, self.id, self.id2) == (other[0], other[2], other[3]) and np.array_equal(
            np.asarray(self.label), np.asarray(other[1])
        )

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((self.flag, self.id, self.id2))


def pack(header: Header, payload: bytes) -> bytes:
    """One image record's bytes: the header, its labels if they are an array, then `payload`.

    As in mxnet the header's `flag` is not believed: a scalar label writes 0, an array its length.

    Raises:
        LimitError: A label is not a number, an array of none, above 2^24 and rounded by float32, or an id is
            outside 64 bits.
    """
    _, label, key, key2 = header
    for name, value in (("id", key), ("id2", key2)):
        if not 0 <= value < 1 << 64:
            raise LimitError(f"header {name} {value} was given, expected 0 to 2^64 - 1")
    if isinstance(label, Number):
        return HEADER.pack(0, _float32([label])[0], key, key2) + payload
    labels = _float32(label)
    if labels.size == 0:
        raise LimitError("an empty array of labels was given, expected one label or more: it would read as label 0")
    return HEADER.pack(labels.size, 0.0, key, key2) + labels.tobytes() + payload


def unpack(record: Payload) -> tuple[Header, Payload]:
    """A record's header and the bytes behind its labels; those are a view where `record` is one.

    Raises:
        DamageError: The record is shorter than its header, or than the labels that its flag claims.
    """
    if len(record) < HEADER.size:
        raise DamageError.of(f"a record of {len(record)} bytes", f"an image record's header of {HEADER.size}", 0)
    flag, label, key, key2 = HEADER.unpack_from(record)
    if flag == 0:
        return Header(0, label, key, key2), record[HEADER.size :]
    end = HEADER.size + 4 * flag
    if len(record) < end:
        raise DamageError.of(
            f"{len(record) - HEADER.size:,} byte(s) after the header",
            f"{flag:,} labels of 4 bytes",
            HEADER.size,
        )
    labels = np.frombuffer(record, "<f4", flag, HEADER.size).copy()  # a copy, so that it outlives a mapped file
    return Header(flag, labels, key, key2), record[end:]


def pack_range(start: int, end: int, key: int) -> bytes:
    """A record that holds the half-open range of keys [start, end) and no image.

    Face sets use it for the header record (the keys of the identity records) and for each identity (the keys
    of its images).

    Raises:
        LimitError: The range is empty or negative, or passes 2^24, where float32 rounds keys.
    """
    if not 0 <= start < end:
        raise LimitError(f"the range of keys [{start}, {end}) was given, expected 0 <= start < end")
    if end > FLOAT32_EXACT:
        raise LimitError(
            f"the range of keys [{start}, {end}) passes {FLOAT32_EXACT:,}, above which float32 rounds keys; "
            "split the set into several files"
        )
    return pack(Header(2, (float(start), float(end)), key), b"")


def _float32(label: object) -> NDArray[np.float32]:
    """`label` as float32 in one dimension, refused where that would change an integer."""
    try:
        exact = np.asarray(label, np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise LimitError(f"label {label!r} was given, expected a number or a sequence of numbers") from error
    with np.errstate(over="ignore"):
        rounded = exact.astype("<f4")
    changed = (np.abs(exact) > FLOAT32_EXACT) & (rounded != exact)
    if changed.any():
        value = exact[changed][0]
        raise LimitError(f"label {value:,.0f} was given, but float32 would store {rounded[changed][0]:,.0f}")
    return rounded
