"""Whole files with damaged bytes: an error that names its file, or the right record, and never anything else.

What is right is said by `slow.record`, a decoder written from the format's description alone: no checksum stands in
the format, so a byte changed inside an image is a right record with another image.
"""

import random
import signal
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, SimpleNamespace

import numpy as np
import pytest

from recordio_tools import FaceSet, Reader, framing, unpack
from recordio_tools.errors import RecordIOError
from recordio_tools.rebuild import rebuild

WORDS = [framing.MAGIC, b"\xff" * 4, b"\0" * 4, b"\x02\0\0\0", b"\0\0\x80\x3f", b"\0\0\xc0\x7f"]
FLAGS = [struct.pack("<I", flag << 29 | length) for flag in range(8) for length in (0, 4, 24, 32, 1 << 28)]
LAYOUTS = ("face2rec2", "RecBuilder", "SeqRecBuilder")


def damage(data: bytes, rng: random.Random) -> bytes:
    """`data` with one to four changes: a byte, a cut, bytes put in or taken out, an aligned word, a head's length."""
    raw = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randrange(len(raw) + 1)
        kind = rng.randrange(6)
        if kind == 0:
            raw[at : at + 1] = rng.randbytes(1)
        elif kind == 1:
            del raw[at:]
        elif kind == 2:
            raw[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif kind == 3:
            del raw[at : at + rng.randrange(1, 9)]
        elif kind == 4:
            at -= at % 4
            raw[at : at + 4] = rng.choice(WORDS)
        elif (head := raw.find(framing.MAGIC, at)) >= 0:
            raw[head + 4 : head + 8] = rng.choice(FLAGS)
    return bytes(raw)


@pytest.fixture
def no_hang() -> Iterator[Callable[[], None]]:
    """Call it before each attempt: one that takes ten seconds ends the test."""

    def ring(signum: int, frame: FrameType | None) -> None:
        raise AssertionError("an attempt hangs")

    before = signal.signal(signal.SIGALRM, ring)
    yield lambda: signal.setitimer(signal.ITIMER_REAL, 10) and None
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def check_records(folder: Path, slow: SimpleNamespace) -> None:
    """Every key gives the record that stands at its offset, or damage where none stands there."""
    data = (folder / "train.rec").read_bytes()
    reader = Reader(folder / "train.rec")
    for key, offset in zip(reader.keys.tolist(), reader.index.offsets.tolist(), strict=True):
        right = slow.record(data, offset)
        try:
            assert reader.read(key) == right
        except RecordIOError as error:
            assert right is None or "the length to lead to the next record" in str(error), error
            named(error, folder)


def check_set(folder: Path, slow: SimpleNamespace) -> None:
    """The tables agree with one another, and each image with the record that stands at its offset."""
    faces = FaceSet(folder)
    data = (folder / "train.rec").read_bytes()
    assert faces.names is None or len(faces.names) == faces.classes
    assert len(faces.labels) == len(faces) == faces.summary()["images"]
    for position, offset in enumerate(faces.offsets().tolist()):
        header, image = faces.record(position)
        assert (header, image) == unpack(slow.record(data, offset))
        if faces.ranges is None:
            assert faces.labels[position] == np.ravel(header.label)[0]


def check_rebuilt(folder: Path, slow: SimpleNamespace) -> None:
    """Without damage the index holds every record of the file, by the slow decoder's account."""
    data = (folder / "train.rec").read_bytes()
    made, damages = rebuild(folder / "train.rec")
    assert damages == []
    assert [payload for _, payload in Reader(folder / "train.rec", made)] == slow.decode(data)


def check_salvaged(folder: Path, slow: SimpleNamespace) -> None:
    """Past damage there is nothing that a record file could do to stop us, and all that is salvaged is a record."""
    data = (folder / "train.rec").read_bytes()
    made, _ = rebuild(folder / "train.rec", past_damage=True)
    read = dict(iter(Reader(folder / "train.rec", made)))
    assert read == {
        key: slow.record(data, at) for key, at in zip(made.keys.tolist(), made.offsets.tolist(), strict=True)
    }


def named(error: RecordIOError, folder: Path) -> None:
    assert str(folder) in str(error)
    assert "\n" not in str(error)


def fuzz(
    folder: Path, make_set: Callable[..., Path], slow: SimpleNamespace, tick: Callable[[], None], rounds: int, seed: int
) -> None:
    rng = random.Random(seed)
    checks = (check_records, check_set, check_rebuilt, check_salvaged)
    sound: list[tuple[Path, dict[str, bytes]]] = []
    for layout in LAYOUTS:
        made = make_set(folder / layout, [3, 1, 2], layout)
        (made / "train.lst").write_text("".join(f"1\tp{label}/x.jpg\t{label}\n" for label in (0, 0, 0, 1, 2, 2)))
        sound.append((made, {path.name: path.read_bytes() for path in sorted(made.iterdir())}))
    outcomes = {"error": 0, "reading": 0}
    for _ in range(rounds):
        made, files = rng.choice(sound)
        name = rng.choice([*files, "train.rec", "train.rec", "train.idx"])
        (made / name).write_bytes(damage(files[name], rng))
        for check in checks:
            tick()
            try:
                check(made, slow)
                outcomes["reading"] += 1
            except RecordIOError as error:
                named(error, made)
                outcomes["error"] += 1
        (made / name).write_bytes(files[name])
    assert min(outcomes.values()) > rounds  # both happen, so both are looked at


def test_damaged_files(
    tmp_path: Path, make_set: Callable[..., Path], slow: SimpleNamespace, no_hang: Callable[[], None]
) -> None:
    fuzz(tmp_path, make_set, slow, no_hang, rounds=500, seed=0)


@pytest.mark.slow
def test_many_damaged_files(
    tmp_path: Path, make_set: Callable[..., Path], slow: SimpleNamespace, no_hang: Callable[[], None]
) -> None:
    fuzz(tmp_path, make_set, slow, no_hang, rounds=100_000, seed=1)
