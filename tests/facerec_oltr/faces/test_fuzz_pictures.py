"""Thousands of broken pictures through reading and detection: no crash, no hang, no file that takes the memory.

In a process of its own, with an address space of 4 GB and at most 20 seconds a picture: what kills it is a finding. The
seed and number of a picture make it again.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from . import networks

CHILD = r'''
import faulthandler, io, json, resource, struct, sys, time, zlib
import numpy as np
from PIL import Image
from facerec_oltr.faces.detectors import open_detector
from facerec_oltr.faces.extractor import Extractor
from facerec_oltr.faces.raw_pixels import RawPixels
from recordio_tools.errors import SourceError
from recordio_tools.images import decode_photo

count, seed, detector = int(sys.argv[1]), int(sys.argv[2]), open_detector(sys.argv[3])
faulthandler.enable()
extractor = Extractor(RawPixels(), detector)
FORMATS = [("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("GIF", {}), ("BMP", {}), ("TIFF", {}),
           ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "jpeg"}), ("WEBP", {}),
           ("WEBP", {"lossless": True}), ("PPM", {}), ("AVIF", {"speed": 10})]
MODES = ["RGB", "L", "RGBA", "P", "1", "LA", "CMYK", "I;16"]

def made(rng):
    """A whole picture of any format, size and kind of pixels."""
    while True:
        format_, options = FORMATS[rng.integers(len(FORMATS))]
        height, width = (int(2 ** rng.uniform(0, 8)) for _ in range(2))
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        pixels[rng.integers(height):, rng.integers(width):] = 255
        image = Image.fromarray(pixels)
        mode = MODES[rng.integers(len(MODES))]
        try:
            image = image.convert("L").convert(mode) if mode == "I;16" else image.convert(mode)
            many = {"save_all": True, "append_images": [image] * 2} if rng.random() < 0.1 else {}
            exif = Image.Exif()
            exif[0x112] = int(rng.integers(0, 12))
            file = io.BytesIO()
            turned = {"exif": exif} if format_ in ("JPEG", "PNG", "WEBP") else {}
            image.save(file, format_, **options, **many, **turned)
            return file.getvalue()
        except (OSError, ValueError, KeyError):
            continue  # this format has no such pixels

def broken(rng, data, other):
    """Cut short, flipped, spliced, grown, or with a header that claims much."""
    data = bytearray(data)
    kind = rng.integers(7)
    if kind == 0:
        return bytes(data[: rng.integers(len(data) + 1)])
    if kind == 1:
        for _ in range(rng.integers(1, 20)):
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    elif kind == 2:
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(min(64, len(data)))] = rng.integers(256)
    elif kind == 3:
        return bytes(data[: rng.integers(len(data) + 1)] + other[rng.integers(len(other)):])
    elif kind == 4:
        place = int(rng.integers(len(data)))
        return bytes(data[:place] + data[place:] * int(rng.integers(2, 5)))
    elif kind == 5 and len(data) > 16:
        big = struct.pack((">" if rng.random() < 0.5 else "<") + "I", int(2 ** rng.uniform(8, 32)) - 1)
        place = int(rng.integers(min(200, len(data) - 4)))
        data[place : place + 4] = big
        if data[:4] == b"\x89PNG":
            data[16 : 20 if rng.random() < 0.5 else 24] = big * (1 if rng.random() < 0.5 else 2)
            data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif kind == 6:
        return bytes(rng.integers(0, 256, int(rng.integers(1, 2000)), dtype=np.uint8))
    return bytes(data)

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
read, found, slowest = 0, 0, 0.0
for number in range(count):
    print(number, file=sys.stderr, flush=True) if number % 500 == 0 else None
    rng = np.random.default_rng([seed, number])
    data = made(rng)
    if rng.random() < 0.9:
        data = broken(rng, data, made(rng))
    faulthandler.dump_traceback_later(20, exit=True)
    start = time.perf_counter()
    try:
        picture = decode_photo(data, f"picture {number}")
    except SourceError as error:
        assert str(error).startswith(f"picture {number}: ") and "\n" not in str(error), (number, error)
    else:
        assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3 and picture.size, number
        assert picture.flags.c_contiguous, number
        read += 1
        (faces,) = extractor.extract([picture])
        found += len(faces)
        for face in faces:
            assert abs(np.linalg.norm(face.vector) - 1) < 1e-3 and np.isfinite(face.found.box).all(), number
    slowest = max(slowest, time.perf_counter() - start)
    faulthandler.cancel_dump_traceback_later()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
grown = (peak - before) / 1024
print(json.dumps({"count": count, "read": read, "found": found, "slowest": slowest, "megabytes": grown}))
'''


def fuzz(count: int, seed: int, detector: str) -> dict[str, float]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENCV_LOG_LEVEL": "SILENT"}
    command = [sys.executable, "-W", "ignore", "-c", CHILD, str(count), str(seed), detector]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=30 + 2 * count)
    assert done.returncode == 0, f"seed {seed}: exit code {done.returncode}: {done.stderr[-2000:]}"
    return json.loads(done.stdout)


@pytest.fixture
def detector(tmp_path: Path) -> str:
    (tmp_path / "tiny.onnx").write_bytes(networks.scrfd())
    return str(tmp_path / "tiny.onnx")


def check(result: dict[str, float]) -> None:
    assert 0.1 < result["read"] / result["count"] < 0.7  # many are pictures still, and many are not
    assert result["found"] > 0
    assert result["megabytes"] < 1500


def test_three_hundred_broken_pictures(detector: str) -> None:
    check(fuzz(300, 0, detector))


@pytest.mark.slow
def test_ten_thousand_broken_pictures(detector: str) -> None:
    check(fuzz(10_000, 1, detector))
