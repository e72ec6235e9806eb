import gc
import multiprocessing
import pickle
import random
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recordio_tools
from recordio_tools import Reader, Writer, framing
from recordio_tools.errors import DamageError, IndexMismatchError, MissingKeyError, RecordIOError, SourceError
from recordio_tools.index import Index

MAGIC = framing.MAGIC


@pytest.fixture(params=["mapped", "positioned"], autouse=True)
def access(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test of this file runs with both ways of reading: what is read and refused is the same."""
    monkeypatch.setattr(sys.modules[__name__], "Reader", partial(recordio_tools.Reader, access=request.param))
    return request.param


def payload_of(key: int) -> bytes:
    return b"%d" % key * key + (MAGIC * 2 if key == 15 else b"")


def head(flag: int, length: int) -> bytes:
    return MAGIC + struct.pack("<I", flag << 29 | length)


def test_reads_by_key_by_position_and_in_order(numbered: Path) -> None:
    with Reader(numbered) as reader:
        assert len(reader) == 10
        assert reader.keys.tolist() == list(range(10, 20))
        assert 12 in reader
        assert 9 not in reader
        for position, key in enumerate(range(10, 20)):
            assert reader.read(key) == reader.read_at(position) == payload_of(key)
            assert bytes(reader.view(key)) == bytes(reader.view_at(position)) == payload_of(key)
        assert [(key, payload) for key, payload in reader] == [(key, payload_of(key)) for key in range(10, 20)]
        assert reader.read(np.int64(13)) == payload_of(13)  # type: ignore[arg-type]


def test_iterates_in_file_order_whatever_the_order_of_the_index(numbered: Path) -> None:
    path = numbered.with_suffix(".idx")
    lines = path.read_text().splitlines(keepends=True)
    random.Random(0).shuffle(lines)
    path.write_text("".join(lines))
    assert [key for key, _ in Reader(numbered)] == list(range(10, 20))


def test_views_share_the_file_and_outlive_the_reader(numbered: Path, access: str) -> None:
    reader = Reader(numbered)
    view = reader.view(12)
    assert view.readonly
    shared = np.shares_memory(np.frombuffer(view, np.uint8), np.frombuffer(reader.buffer, np.uint8))
    assert shared == (access == "mapped")
    reader.close()
    reader.close()
    del reader
    assert bytes(view) == payload_of(12)


def test_a_closed_reader_says_so(numbered: Path) -> None:
    with Reader(numbered) as reader:
        reader.read(12)
    with pytest.raises(RecordIOError, match=r"numbered\.rec: the reader is closed"):
        reader.read(12)


def test_many_at_once(numbered: Path) -> None:
    reader = Reader(numbered)
    keys = [15, 10, 19, 15]
    assert reader.read_many(keys) == [bytes(view) for view in reader.view_many(np.array(keys))]
    assert reader.read_many(keys) == [payload_of(key) for key in keys]
    assert reader.read_many([]) == []
    with pytest.raises(MissingKeyError, match="no key 7; it holds 10 keys from 10 to 19"):
        reader.read_many([12, 7, 6])


def test_an_unknown_access_is_refused(numbered: Path) -> None:
    with pytest.raises(RecordIOError, match="'mmap' was given, expected one of: mapped, positioned"):
        recordio_tools.Reader(numbered, access="mmap")  # type: ignore[arg-type]


def test_an_absent_key_is_a_key_error_that_names_the_file(numbered: Path) -> None:
    reader = Reader(numbered)
    with pytest.raises(MissingKeyError, match=r"numbered\.idx: no key 99; it holds 10 keys from 10 to 19"):
        reader.read(99)
    with pytest.raises(KeyError):
        reader.view(99)
    with pytest.raises(IndexError):
        reader.read_at(10)


def test_an_empty_file(tmp_path: Path) -> None:
    with Writer(tmp_path / "a.rec"):
        pass
    reader = Reader(tmp_path / "a.rec")
    assert len(reader) == 0
    assert list(reader) == []
    assert pickle.loads(pickle.dumps(reader)).buffer == b""


SOUND = b"".join(framing.encode(b"hello"))
# Rows of what real mxnet 1.9.1 does with bad input: (bytes, index, what mxnet does, what we say)
TABLE = {
    "bad magic": (b"\1" + SOUND[1:], b"1\t0\n", "MXNetError", "expected the magic 0a23d7ce"),
    "truncated header": (SOUND + MAGIC, b"1\t16\n", "MXNetError", "key 1 points to byte 16 but"),
    "truncated payload": (head(0, 99) + b"hello", b"1\t0\n", "MXNetError", "expected 100 of the record's payload"),
    "cut after part 1": (head(1, 4) + b"abcd", b"1\t0\n", "None", "expected a further part"),
    "illegal part flag": (head(5, 4) + b"abcd", b"1\t0\n", "None", "found part flag 5"),
    "orphan middle part": (SOUND + head(2, 4) + b"abcd", b"1\t16\n", "a wrong record", "found a middle part"),
    "orphan last part": (SOUND + head(3, 4) + b"abcd", b"1\t16\n", "a wrong record", "found a last part"),
    "offset beyond the end": (SOUND, b"1\t5000\n", "None", "points to byte 5,000 but .* has 16"),
    "offset into a payload": (SOUND, b"1\t8\n", "MXNetError", "expected the magic"),
}


@pytest.mark.parametrize("name", TABLE)
def test_damage_is_a_named_error(tmp_path: Path, name: str) -> None:
    data, index, _, said = TABLE[name]
    (tmp_path / "a.rec").write_bytes(data)
    (tmp_path / "a.idx").write_bytes(index)
    with pytest.raises((DamageError, IndexMismatchError), match=said) as caught:
        Reader(tmp_path / "a.rec").read(1)
    message = str(caught.value)
    assert str(tmp_path / "a.rec") in message
    assert "key 1" in message
    assert "recordio index" in message
    if isinstance(caught.value, DamageError):
        assert (caught.value.path, caught.value.key) == (tmp_path / "a.rec", 1)
        assert caught.value.offset == int(index.split()[1])


def with_length(data: bytes, offset: int, length: int) -> bytes:
    """`data` with another length in the head at `offset`."""
    return data[: offset + 4] + struct.pack("<I", length) + data[offset + 8 :]


THREE = b"".join(b"".join(framing.encode(payload)) for payload in (b"first...", b"second", b"third"))  # at 0, 16, 32
LENGTHS: dict[str, tuple[bytes, str]] = {  # mxnet 1.9.1 returns each of these as if nothing were wrong
    "takes in its neighbour": (with_length(THREE, 0, 24), "found a record with that at byte 16 inside it"),
    "takes in all that follows": (with_length(THREE, 0, 40), "found a record with that at byte 16 inside it"),
    "ends within its neighbour": (with_length(THREE, 0, 12), "ends at byte 20, where no record starts"),
    "ends too soon": (with_length(THREE, 0, 4), "ends at byte 12, where no record starts"),
}


# an index that leaves out just the records that were taken in agrees with the damage: only `verify` sees that
@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("index", [b"1\t0\n2\t16\n3\t32\n", b"3\t32\n2\t16\n1\t0\n", b"1\t0\n2\t16\n"])
def test_a_damaged_length_does_not_give_another_records_bytes(tmp_path: Path, name: str, index: bytes) -> None:
    data, said = LENGTHS[name]
    (tmp_path / "a.rec").write_bytes(data)
    (tmp_path / "a.idx").write_bytes(index)
    with pytest.raises(DamageError, match=said) as caught:
        Reader(tmp_path / "a.rec").read(1)
    assert (caught.value.key, caught.value.offset) == (1, 0)


@pytest.mark.parametrize("index", [b"1\t0\n3\t32\n", b"3\t32\n1\t0\n", b"1\t0\n", b"1\t0\n2\t8\n3\t32\n"])
def test_an_index_may_leave_records_out_or_be_wrong_about_another(tmp_path: Path, index: bytes) -> None:
    (tmp_path / "a.rec").write_bytes(THREE)
    (tmp_path / "a.idx").write_bytes(index)
    assert Reader(tmp_path / "a.rec").read(1) == b"first..."


def test_a_sound_record_ahead_of_a_damaged_one_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.rec").write_bytes(THREE[:16] + b"\1" + THREE[17:])
    (tmp_path / "a.idx").write_bytes(b"1\t0\n2\t16\n3\t32\n")
    assert Reader(tmp_path / "a.rec").read(1) == b"first..."


def test_a_magic_that_a_careless_writer_did_not_cut_at_is_read_as_it_stands(tmp_path: Path) -> None:
    payload = b"abcd" + MAGIC + b"efgh" * 4
    (tmp_path / "a.rec").write_bytes(head(0, len(payload)) + payload + SOUND)
    for index in (b"1\t0\n2\t32\n", b"1\t0\n"):
        (tmp_path / "a.idx").write_bytes(index)
        assert Reader(tmp_path / "a.rec").read(1) == payload


def test_records_longer_than_one_read(tmp_path: Path) -> None:
    payloads = {1: b"x" * 70_000, 2: b"y" * 65_528, 3: b"z" * 65_529, 4: b"w"}
    with Writer(tmp_path / "a.rec") as writer:
        for key, payload in payloads.items():
            writer.write(key, payload)
    assert dict(iter(Reader(tmp_path / "a.rec"))) == payloads


def test_a_file_cut_short_under_a_reader_of_positions(tmp_path: Path) -> None:
    """A mapped file that is cut short ends the process, so this is for the other access alone."""
    with Writer(tmp_path / "a.rec") as writer:
        writer.write(1, b"x" * 100)
        writer.write(2, b"y" * 100)
    reader = recordio_tools.Reader(tmp_path / "a.rec", access="positioned")
    assert reader.read(2) == b"y" * 100
    with (tmp_path / "a.rec").open("r+b") as file:
        file.truncate(150)
    assert reader.read(1) == b"x" * 100
    with pytest.raises(IndexMismatchError, match="has 150 bytes, expected the 216"):
        reader.read(2)


def test_no_descriptor_is_left_open(numbered: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    gc.collect()  # what other tests have left
    before = descriptors()
    for _ in range(20):
        reader: Any = Reader(numbered)
        reader.read(10)
        reader.close()
        reader = Reader(numbered)
        reader.read(10)
        del reader
    assert descriptors() == before


def test_a_zero_length_record_is_empty_bytes(tmp_path: Path) -> None:
    with Writer(tmp_path / "a.rec") as writer:
        writer.write(1, b"")
    assert Reader(tmp_path / "a.rec").read(1) == b""


def test_iteration_meets_damage_too(numbered: Path) -> None:
    raw = bytearray(numbered.read_bytes())
    offset = int(Index.load(numbered.with_suffix(".idx")).offsets[4])
    raw[offset] ^= 1
    numbered.write_bytes(raw)
    with pytest.raises(DamageError, match="key 14"):
        list(Reader(numbered))


def test_missing_files(tmp_path: Path, numbered: Path) -> None:
    with pytest.raises(SourceError, match=r"no\.rec: not there"):
        Reader(tmp_path / "no.rec")
    with pytest.raises(SourceError, match="is a folder"):
        Reader(tmp_path)
    numbered.with_suffix(".idx").rename(tmp_path / "else.idx")
    with pytest.raises(SourceError, match=r"numbered\.idx: not there"):
        Reader(numbered)
    assert Reader(numbered, tmp_path / "else.idx").read(12) == payload_of(12)
    assert Reader(str(numbered), Index.load(tmp_path / "else.idx")).read(12) == payload_of(12)


def test_a_pickled_reader_does_not_parse_the_index_again(numbered: Path) -> None:
    reader = Reader(numbered)
    reader.read(12)
    data = pickle.dumps(reader)
    numbered.with_suffix(".idx").unlink()
    copy = pickle.loads(data)
    assert copy.read(15) == payload_of(15)
    assert copy.read_at(0) == payload_of(10)


def test_a_file_that_changed_under_a_pickled_reader(numbered: Path) -> None:
    data = pickle.dumps(Reader(numbered))
    with numbered.open("ab") as file:
        file.write(b"more")
    with pytest.raises(IndexMismatchError, match="open it anew"):
        pickle.loads(data).read(12)


def test_errors_cross_processes_as_themselves(numbered: Path) -> None:
    raw = bytearray(numbered.read_bytes())
    raw[0] ^= 1
    numbered.write_bytes(raw)
    with pytest.raises(DamageError) as caught:
        Reader(numbered).read(10)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert (copy.path, copy.key, copy.offset, copy.found, copy.expected) == (
        numbered,
        10,
        0,
        "bytes 0b23d7ce",
        "the magic 0a23d7ce",
    )
    assert type(caught.value)("alone").offset is None


# Python 3.12 and later warn of any thread, those of numpy's BLAS included
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_share_a_reader(numbered: Path, method: str) -> None:
    reader = Reader(numbered)
    reader.read(10)
    keys = list(range(10, 20)) * 5
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(reader.read, keys) == [payload_of(key) for key in keys]
    assert reader.read(11) == payload_of(11)


def test_threads_share_a_reader(numbered: Path) -> None:
    reader = pickle.loads(pickle.dumps(Reader(numbered)))  # so that the threads race to open it
    keys = list(range(10, 20)) * 200
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(reader.read, keys)) == [payload_of(key) for key in keys]
