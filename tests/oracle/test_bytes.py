"""Record files and indices: ours and real mxnet's are the same bytes, and each reads the other's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recordio_tools import Reader, Writer
from recordio_tools.index import Index
from recordio_tools.rebuild import rebuild
from tests.oracle.generated import keys, parts, payloads
from tests.oracle.real_mxnet import recordio

COUNT = 2500


@pytest.fixture(scope="module", params=range(8))
def table(request: pytest.FixtureRequest) -> dict[int, bytes]:
    """Payloads by key, in the order in which they are written."""
    found = dict(zip(keys(request.param, COUNT), payloads(request.param, COUNT), strict=True))
    assert sum(parts(payload) > 1 for payload in found.values()) > COUNT // 4
    assert max(map(parts, found.values())) > 10
    assert max(map(len, found.values())) > 100_000
    return found


@pytest.fixture(scope="module")
def theirs(table: dict[int, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The record file that mxnet writes."""
    path = tmp_path_factory.mktemp("theirs") / "a.rec"
    writer = recordio.MXIndexedRecordIO(str(path.with_suffix(".idx")), str(path), "w")
    for key, payload in table.items():
        writer.write_idx(key, payload)
    writer.close()
    return path


@pytest.fixture(scope="module")
def ours(table: dict[int, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The record file that we write."""
    path = tmp_path_factory.mktemp("ours") / "a.rec"
    with Writer(path) as writer:
        for key, payload in table.items():
            writer.write(key, payload)
    return path


def open_with_mxnet(path: Path) -> Any:
    return recordio.MXIndexedRecordIO(str(path.with_suffix(".idx")), str(path), "r")


def test_we_write_the_bytes_that_mxnet_writes(theirs: Path, ours: Path) -> None:
    assert ours.with_suffix(".idx").read_bytes() == theirs.with_suffix(".idx").read_bytes()
    assert ours.read_bytes() == theirs.read_bytes()


def test_mxnet_reads_ours(table: dict[int, bytes], ours: Path) -> None:
    reader = open_with_mxnet(ours)
    assert reader.keys == list(table)
    assert [reader.read_idx(key) for key in sorted(table)] == [table[key] for key in sorted(table)]
    reader.reset()
    assert [reader.read() for _ in table] == list(table.values())
    assert reader.read() is None  # the end


def test_we_read_mxnets(table: dict[int, bytes], theirs: Path) -> None:
    with Reader(theirs) as reader:
        assert reader.keys.tolist() == list(table)
        assert [reader.read(key) for key in sorted(table)] == [table[key] for key in sorted(table)]
        assert [reader.view_at(position) for position in range(COUNT)] == list(table.values())
        assert list(reader) == list(table.items())


def test_the_index_that_we_rebuild_or_save_is_mxnets(theirs: Path, tmp_path: Path) -> None:
    index = Index.load(theirs.with_suffix(".idx"))
    index.save(tmp_path / "a.idx")
    assert (tmp_path / "a.idx").read_bytes() == theirs.with_suffix(".idx").read_bytes()
    found, damages = rebuild(theirs)
    np.testing.assert_array_equal(found.offsets, index.offsets)
    assert not damages
