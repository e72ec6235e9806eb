"""What a Reader does not show of positioned reads: it looks at its file first."""

from pathlib import Path

import pytest

from recordio_tools import framing
from recordio_tools._positioned import PositionedFile
from recordio_tools.errors import SourceError


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no\.rec: not there"):
        PositionedFile(tmp_path / "no.rec")
    with pytest.raises(SourceError, match="is a folder"):
        PositionedFile(tmp_path)


def test_anything_but_a_whole_record_from_offset_to_end_is_none(tmp_path: Path) -> None:
    data = b"".join(framing.encode(b"first"))
    (tmp_path / "a.rec").write_bytes(data)
    file = PositionedFile(tmp_path / "a.rec")
    assert file.size == len(data) == 16
    assert bytes(file.fetch(0, 16) or b"") == b"first"
    for offset, end in ((0, 12), (0, 20), (4, 16), (12, 16), (16, 32)):
        assert file.fetch(offset, end) is None
    file.close()
