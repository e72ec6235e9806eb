"""Sizes from Pillow and from the formats' descriptions; bombs in a process whose memory is measured."""

import contextlib
import io
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from recordio_tools.checks.sniff import State, sniff
from recordio_tools.errors import SourceError
from recordio_tools.image_header import MAX_SIDE, ImageHeader, format_of, is_cut_short, read_header
from recordio_tools.images import decode_rgb, fit_square, read_rgb

SQUARE = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)


def saved(format_: str, pixels: np.ndarray = SQUARE, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format_, **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def jpeg_of(width: int, height: int) -> bytes:
    data = bytearray(saved("JPEG", progressive=True))
    place = data.index(b"\xff\xc2")
    data[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def tiff_of(tags: dict[int, int], order: str = "<", big: bool = False) -> bytes:
    """TIFF 6.0, or BigTIFF, of one directory without pixels; every tag a LONG."""
    entries = b"".join(
        struct.pack(order + ("HHQIxxxx" if big else "HHII"), tag, 4, 1, value) for tag, value in sorted(tags.items())
    )
    mark = b"II" if order == "<" else b"MM"
    if big:
        return mark + struct.pack(order + "HHHQ", 43, 8, 0, 16) + struct.pack(order + "Q", len(tags)) + entries
    return mark + struct.pack(order + "HI", 42, 8) + struct.pack(order + "H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize(
    ("format_", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"comment": b"\xff\xc0\0\x11\x08\0\x01\0\x01"}),  # a comment that looks like a frame header
        ("PNG", {}),
        ("BMP", {}),
        ("WebP", {}),
        ("WebP", {"lossless": True}),
        ("WebP", {"icc_profile": b"x" * 128}),  # an extended file, VP8X
        ("TIFF", {}),
        ("TIFF", {"big_tiff": True}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("GIF", {}),
        ("AVIF", {}),
    ],
)
def test_sizes_are_those_that_pillow_wrote(format_: str, options: dict[str, Any]) -> None:
    assert read_header(saved(format_, **options)) == ImageHeader(format_, 53, 37)


@pytest.mark.parametrize("kind", range(1, 7))
def test_pnm_as_its_description_has_it(kind: int) -> None:
    head = b"P%d" % kind
    for text in (b"\n3 2\n", b" 3\t2 ", b"\n# 99 99\n#\n3 # 7\r2\n", b"\n#9\r 3\n2\n"):
        assert read_header(head + text + b"255\nabcdef") == ImageHeader("PNM", 3, 2)
    for text in (b"", b"3 2\n", b"\n3", b"\n3 2", b"\n3#9\n2 1\n", b"\n-3 2\n", b"\nx 2\n", b"\n# no end"):
        assert read_header(head + text) is None


def test_bmp_in_both_headers() -> None:
    old = b"BM" + bytes(12) + struct.pack("<IHH", 12, 3, 2)
    assert read_header(old) == ImageHeader("BMP", 3, 2)
    upside_down = b"BM" + bytes(12) + struct.pack("<Iii", 40, 3, -2)
    assert read_header(upside_down) == ImageHeader("BMP", 3, 2)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_tiff_in_both_orders_and_widths(order: str, big: bool) -> None:
    assert read_header(tiff_of({256: 3, 257: 2, 258: 8}, order, big)) == ImageHeader("TIFF", 3, 2)
    # a decoder makes room for a whole tile, however small the picture is
    assert read_header(tiff_of({256: 3, 257: 2, 322: 64, 323: 32}, order, big)) == ImageHeader("TIFF", 64, 32)
    assert read_header(tiff_of({256: 3}, order, big)) is None


def test_tiff_size_of_a_kind_that_is_no_whole_number() -> None:
    data = bytearray(tiff_of({256: 3, 257: 2}))
    data[12:14] = struct.pack("<H", 11)  # FLOAT
    assert read_header(bytes(data)) is None


def test_jpeg_markers_as_libjpeg_finds_them() -> None:
    plain = saved("JPEG")
    for between in (b"\xff\xff\xff", b"garbage", b"\xff\x00", b"\xff\x01", b"\xff\xd0"):
        assert read_header(plain[:2] + b"\xff\xfe\0\x02" + between + plain[2:]) == ImageHeader("JPEG", 53, 37)
    assert read_header(plain[: plain.index(b"\xff\xc0")] + b"\xff\xd9") is None
    assert read_header(b"\xff\xd8\xff\xe0\0\0") is None
    assert read_header(b"\xff\xd8\xff\xff\xff") is None


def test_every_cut_of_every_format_is_a_header_or_none() -> None:
    images = [saved(format_) for format_ in ("JPEG", "PNG", "BMP", "WebP", "TIFF")]
    for data in (*images, saved("WebP", lossless=True), saved("WebP", icc_profile=b"x" * 128)):
        whole = read_header(data)
        for end in range(min(len(data), 700)):
            assert read_header(data[:end]) in (None, whole)
    assert read_header(b"RIFF\0\0\0\0WEBPALPH" + bytes(40)) is None
    assert read_header(b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", bytes(20))) is None


def test_a_view_of_the_bytes_tells_the_same() -> None:
    """And no offset of a hostile TIFF is more than struct can take."""
    for format_ in ("JPEG", "PNG", "BMP", "WebP", "TIFF", "PPM", "GIF"):
        data = saved(format_)
        for part in (data, data[:-9], data[:30], data[:9], b""):
            view = memoryview(b"before" + part + b"behind")[6 : 6 + len(part)]
            for look in (read_header, format_of, is_cut_short):
                assert look(view) == look(part)
    assert read_header(b"II+\0\x08\0\0\0" + b"\xff" * 8) is None
    assert read_header(b"P5" + b" " * 70_000 + b"3 2 255\n") is None  # nobody writes that; OpenCV would read on


SOF = saved("JPEG").index(b"\xff\xc0")
COMMENT = b"\xff\xfe\0\x02"
THUMBNAIL = b"\xff\xe5\0\x06a\xff\xd9b"  # with an end mark of its own
AHEAD = {
    "fill bytes": COMMENT + b"\xff\xff\xff",
    "garbage": COMMENT + b"garbage",
    "far garbage": COMMENT + bytes(5000),
    "a stuffed byte": COMMENT + b"\xff\0\xff\0x",
    "marks that stand alone": COMMENT + b"\xff\x01\xff\xd0",
    "20,000 comments": COMMENT * 20_000,
    "a length of 0": b"\xff\xfe\0\0",
    "a length of 1": b"\xff\xe5\0\1",
    "a colour profile": (b"\xff\xe2\xff\xff" + bytes(65_533)) * 20,
    "a thumbnail": THUMBNAIL,
}


@pytest.mark.parametrize("what", AHEAD)
def test_what_opencv_reads_past_is_read_past(what: str) -> None:
    """OpenCV decodes all of these; without its end mark each is cut short, whatever thumbnail it has."""
    plain = saved("JPEG")
    data = plain[:2] + AHEAD[what] + plain[2:]
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), 1)
    assert pixels is not None
    assert pixels.shape[:2] == (37, 53)
    assert sniff(memoryview(data)) == (State.FINE, 37, 53)
    assert sniff(memoryview(data + b"something behind the end mark")) == (State.FINE, 37, 53)
    cut = plain[:2] + AHEAD[what] + COMMENT + b"garbage" + THUMBNAIL + plain[2:-30]
    assert sniff(memoryview(cut)) == (State.CUT, 37, 53)
    assert is_cut_short(cut)


