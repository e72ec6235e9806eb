"""Bytes → whole records and faults: the way through a record file that no damage stops.

A magic at a multiple of 4 is the head of a part wherever it stands, since writers cut payloads there (see
`framing`). So the heads are found first, by their bytes alone, and each part's flag and length are then held
against the place of the next head: a length that was changed cannot swallow the records behind it. Every head
is looked at once, so hostile bytes cost no more time than honest ones.

`rebuild` and Reader judge by `framing.check_end` instead, which believes a record with a magic inside unless a readable
record stands there. That keeps the records of writers that do not cut at magics, but it may have to look at the same
heads again for every record ahead of them, and it gives no code for a fault: neither rule can serve both. So such a
record is read and indexed, and is an overrun here, as the format has it.
"""

from collections.abc import Callable, Iterator
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np

from recordio_tools import framing
from recordio_tools.framing import FIRST, HEAD, LAST, MAGIC, MAGIC_WORD, MAX_LENGTH, MIDDLE, WHOLE

_WINDOW = 1 << 18  # words that are searched for heads at once


class Record(NamedTuple):
    """A whole record and the byte offset of its head."""

    offset: int
    payload: bytes | memoryview


class Fault(NamedTuple):
    """A fault of the framing: its code in `findings.CODES`, where it is, and what was found and expected there.

    Where a record of several parts is broken, the offset is that of the record, as an index gives it.
    """

    code: str
    offset: int
    text: str


def walk(
    buffer: memoryview,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    start: int = 0,
    end: int | None = None,
) -> Iterator[Record | Fault]:
    """Every whole record and every fault of a record file's bytes, in file order.

    Args:
        buffer: The file.
        progress: Called with (bytes done, bytes in all).
        start: Where to begin: the head of a record, as the index says.
        end: Where to end, at the head of another record; by default at the end of the file.
    """
    end = len(buffer) if end is None else end
    walker = _Walker(buffer, start, end)
    for head, following in pairwise(chain(_heads(buffer, progress, start, end), (end,))):
        yield from walker.part(head, following)
    yield from walker.finish()
    progress(end - start, end - start)


def _heads(buffer: memoryview, progress: Callable[[int, int], None], start: int, end: int) -> Iterator[int]:
    """The offset of every magic at a multiple of 4 from `start` to `end`."""
    size = (end - start) // 4
    words = np.frombuffer(buffer, "<u4", size, start) if size else np.empty(0, "<u4")
    for first in range(0, size, _WINDOW):
        hits = np.flatnonzero(words[first : first + _WINDOW] == MAGIC_WORD)
        yield from (4 * (hits + first) + start).tolist()
        progress(4 * min(first + _WINDOW, size), end - start)


class _Walker:
    """Goes from head to head; `_start` is the record of several parts that is open, None where none is."""

    def __init__(self, buffer: memoryview, start: int, close: int) -> None:
        self._buffer = buffer
        self._close = close  # where the last record has to end
        self._end = start  # where the last part ended
        self._start: int | None = None
        self._length = 0  # of the open record
        self._adrift = False  # after a fault, until the next head of a record

    def part(self, head: int, following: int) -> Iterator[Record | Fault]:
        """What the part at `head` gives, if the next head, or the end of the file, is at `following`."""
        if head > self._end:
            yield self._gap(head)
        self._end = following
        size = len(self._buffer)
        if head + 8 > size:
            yield self._fault(
                "framing.truncated", head, f"found {size - head} bytes before the end, expected 8 of a record's head"
            )
            return
        word = HEAD.unpack_from(self._buffer, head)[1]
        flag, length = word >> 29, word & MAX_LENGTH
        after = head + 8 + (length + 3 & ~3)
        if flag > LAST:
            yield self._fault("framing.bad-flag", head, f"found part flag {flag}, expected 0 to 3")
        elif after > size:
            yield self._fault(
                "framing.truncated",
                head,
                f"found {size - head - 8:,} bytes before the end, expected {length:,} of the record's payload "
                "and its padding",
            )
        elif after > following:
            yield self._fault(
                "framing.overrun",
                head,
                f"found a length of {length:,} bytes and another record's head at byte {following:,}, "
                f"expected {following - head - 8:,} at most",
            )
        else:
            self._end = after
            yield from self._sound_part(head, flag, length)

    def finish(self) -> Iterator[Fault]:
        """The faults at the end of the file."""
        if self._end < self._close:
            yield self._gap(self._close)
        if self._start is not None:
            found = "the end of the file" if self._close == len(self._buffer) else "the place of another record"
            yield self._fault("framing.incomplete", self._end, f"found {found}, expected a further part")

    def _sound_part(self, head: int, flag: int, length: int) -> Iterator[Record | Fault]:
        start = head + 8
        padding = self._buffer[start + length : self._end]
        if any(padding):
            found = bytes(padding).hex()
            yield Fault("framing.padding", head, f"found padding {found} behind the payload, expected zeros")
        if flag in (WHOLE, FIRST):
            if self._start is not None:
                yield self._fault("framing.incomplete", head, "found a new record, expected a middle or last part")
            self._adrift = False
            if flag == FIRST:
                self._start, self._length = head, length
            else:
                yield Record(head, self._buffer[start : start + length])
        elif self._start is None:
            if not self._adrift:
                which = "middle" if flag == MIDDLE else "last"
                yield self._fault("framing.orphan", head, f"found a {which} part, expected the head of a record")
        else:
            self._length += 4 + length
            if self._length > MAX_LENGTH:
                yield self._fault(
                    "framing.oversized", head, f"found parts of {self._length:,} bytes, expected {MAX_LENGTH:,} at most"
                )
            elif flag == LAST:
                offset, self._start = self._start, None
                yield Record(offset, framing.decode(self._buffer, offset)[0])

    def _gap(self, head: int) -> Fault:
        """The bytes from the last part's end to `head`: a record whose magic is wrong, or bytes of no record."""
        place, size = self._end, head - self._end
        self._end = head
        if size >= 8:
            word = HEAD.unpack_from(self._buffer, place)[1]
            if word >> 29 <= LAST and 8 + (word + 3 & MAX_LENGTH & ~3) == size:
                found = bytes(self._buffer[place : place + 4]).hex()
                return self._fault("framing.bad-magic", place, f"found bytes {found}, expected the magic {MAGIC.hex()}")
        where = "the end" if head == len(self._buffer) else f"the next head at byte {head:,}"
        return self._fault(
            "framing.gap", place, f"found {size:,} bytes of no record before {where}, expected a record's head"
        )

    def _fault(self, code: str, place: int, text: str) -> Fault:
        """A fault that ends the open record, if there is one, and is then the fault of that record."""
        self._adrift = True
        if self._start is None:
            return Fault(code, place, text)
        offset, self._start = self._start, None
        return Fault(code, offset, f"in its part at byte {place:,}: {text}")
