"""A slow RecordIO writer and reader, and small face sets, for the tests of recordio_tools."""

import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import settings

from recordio_tools import Header, Writer, cli, pack
from recordio_tools.images import encode_rgb
from recordio_tools.packing import pack_folder

settings.register_profile("untimed", deadline=None)  # how long an example takes is no test's business
settings.load_profile("untimed")

MAGIC = struct.pack("<I", 0xCED7230A)


def _slow_encode(payload: bytes) -> bytes:
    """dmlc-core's `RecordIOWriter::WriteRecord`, word by word; mxnet 1.9.1 wrote the same over 20,008 payloads."""
    parts, part = [], b""
    for i in range(0, len(payload), 4):
        word = payload[i : i + 4]
        if word == MAGIC:
            parts.append(part)
            part = b""
        else:
            part += word
    parts.append(part)
    out = b""
    for number, part in enumerate(parts):
        flag = 0 if len(parts) == 1 else 1 if number == 0 else 3 if number == len(parts) - 1 else 2
        out += MAGIC + struct.pack("<I", flag * 2**29 + len(part)) + part + b"\0" * (-len(part) % 4)
    return out


def _slow_decode(data: bytes) -> list[bytes]:
    """All payloads of a sound file, after the format's description alone."""
    payloads, at = [], 0
    while at < len(data):
        joined, flag = b"", 1
        while flag in (1, 2):
            magic, word = struct.unpack("<II", data[at : at + 8])
            assert magic == 0xCED7230A
            flag, length = word // 2**29, word % 2**29
            joined += (MAGIC if joined or flag in (2, 3) else b"") + data[at + 8 : at + 8 + length]
            at += 8 + length + -length % 4
        payloads.append(joined)
    return payloads


def _slow_record(data: bytes, at: int) -> bytes | None:
    """The payload of the record whose head stands at `at`, None where the format allows no record there."""
    parts: list[bytes] = []
    while True:
        head = data[at : at + 8]
        if len(head) < 8 or head[:4] != MAGIC:
            return None
        (word,) = struct.unpack("<I", head[4:])
        flag, length = word // 2**29, word % 2**29
        padded = length + -length % 4
        if flag > 3 or (flag in (0, 1)) != (parts == []) or len(data) < at + 8 + padded:
            return None
        parts.append(data[at + 8 : at + 8 + length])
        at += 8 + padded
        if flag in (0, 3):
            return MAGIC.join(parts)


@pytest.fixture(scope="session")
def slow() -> SimpleNamespace:
    return SimpleNamespace(encode=_slow_encode, decode=_slow_decode, record=_slow_record)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five people, p1 p2 p3 p10 p20 with 6, 5, 4, 3 and 2 photos of 20 × 24 pixels."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name, count in {"p1": 6, "p2": 5, "p3": 4, "p10": 3, "p20": 2}.items():
        (root / name).mkdir()
        for number in range(1, count + 1):
            pixels = rng.integers(0, 256, (24, 20, 3), dtype=np.uint8)
            (root / name / f"{number}.png").write_bytes(encode_rgb(pixels, ".png", 95))
    return root


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    """Ten records under keys 10, 11 … 19, one of them of several parts."""
    with Writer(tmp_path / "numbered.rec") as writer:
        for key in range(10, 20):
            writer.write(key, b"%d" % key * key + (MAGIC * 2 if key == 15 else b""))
    return tmp_path / "numbered.rec"


def write_set(
    folder: Path,
    counts: list[int],
    layout: str,
    first_label: int = 0,
    image: Callable[[int], bytes] = lambda key: b"image %d" % key,
) -> Path:
    """A face set with `counts[i]` images of identity i, laid out as one of InsightFace's writers does it."""
    folder.mkdir(parents=True, exist_ok=True)
    key = 0 if layout == "SeqRecBuilder" else 1
    ranges = []
    with Writer(folder / "train.rec") as writer:
        for label, count in enumerate(counts, first_label):
            ranges.append((key, key + count))
            for _ in range(count):
                kept = [label, 1.0] if layout == "face2rec2" else float(label)
                writer.write(key, pack(Header(0, kept, key), image(key)))
                key += 1
        records = [(0, (key, key + len(counts))), *enumerate(ranges, key)]
        if layout == "RecBuilder":
            records = records[1:] + records[:1]
        for place, bounds in records if layout != "SeqRecBuilder" else []:
            writer.write(place, pack(Header(2, [float(bound) for bound in bounds], place), b""))
    (folder / "property").write_text(f"{first_label + len(counts)},112,112\n")
    return folder


@pytest.fixture(scope="session")
def make_set() -> object:
    return write_set


class Result(NamedTuple):
    code: object
    out: str
    err: str


@pytest.fixture
def recordio(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run the command line in this process, output of C libraries included."""

    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["recordio", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capfd.readouterr()
        return Result(left.value.code, out, err)

    return run


@pytest.fixture(scope="session")
def png_set(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photos as a set of 24 × 24 pixels, their image bytes PNG."""
    out = tmp_path_factory.mktemp("png_set") / "set"
    pack_folder(photos, out, size=24, image_format="png")
    return out


def write_listed_set(folder: Path, paths: list[str], labels: list[int]) -> Path:
    """A set without header record, one image a path of its `train.lst`: JPEG, PNG, something else, JPEG …"""
    folder.mkdir()
    with Writer(folder / "train.rec") as writer:
        for key, label in enumerate(labels):
            start = (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"?")[key % 3]
            writer.write(key, pack(Header(0, float(label), key), start + b"%d" % key))
    (folder / "property").write_text(f"{max(labels) + 1},24,24\n")
    lines = "".join(f"1\t{path}\t{label}\n" for path, label in zip(paths, labels, strict=True))
    (folder / "train.lst").write_bytes(lines.encode(errors="surrogateescape"))
    return folder


@pytest.fixture(scope="session")
def make_listed_set() -> object:
    return write_listed_set


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def contents() -> object:
    """All files below a folder, by their path in it."""
    return _contents


@pytest.fixture
def sparse_set(tmp_path: Path) -> Path:
    """Five images of two people under sparse keys, some above 32 bits, in a set without ranges."""
    folder = tmp_path / "sparse"
    folder.mkdir()
    with Writer(folder / "train.rec") as writer:
        for place, key in enumerate((10**17, 5, 2**32, 7, 2**40)):
            writer.write(key, pack(Header(0, float(place // 3), key), b"image %d" % key))
    (folder / "property").write_text("2,112,112\n")
    return folder


def worker_threads() -> list[str]:
    """The names of pool threads that are alive; libraries of other tests may keep threads of their own."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("ThreadPoolExecutor", "flush"))]