NO_SIZE = {
    "no line": saved("JPEG")[: SOF + 5] + b"\0\0" + saved("JPEG")[SOF + 7 :],
    "no column": saved("JPEG")[: SOF + 7] + b"\0\0" + saved("JPEG")[SOF + 9 :],
    "a second start": saved("JPEG")[:2] + b"\xff\xd8" + saved("JPEG")[2:],
    "an end first": saved("JPEG")[:2] + b"\xff\xd9" + saved("JPEG")[2:],
    "a length past the end": saved("JPEG")[:2] + b"\xff\xe5\xff\xff" + saved("JPEG")[2:],
    "PNG, no column": png_of(0, 7),
    "PNG, 2^31 lines": png_of(1, 1 << 31),
    "PNG, another chunk first": saved("PNG")[:8] + chunk(b"tEXt", b"a\0b") + saved("PNG")[8:],
    "BMP": b"BM" + b"\1" * 7,
    "PNM": b"P5\nx 2\n255\nabcd",
}


@pytest.mark.parametrize("what", NO_SIZE)
def test_where_opencv_sees_no_image_there_is_no_size(what: str) -> None:
    data = NO_SIZE[what]
    with contextlib.suppress(cv2.error):
        assert cv2.imdecode(np.frombuffer(data, np.uint8), 1) is None
    assert read_header(data) is None
    assert format_of(data) is not None
    assert sniff(memoryview(data)) == (State.HEADER, 0, 0)


