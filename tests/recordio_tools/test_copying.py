"""The copy of many records at once against the slow way, record by record, as the reference."""

from pathlib import Path

import numpy as np
import pytest

from recordio_tools import FaceSet, Header, Writer, _copying, build, pack
from recordio_tools.framing import MAGIC
from recordio_tools.longtail import Rule


def odd_set(folder: Path, special: bool) -> Path:
    """60 images of all lengths modulo 4; `special` ones among them need the slow way."""
    random = np.random.default_rng(3)
    folder.mkdir()
    with Writer(folder / "train.rec") as writer:
        for key in range(60):
            image = random.bytes(int(random.integers(0, 90)))
            labels = [float(key // 6), 0.5, 7.0][: 2 + key % 2]
            if special and key % 20 == 7:
                image = b"abcd" + MAGIC + image
            if special and key % 20 == 13:
                labels = labels[:1]
            writer.write(key, pack(Header(0, labels, key + 5, 9), image))
    (folder / "property").write_text("10,112,112\n")
    return folder


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("block", [200, 1000, 1 << 22])
def test_the_same_bytes_as_the_slow_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, special: bool, block: int
) -> None:
    source = odd_set(tmp_path / "source", special)
    with (source / "train.rec").open("r+b") as file:  # padding that is not zero must not be copied
        first = FaceSet(source).record(0)[1]
        if len(first) % 4:
            file.seek(8 + 24 + 8 + len(first))
            file.write(b"\xff")
    monkeypatch.setattr(_copying, "BLOCK", block)
    rule = Rule("proportional", 41)
    slow_records = []
    slowly = build.copy_slowly

    def counted(*given: object) -> None:
        slow_records.append(given)
        slowly(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(build, "copy_slowly", counted)
    build.build_longtail(source, tmp_path / "fast", rule, seed=2)
    assert bool(slow_records) == special
    monkeypatch.setattr(_copying.RecordCopier, "copy", lambda *_: None)
    build.build_longtail(source, tmp_path / "slow", rule, seed=2)
    for path in (tmp_path / "slow").iterdir():
        assert path.read_bytes() == (tmp_path / "fast" / path.name).read_bytes(), path.name
