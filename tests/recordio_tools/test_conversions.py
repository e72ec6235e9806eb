"""What all conversions promise: whole or not at all, never over what is somebody else's, damage by its name."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from recordio_tools import Reader, Writer
from recordio_tools.errors import DamageError, MissingKeyError, SourceError
from recordio_tools.extract import Selection
from recordio_tools.merge import merge_sets
from recordio_tools.shuffle import shuffle_set
from recordio_tools.to_folder import to_folder
from recordio_tools.to_webdataset import to_webdataset

Contents = Callable[[Path], dict[str, bytes]]

CONVERSIONS: dict[str, Callable[..., object]] = {
    "extract": lambda source, out, **more: Selection(source, keys=["1-20"]).write(out, **more),
    "shuffle": lambda source, out, **more: shuffle_set(source, out, 0, **more),
    "merge": lambda source, out, **more: merge_sets([source, source.parent / "other"], out, **more),
    "to-folder": to_folder,
    "to-webdataset": lambda source, out, **more: to_webdataset(source, out, shard_images=3, **more),
}


@pytest.fixture
def two(png_set: Path, tmp_path: Path, contents: Contents) -> Path:
    """The set, and a copy of it beside it under another name."""
    for name in ("set", "other"):
        (tmp_path / "in" / name).mkdir(parents=True)
        for file, data in contents(png_set).items():
            (tmp_path / "in" / name / file).write_bytes(data)
    return tmp_path / "in" / "set"


@pytest.mark.parametrize("name", CONVERSIONS)
def test_stopped_half_way_leaves_nothing(two: Path, tmp_path: Path, name: str) -> None:
    def stop(done: int, total: int) -> None:
        if done >= 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CONVERSIONS[name](two, tmp_path / "deep" / "out", progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("name", CONVERSIONS)
def test_killed_half_way_the_old_stays_and_a_rerun_succeeds(
    two: Path, tmp_path: Path, name: str, contents: Contents
) -> None:
    out = tmp_path / "out"
    CONVERSIONS[name](two, out)
    before = contents(out)

    def kill(done: int, total: int) -> None:
        if done >= 5:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            CONVERSIONS[name](two, out, force=True, progress=kill)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert contents(out) == before
    CONVERSIONS[name](two, out, force=True)
    assert contents(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


@pytest.mark.parametrize("name", CONVERSIONS)
def test_an_existing_folder_is_replaced_only_by_force_and_only_if_ours(
    two: Path, tmp_path: Path, name: str, contents: Contents
) -> None:
    out = tmp_path / "out"
    CONVERSIONS[name](two, out)
    with pytest.raises(SourceError, match="replace it with --force"):
        CONVERSIONS[name](two, out)
    theirs = next((path for path in sorted(out.iterdir()) if path.is_dir()), out) / "theirs"
    theirs.touch()
    for force in (True, False):
        with pytest.raises(SourceError, match="out: "):
            CONVERSIONS[name](two, out, force=force)
    assert theirs.exists()
    theirs.unlink()
    CONVERSIONS[name](two, out, force=True)
    for place in (two, two / "new"):
        before = contents(two)
        with pytest.raises(SourceError, match="is the source itself or lies in it"):
            CONVERSIONS[name](two, place, force=True)
        assert contents(two) == before
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(SourceError, match=r"replace it with --force|which this tool did not write"):
        CONVERSIONS[name](two, tmp_path / "photos")


@pytest.mark.parametrize("name", ["extract", "to-folder", "to-webdataset"])
def test_what_somebody_adds_while_it_is_replaced_stays(two: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    CONVERSIONS[name](two, out)
    home = next((path for path in sorted(out.iterdir()) if path.is_dir()), out)
    with pytest.raises(SourceError, match="were added"):
        CONVERSIONS[name](two, out, force=True, progress=lambda *_: (home / "theirs").touch())
    assert (home / "theirs").exists()


@pytest.mark.parametrize("name", CONVERSIONS)
def test_a_damaged_record_is_named_and_nothing_is_left(two: Path, tmp_path: Path, name: str) -> None:
    raw = bytearray((two / "train.rec").read_bytes())
    place = int(Reader(two / "train.rec").index.offsets[11])
    raw[place] ^= 1
    (two / "train.rec").write_bytes(raw)
    with pytest.raises(DamageError, match="key 12, byte") as caught:
        CONVERSIONS[name](two, tmp_path / "out")
    assert caught.value.key == 12
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_set_without_images_is_refused(tmp_path: Path) -> None:
    for name in ("set", "other"):
        (tmp_path / name).mkdir()
        Writer(tmp_path / name / "train.rec").close()
    for name, convert in CONVERSIONS.items():
        with pytest.raises((SourceError, MissingKeyError), match=r"no image|no key|not a readable image"):
            convert(tmp_path / "set", tmp_path / name)
