"""One row a record: what is kept of it while the file goes by. 37 bytes a record, 53 with the images' digests."""

import contextlib
import hashlib
import math
import struct
import threading
from array import array

import numpy as np
from numpy.typing import NDArray

from recordio_tools.checks.sniff import State, sniff
from recordio_tools.errors import SourceError
from recordio_tools.header import FLOAT32_EXACT, HEADER
from recordio_tools.images import decode_rgb
from recordio_tools.index import Int64s

_NO_DIGEST = bytes(16)
_SMALL = 1 << 22  # pixels; of larger ones one is decoded at a time, so memory does not grow with the threads
_room = threading.Lock()
_LABEL = struct.Struct("<f")


Row = tuple[int, int, float, float, State, int, int, bytes]
"""What is kept of one record, see `Table`: id, flag, first and second label, state, height, width, digest."""


class Rows:
    """Takes records one by one; `table` gives the columns."""

    def __init__(self, *, decode: bool, digests: bool) -> None:
        self.decode = decode
        self._hash = digests
        self._offsets, self._ids, self._digests = array("q"), array("Q"), bytearray()
        self._flags, self._heights, self._widths = array("I"), array("I"), array("I")
        self._labels, self._states = array("f"), array("B")

    def look(self, payload: bytes | memoryview) -> Row:
        """What is needed of a record; nothing is kept yet, so many threads may look at once."""
        flag, first, second, key = 0, math.nan, math.nan, 0
        height = width = 0
        image: bytes | memoryview = b""
        if len(payload) < HEADER.size:
            state = State.SHORT
        else:
            flag, first, key, _ = HEADER.unpack_from(payload)
            if flag > (len(payload) - HEADER.size) // 4:
                state = State.LABELS
            else:
                if flag:
                    first = _LABEL.unpack_from(payload, HEADER.size)[0]
                    second = _LABEL.unpack_from(payload, HEADER.size + 4)[0] if flag > 1 else math.nan
                image = payload[HEADER.size + 4 * flag :]
                state, height, width = sniff(image)
                if self.decode and state in (State.FINE, State.UNKNOWN):
                    state, height, width = _decoded(image, height, width)
        digest = hashlib.blake2b(image, digest_size=16).digest() if self._hash and len(image) else _NO_DIGEST
        return key, flag, first, second, state, height, width, digest

    def add(self, offset: int, row: Row) -> None:
        """Keep what `look` gave of the record at `offset`."""
        key, flag, first, second, state, height, width, digest = row
        self._offsets.append(offset)
        self._ids.append(key)
        self._flags.append(flag)
        self._labels.extend((first, second))
        self._states.append(state)
        self._heights.append(height)
        self._widths.append(width)
        if self._hash:
            self._digests += digest

    def table(self) -> "Table":
        """The columns of all rows so far."""
        labels = np.frombuffer(self._labels, "<f4").reshape(-1, 2) if self._labels else np.empty((0, 2), "<f4")
        digests = np.frombuffer(self._digests, "<u8").reshape(-1, 2) if self._digests else np.empty((0, 2), "<u8")
        return Table(
            _column(self._offsets, np.int64),
            _column(self._ids, np.uint64),
            _column(self._flags, np.uint32),
            labels,
            _column(self._states, np.uint8),
            np.stack([_column(self._heights, np.uint32), _column(self._widths, np.uint32)], axis=1),
            digests,
        )


class Table:
    """The columns, one row a whole record in file order.

    Attributes:
        offsets: Byte offset of the record.
        ids: Its header's id.
        flags: Its header's flag.
        labels: (n, 2), its first two labels; the second is NaN where there is one label.
        states: A `State`.
        sizes: (n, 2), the image's height and width in pixels; 0 where unknown.
        digests: (n, 2), 128 bits of the image's BLAKE2b; no rows where they were not asked for.
    """

    def __init__(
        self,
        offsets: Int64s,
        ids: NDArray[np.uint64],
        flags: NDArray[np.uint32],
        labels: NDArray[np.float32],
        states: NDArray[np.uint8],
        sizes: NDArray[np.uint32],
        digests: NDArray[np.uint64],
    ) -> None:
        self.offsets = offsets
        self.ids = ids
        self.flags = flags
        self.labels = labels
        self.states = states
        self.sizes = sizes
        self.digests = digests

    def __len__(self) -> int:
        return len(self.offsets)

    def with_header(self) -> NDArray[np.bool_]:
        """Which records have an image record's header, with all the labels that it claims."""
        return ~np.isin(self.states, (State.SHORT, State.LABELS))

    def whole_labels(self) -> NDArray[np.bool_]:
        """Whose first label is a class: a whole number from 0 to 2^24."""
        first = self.labels[:, 0]
        with np.errstate(invalid="ignore"):
            return (first >= 0) & (first <= FLOAT32_EXACT) & (first == np.floor(first))

    def range_like(self) -> NDArray[np.bool_]:
        """Which records hold a range of keys and no image, as the header record and the identities do.

        An image without bytes does not look like one: its second label, "aligned", is 0 or 1.
        """
        start, end = self.labels[:, 0], self.labels[:, 1]
        with np.errstate(invalid="ignore"):
            whole = (start >= 1) & (end > start) & (start == np.floor(start)) & (end == np.floor(end))
        return (self.states == State.EMPTY) & (self.flags == 2) & whole & np.isfinite(end)


def _column(values: "array[int]", dtype: type) -> NDArray:
    return np.frombuffer(values, dtype) if values else np.empty(0, dtype)


def _decoded(image: bytes | memoryview, height: int, width: int) -> tuple[State, int, int]:
    """(state, height, width) after decoding the whole image, of which `height` and `width` are known, or 0."""
    one_at_a_time = contextlib.nullcontext() if 0 < height * width <= _SMALL else _room
    try:
        with one_at_a_time:
            height, width = decode_rgb(image, "").shape[:2]
    except SourceError:
        return State.UNDECODABLE, height, width
    return State.FINE, height, width
