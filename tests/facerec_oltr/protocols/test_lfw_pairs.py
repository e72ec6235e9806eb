"""LFW's format of a list of pairs, small."""

from pathlib import Path

import pytest

from facerec_oltr.errors import DataError
from facerec_oltr.protocols import find_images, read_protocol, write_protocol
from facerec_oltr.protocols.lfw_pairs import read_lfw_pairs
from recordio_tools.errors import SourceError

PAIRS = "2\t1\nAnn\t1\t2\nAnn\t1\tBob\t1\nBob\t1\t2\nAnn\t2\tBob\t2\n"


@pytest.fixture
def lfw(tmp_path: Path) -> Path:
    for name in ("Ann", "Bob"):
        (tmp_path / "lfw" / name).mkdir(parents=True)
        for number in (1, 2):
            (tmp_path / "lfw" / name / f"{name}_{number:04}.jpg").write_bytes(f"{name} {number}".encode())
    (tmp_path / "pairs.txt").write_text(PAIRS)
    return tmp_path


def test_pairs_of_folds(lfw: Path) -> None:
    write_protocol(read_lfw_pairs(lfw / "pairs.txt", lfw / "lfw"), lfw / "out")
    made = read_protocol(lfw / "out")
    pairs = made.pairs["pairs"]
    names = made.joined(pairs.lists).names
    found = [(names[one], names[other]) for one, other in zip(pairs.first, pairs.second, strict=True)]
    assert found == [
        ("Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg"),
        ("Ann/Ann_0001.jpg", "Bob/Bob_0001.jpg"),
        ("Bob/Bob_0001.jpg", "Bob/Bob_0002.jpg"),
        ("Ann/Ann_0002.jpg", "Bob/Bob_0002.jpg"),
    ]
    assert pairs.same.tolist() == [True, False, True, False]
    assert pairs.folds.tolist() == [0, 0, 1, 1]
    find_images(made, lfw / "lfw", contents=True)


def test_a_photo_that_is_missing_or_there_twice_is_said(lfw: Path) -> None:
    (lfw / "lfw/Bob/Bob_0002.jpg").write_bytes(b"Bob 1")
    with pytest.raises(DataError, match=r"has the same content as 'Bob/Bob_0001\.jpg'"):
        read_lfw_pairs(lfw / "pairs.txt", lfw / "lfw")
    (lfw / "lfw/Bob/Bob_0002.jpg").unlink()
    with pytest.raises(SourceError, match=r"Bob_0002\.jpg: not there, expected one photo"):
        read_lfw_pairs(lfw / "pairs.txt", lfw / "lfw")
