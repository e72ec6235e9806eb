import os
from pathlib import Path

import pytest

from recordio_tools import whole
from recordio_tools.errors import SourceError
from recordio_tools.whole import clear, open_beside, whole_folder, write_whole

OURS = frozenset({"data", "mark"})


def test_write_whole_replaces_or_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"newer")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_temporary_names_run_out_with_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "_MOST_LEFT_OVER", 2)
    for _ in range(2):
        open_beside(tmp_path / "a")[0].close()
    with pytest.raises(SourceError, match="left-over temporary files of a"):
        open_beside(tmp_path / "a")


def test_files_are_as_readable_as_the_mask_allows(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"")
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~mask


def build(out: Path, word: str, *, force: bool = False) -> None:
    with whole_folder(out, OURS, "mark", force=force) as folder:
        assert folder.parent == out.parent
        (folder / "data").write_text(word)
        (folder / "mark").touch()


def test_a_folder_is_replaced_in_one_go(tmp_path: Path) -> None:
    build(tmp_path / "out", "one")
    build(tmp_path / "out", "two", force=True)
    assert (tmp_path / "out" / "data").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("out", [".", "..", "", "a/.."])
def test_a_folder_without_a_name_of_its_own_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="give the name of a new or empty folder"):
        build(Path(out), "word", force=True)


def test_a_parent_that_somebody_uses_stays(tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        whole_folder(tmp_path / "a" / "b" / "out", OURS, "mark", force=False),
    ):
        (tmp_path / "a" / "theirs").touch()
        raise ZeroDivisionError
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["theirs"]


def test_what_somebody_put_there_meanwhile_stays(tmp_path: Path) -> None:
    with (
        pytest.raises(SourceError, match="holds 'theirs'"),
        whole_folder(tmp_path / "out", OURS, "mark", force=True),
    ):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "theirs").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_builder_that_finished_meanwhile_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between mkdir and lock another builder renames the folder: we must not clear what is now its result."""
    real = whole.fcntl.flock

    def flock(handle: int, how: int) -> None:
        (tmp_path / ".out.building").rename(tmp_path / "out")
        (tmp_path / "out" / "data").touch()
        (tmp_path / ".out.building").mkdir()
        real(handle, how)

    monkeypatch.setattr(whole.fcntl, "flock", flock)
    with pytest.raises(SourceError, match="another process"):
        build(tmp_path / "out", "ours")
    assert (tmp_path / "out" / "data").exists()


def test_a_file_system_without_locks_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(handle: int, how: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(whole.fcntl, "flock", flock)
    with pytest.raises(OSError, match="not supported"):
        build(tmp_path / "out", "ours")


def test_a_nested_folder_left_by_somebody_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".out.building" / "deep").mkdir(parents=True)
    (tmp_path / ".out.building" / "file").touch()
    build(tmp_path / "out", "ours")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["data", "mark"]


def test_what_a_builder_can_go_on_from_stays(tmp_path: Path) -> None:
    out = tmp_path / "a" / "out"
    hidden = tmp_path / "a" / ".out.building"
    for word in ("one", "two"):
        with (
            pytest.raises(ZeroDivisionError),
            whole_folder(out, OURS, "mark", force=False, keep_for="how") as folder,
        ):
            assert folder == hidden
            assert sorted(path.name for path in folder.iterdir()) == ([] if word == "one" else ["data", "how"])
            (folder / "data").write_text(word)
            (folder / "how").touch()
            raise ZeroDivisionError
    with whole_folder(out, OURS, "mark", force=False, keep_for="how") as folder:
        assert (folder / "data").read_text() == "two"
        clear(folder, frozenset({"data"}))
        (folder / "mark").touch()
    assert sorted(path.name for path in out.iterdir()) == ["data", "mark"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_a_builder_that_cannot_go_on_clears_what_another_left(tmp_path: Path) -> None:
    (tmp_path / ".out.building").mkdir()
    (tmp_path / ".out.building" / "how").touch()
    build(tmp_path / "out", "ours")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["data", "mark"]


def test_the_old_folder_comes_back_if_the_new_one_cannot_be_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path / "out", "old")
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self.name.endswith(".building"):
            raise OSError(5, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    for out in (tmp_path / "out", tmp_path / "other"):
        with pytest.raises(OSError, match="Input/output"):
            build(out, "new", force=True)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "data").read_text() == "old"