def test_markers_without_end_are_given_up() -> None:
    """OpenCV would go on; a gigabyte of them would take minutes here."""
    plain = saved("JPEG")
    assert sniff(plain[:2] + COMMENT * 200_000 + plain[2:])[0] == State.HEADER


BOMBS = {
    "png": png_of(60_000, 60_000),
    "jpeg": jpeg_of(30_000, 30_000),  # OpenCV alone decodes it, into 5 GB
    "strip": saved("PNG", np.zeros((20_000, 1, 3), np.uint8)),  # sound and small, but its square would be 1.2 GB
    "tiff": tiff_of({256: 60_000, 257: 60_000, 258: 8, 262: 1, 273: 8, 279: 1}),
    "tile": tiff_of({256: 8, 257: 8, 322: 30_000, 323: 30_000}),
    "bmp": b"BM" + bytes(12) + struct.pack("<IiiHHIIIIII", 40, 60_000, -60_000, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(99),
    "webp": b"RIFF\x64\0\0\0WEBPVP8 \x58\0\0\0\x30\x01\0\x9d\x01\x2a" + struct.pack("<HH", 16_000, 16_000) + bytes(80),
    "pgm": b"P5\n30000 30000\n255\n" + bytes(99),
    "pbm": b"P4 # one bit a pixel\n60000 60000\n" + bytes(99),
}

MEASURE = """
import json, resource, sys
from pathlib import Path
import cv2
from recordio_tools.errors import SourceError
from recordio_tools.images import fit_square, read_rgb
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
said = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        said[path.name] = str(fit_square(read_rgb(path), 112).shape)
    except SourceError as error:
        said[path.name] = str(error)
print(json.dumps([said, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before]))
"""


def test_bombs_are_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    for name, data in BOMBS.items():
        (tmp_path / name).write_bytes(data)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 36)
    done = subprocess.run([sys.executable, "-c", MEASURE, str(tmp_path)], check=True, capture_output=True, text=True)
    said, kilobytes = json.loads(done.stdout)
    assert "68,719,476,736 bytes, expected an image file of 536,870,911 at most" in said.pop("sparse")
    assert list(said) == sorted(BOMBS)
    for name, message in said.items():
        assert message.startswith(f"{tmp_path / name}: a "), message
        assert "expected 10,000 a side at most; make it smaller, replace or remove it" in message
    assert kilobytes < 64 * 1024


def test_verify_knows_bombs_before_it_decodes_anything() -> None:
    """It decodes what is FINE or UNKNOWN, and nothing else."""
    for name, data in BOMBS.items():
        state, height, width = sniff(memoryview(data))
        assert (name, state, max(height, width) > MAX_SIDE) == (name, State.LARGE, True)


def test_the_longest_side_is_allowed() -> None:
    assert decode_rgb(saved("PNG", np.zeros((1, MAX_SIDE, 3), np.uint8)), "x").shape == (1, MAX_SIDE, 3)
    with pytest.raises(SourceError, match="a PNG of 10,001 × 1 pixels"):
        decode_rgb(saved("PNG", np.zeros((1, MAX_SIDE + 1, 3), np.uint8)), "x")


