"""Bytes ↔ records: the dmlc RecordIO container, as dmlc-core's `recordio.h` and `recordio.cc` write it.

    record := part+
    part   := u32 magic | u32 (cflag << 29 | length) | payload[length] | zeros up to a multiple of 4
    cflag  := 0 a whole record, 1 first part, 2 middle part, 3 last part

A payload is cut wherever the magic stands at a multiple of 4 bytes from its start; those four bytes are
dropped and the reader puts them back. Records start at multiples of 4, so a magic at a multiple of 4 in a
file is always the head of a part: that is what makes a damaged file searchable. All numbers are
little-endian.
"""

import struct

from recordio_tools.errors import DamageError, LimitError

MAGIC = b"\x0a\x23\xd7\xce"
MAGIC_WORD = 0xCED7230A
MAX_LENGTH = (1 << 29) - 1
HEAD = struct.Struct("<II")

WHOLE, FIRST, MIDDLE, LAST = 0, 1, 2, 3
_PARTS = {FIRST: "a first part", MIDDLE: "a middle part", LAST: "a last part"}
_WINDOW = 1 << 20
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


def encode(payload: bytes) -> list[bytes]:
    """The chunks whose concatenation is `payload` as one record.

    Raises:
        LimitError: The payload has 2^29 bytes or more: its length does not fit beside the part flag.
    """
    if len(payload) > MAX_LENGTH:
        raise LimitError(f"a record of {len(payload):,} bytes was given, the format holds {MAX_LENGTH:,} at most")
    cuts = _aligned_magics(payload)
    if not cuts:
        return [HEAD.pack(MAGIC_WORD, len(payload)), payload, _PADDING[len(payload) % 4]]
    chunks = []
    start = 0
    for cut in cuts:
        flag = FIRST if start == 0 else MIDDLE
        chunks += [HEAD.pack(MAGIC_WORD, flag << 29 | cut - start), payload[start:cut]]
        start = cut + 4
    length = len(payload) - start
    chunks += [HEAD.pack(MAGIC_WORD, LAST << 29 | length), payload[start:], _PADDING[length % 4]]
    return chunks


def decode(buffer: memoryview, offset: int) -> tuple[bytes | memoryview, int]:
    """The payload of the record whose head stands at `offset`, and the offset just after the record.

    A whole record comes as a view into `buffer`, without a copy; one of several parts is joined into bytes.

    Raises:
        DamageError: Anything that the format does not allow, the file's end inside a record included.
    """
    flag, start, end = _part(buffer, offset)
    if flag == WHOLE:
        return buffer[start:end], _padded(end)
    if flag != FIRST:
        raise DamageError.of(f"{_PARTS[flag]} of another record", "the head of a record", offset)
    parts = [buffer[start:end]]
    while flag != LAST:
        after = _padded(end)
        if after == len(buffer):
            raise DamageError.of(
                f"the end of the data after {len(parts)} part(s)", "a further part of the record", after
            )
        flag, start, end = _part(buffer, after)
        if flag not in (MIDDLE, LAST):
            found = "the head of a new record" if flag == WHOLE else "a second first part"
            raise DamageError.of(found, "a middle or last part of the record", after)
        parts.append(buffer[start:end])
    return MAGIC.join(parts), _padded(end)


def find_head(buffer: memoryview, offset: int, end: int | None = None) -> int | None:
    """The first offset from `offset` to before `end` at which a record may start, or None: the way on past damage."""
    position = offset + -offset % 4
    end = len(buffer) if end is None else end
    while position < end:
        step = min(_WINDOW, end - position)
        window = bytes(buffer[position : position + step + 7])
        hit = window.find(MAGIC)
        while 0 <= hit < step:
            if hit % 4 == 0 and len(window) >= hit + 8 and window[hit + 7] >> 5 in (WHOLE, FIRST):
                return position + hit
            hit = window.find(MAGIC, hit + 1)
        position += step
    return None


def is_head(buffer: memoryview, offset: int) -> bool:
    """Whether a record may start at `offset`: the magic with the flag of a whole record or a first part."""
    if not 0 <= offset <= len(buffer) - 8:
        return False
    magic, word = HEAD.unpack_from(buffer, offset)
    return magic == MAGIC_WORD and word >> 29 in (WHOLE, FIRST)


def ends_well(buffer: memoryview, after: int) -> bool:
    """Whether a record may end at `after`: at the end of the data, or where another record starts, damaged perhaps.

    A head counts if its magic is right, or if its length leads to a further magic. Where neither is so, the length that
    led here is not to be believed.
    """
    if after + 8 > len(buffer) or bytes(buffer[after : after + 4]) == MAGIC:
        return True  # what is left at the end of the data may be too short for a head
    word = HEAD.unpack_from(buffer, after)[1]
    further = after + 8 + _padded(word & MAX_LENGTH)
    return word >> 29 <= LAST and (further == len(buffer) or bytes(buffer[further : further + 4]) == MAGIC)


def check_end(buffer: memoryview, offset: int, after: int) -> None:
    """Refuse a record, from `offset` to `after`, whose length cannot be right; `decode` has found no fault with it.

    Raises:
        DamageError: It ends where no record starts, or has the whole of another one inside.
    """
    expected = "the length to lead to the next record"
    if not ends_well(buffer, after):
        raise DamageError.of(f"a record that ends at byte {after:,}, where no record starts", expected, offset)
    if (inner := swallowed(buffer, offset + 8, after)) is not None:
        raise DamageError.of(f"a record with that at byte {inner:,} inside it", expected, offset)


def swallowed(buffer: memoryview, start: int, end: int) -> int | None:
    """The first offset in [start, end) of a record that a neighbour's damaged length has made part of its payload.

    No payload that a right writer wrote has the magic at a multiple of 4. But writers are about that do not cut there,
    so the magic alone proves nothing: it counts as a record if it is readable and followed by another head, or by the
    end of the data, which chance gives to one false alarm in four billion.
    """
    head = find_head(buffer, start, end)
    while head is not None:
        try:
            _, after = decode(buffer, head)
        except DamageError:
            pass
        else:
            if after == len(buffer) or is_head(buffer, after):
                return head
        head = find_head(buffer, head + 4, end)
    return None


def _part(buffer: memoryview, offset: int) -> tuple[int, int, int]:
    """(cflag, start, end) of the part whose head stands at `offset`; its padding is known to be there too."""
    if offset < 0 or offset + 8 > len(buffer):
        left = max(0, len(buffer) - max(0, offset))
        raise DamageError.of(f"{left} byte(s) before the end of the data", "8 bytes of a record's head", offset)
    magic, word = HEAD.unpack_from(buffer, offset)
    if magic != MAGIC_WORD:
        found = bytes(buffer[offset : offset + 4]).hex()
        raise DamageError.of(f"bytes {found}", f"the magic {MAGIC.hex()}", offset)
    flag, length = word >> 29, word & MAX_LENGTH
    if flag > LAST:
        raise DamageError.of(f"part flag {flag}", "a part flag of 0 to 3", offset)
    start = offset + 8
    if _padded(start + length) > len(buffer):
        raise DamageError.of(
            f"{len(buffer) - start:,} byte(s) before the end of the data",
            f"{_padded(length):,} of the record's payload and padding",
            offset,
        )
    return flag, start, start + length


def _padded(length: int) -> int:
    return length + 3 & ~3


def _aligned_magics(payload: bytes) -> list[int]:
    cuts = []
    hit = payload.find(MAGIC)
    while hit >= 0:
        if hit % 4 == 0:
            cuts.append(hit)
        hit = payload.find(MAGIC, hit + 1)
    return cuts
