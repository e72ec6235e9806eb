"""The listing taken many lines at once against `listing.read_listing`, line by line, as the reference."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recordio_tools import _listed
from recordio_tools._listed import ListedPaths
from recordio_tools.errors import FaceSetError
from recordio_tools.listing import Listed, format_line, read_listing


def check(path: Path) -> None:
    try:
        expected = read_listing(path)
    except FaceSetError as error:
        with pytest.raises(FaceSetError) as found:
            ListedPaths(path)
        assert str(found.value) == str(error)
        return
    listing = ListedPaths(path)
    assert list(listing) == [line.path for line in expected]
    assert listing.labels.tolist() == [line.label for line in expected]
    lines = np.arange(len(expected))[::-1]
    assert listing.of(lines) == list(listing.take(lines)) == listing[::-1]
    classes = max(listing.labels, default=0) + 1
    names = listing.names(classes) if classes < 10**7 else []
    firsts = {line.label: line.name for line in reversed(expected)}
    assert names == [firsts.get(label, "") for label in range(len(names))]


LINES = [
    b"1\ta/1.jpg\t0\n", b"1\t/long/way/to/b/2.jpg\t0000012\n", b"1\tm\xff/\xc3\xa9 3.jpg\t7\n", b"7\t3\tc/1.jpg\n",
    b"7\t3\t0.5\tc/1.jpg\n",
    b"1\tplain.jpg\t4\n", b"1\td/1.jpg\t5\r\n", b"1\td/1\r.jpg\t5\n", b"0\t.//e/./x/2.jpg\t1\n",
    b"1\ta/1.jpg\t2\t1\t2\n", b"1\ta/1.jpg\t16777216\n", b"1\ta/1.jpg\t16777217\n", b"1\ta/1.jpg\t1.0\n", b"\n",
    b"1\ta/1.jpg\t\n", b"1\ta/1.jpg\t1e3\n", b"1\ta/1.jpg\t-1\n", b"no tabs\n", b"1\t3\n", b"\ta/1.jpg\t\xd9\xa3\n",
]  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=6), st.booleans(), st.sampled_from([1, 30, 1 << 24]))
def test_as_line_by_line(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], cut: bool, piece: int) -> None:
    path = tmp_path_factory.mktemp("listing") / "train.lst"
    text = b"".join(lines)
    path.write_bytes(text[:-1] if cut else text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_listed, "_PIECE", piece)
        check(path)


def test_what_is_written_is_taken_many_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Listed(f"m{label} é/{number}.jpg", label) for label in (0, 5, 12, 1_234_567) for number in range(9)]
    path = tmp_path / "train.lst"
    path.write_bytes(b"".join(map(format_line, rows)))
    monkeypatch.setattr(_listed, "_PIECE", 50)
    monkeypatch.setattr(_listed, "_take_each", None)
    check(path)
    listing = pickle.loads(pickle.dumps(ListedPaths(path)))
    assert list(listing) == [row.path for row in rows]
    expected = b"".join(format_line(Listed(row.path, 3)) for row in rows[4:7])
    assert listing.listed(np.arange(4, 7), [3, 3, 3]) == expected
