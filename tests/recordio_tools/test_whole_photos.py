"""Photos as other software writes them: Pillow's files, and Pillow's pixels to compare with."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps, features

from recordio_tools import images
from recordio_tools.errors import SourceError
from recordio_tools.image_header import avif_turn
from recordio_tools.images import decode_photo, decode_rgb, read_rgb

Pixels = npt.NDArray[np.uint8]
COLOURS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [250, 250, 20]]], np.uint8)
FOUR = COLOURS.repeat(20, 0).repeat(32, 1)  # red, green; blue, yellow: 40 × 64 pixels
ORIENTATION = 0x0112

needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow writes no AVIF")


def saved(format_: str, image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def exif(orientation: int) -> Image.Exif:
    made = Image.Exif()
    made[ORIENTATION] = orientation
    return made


@pytest.mark.parametrize(
    ("format_", "options"),
    [
        ("PNG", {}),
        ("GIF", {}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("JPEG", {"quality": 100, "subsampling": 0}),
        ("JPEG", {"quality": 100, "subsampling": 0, "progressive": True}),
        pytest.param("AVIF", {"quality": 100, "subsampling": "4:4:4"}, marks=needs_avif),
    ],
)
def test_colours_are_red_green_blue(format_: str, options: dict[str, Any]) -> None:
    data = saved(format_, Image.fromarray(FOUR), **options)
    for decode in (decode_rgb, decode_photo):
        np.testing.assert_allclose(decode(data, "x").astype(int), FOUR, atol=3)


@pytest.mark.parametrize(
    ("format_", "options"),
    [
        ("GIF", {}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        pytest.param("AVIF", {"quality": 100, "subsampling": "4:4:4"}, marks=needs_avif),
    ],
)
def test_of_an_animation_the_first_frame_is_taken(format_: str, options: dict[str, Any]) -> None:
    first, later = Image.fromarray(FOUR), Image.fromarray(np.ascontiguousarray(FOUR[:, ::-1]))
    data = saved(format_, first, save_all=True, append_images=[later, later], **options)
    difference = np.abs(decode_photo(data, "x").astype(int) - FOUR)
    assert difference.mean() < 5  # an AVIF sequence has half of the colours' pixels
    assert np.abs(decode_photo(data, "x").astype(int) - FOUR[:, ::-1]).mean() > 50


@pytest.mark.parametrize("format_", ["JPEG", "TIFF"])
def test_cmyk_is_converted(format_: str) -> None:
    image = Image.fromarray(FOUR).convert("CMYK")
    options = {"quality": 100, "subsampling": 0} if format_ == "JPEG" else {}
    np.testing.assert_allclose(decode_photo(saved(format_, image, **options), "x").astype(int), FOUR, atol=3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", pytest.param("AVIF", marks=needs_avif)])
def test_a_photo_is_seen_upright(format_: str, orientation: int) -> None:
    options: dict[str, Any] = {"lossless": True} if format_ == "WEBP" else {}
    if format_ in ("JPEG", "AVIF"):
        options = {"quality": 100, "subsampling": 0 if format_ == "JPEG" else "4:4:4"}
    data = saved(format_, Image.fromarray(FOUR), exif=exif(orientation), **options)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    np.testing.assert_allclose(decode_photo(data, "x").astype(int), upright, atol=3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_huge_jpeg_is_decoded_smaller_upright_and_in_its_colours(
    orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MOST_PIXELS", 700)  # 40 × 64 pixels are a quarter of them as 20 × 32
    data = saved("JPEG", Image.fromarray(FOUR), exif=exif(orientation), quality=100, subsampling=0)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    made = decode_photo(data, "x")
    assert made.shape[0] * made.shape[1] == 640
    np.testing.assert_allclose(
        made.astype(int), np.asarray(upright.resize(made.shape[1::-1], Image.Resampling.BOX)), atol=3
    )


def test_a_huge_png_is_halved_and_a_larger_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved("PNG", Image.fromarray(FOUR))
    monkeypatch.setattr(images, "MOST_PIXELS", 40 * 64 - 1)
    np.testing.assert_array_equal(decode_photo(data, "x"), COLOURS.repeat(10, 0).repeat(16, 1))
    monkeypatch.setattr(images, "MOST_PIXELS", 40 * 64 // 2 - 1)
    with pytest.raises(SourceError, match=r"x: a PNG of 64 × 40 pixels, expected .* at most; make it smaller"):
        decode_photo(data, "x")
    monkeypatch.setattr(images, "MOST_PIXELS", 39)
    with pytest.raises(SourceError, match="x: a JPEG of 64 × 40 pixels, expected"):
        decode_photo(saved("JPEG", Image.fromarray(FOUR)), "x")


def test_a_photo_of_a_hundred_megapixels_works() -> None:
    """11,648 × 8,736: a medium-format camera, above the longest side of a set's image."""
    grey = np.zeros((8736, 11648), np.uint8)
    grey[:, 5824:] = 200
    made = decode_photo(saved("JPEG", Image.fromarray(grey), quality=50), "x")
    assert made.shape == (4368, 5824, 3)
    assert abs(int(made[2000, 1000, 0])) < 5 and abs(int(made[2000, 4000, 2]) - 200) < 5


@pytest.mark.parametrize("name", ["фото 人 é.png", os.fsdecode(b"caf\xe9\xff.png")])
def test_paths_in_any_script_and_in_none(name: str, tmp_path: Path) -> None:
    try:
        (tmp_path / name).write_bytes(saved("PNG", Image.fromarray(FOUR)))
    except OSError:
        pytest.skip("this file system takes no such name")
    np.testing.assert_array_equal(read_rgb(tmp_path / name), FOUR)


@needs_avif
def test_a_torn_avif_is_not_turned_and_not_read() -> None:
    data = saved("AVIF", Image.fromarray(FOUR), exif=exif(6))
    assert avif_turn(data) == (3, None)
    for end in range(0, len(data), 7):
        with pytest.raises(SourceError):
            decode_photo(data[:end], "x")
        avif_turn(data[:end])
