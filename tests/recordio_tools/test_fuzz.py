"""Whole files with damaged bytes: an error that names its file, or a reading, and never anything else."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from recordio_tools import FaceSet, Reader, framing
from recordio_tools.errors import RecordIOError
from recordio_tools.rebuild import rebuild

WORDS = [framing.MAGIC, b"\xff" * 4, b"\0" * 4, b"\x02\0\0\0", b"\0\0\x80\x3f", b"\0\0\xc0\x7f"]


def damage(data: bytes, rng: random.Random) -> bytes:
    """`data` with one to four changes: a byte, a cut, bytes put in or taken out, an aligned word."""
    raw = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randrange(len(raw) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            raw[at : at + 1] = rng.randbytes(1)
        elif kind == 1:
            del raw[at:]
        elif kind == 2:
            raw[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif kind == 3:
            del raw[at : at + rng.randrange(1, 9)]
        else:
            at -= at % 4
            raw[at : at + 4] = rng.choice(WORDS)
    return bytes(raw)


def read_all(folder: Path) -> None:
    faces = FaceSet(folder)
    assert faces.names is None or len(faces.names) == faces.classes
    assert len(faces.labels) == len(faces) == faces.summary()["images"]
    for position in range(len(faces)):
        faces.record(position)


ATTEMPTS: list[Callable[[Path], object]] = [
    lambda folder: list(Reader(folder / "train.rec")),
    read_all,
    lambda folder: rebuild(folder / "train.rec"),
]


def fuzz(folder: Path, make_set: Callable[..., Path], rounds: int, seed: int) -> None:
    rng = random.Random(seed)
    sets = []
    for layout in ("face2rec2", "RecBuilder", "SeqRecBuilder"):
        made = make_set(folder / layout, [3, 1, 2], layout)
        (made / "train.lst").write_text("".join(f"1\tp{label}/x.jpg\t{label}\n" for label in (0, 0, 0, 1, 2, 2)))
        sets.append({path.name: path.read_bytes() for path in sorted(made.iterdir())})
    for _ in range(rounds):
        files = dict(rng.choice(sets))
        name = rng.choice([*files, "train.rec", "train.rec", "train.idx"])
        files[name] = damage(files[name], rng)
        for path, data in files.items():
            (folder / path).write_bytes(data)
        for attempt in ATTEMPTS:
            try:
                attempt(folder)
            except RecordIOError as error:
                assert str(folder) in str(error)
                assert "\n" not in str(error)
        # past damage there is nothing that a record file could do to stop us
        made, _ = rebuild(folder / "train.rec", past_damage=True)
        assert len(list(Reader(folder / "train.rec", made))) == len(made)


def test_damaged_files(tmp_path: Path, make_set: Callable[..., Path]) -> None:
    fuzz(tmp_path, make_set, rounds=250, seed=0)


@pytest.mark.slow
def test_many_damaged_files(tmp_path: Path, make_set: Callable[..., Path]) -> None:
    fuzz(tmp_path, make_set, rounds=100_000, seed=1)
