import builtins
import struct
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from recordio_tools.errors import SourceError
from recordio_tools.images import decode_rgb, encode_rgb, fit_square, list_people, natural_order, read_rgb

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (8, 6, 3), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """`jpeg` with a minimal EXIF segment (TIFF 6.0, one entry: tag 0x0112)."""
    tiff = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0) + b"\0\0\0\0"
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def test_lists_people_in_natural_order(tmp_path: Path) -> None:
    for name in ("s10", "s2", "s1", ".hidden"):
        (tmp_path / name).mkdir()
        for file in ("10.pgm", "2.PGM", "1.jpg", ".hidden.jpg", "notes.txt"):
            (tmp_path / name / file).touch()
        (tmp_path / name / "deeper.jpg").mkdir()
    (tmp_path / "readme.txt").touch()
    people = list_people(tmp_path)
    assert [person.name for person in people] == ["s1", "s2", "s10"]
    assert [path.name for path in people[2].paths] == ["1.jpg", "2.PGM", "10.pgm"]


def test_natural_order_mixes_digits_and_words() -> None:
    names = ["a10", "a9b", "10", "9", "", "a", "a09", "²"]
    assert sorted(names, key=natural_order) == ["", "9", "10", "a", "a09", "a9b", "a10", "²"]


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not there"):
        list_people(tmp_path / "no")
    with pytest.raises(SourceError, match="no sub-folder"):
        list_people(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match="is a file"):
        list_people(tmp_path / "file")
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna" / "notes.txt").touch()
    with pytest.raises(SourceError, match="anna: no image"):
        list_people(tmp_path)


def test_decodes_to_rgb() -> None:
    np.testing.assert_array_equal(decode_rgb(png(PIXELS[..., ::-1]), "x"), PIXELS)
    np.testing.assert_array_equal(decode_rgb(memoryview(encode_rgb(PIXELS, ".png", 95)), "x"), PIXELS)


def test_grey_alpha_and_16_bits() -> None:
    grey = PIXELS[..., 0]
    np.testing.assert_array_equal(decode_rgb(png(grey), "x"), np.repeat(grey[..., None], 3, 2))
    alpha = np.dstack([PIXELS[..., ::-1], np.full((8, 6), 128, np.uint8)])
    np.testing.assert_array_equal(decode_rgb(png(alpha), "x"), PIXELS)
    deep = PIXELS[..., ::-1].astype(np.uint16) * 257
    np.testing.assert_allclose(decode_rgb(png(deep), "x"), PIXELS, atol=1)


def test_pgm_without_any_library(tmp_path: Path) -> None:
    """A binary PGM written by hand, as the AT&T photos are."""
    (tmp_path / "1.pgm").write_bytes(b"P5\n3 2\n255\n" + bytes(range(6)))
    expected = np.repeat(np.arange(6, dtype=np.uint8).reshape(2, 3, 1), 3, 2)
    np.testing.assert_array_equal(read_rgb(tmp_path / "1.pgm"), expected)


def test_exif_orientation_is_applied() -> None:
    square = np.zeros((16, 32, 3), np.uint8)
    square[:, :16] = 255  # left half white
    jpeg = encode_rgb(square, ".jpg", 100)
    turned = decode_rgb(with_orientation(jpeg, 6), "x")  # 6: turn clockwise to see it upright
    assert turned.shape == (32, 16, 3)
    assert turned[:16].mean() > 250
    assert turned[16:].mean() < 5


def test_broken_images_name_the_file(tmp_path: Path) -> None:
    jpeg, whole = encode_rgb(np.zeros((64, 64, 3), np.uint8), ".jpg", 95), png(PIXELS)
    # a thumbnail's end mark in the EXIF segment does not make up for the picture's own
    thumbnail = jpeg[:2] + b"\xff\xe1\0\x08\xff\xd9\xff\xd9ab" + jpeg[2:]
    for data in (
        b"",
        b"hello",
        jpeg[:-40],
        thumbnail[:-40],
        jpeg[:3],
        whole[:-20],
        b"\xff\xd8\xff\xff\xd9",
        b"P5\n9 9\n255\nx",
        b"P5\n99999999 99999999\n255\nx",
    ):
        (tmp_path / "broken.jpg").write_bytes(data)
        with pytest.raises(SourceError, match=r"broken\.jpg: .*replace or remove"):
            read_rgb(tmp_path / "broken.jpg")
    assert decode_rgb(jpeg + b"a phone's video clip" * 1000, "x").shape == (64, 64, 3)
    with pytest.raises(SourceError, match="No such file"):
        read_rgb(tmp_path / "no.jpg")
    with pytest.raises(SourceError, match="directory"):
        read_rgb(tmp_path)


def test_a_broken_header_is_not_a_crash() -> None:
    head = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    with pytest.raises(SourceError, match="bomb"):
        decode_rgb(bomb + b"\0\0\0\0IEND\xaeB`\x82", "bomb.png")


def test_fit_square_pads_an_att_photo_by_ten_columns_and_resamples_nothing() -> None:
    photo = RNG.integers(0, 256, (112, 92, 3), dtype=np.uint8)
    square = fit_square(photo, 112)
    assert square.shape == (112, 112, 3)
    np.testing.assert_array_equal(square[:, 10:102], photo)
    assert (square[:, :10] == photo[:, :1]).all()
    assert (square[:, 102:] == photo[:, -1:]).all()


@pytest.mark.parametrize(("height", "width"), [(8, 6), (6, 8), (7, 4), (1, 1), (8, 8)])
@pytest.mark.parametrize("size", [4, 8, 20])
def test_fit_square_sizes(height: int, width: int, size: int) -> None:
    image = np.full((height, width, 3), 77, np.uint8)
    square = fit_square(image, size)
    assert square.shape == (size, size, 3)
    assert square.dtype == np.uint8
    assert (square == 77).all()


def test_fit_square_shrinks_by_areas() -> None:
    """Halving by areas is the mean of 2 × 2 blocks: a hand calculation."""
    image = np.array([[0, 4], [8, 12]], np.uint8).repeat(2, 0).repeat(2, 1)[..., None].repeat(3, 2)
    np.testing.assert_array_equal(fit_square(image, 2)[..., 0], [[0, 4], [8, 12]])
    np.testing.assert_array_equal(fit_square(image, 1)[0, 0], [6, 6, 6])


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("libGL.so.1: cannot open shared object file", "apt-get install libgl1 libglib2.0-0"),
        ("libgthread-2.0.so.0: cannot open shared object file", "apt-get install libgl1 libglib2.0-0"),
        ("No module named 'cv2'", "pip install opencv-python"),
    ],
)
def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch, message: str, advice: str) -> None:
    real = builtins.__import__

    def import_(name: str, *rest: object) -> object:
        if name == "cv2":
            raise ImportError(message)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.delitem(sys.modules, "cv2")
    monkeypatch.setattr(builtins, "__import__", import_)
    with pytest.raises(SourceError, match=advice):
        decode_rgb(b"P5\n1 1\n255\nx", "x")
