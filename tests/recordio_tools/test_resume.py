"""A packer that is killed or stopped: what is there afterwards, and what the same command makes of it.

The kills come from within: a child process counts what it does to the file system (Python's audit events) and
each photo that is done, and sends itself SIGKILL at one of these moments. So the seed says where it dies.
"""

import errno
import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recordio_tools import _checkpoint, packing
from recordio_tools.errors import SourceError
from recordio_tools.images import encode_rgb
from recordio_tools.packing import pack_folder

EVERY = 5  # photos between two checkpoints here

CHILD = """
import json, os, signal, sys
from recordio_tools import packing
from recordio_tools.images import opencv_version

packing.CHECKPOINT = int(sys.argv[1])
opencv_version()
SEEN = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}

def run(photos, out, moment, report):
    ticks = 0
    def tick(*_):
        nonlocal ticks
        ticks += 1
        if ticks == moment:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(lambda event, _: tick() if event in SEEN else None)
    packing.pack_folder(photos, out, size=24, workers=2, force=True, progress=tick)
    os.write(report, b"%d" % ticks)

for photos, out, moment in json.load(sys.stdin):
    read, write = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            run(photos, out, moment, write)
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    _, status = os.waitpid(child, 0)
    print(status, os.read(read, 99).decode() or 0)
    os.close(read)
"""


def kill_at(photos: Path, jobs: list[tuple[Path, int]]) -> list[tuple[int, int]]:
    """Pack into each job's folder and die at its moment; the status of each, and its moments in all if it lived."""
    work = json.dumps([[str(photos), str(out), moment] for out, moment in jobs])
    command = [sys.executable, "-W", "error", "-c", CHILD, str(EVERY)]
    done = subprocess.run(command, input=work, check=True, capture_output=True, text=True)
    return [(int(status), int(ticks)) for status, ticks in map(str.split, done.stdout.splitlines())]


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "CHECKPOINT", EVERY)


@pytest.fixture
def copy(photos: Path, tmp_path: Path) -> Path:
    """The photos, to be spoilt; and no hidden folder beside them."""
    return shutil.copytree(photos, tmp_path / "photos")


def survive_kills(photos: Path, room: Path, seed: int, kills: int, again: int) -> int:
    """Kill `kills` packers, each of them up to `again` times more; the number of runs that went on."""
    rng = random.Random(seed)
    pack_folder(photos, room / "whole", size=24)
    new = digests(room / "whole")
    pack_folder(photos, room / "old", size=12)
    old = digests(room / "old")
    [(status, moments)] = kill_at(photos, [(room / "counted", 0)])
    assert (status, digests(room / "counted")) == (0, new)
    outs = [room / "sets" / f"{number}" for number in range(kills)]
    for number, out in enumerate(outs):
        if number % 2:
            shutil.copytree(room / "old", out)
    for _ in range(1 + again):
        jobs = [(out, rng.randint(1, moments)) for out in outs]
        for (out, _moment), (status, _ticks) in zip(jobs, kill_at(photos, jobs), strict=True):
            assert status in (0, 9)
            assert not out.exists() or digests(out) in (old, new)
    resumed = 0
    for out in outs:
        said: list[str] = []
        done = pack_folder(photos, out, size=24, force=True, workers=1, say=said.append)
        assert digests(out) == new
        assert (done.images, done.resumed > 0) == (20, bool(said))
        assert done.resumed in (0, 5, 10, 15)
        if said:
            assert said == [f"goes on after {done.resumed} of 20 photos"]
            resumed += 1
    assert sorted(path.name for path in (room / "sets").iterdir()) == sorted(out.name for out in outs)
    return resumed


@pytest.mark.usefixtures("often")
def test_killed_at_eight_moments_it_goes_on_to_the_same_bytes(photos: Path, tmp_path: Path) -> None:
    assert survive_kills(photos, tmp_path, seed=0, kills=8, again=0) >= 3


@pytest.mark.slow
@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("seed", range(5))
def test_killed_again_and_again(photos: Path, tmp_path: Path, seed: int) -> None:
    assert survive_kills(photos, tmp_path, seed=seed, kills=60, again=2) >= 10


class Stop(BaseException):
    """Stands for an interrupt at one photo."""


