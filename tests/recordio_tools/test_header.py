import pickle
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordio_tools import Header, pack, unpack
from recordio_tools.errors import DamageError, LimitError
from recordio_tools.header import pack_range

ids = st.integers(0, 2**64 - 1)
floats = st.floats(width=32, allow_nan=False)


def test_golden_bytes_of_mxnet() -> None:
    """Written by mxnet 1.9.1: recordio.pack(IRHeader(0, 3.0, 1, 0), b"hello") and one with two labels."""
    scalar = bytes.fromhex("00000000 00004040 0100000000000000 0000000000000000 68656c6c6f")
    assert pack(Header(0, 3.0, 1, 0), b"hello") == scalar
    array = bytes.fromhex("02000000 00000000 0200000000000000 0000000000000000 0000803f 00000040")
    assert pack(Header(0, [1.0, 2.0], 2, 0), b"xyz") == array + b"xyz"


@given(floats, ids, ids, st.binary(max_size=20))
def test_round_trip_of_a_scalar_label(label: float, key: int, key2: int, body: bytes) -> None:
    header, rest = unpack(pack(Header(9, label, key, key2), body))
    assert header == Header(0, label, key, key2)
    assert rest == body


@given(st.lists(floats, min_size=1, max_size=5), ids, st.binary(max_size=20))
def test_round_trip_of_an_array_label(labels: list[float], key: int, body: bytes) -> None:
    record = pack(Header(0, labels, key), body)
    header, rest = unpack(record)
    assert header == Header(len(labels), labels, key)
    assert isinstance(header.label, np.ndarray)
    assert header.label.dtype == np.float32
    assert rest == body
    assert bytes(unpack(memoryview(record))[1]) == body


def test_view_in_view_out() -> None:
    assert isinstance(unpack(memoryview(pack(Header(0, 1.0), b"abc")))[1], memoryview)


def test_a_header_is_a_tuple_that_compares_and_hashes_with_arrays() -> None:
    one, same = Header(2, np.array([1.0, 2.0], np.float32), 7), Header(2, [1.0, 2.0], 7)
    assert one == same
    assert hash(one) == hash(same)
    assert one != Header(2, [1.0, 3.0], 7)
    assert one != "header"
    assert one != (1, 2)
    flag, _, key, key2 = one
    assert (flag, key, key2) == (2, 7, 0)
    assert pickle.loads(pickle.dumps(one)) == one


DAMAGES = {
    "shorter than its header": b"\0" * 23,
    "5 labels claimed, 2 there": struct.pack("<IfQQ", 5, 0, 1, 0) + b"\0" * 8,
    "10^9 labels claimed": struct.pack("<IfQQ", 10**9, 0, 1, 0) + b"\0" * 8,
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage(name: str) -> None:
    with pytest.raises(DamageError, match="expected"):
        unpack(DAMAGES[name])


@pytest.mark.parametrize(
    "header",
    [
        Header(0, []),
        Header(0, "abc"),  # type: ignore[arg-type]
        Header(0, 1j),  # type: ignore[arg-type]
        Header(0, [[1.0], [1.0, 2.0]]),  # type: ignore[list-item]
        Header(0, 2.0**24 + 1),
        Header(0, 42474557),  # MS1M's successor WF42M; mxnet stores 42474556
        Header(0, [3.0, 17091657]),  # Glint360K
        Header(0, 1e40),
        Header(0, 1.0, -1),
        Header(0, 1.0, 0, 1 << 64),
    ],
)
def test_what_the_format_cannot_hold_is_refused(header: Header) -> None:
    with pytest.raises(LimitError):
        pack(header, b"")


def test_labels_that_float32_holds_pass() -> None:
    for label in (2**24, 2**24 + 2, 2**30, float("inf"), 0.1, -(2**24)):
        assert unpack(pack(Header(0, label), b""))[0].label == np.float32(label)


@given(st.integers(0, 2**24 - 1), st.integers(1, 100))
def test_ranges_are_exact_up_to_2_24(start: int, length: int) -> None:
    end = min(start + length, 2**24)
    header, body = unpack(pack_range(start, end, 5))
    assert (header.flag, header.id, list(map(int, np.ravel(header.label))), body) == (2, 5, [start, end], b"")


@pytest.mark.parametrize("bounds", [(1, 2**24 + 1), (2**24, 2**24 + 2), (3, 3), (4, 3), (-1, 3)])
def test_other_ranges_are_refused(bounds: tuple[int, int]) -> None:
    with pytest.raises(LimitError, match="range of keys"):
        pack_range(*bounds, 5)
