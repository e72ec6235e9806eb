"""The committed golden files are what real mxnet writes today."""

from pathlib import Path

from tests.oracle.make_golden import GOLDEN, write_golden


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "README.md"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_making_them_anew_gives_the_same_bytes(tmp_path: Path) -> None:
    write_golden(tmp_path)
    made, committed = contents(tmp_path), contents(GOLDEN)
    assert sorted(made) == sorted(committed)
    assert len(made) == 5 + 6 * 3 - 1  # two files of raw records, two of headers, golden.json, six sets
    assert [name for name in made if made[name] != committed[name]] == []
