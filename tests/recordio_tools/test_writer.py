import gc
import itertools
import multiprocessing
import os
import resource
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordio_tools import Header, Reader, Writer, framing, pack, unpack
from recordio_tools.errors import LimitError, RecordIOError, SourceError

MAGIC = framing.MAGIC


def test_golden_files_of_mxnet(tmp_path: Path) -> None:
    """Written by mxnet 1.9.1: MXIndexedRecordIO.write_idx of these two records."""
    with Writer(tmp_path / "a.rec") as writer:
        writer.write(1, pack(Header(0, 3.0, 1, 0), b"hello"))
        writer.write(2, pack(Header(0, [1.0, 2.0], 2, 0), b"x" + MAGIC + MAGIC + b"yy"))
    assert (tmp_path / "a.idx").read_bytes() == b"1\t0\n2\t40\n"
    assert (tmp_path / "a.rec").read_bytes() == bytes.fromhex(
        "0a23d7ce 1d000000 00000000 00004040 0100000000000000 0000000000000000 68656c6c6f 000000"
        "0a23d7ce 2b000000 02000000 00000000 0200000000000000 0000000000000000 0000803f 00000040"
        "78 0a23d7ce 0a23d7ce 7979 00"
    )


pieces = st.one_of(st.just(MAGIC), st.binary(max_size=9))
records = st.dictionaries(st.integers(0, 10**18 - 1), st.lists(pieces, max_size=5).map(b"".join), max_size=8)


@given(records)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, slow: SimpleNamespace, table: dict[int, bytes]
) -> None:
    path = tmp_path_factory.mktemp("writer") / "a.rec"
    with Writer(path) as writer:
        for key, payload in table.items():
            writer.write(key, payload)
    assert slow.decode(path.read_bytes()) == list(table.values())
    assert path.read_bytes() == b"".join(map(slow.encode, table.values()))
    with Reader(path) as reader:
        assert list(reader) == list(table.items())
        assert all(reader.read(key) == payload for key, payload in table.items())


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_payloads_of_every_bytes_type(tmp_path: Path, kind: type) -> None:
    with Writer(tmp_path / "a.rec") as writer:
        writer.write(np.int64(3), kind(b"abc" + MAGIC * 3))  # type: ignore[arg-type]
    assert Reader(tmp_path / "a.rec").read(3) == b"abc" + MAGIC * 3


def test_an_exception_in_the_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Writer(tmp_path / "a.rec") as writer:
        writer.write(1, b"x")
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_an_exception_keeps_the_old_files(numbered: Path) -> None:
    before = {path: path.read_bytes() for path in numbered.parent.iterdir()}
    with pytest.raises(ZeroDivisionError), Writer(numbered) as writer:
        writer.write(1, b"x")
        raise ZeroDivisionError
    assert {path: path.read_bytes() for path in numbered.parent.iterdir()} == before


def test_nothing_stands_at_the_place_before_the_end(numbered: Path) -> None:
    with Writer(numbered) as writer:
        writer.write(1, b"new")
        assert len(Reader(numbered)) == 10
    assert list(Reader(numbered)) == [(1, b"new")]
    assert sorted(path.name for path in numbered.parent.iterdir()) == ["numbered.idx", "numbered.rec"]


