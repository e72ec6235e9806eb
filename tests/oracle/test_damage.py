"""Bad input: what real mxnet does with it, shown by doing it, and the named error that we raise instead."""

import struct
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from recordio_tools import Header, Reader, pack, unpack
from recordio_tools.errors import DamageError, IndexMismatchError, MissingKeyError, RecordIOError
from tests.oracle.generated import MAGIC
from tests.oracle.real_mxnet import MXNetError, recordio


def part(flag: int, payload: bytes, length: int | None = None) -> bytes:
    """A part as the format describes it; `length` is what its head claims, by default the truth."""
    claimed = len(payload) if length is None else length
    return MAGIC + struct.pack("<I", flag << 29 | claimed) + payload + bytes(-len(payload) % 4)


class Row(NamedTuple):
    """A file and the lines of its index; what mxnet does (an exception and its words, or a value) and what we do."""

    data: bytes
    lines: str
    theirs: tuple[type[Exception], str] | bytes | None
    ours: type[RecordIOError]
    said: str
    key: int = 1


SOUND = part(0, b"hello")
INVALID = "Invalid RecordIO File"
ROWS = {
    "a bad magic": Row(b"\1" + SOUND[1:], "1\t0\n", (MXNetError, INVALID), DamageError, "expected the magic 0a23d7ce"),
    "a head cut short": Row(
        SOUND + MAGIC, "1\t16\n", (MXNetError, "Inavlid RecordIO File"), IndexMismatchError, "points to byte 16 but"
    ),
    "a payload cut short": Row(
        part(0, b"hello", 99), "1\t0\n", (MXNetError, INVALID), DamageError, "expected 100 of the record's payload"
    ),
    "padding cut short": Row(SOUND[:-1], "1\t0\n", (MXNetError, INVALID), DamageError, "expected 8 of the record's"),
    "an offset into a payload": Row(SOUND, "1\t8\n", (MXNetError, INVALID), DamageError, "expected the magic"),
    "the end after a first part": Row(part(1, b"abcd"), "1\t0\n", None, DamageError, "expected a further part"),
    "an illegal part flag at the end": Row(part(5, b"abcd"), "1\t0\n", None, DamageError, "found part flag 5"),
    "an illegal part flag, then a record": Row(
        part(5, b"abcd") + SOUND, "1\t0\n", b"abcd" + MAGIC + b"hello", DamageError, "found part flag 5"
    ),
    "a first part, then a record": Row(
        part(1, b"abcd") + SOUND, "1\t0\n", b"abcd" + MAGIC + b"hello", DamageError, "found the head of a new record"
    ),
    "a first part, then another": Row(
        part(1, b"abcd") + part(1, b"efgh") + part(3, b"i"),
        "1\t0\n",
        b"abcd" + MAGIC + b"efgh" + MAGIC + b"i",
        DamageError,
        "found a second first part",
    ),
    "an orphan middle part": Row(
        SOUND + part(2, b"abcd") + part(3, b"e"), "1\t16\n", b"abcd" + MAGIC + b"e", DamageError, "found a middle part"
    ),
    "an orphan last part": Row(SOUND + part(3, b"abcd"), "1\t16\n", b"abcd", DamageError, "found a last part"),
    "an offset beyond the end": Row(SOUND, "1\t5000\n", None, IndexMismatchError, "points to byte 5,000 but .* has 16"),
    "a key that is not there": Row(SOUND, "1\t0\n", (KeyError, "7"), MissingKeyError, "no key 7; it holds 1", key=7),
    "an index of words": Row(
        SOUND, "one\ttwo\n", (ValueError, "invalid literal"), IndexMismatchError, "expected a key, a tab and"
    ),
    "a key that stands twice": Row(
        SOUND + part(0, b"other"), "1\t0\n1\t16\n", b"other", IndexMismatchError, "key 1 stands more than once"
    ),
}


@pytest.fixture(params=ROWS)
def row(request: pytest.FixtureRequest, tmp_path: Path) -> Row:
    """A row, its files written as a.rec and a.idx."""
    found = ROWS[request.param]
    (tmp_path / "a.rec").write_bytes(found.data)
    (tmp_path / "a.idx").write_text(found.lines)
    return found


def test_what_mxnet_does(row: Row, tmp_path: Path) -> None:
    def read() -> Any:
        reader = recordio.MXIndexedRecordIO(str(tmp_path / "a.idx"), str(tmp_path / "a.rec"), "r")
        return reader.read_idx(row.key)

    if isinstance(row.theirs, tuple):
        kind, said = row.theirs
        with pytest.raises(kind, match=said):
            read()
    else:
        assert read() == row.theirs


def test_what_we_do(row: Row, tmp_path: Path) -> None:
    with pytest.raises(row.ours, match=row.said) as caught:
        Reader(tmp_path / "a.rec").read(row.key)
    assert str(tmp_path / "a.") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_that_are_not_there() -> None:
    record = pack(Header(0, [1.0, 2.0, 3.0, 4.0, 5.0], 1), b"")[:-4]
    with pytest.raises(ValueError, match="buffer is smaller than requested size"):
        recordio.unpack(record)
    with pytest.raises(DamageError, match=r"found 16 byte\(s\) after the header, expected 5 labels"):
        unpack(record)


def test_a_record_shorter_than_a_header() -> None:
    with pytest.raises(struct.error):
        recordio.unpack(b"short")
    with pytest.raises(DamageError, match="found a record of 5 bytes, expected an image record's header of 24"):
        unpack(b"short")


def test_a_record_of_no_bytes_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "a.rec").write_bytes(part(0, b""))
    (tmp_path / "a.idx").write_text("1\t0\n")
    theirs = recordio.MXIndexedRecordIO(str(tmp_path / "a.idx"), str(tmp_path / "a.rec"), "r")
    assert theirs.read_idx(1) == Reader(tmp_path / "a.rec").read(1) == b""


def test_mxnet_says_the_same_of_a_record_cut_short_as_of_the_end(tmp_path: Path) -> None:
    """So a loop over MXRecordIO, which ends at None, cannot know that a record was lost."""
    (tmp_path / "a.rec").write_bytes(SOUND + part(1, b"abcd"))
    reader = recordio.MXRecordIO(str(tmp_path / "a.rec"), "r")
    assert [reader.read() for _ in range(3)] == [b"hello", None, None]
