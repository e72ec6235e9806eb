import struct
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordio_tools import framing
from recordio_tools.errors import DamageError, LimitError

MAGIC = framing.MAGIC

# payloads rich in magics, aligned and not
pieces = st.one_of(st.just(MAGIC), st.binary(max_size=9), st.sampled_from([MAGIC[:3], MAGIC[1:], MAGIC * 2]))
payloads = st.lists(pieces, max_size=8).map(b"".join)


def head(flag: int, length: int) -> bytes:
    return MAGIC + struct.pack("<I", flag << 29 | length)


def test_golden_bytes_of_mxnet() -> None:
    """Written by mxnet 1.9.1: MXRecordIO.write(b"abcd" + MAGIC + b"e")."""
    golden = bytes.fromhex("0a23d7ce 04000020 61626364 0a23d7ce 01000060 65 000000")
    assert b"".join(framing.encode(b"abcd" + MAGIC + b"e")) == golden
    assert framing.decode(memoryview(golden), 0) == (b"abcd" + MAGIC + b"e", len(golden))


def test_magics_that_are_not_aligned_stay_in_the_payload() -> None:
    assert framing.encode(b"x" + MAGIC)[1] == b"x" + MAGIC


@given(payloads)
def test_encodes_as_the_slow_writer(slow: SimpleNamespace, payload: bytes) -> None:
    assert b"".join(framing.encode(payload)) == slow.encode(payload)


@given(st.lists(payloads, max_size=5))
def test_decodes_what_the_slow_writer_wrote(slow: SimpleNamespace, written: list[bytes]) -> None:
    data = b"".join(map(slow.encode, written))
    read, offset = [], 0
    while offset < len(data):
        payload, offset = framing.decode(memoryview(data), offset)
        read.append(bytes(payload))
    assert read == written == slow.decode(data)


@given(payloads, st.data())
def test_a_flipped_byte_is_an_error_or_another_sound_record(payload: bytes, data: st.DataObject) -> None:
    raw = bytearray(b"".join(framing.encode(payload)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        read, after = framing.decode(memoryview(raw), 0)
    except DamageError:
        return
    assert len(read) <= len(raw)
    assert after % 4 == 0


DAMAGES = {
    "empty": (b"", "8 bytes of a record's head"),
    "header cut short": (MAGIC + b"\0\0", "8 bytes of a record's head"),
    "bad magic": (b"\0" * 12, "the magic"),
    "payload cut short": (head(0, 8) + b"1234", "8 of the record's payload"),
    "padding cut short": (head(0, 5) + b"12345", "8 of the record's payload and padding"),
    "length runs past the end": (head(0, framing.MAX_LENGTH), "payload"),
    "illegal part flag": (head(5, 0), "a part flag of 0 to 3"),
    "orphan middle part": (head(2, 4) + b"abcd", "the head of a record"),
    "orphan last part": (head(3, 4) + b"abcd", "the head of a record"),
    "end after part 1": (head(1, 4) + b"abcd", "a further part"),
    "new record after part 1": (head(1, 0) + head(0, 0), "a middle or last part"),
    "first part after part 1": (head(1, 0) + head(1, 0), "a middle or last part"),
    "garbage after part 1": (head(1, 0) + b"\0" * 8, "the magic"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_says_what_was_expected(name: str) -> None:
    data, expected = DAMAGES[name]
    with pytest.raises(DamageError, match=expected) as caught:
        framing.decode(memoryview(data), 0)
    assert caught.value.offset is not None
    assert expected in caught.value.expected


def test_a_negative_offset_is_damage() -> None:
    with pytest.raises(DamageError):
        framing.decode(memoryview(head(0, 0)), -8)


def test_2_29_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert framing.MAX_LENGTH == 2**29 - 1
    monkeypatch.setattr(framing, "MAX_LENGTH", 10)
    framing.encode(b"x" * 10)
    with pytest.raises(LimitError, match="11 bytes"):
        framing.encode(b"x" * 11)


def test_find_head_passes_over_everything_but_heads() -> None:
    sound = b"".join(framing.encode(b"hello"))
    junk = b"\0" + MAGIC + b"\0\0\0" + head(2, 0) + head(3, 0) + head(7, 0) + MAGIC
    junk += b"\0" * (-len(junk) % 4)
    assert framing.find_head(memoryview(junk + sound), 0) == len(junk)
    assert framing.find_head(memoryview(junk + sound), 5) == len(junk)
    assert framing.find_head(memoryview(junk), 0) is None
    assert framing.find_head(memoryview(MAGIC + b"\0\0"), 0) is None  # half a head
    assert framing.find_head(memoryview(b""), 0) is None


@pytest.mark.parametrize("shift", range(-8, 9, 4))
def test_find_head_across_the_windows_of_its_search(shift: int) -> None:
    place = (1 << 20) + shift
    assert framing.find_head(memoryview(bytes(place) + head(0, 0)), 0) == place


def test_no_head_stands_outside_the_data_or_on_a_part() -> None:
    data = memoryview(b"".join(framing.encode(b"abcd" + MAGIC + b"tail")))
    assert [framing.is_head(data, offset) for offset in (-4, 0, 12, len(data) - 4, len(data))] == [
        False,
        True,
        *[False] * 3,
    ]


def test_only_a_readable_record_that_leads_on_counts_as_swallowed() -> None:
    inner = b"".join(framing.encode(b"inner"))
    for payload, found in (
        (b"abcd" + MAGIC + struct.pack("<I", 1 << 20), None),  # not readable: its end lies behind that of the data
        (b"abcd" + MAGIC + struct.pack("<I", 4) + b"efghijkl", None),  # readable, but what follows it is no head
        (b"abcd" + MAGIC + struct.pack("<I", 4) + b"efgh" + inner, 12),  # the first of two
        (b"abcd" + inner, 12),
    ):
        data = memoryview(MAGIC + struct.pack("<I", len(payload)) + payload + b"\0" * (-len(payload) % 4))
        assert framing.swallowed(data, 8, len(data)) == found
