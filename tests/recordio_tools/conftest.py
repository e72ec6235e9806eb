"""A slow RecordIO writer and reader, and small face sets, for the tests of recordio_tools."""

import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from recordio_tools import Header, Writer, cli, pack
from recordio_tools.images import encode_rgb

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


@pytest.fixture(scope="session")
def slow() -> SimpleNamespace:
    return SimpleNamespace(encode=_slow_encode, decode=_slow_decode)


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