def test_a_forgotten_writer_leaves_nothing(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.rec")
    writer.write(1, b"x")
    del writer
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_ends_the_writer_and_leaves_nothing(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.rec")

    class Full:
        def writelines(self, chunks: object) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            writer_file.close()

    writer_file, writer._rec = writer._rec, Full()  # type: ignore[assignment]
    with pytest.raises(OSError, match="No space"):
        writer.write(1, b"x")
    with pytest.raises(RecordIOError, match="closed"):
        writer.write(2, b"x")
    assert not list(tmp_path.iterdir())


def test_a_failing_flush_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(tmp_path / "a.rec")

    def fail(handle: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        writer.close()
    assert not list(tmp_path.iterdir())


def test_no_room_for_the_index_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    real_open = os.open

    def open_(path: Path, *how: int) -> int:
        if Path(path).parent.name == "other":
            raise PermissionError(13, "Permission denied")
        return real_open(path, *how)

    monkeypatch.setattr(os, "open", open_)
    with pytest.raises(PermissionError):
        Writer(tmp_path / "a.rec", tmp_path / "other" / "a.idx")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_closing_twice_and_writing_after(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.rec", tmp_path / "b.idx")
    writer.write(1, b"x")
    writer.close()
    writer.close()
    writer.abort()
    assert (tmp_path / "b.idx").exists()
    with pytest.raises(RecordIOError, match=r"a\.rec: the writer is closed"):
        writer.write(2, b"x")


def test_a_refused_record_is_not_written_and_the_next_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "MAX_LENGTH", 10)
    with Writer(tmp_path / "a.rec") as writer:
        writer.write(600, b"x")
        for key, payload, said in [
            (600, b"", "written before"),
            (-1, b"", "given"),
            (10**18, b"", "given"),
            (4, b"x" * 11, "11"),
        ]:
            with pytest.raises(LimitError, match=rf"a\.rec: key {key}.*{said}"):
                writer.write(key, payload)
        writer.write(4, b"y")
        writer.write(601, b"z")
    monkeypatch.undo()
    assert list(Reader(tmp_path / "a.rec")) == [(600, b"x"), (4, b"y"), (601, b"z")]


def test_ranges_past_2_24_are_refused(tmp_path: Path) -> None:
    with Writer(tmp_path / "a.rec") as writer:
        writer.write_range(7, 1, 2**24)
        with pytest.raises(LimitError, match=r"a\.rec: key 8: .*16,777,216"):
            writer.write_range(8, 2**24 - 1, 2**24 + 1)
    header, body = unpack(Reader(tmp_path / "a.rec").read(7))
    assert header == Header(2, [1.0, 2.0**24], 7)
    assert body == b""


def test_a_missing_folder_and_a_clash_of_names(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="folder"):
        Writer(tmp_path / "no" / "a.rec")
    with pytest.raises(SourceError, match="folder"):
        Writer(tmp_path / "a.rec", tmp_path / "no" / "a.idx")
    with pytest.raises(SourceError, match="name of the index"):
        Writer(tmp_path / "a.idx")
    assert not list(tmp_path.iterdir())


def test_two_writers_of_one_name_do_not_mix(tmp_path: Path) -> None:
    with Writer(tmp_path / "a.rec") as one, Writer(tmp_path / "a.rec") as two:
        one.write(1, b"one")
        two.write(2, b"two")
    assert list(Reader(tmp_path / "a.rec")) == [(1, b"one")]
    assert len(list(tmp_path.iterdir())) == 2


# Python 3.12 and later warn of any thread, those of numpy's BLAS included
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_copy_removes_nothing(tmp_path: Path) -> None:
    with Writer(tmp_path / "a.rec") as writer:
        writer.write(1, b"x")
        child = multiprocessing.get_context("fork").Process(target=writer.abort)
        child.start()
        child.join()
    assert list(Reader(tmp_path / "a.rec")) == [(1, b"x")]


def test_an_unfinished_file_stays_and_is_taken_over(tmp_path: Path, slow: SimpleNamespace) -> None:
    payloads = [b"a", b"bb" + b"\x0a\x23\xd7\xce" * 2, b"c" * 9]
    with Writer(tmp_path / "whole.rec") as writer:
        for key, payload in enumerate(payloads):
            writer.write(key, payload)
    part = tmp_path / "part"
    writer = Writer(tmp_path / "a.rec", unfinished=part)
    for key in (0, 1):
        writer.write(key, payloads[key])
    ends = [0, *itertools.accumulate(len(slow.encode(payload)) for payload in payloads)]
    assert writer.flush() == part.stat().st_size == ends[2]
    writer.write(9, b"half of this is lost")
    writer.abort()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part", "whole.idx", "whole.rec"]
    with Writer(tmp_path / "a.rec", unfinished=part) as writer:
        writer.take_over([0, 1], np.array(ends[:2]), ends[2])
        with pytest.raises(LimitError, match="key 1 was written before"):
            writer.write(1, b"again")
        writer.write(2, payloads[2])
    for suffix in (".rec", ".idx"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()
    assert not part.exists()


def test_an_unfinished_file_that_is_not_taken_over_is_written_over(tmp_path: Path, slow: SimpleNamespace) -> None:
    (tmp_path / "part").write_bytes(b"x" * 1000)
    with Writer(tmp_path / "a.rec", unfinished=tmp_path / "part") as writer:
        writer.write(0, b"a")
    assert (tmp_path / "a.rec").read_bytes() == slow.encode(b"a")


def test_an_unfinished_file_stays_where_the_index_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "part").write_bytes(b"x")
    monkeypatch.setattr("recordio_tools.writer.open_beside", refuse)
    with pytest.raises(OSError, match="No space"):
        Writer(tmp_path / "a.rec", unfinished=tmp_path / "part")
    assert [path.name for path in tmp_path.iterdir()] == ["part"]


def test_a_full_disk_leaves_no_temporary_file(tmp_path: Path) -> None:
    """The last bytes in the buffer cannot be written when the file is closed either."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"), Writer(tmp_path / "a.rec") as writer:
            for key in range(100):
                writer.write(key, b"x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_many_ranges_are_the_ranges_one_by_one(tmp_path: Path) -> None:
    bounds = [1, 2, 70_000, 2**24 - 1, 2**24]
    with Writer(tmp_path / "many.rec") as many:
        many.write_ranges(range(5, 9), bounds)
        many.write_ranges(range(2, 2), [7])
    with Writer(tmp_path / "each.rec") as each:
        for key, start, end in zip(range(5, 9), bounds, bounds[1:], strict=False):
            each.write_range(key, start, end)
    for suffix in ("rec", "idx"):
        assert (tmp_path / f"many.{suffix}").read_bytes() == (tmp_path / f"each.{suffix}").read_bytes()
    with (
        pytest.raises(LimitError, match=r"key 6: the range of keys \[2, 16777217\) passes"),
        Writer(tmp_path / "x") as x,
    ):
        x.write_ranges(range(5, 7), [1, 2, 2**24 + 1])


@pytest.mark.parametrize("taken", [3, 511, 512, 1029])
def test_a_run_of_keys_that_meets_one_that_was_written(tmp_path: Path, taken: int) -> None:
    record = pack(Header(0, 1.0, 0), b"")
    framed = MAGIC + len(record).to_bytes(4, "little") + record
    with pytest.raises(LimitError, match=f"key {taken} was written before"), Writer(tmp_path / "a.rec") as writer:
        writer.write(taken, b"")
        writer.write_framed(range(3), memoryview(framed * 3), np.arange(3) * len(framed))
        writer.write_framed(range(3, 1030), memoryview(framed * 1027), np.arange(1027) * len(framed))
    assert not list(tmp_path.iterdir())


def test_a_closed_writer_takes_no_block_and_keys_may_pass_what_ranges_may_not(tmp_path: Path) -> None:
    with Writer(tmp_path / "a.rec") as writer:
        writer.write_ranges(range(2**24, 2**24 + 2), [1, 2, 5])
    with pytest.raises(RecordIOError, match="the writer is closed"):
        writer.write_framed(range(1), memoryview(b""), np.arange(1))
    with Writer(tmp_path / "b.rec") as each:
        each.write_range(2**24, 1, 2)
        each.write_range(2**24 + 1, 2, 5)
    assert (tmp_path / "a.rec").read_bytes() == (tmp_path / "b.rec").read_bytes()
