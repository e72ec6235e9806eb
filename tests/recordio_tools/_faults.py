"""A face set to break, and for every code of `verify` a fault built by hand with all the findings it must give."""

import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recordio_tools import Header, Reader, Writer, pack
from recordio_tools.errors import DamageError
from recordio_tools.images import encode_rgb
from recordio_tools.verify import verify

MAGIC = b"\x0a\x23\xd7\xce"


def picture(key: int, suffix: str = ".png", height: int = 8, width: int = 6) -> bytes:
    """A real image, another one for every key."""
    pixels = np.random.default_rng(key).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return encode_rgb(pixels, suffix, 90)


class Home:
    """A face set to break: images 1..6 of classes 0 0 0 1 2 2, header record 0, identity records 7, 8, 9."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.rec, self.idx = folder / "train.rec", folder / "train.idx"
        self.property, self.listing = folder / "property", folder / "train.lst"
        self.records: dict[int, bytes] = {}
        for key, label in zip(range(1, 7), (0, 0, 0, 1, 2, 2), strict=True):
            self.records[key] = pack(Header(2, [label, 1.0], key), picture(key))
        for key, bounds in ((0, (7, 10)), (7, (1, 4)), (8, (4, 5)), (9, (5, 7))):
            self.records[key] = pack(Header(2, [float(bound) for bound in bounds], key), b"")
        self.property.write_text("3,8,6\n")
        self.write()

    def write(self) -> None:
        with Writer(self.rec) as writer:
            for key, payload in self.records.items():
                writer.write(key, payload)
        self.offsets = {int(k): int(o) for k, o in (line.split() for line in self.idx.read_text().splitlines())}
        self.at = {offset: key for key, offset in self.offsets.items()}

    def put(self, key: int, payload: bytes) -> None:
        self.records[key] = payload
        self.write()

    def poke(self, place: int, data: bytes) -> None:
        raw = bytearray(self.rec.read_bytes())
        raw[place : place + len(data)] = data
        self.rec.write_bytes(raw)

    def insert(self, place: int, data: bytes) -> None:
        """Put bytes into the record file; the index follows."""
        raw = self.rec.read_bytes()
        self.rec.write_bytes(raw[:place] + data + raw[place:])
        moved = {k: o + len(data) * (o >= place) for k, o in self.offsets.items()}
        self.idx.write_text("".join(f"{k}\t{o}\n" for k, o in moved.items()))
        self.offsets = moved

    def list(self, change: Callable[[list[str]], object] = lambda lines: None) -> None:
        lines = [
            f"1\tp{label}/{key}.png\t{label}\n" for key, label in zip(range(1, 7), (0, 0, 0, 1, 2, 2), strict=True)
        ]
        change(lines)
        self.listing.write_text("".join(lines))

    def index_line(self, key: int, text: str) -> None:
        self.idx.write_text(re.sub(rf"^{key}\t.*\n", text, self.idx.read_text(), flags=re.M))


Expected = list[tuple[str, int | None, int | None]]
CASES: dict[str, Callable[[Home], Expected]] = {}


def case(code: str) -> Callable[[Callable[[Home], Expected]], Callable[[Home], Expected]]:
    """A fault: the function breaks a sound set and says all the findings that it must give."""

    def register(make: Callable[[Home], Expected]) -> Callable[[Home], Expected]:
        CASES[code] = make
        return make

    return register


@case("framing.bad-magic")
def _(home: Home) -> Expected:
    home.poke(home.offsets[2], b"\x0b")
    return [("framing.bad-magic", 2, home.offsets[2])]


@case("framing.gap")
def _(home: Home) -> Expected:
    place = home.offsets[3]
    home.insert(place, b"junk" * 3)
    return [("framing.gap", None, place)]


@case("framing.bad-flag")
def _(home: Home) -> Expected:
    home.poke(home.offsets[4] + 7, b"\xa0")  # part flag 5
    return [("framing.bad-flag", 4, home.offsets[4]), ("labels.unused", None, None)]


@case("framing.overrun")
def _(home: Home) -> Expected:
    """The length reaches just to the next record but one, which mxnet reads as one record."""
    start, end = home.offsets[2], home.offsets[4]
    home.poke(start + 4, struct.pack("<I", end - start - 8))
    with pytest.raises(DamageError, match="inside it"):
        Reader(home.rec).read(2)
    return [("framing.overrun", 2, start)]


@case("framing.truncated")
def _(home: Home) -> Expected:
    home.rec.write_bytes(home.rec.read_bytes()[:-4])
    return [("framing.truncated", 9, home.offsets[9])]


def _several_parts(home: Home) -> int:
    """Make image 5 a record of three parts; the offset of its second one."""
    image = b"P5 6 8 1" + MAGIC + b"\1" * 12 + MAGIC + b"\2" * 8
    home.put(5, pack(Header(2, [2, 1.0], 5), image))
    assert verify(home.folder).counts == {}
    return home.rec.read_bytes().index(MAGIC, home.offsets[5] + 4)


@case("framing.incomplete")
def _(home: Home) -> Expected:
    second = _several_parts(home)
    home.poke(second + 7, b"\0")  # the middle part becomes a whole record
    return [
        ("framing.incomplete", 5, home.offsets[5]),
        ("framing.orphan", None, second + 20),
        ("index.unindexed", None, second),
        ("record.short-header", None, second),
    ]


@case("framing.orphan")
def _(home: Home) -> Expected:
    place = home.offsets[3]
    home.insert(place, MAGIC + struct.pack("<I", 3 << 29 | 4) + b"abcd")
    return [("framing.orphan", None, place)]


@case("framing.padding")
def _(home: Home) -> Expected:
    home.put(5, pack(Header(2, [2, 1.0], 5), b"P5 6 8 1\n"))  # 41 bytes, so three of padding
    home.poke(home.offsets[5] + 8 + 43, b"\1")
    return [("framing.padding", 5, home.offsets[5])]


@case("index.missing")
def _(home: Home) -> Expected:
    home.idx.unlink()
    return [("index.missing", None, None)]


@case("index.no-index")
def _(home: Home) -> Expected:
    home.records = {key - 1: home.records[key] for key in range(1, 7)}
    home.write()
    home.idx.unlink()
    home.property.write_text("3,8,6\n6\nshuffled\n2024-01-31 10:00:00\n")
    return [("index.no-index", None, None)]


@case("index.empty")
def _(home: Home) -> Expected:
    home.idx.write_bytes(b"")
    return [("index.empty", None, None)]


@case("index.bad-line")
def _(home: Home) -> Expected:
    home.index_line(3, "3 0x90\n")
    return [("index.bad-line", None, None), ("index.unindexed", 3, home.offsets[3])]


@case("index.unaligned")
def _(home: Home) -> Expected:
    home.index_line(3, f"3\t{home.offsets[3] + 2}\n")
    return [("index.unaligned", 3, home.offsets[3] + 2), ("index.unindexed", 3, home.offsets[3])]


@case("index.duplicate-key")
def _(home: Home) -> Expected:
    home.index_line(3, f"2\t{home.offsets[3]}\n")
    return [
        ("index.duplicate-key", 2, home.offsets[3]),
        ("images.missing", 3, None),
        ("record.id", 2, home.offsets[3]),
    ]


@case("index.duplicate-offset")
def _(home: Home) -> Expected:
    home.index_line(3, f"3\t{home.offsets[2]}\n")
    return [
        ("index.duplicate-offset", 3, home.offsets[2]),
        ("index.unindexed", None, home.offsets[3]),
        ("images.missing", 3, None),
    ]


@case("index.past-end")
def _(home: Home) -> Expected:
    size = home.rec.stat().st_size
    home.index_line(3, f"3\t{size - 4}\n")
    return [("index.past-end", 3, size - 4), ("index.unindexed", None, home.offsets[3])]


@case("index.no-record")
def _(home: Home) -> Expected:
    home.index_line(3, f"3\t{home.offsets[3] + 4}\n")
    return [("index.no-record", 3, home.offsets[3] + 4), ("index.unindexed", None, home.offsets[3])]


@case("index.other-file")
def _(home: Home) -> Expected:
    lines = [f"{key}\t{4 * key}\n" for key in range(1, 8)]
    home.idx.write_text("".join(lines))
    return [("index.other-file", None, None), *(("index.no-record", key, 4 * key) for key in range(1, 8))]


@case("index.unindexed")
def _(home: Home) -> Expected:
    home.index_line(3, "")
    return [("index.unindexed", 3, home.offsets[3])]


@case("record.none")
def _(home: Home) -> Expected:
    home.rec.write_bytes(b"")
    home.idx.write_bytes(b"")
    return [("record.none", None, None)]


@case("record.not-images")
def _(home: Home) -> Expected:
    home.records = {key: b"a line of text %d" % key for key in range(3)}
    home.write()
    home.property.unlink()
    return [("record.not-images", None, None)]


@case("record.short-header")
def _(home: Home) -> Expected:
    home.put(4, b"x" * 23)
    return [("record.short-header", 4, home.offsets[4]), ("labels.unused", None, None)]


@case("record.labels")
def _(home: Home) -> Expected:
    home.put(4, struct.pack("<IfQQ", 10**9, 0, 4, 0) + picture(4))
    return [("record.labels", 4, home.offsets[4]), ("labels.unused", None, None)]


@case("record.id")
def _(home: Home) -> Expected:
    home.put(4, pack(Header(2, [1, 1.0], 44), picture(4)))
    return [("record.id", 4, home.offsets[4])]


@case("record.ids")
def _(home: Home) -> Expected:
    home.records = {key: data[:8] + bytes(16) + data[24:] for key, data in home.records.items()}
    home.write()
    return [("record.ids", None, None)]


@case("header.bad")
def _(home: Home) -> Expected:
    home.put(0, pack(Header(2, [20.0, 23.0], 0), b""))
    return [("header.bad", 0, home.offsets[0])]


@case("header.missing")
def _(home: Home) -> Expected:
    del home.records[0]
    home.write()
    return [("header.missing", 0, None)]


@case("ranges.rounded")
def _(home: Home) -> Expected:
    top = 2**24
    for key in (7, 8, 9):
        home.records[top + key] = home.records.pop(key)
    del home.records[0]
    home.put(0, pack(Header(2, [float(top + 8), float(top + 10)], 0), b""))
    home.records = {k: d[:8] + struct.pack("<Q", k) + d[16:] for k, d in home.records.items()}
    home.write()
    return [("ranges.rounded", 0, None)]


@case("ranges.missing")
def _(home: Home) -> Expected:
    del home.records[8]
    home.write()
    return [("ranges.missing", 8, None)]


@case("ranges.not-a-range")
def _(home: Home) -> Expected:
    home.put(8, pack(Header(2, [1.0, 1.0], 8), b""))
    return [("ranges.not-a-range", 8, home.offsets[8])]


@case("ranges.order")
def _(home: Home) -> Expected:
    home.put(9, pack(Header(2, [6.0, 8.0], 9), b""))
    return [("ranges.order", 9, home.offsets[9]), ("ranges.order", 9, home.offsets[9])]


@case("ranges.stray")
def _(home: Home) -> Expected:
    home.put(12, pack(Header(2, [1.0, 4.0], 12), b""))
    return [("ranges.stray", 12, home.offsets[12])]


@case("images.missing")
def _(home: Home) -> Expected:
    del home.records[2]
    home.write()
    return [("images.missing", 2, None)]


@case("images.stray")
def _(home: Home) -> Expected:
    home.put(30, pack(Header(2, [1, 1.0], 30), picture(30)))
    return [("images.stray", 30, home.offsets[30])]


@case("labels.not-whole")
def _(home: Home) -> Expected:
    home.put(3, pack(Header(2, [0.5, 1.0], 3), picture(3)))
    return [("labels.not-whole", 3, home.offsets[3])]


@case("labels.mixed")
def _(home: Home) -> Expected:
    """The middle of the range, where a look at its first and last image sees nothing."""
    home.put(2, pack(Header(2, [1, 1.0], 2), picture(2)))
    return [("labels.mixed", 2, home.offsets[2])]


@case("labels.shared")
def _(home: Home) -> Expected:
    home.put(4, pack(Header(2, [0, 1.0], 4), picture(4)))
    return [("labels.shared", 8, home.offsets[8]), ("labels.unused", None, None)]


@case("labels.too-high")
def _(home: Home) -> Expected:
    home.property.write_text("2,8,6\n")
    return [("labels.too-high", 5, home.offsets[5]), ("labels.too-high", 6, home.offsets[6])]


@case("labels.unused")
def _(home: Home) -> Expected:
    home.property.write_text("5,8,6\n")
    return [("labels.unused", None, None)]


@case("property.missing")
def _(home: Home) -> Expected:
    home.property.unlink()
    return [("property.missing", None, None)]


@case("property.unreadable")
def _(home: Home) -> Expected:
    home.property.write_text("three people\n")
    return [("property.unreadable", None, None)]


@case("property.images")
def _(home: Home) -> Expected:
    home.property.write_text("3,8,6\n10\n")  # the records, as ElasticFace's configuration counts them
    return [("property.images", None, None)]


@case("property.shuffled")
def _(home: Home) -> Expected:
    home.property.write_text("3,8,6\n6\nshuffled\n2024-01-31 10:00:00\n")
    return [("property.shuffled", None, None)]


@case("listing.unreadable")
def _(home: Home) -> Expected:
    home.listing.mkdir()
    return [("listing.unreadable", None, None)]


@case("listing.bad-line")
def _(home: Home) -> Expected:
    home.list(lambda lines: lines.__setitem__(3, "nonsense\n"))
    return [("listing.bad-line", None, None)]


@case("listing.count")
def _(home: Home) -> Expected:
    home.list(lambda lines: lines.pop())
    return [("listing.count", None, None)]


@case("listing.label")
def _(home: Home) -> Expected:
    home.list(lambda lines: lines.__setitem__(3, "1\tp2/4.png\t2\n"))
    return [("listing.label", 4, None)]


def _with_image(home: Home, image: bytes) -> None:
    home.put(5, pack(Header(2, [2, 1.0], 5), image))


@case("image.empty")
def _(home: Home) -> Expected:
    _with_image(home, b"")
    return [("image.empty", 5, home.offsets[5])]


@case("image.cut-short")
def _(home: Home) -> Expected:
    _with_image(home, picture(5, ".jpg")[:-20])
    return [("image.cut-short", 5, home.offsets[5])]


@case("image.header")
def _(home: Home) -> Expected:
    _with_image(home, b"\xff\xd8\xff\xe0\0\x04ab\xff\xda\0\x04abcdefgh\xff\xd9")
    home.put(6, pack(Header(2, [2, 1.0], 6), b"\xff\xd8\xff" * 4 + b"\xff\xd9"))
    home.put(4, pack(Header(2, [1, 1.0], 4), b"\x89PNG\r\n\x1a\n" + bytes(20) + b"IEND" + bytes(4)))
    return [("image.header", key, home.offsets[key]) for key in (4, 5, 6)]


@case("image.unknown")
def _(home: Home) -> Expected:
    _with_image(home, b"<html>not found</html>")
    return [("image.unknown", 5, home.offsets[5])]


@case("image.size")
def _(home: Home) -> Expected:
    _with_image(home, picture(5, ".jpg", height=6, width=8))
    return [("image.size", 5, home.offsets[5])]


@case("image.too-large")
def _(home: Home) -> Expected:
    image = picture(5)
    _with_image(home, image[:16] + struct.pack(">II", 50_000, 50_000) + image[24:])
    return [("image.too-large", 5, home.offsets[5]), ("image.size", 5, home.offsets[5])]


@case("image.undecodable")
def _(home: Home) -> Expected:
    image = picture(5)
    _with_image(home, image[:33] + b"\0" * (len(image) - 45) + image[-12:])
    return [("image.undecodable", 5, home.offsets[5])]


@case("duplicates.within")
def _(home: Home) -> Expected:
    home.put(3, pack(Header(2, [0, 1.0], 3), picture(1)))
    return [("duplicates.within", 3, home.offsets[3])]


@case("duplicates.across")
def _(home: Home) -> Expected:
    home.put(5, pack(Header(2, [2, 1.0], 5), picture(1)))
    return [("duplicates.across", 5, home.offsets[5])]
