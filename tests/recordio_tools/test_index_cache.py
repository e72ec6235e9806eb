import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from recordio_tools import Reader, Writer
from recordio_tools._index_cache import cache_of
from recordio_tools.errors import IndexMismatchError
from recordio_tools.index import Index

TEXT = b"5\t0\n0\t40\n7\t96\n"


def columns(made: Index) -> list[list[int]]:
    return [made.keys.tolist(), made.offsets.tolist()]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "a.idx").write_bytes(TEXT)
    return tmp_path / "a.idx"


def test_the_second_load_parses_nothing(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Index.load(text, cache=True)
    monkeypatch.setattr("recordio_tools.index._parse", None)
    second = Index.load(text, cache=True)
    assert columns(first) == columns(second) == [[5, 0, 7], [0, 40, 96]]
    assert second.position(7) == 2


def test_the_layout_is_the_one_that_the_module_describes(text: Path) -> None:
    Index.load(text, cache=True)
    arrays = np.array([5, 0, 7, 0, 40, 96], "<i8").tobytes()
    parts = (b"recidx1\n", hashlib.sha256(TEXT).digest(), hashlib.sha256(arrays).digest(), arrays)
    assert cache_of(text).read_bytes() == b"".join(parts)


def test_a_cache_of_another_text_is_never_used_even_with_the_same_size_and_times(text: Path) -> None:
    Index.load(text, cache=True)
    stamp = text.stat()
    text.write_bytes(TEXT.replace(b"7", b"8"))
    os.utime(text, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert columns(Index.load(text, cache=True))[0] == [5, 0, 8]
    assert columns(Index.load(text, cache=True))[0] == [5, 0, 8]


def test_no_damage_of_a_cache_is_ever_read(text: Path) -> None:
    Index.load(text, cache=True)
    sound = cache_of(text).read_bytes()
    damaged = [sound[:cut] for cut in range(len(sound))]
    damaged += [sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :] for at in range(len(sound))]
    damaged += [sound + b"more of it", sound + bytes(16)]
    for data in damaged:
        cache_of(text).write_bytes(data)
        assert columns(Index.load(text, cache=True)) == [[5, 0, 7], [0, 40, 96]]
        assert cache_of(text).read_bytes() == sound  # made anew


def test_a_text_that_cannot_be_parsed_leaves_no_cache(text: Path) -> None:
    text.write_bytes(b"hello\n")
    with pytest.raises(IndexMismatchError, match="line 1"):
        Index.load(text, cache=True)
    assert not cache_of(text).exists()


def test_a_folder_that_cannot_be_written_to_is_no_hindrance(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *, private: bool) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("recordio_tools.whole.open_beside", refuse)
    assert columns(Index.load(text, cache=True)) == [[5, 0, 7], [0, 40, 96]]
    assert not cache_of(text).exists()


def test_an_empty_index(text: Path) -> None:
    text.write_bytes(b"")
    for _ in range(2):
        assert len(Index.load(text, cache=True)) == 0


def test_a_reader_makes_it_when_asked_to(tmp_path: Path) -> None:
    with Writer(tmp_path / "a.rec") as writer:
        writer.write(3, b"three")
    assert Reader(tmp_path / "a.rec").read(3) == b"three"
    assert not cache_of(tmp_path / "a.idx").exists()
    for _ in range(2):
        assert Reader(tmp_path / "a.rec", cache=True).read(3) == b"three"
    assert cache_of(tmp_path / "a.idx").exists()