def stop_after(photos: Path, out: Path, count: int, error: BaseException, **options: object) -> None:
    def progress(done: int, total: int) -> None:
        if done == count:
            raise error

    pack_folder(photos, out, size=24, progress=progress, **options)  # type: ignore[arg-type]


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("workers", [1, 3])
def test_an_interrupt_keeps_what_is_done_and_says_so(photos: Path, tmp_path: Path, workers: int) -> None:
    said: list[str] = []
    out = tmp_path / "set"
    with pytest.raises(KeyboardInterrupt):
        stop_after(photos, out, 13, KeyboardInterrupt(), workers=workers, say=said.append)
    kept = tmp_path / ".set.building"
    assert said == [f"stopped; 10 of 20 photos are kept in {kept}, and the same command goes on there"]
    assert not out.exists()
    steps: list[int] = []
    done = pack_folder(photos, out, size=24, workers=workers, progress=lambda done, _: steps.append(done))
    assert (done.resumed, steps) == (10, list(range(11, 21)))
    assert digests(out) == digests(unbroken(photos, tmp_path))


def unbroken(photos: Path, room: Path) -> Path:
    pack_folder(photos, room / "unbroken", size=24)
    return room / "unbroken"


def test_a_short_run_that_is_stopped_leaves_nothing(photos: Path, tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        stop_after(photos, tmp_path / "new" / "set", 13, KeyboardInterrupt(), say=said.append)
    assert not said
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("often")
def test_a_broken_photo_late_in_the_set_is_mended_and_it_goes_on(copy: Path, tmp_path: Path) -> None:
    good = (copy / "p10" / "2.png").read_bytes()
    (copy / "p10" / "2.png").write_bytes(good[:-30])
    with pytest.raises(SourceError, match=r"p10/2\.png: .*; 15 of 20 photos are kept .* goes on there") as caught:
        pack_folder(copy, tmp_path / "set", size=24)
    assert "\n" not in str(caught.value)
    (copy / "p10" / "2.png").write_bytes(good)
    assert pack_folder(copy, tmp_path / "set", size=24).resumed == 15
    assert digests(tmp_path / "set") == digests(unbroken(copy, tmp_path))


@pytest.mark.usefixtures("often")
def test_photos_left_out_before_the_stop_stay_left_out(copy: Path, tmp_path: Path) -> None:
    for name in ("p1/2.png", "p2/1.png"):
        (copy / name).write_bytes(b"")
    with pytest.raises(Stop):
        stop_after(copy, tmp_path / "set", 12, Stop(), skip_unreadable=True)
    done = pack_folder(copy, tmp_path / "set", size=24, skip_unreadable=True)
    assert (done.resumed, done.images) == (10, 18)
    assert done.skipped == (copy / "p1" / "2.png", copy / "p2" / "1.png")
    pack_folder(copy, tmp_path / "unbroken", size=24, skip_unreadable=True)
    assert digests(tmp_path / "set") == digests(tmp_path / "unbroken")


@pytest.mark.usefixtures("often")
def test_without_leave_to_skip_the_skipped_are_an_error_again(copy: Path, tmp_path: Path) -> None:
    (copy / "p1" / "2.png").write_bytes(b"")
    with pytest.raises(Stop):
        stop_after(copy, tmp_path / "set", 12, Stop(), skip_unreadable=True)
    with pytest.raises(SourceError, match=r"p1/2\.png"):
        pack_folder(copy, tmp_path / "set", size=24)


def another_person(photos: Path, building: Path) -> None:
    shutil.copytree(photos / "p1", photos / "p0")


def one_less(photos: Path, building: Path) -> None:
    (photos / "p1" / "1.png").unlink()


def fewer_than_done(photos: Path, building: Path) -> None:
    for name in ("p2", "p3", "p10", "p20"):
        shutil.rmtree(photos / name)


def spoil(building: Path, place: int) -> None:
    path = building / _checkpoint.UNFINISHED
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def a_magic_changed(photos: Path, building: Path) -> None:
    spoil(building, 0)


def a_label_changed(photos: Path, building: Path) -> None:
    spoil(building, 8 + 24 + 3)


def a_pixel_changed(photos: Path, building: Path) -> None:
    spoil(building, 8 + 32 + 100)


def records_cut(photos: Path, building: Path) -> None:
    os.truncate(building / _checkpoint.UNFINISHED, 1000)


def records_gone(photos: Path, building: Path) -> None:
    (building / _checkpoint.UNFINISHED).unlink()


def checkpoint_cut(photos: Path, building: Path) -> None:
    os.truncate(building / _checkpoint.NAME, 20)


def checkpoint_of_another_kind(photos: Path, building: Path) -> None:
    (building / _checkpoint.NAME).write_text('{"photos": 10}')


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize(
    "change",
    [
        another_person, one_less, fewer_than_done, a_magic_changed, a_label_changed, a_pixel_changed, records_cut,
        records_gone, checkpoint_cut, checkpoint_of_another_kind,
    ],
)  # fmt: skip
def test_what_does_not_fit_is_thrown_away(copy: Path, tmp_path: Path, change: Callable[[Path, Path], None]) -> None:
    with pytest.raises(Stop):
        stop_after(copy, tmp_path / "set", 12, Stop())
    change(copy, tmp_path / ".set.building")
    said: list[str] = []
    done = pack_folder(copy, tmp_path / "set", size=24, say=said.append)
    assert (done.resumed, said) == (0, ["what a stopped run left does not fit these photos and options; starts anew"])
    assert digests(tmp_path / "set") == digests(unbroken(copy, tmp_path))


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("options", [{"quality": 50}, {"image_format": "png"}, {"size": 16}])
def test_other_options_start_anew(photos: Path, tmp_path: Path, options: dict) -> None:
    with pytest.raises(Stop):
        stop_after(photos, tmp_path / "set", 12, Stop())
    assert pack_folder(photos, tmp_path / "set", **{"size": 24, **options}).resumed == 0


@pytest.mark.usefixtures("often")
def test_a_photo_touched_before_the_checkpoint_starts_anew_one_after_it_does_not(copy: Path, tmp_path: Path) -> None:
    for name, resumed in (("p3/1.png", 10), ("p2/4.png", 0)):
        with pytest.raises(Stop):
            stop_after(copy, tmp_path / "set", 12, Stop())
        os.utime(copy / name)
        assert pack_folder(copy, tmp_path / "set", size=24).resumed == resumed
        shutil.rmtree(tmp_path / "set")


@pytest.mark.usefixtures("often")
def test_records_that_are_in_their_place_already_are_taken_over(photos: Path, tmp_path: Path) -> None:
    """As after a kill between the end of the records and the end of the set."""
    with pytest.raises(Stop):
        stop_after(photos, tmp_path / "set", 12, Stop())
    building = tmp_path / ".set.building"
    (building / _checkpoint.UNFINISHED).rename(building / "train.rec")
    assert pack_folder(photos, tmp_path / "set", size=24).resumed == 10
    assert digests(tmp_path / "set") == digests(unbroken(photos, tmp_path))


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Two people with 20 photos of 128 × 128 pixels of noise: 30 kB each as PNG or good JPEG."""
    rng = np.random.default_rng(0)
    for person in ("a", "b"):
        (tmp_path / "large" / person).mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)
            (tmp_path / "large" / person / f"{number}.png").write_bytes(encode_rgb(pixels, ".png", 95))
    return tmp_path / "large"


@pytest.mark.usefixtures("often")
def test_a_disk_that_takes_no_more(large: Path, tmp_path: Path) -> None:
    """A real write that fails: the process may not make a file longer than 600 kB."""
    out = tmp_path / "set"
    pack_folder(large, out, size=16)
    before = digests(out)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, limits[1]))
    try:
        with pytest.raises(SourceError, match=r"File too large; 10 of 40 photos are kept") as caught:
            pack_folder(large, out, size=128, image_format="png", force=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    assert digests(out) == before
    assert pack_folder(large, out, size=128, image_format="png", force=True).resumed == 10
    pack_folder(large, tmp_path / "unbroken", size=128, image_format="png")
    assert digests(out) == digests(tmp_path / "unbroken")


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("fails", range(1, 13))
def test_a_full_disk_at_every_flush(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: int) -> None:
    out = tmp_path / "set"
    pack_folder(photos, out, size=12)
    before = digests(out)
    real, calls = os.fsync, 0

    def fsync(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls == fails:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises((OSError, SourceError), match="No space left on device"):
            pack_folder(photos, out, size=24, force=True)
    assert digests(out) == before
    pack_folder(photos, out, size=24, force=True)
    assert digests(out) == digests(unbroken(photos, tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "unbroken"]