def test_formats_that_are_not_measured_are_not_decoded() -> None:
    unknown = saved("JPEG2000")
    assert cv2.imdecode(np.frombuffer(unknown, np.uint8), 1) is not None
    with pytest.raises(SourceError, match="not a readable image"):
        decode_rgb(unknown, "x")


def test_what_pillow_decodes_is_what_we_decode(tmp_path: Path) -> None:
    """Lossless formats: equal pixels. JPEG: both use libjpeg-turbo, and may differ in the last bit."""
    rng = np.random.default_rng(1)
    colour = rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)
    images = {
        "colour": Image.fromarray(colour),
        "grey": Image.fromarray(colour[..., 0]),
        "alpha": Image.fromarray(np.dstack([colour, colour[..., 0]])),
        "grey_alpha": Image.fromarray(colour[..., :2].copy(), "LA"),
        "palette": Image.fromarray(colour).quantize(16),
        "bits": Image.fromarray(colour[..., 0] > 99),
    }
    for name, image in images.items():
        for suffix in ("png", "tiff", "bmp"):
            if "alpha" in name and suffix != "png":
                continue  # BMP's alpha is read in two ways, for TIFF's see below
            path = tmp_path / f"{name}.{suffix}"
            image.save(path)
            # transparency is dropped, not blended; Pillow's "RGB" does the same
            np.testing.assert_array_equal(read_rgb(path), np.asarray(image.convert("RGB")), path.name)


def test_transparency_of_a_tiff_is_blended_with_black(tmp_path: Path) -> None:
    """OpenCV's way, unlike PNG's; who wants it otherwise flattens the photo first."""
    Image.fromarray(np.full((4, 4, 4), (200, 100, 50, 128), np.uint8)).save(tmp_path / "a.tiff")
    np.testing.assert_allclose(read_rgb(tmp_path / "a.tiff")[0, 0], [200 * 128 / 255, 100 * 128 / 255, 25], atol=1)


def test_16_bits_are_scaled_to_8(tmp_path: Path) -> None:
    grey = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)  # 0, 257 … 65535: exactly 0 … 255
    Image.fromarray(grey).save(tmp_path / "16.png")
    np.testing.assert_allclose(read_rgb(tmp_path / "16.png")[..., 1], np.arange(256).reshape(16, 16), atol=1)
    assert cv2.imwrite(str(tmp_path / "16.tiff"), grey)
    np.testing.assert_allclose(read_rgb(tmp_path / "16.tiff")[..., 1], np.arange(256).reshape(16, 16), atol=1)


def test_cmyk_jpeg(tmp_path: Path) -> None:
    inks = np.zeros((16, 64, 4), np.uint8)
    inks[:, 16:32, 0] = 255  # cyan takes red away
    inks[:, 32:48, 3] = 255  # black
    inks[:, 48:, 1] = 255  # magenta takes green away
    Image.fromarray(inks, "CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    pixels = read_rgb(tmp_path / "cmyk.jpg")
    expected = [(255, 255, 255), (0, 255, 255), (0, 0, 0), (255, 0, 255)]
    for place, colour in enumerate(expected):
        np.testing.assert_allclose(pixels[8, 16 * place + 8], colour, atol=3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation(tmp_path: Path, orientation: int) -> None:
    from PIL import ImageOps

    blocks = np.kron(np.arange(6, dtype=np.uint8).reshape(2, 3) * 50, np.ones((16, 16), np.uint8))
    image = Image.fromarray(np.dstack([blocks] * 3))
    exif = Image.Exif()
    exif[0x0112] = orientation
    for suffix in ("jpg", "png"):
        path = tmp_path / f"turned.{suffix}"
        image.save(path, exif=exif, quality=100)
        upright = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"), int)
        np.testing.assert_allclose(read_rgb(path), upright, atol=3)


@pytest.mark.parametrize("suffix", ["webp", "png", "tiff"])
def test_of_several_frames_the_first_is_taken(tmp_path: Path, suffix: str) -> None:
    frames = [Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (10, 200, 90)]
    path = tmp_path / f"many.{suffix}"
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    assert (read_rgb(path) == 10).all()
    assert fit_square(read_rgb(path), 4).shape == (4, 4, 3)
