"""Every code of `verify` by one fault built by hand; sound sets without a finding; and parity with Reader."""

import random
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recordio_tools import Header, Reader, Writer, pack
from recordio_tools.checks.findings import CODES
from recordio_tools.errors import DamageError, RecordIOError, SourceError
from recordio_tools.images import encode_rgb
from recordio_tools.rebuild import rebuild
from recordio_tools.verify import Report, verify

from .conftest import worker_threads

MAGIC = b"\x0a\x23\xd7\xce"
LAYOUTS = ("face2rec2", "RecBuilder", "SeqRecBuilder")


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


def seen(report: Report) -> Expected:
    return [(finding.code, finding.key, finding.offset) for finding in report.findings]


OF_VIEWS = ("view.", "open.")  # see test_verify_view.py


@pytest.mark.parametrize("code", [c for c in CODES if c != "framing.oversized" and not c.startswith(OF_VIEWS)])
def test_one_fault_a_code(tmp_path: Path, code: str) -> None:
    home = Home(tmp_path / "set")
    assert seen(verify(home.folder, decode=True)) == []
    expected = CASES[code](home)
    path = home.rec if code == "record.not-images" else home.folder
    report = verify(path, decode=code in ("image.undecodable", "image.too-large"))
    assert sorted(map(str, seen(report))) == sorted(map(str, expected))
    assert code in report.counts
    assert report.damaged == any(CODES[found] == "damage" for found, _, _ in expected)
    for finding in report.findings:
        assert finding.severity == CODES[finding.code]
        assert finding.message.startswith(f"{finding.file}: ")
        assert "\n" not in finding.message
        assert finding.key is None or f"key {finding.key}" in finding.message
        assert finding.offset is None or f"byte {finding.offset:,}" in finding.message


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("more", ["", "6\n"])
def test_sound_sets_give_no_finding(
    tmp_path: Path, make_set: Callable[..., Path], layout: str, suffix: str, more: str
) -> None:
    made = make_set(tmp_path / layout, [3, 1, 2], layout, image=lambda key: picture(key, suffix))
    (made / "property").write_text(f"3,8,6\n{more}")
    report = verify(made, decode=True)
    assert seen(report) == []
    assert (report.images, report.identities, report.bytes) == (6, 3, (made / "train.rec").stat().st_size)
    assert seen(verify(made / "train.rec", decode=True)) == []


def test_a_shuffled_set_gives_no_finding(tmp_path: Path) -> None:
    """As shuffle_rec.py leaves it: new keys, the ids and labels that the records had, two of them under key 0."""
    with Writer(tmp_path / "train.rec") as writer:
        for key, old in enumerate([4, 2, 6, 1, 5, 3]):
            writer.write(key, pack(Header(2, [old // 3, 1.0], old), picture(old)))
    (tmp_path / "property").write_text("3,8,6\n6\nshuffled\n2024-01-31 10:00:00\n")
    assert seen(verify(tmp_path)) == []


def test_a_magic_that_was_not_cut_is_read_and_told(tmp_path: Path) -> None:
    """By a writer that does not cut: no reader of ours loses the record, and verify says what breaks the format."""
    payloads = [b"a" * 40, b"b" * 16 + MAGIC + b"\x99\x12\x13\xf4" + b"c" * 40, b"d" * 40]
    rec = tmp_path / "x.rec"
    rec.write_bytes(b"".join(MAGIC + struct.pack("<I", len(payload)) + payload for payload in payloads))
    rec.with_suffix(".idx").write_text("0\t0\n1\t48\n2\t120\n")
    assert [Reader(rec).read(key) for key in range(3)] == payloads
    made, damages = rebuild(rec)
    assert (made.offsets.tolist(), damages.total) == ([0, 48, 120], 0)
    found = seen(verify(rec))[:2]
    assert found == [("framing.overrun", 1, 48), ("framing.bad-flag", None, 72)]


def test_a_record_of_parts_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two parts of 32 bytes and the magic between them; the limit is 63 here, 2^29 - 1 in truth."""
    with Writer(tmp_path / "x.rec") as writer:
        writer.write(8, b"a" * 28 + MAGIC + b"b" * 28)
        writer.write(9, b"a" * 32 + MAGIC + b"b" * 32)
    monkeypatch.setattr("recordio_tools.checks.walk.MAX_LENGTH", 63)
    report = verify(tmp_path / "x.rec")
    assert [one for one in seen(report) if one[0].startswith("framing")] == [("framing.oversized", 9, 72)]


def test_the_number_of_workers_changes_no_finding(tmp_path: Path) -> None:
    """60 images, of which every seventh cannot be decoded, every eleventh is too large, one is of several parts."""
    folder = tmp_path / "set"
    folder.mkdir()
    with Writer(folder / "train.rec") as writer:
        for key in range(60):
            image = picture(key)
            if key % 7 == 0:
                image = image[:33] + b"\0" * (len(image) - 45) + image[-12:]
            elif key % 11 == 0:
                image = image[:16] + struct.pack(">II", 50_000, 50_000) + image[24:]
            elif key == 20:
                image += b"\0" * (-len(image) % 4) + MAGIC
            writer.write(key, pack(Header(0, float(key // 6), key), image))
    (folder / "property").write_text("10,8,6\n")
    raw = bytearray((folder / "train.rec").read_bytes())
    for key in (30, 45):
        raw[int(Reader(folder / "train.rec").index.offsets[key]) + 7] = 0xA0
    (folder / "train.rec").write_bytes(raw)
    reports = [verify(folder, decode=True, workers=workers) for workers in (1, 2, 5, None)]
    assert all(report == reports[0] for report in reports)
    counts = reports[0].counts
    assert (counts["framing.bad-flag"], counts["image.undecodable"], counts["image.too-large"]) == (2, 9, 5)
    keys = [one.key for one in reports[0].findings if one.code == "image.undecodable"]
    assert keys == [0, 7, 14, 21, 28, 35, 42, 49, 56]
    assert worker_threads() == []
    with pytest.raises(SourceError, match="0 workers were given, expected 1 or more"):
        verify(folder, decode=True, workers=0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize("workers", [1, 3])
def test_an_interrupt_or_a_fault_of_ours_ends_all_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], workers: int
) -> None:
    home = Home(tmp_path / "set")

    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr("recordio_tools.checks.table.decode_rgb", broken)
    with pytest.raises(error):
        verify(home.folder, decode=True, workers=workers)
    assert worker_threads() == []


def test_a_million_faults_are_counted_not_kept(tmp_path: Path) -> None:
    with Writer(tmp_path / "many.rec") as writer:
        for key in range(500):
            writer.write(key, b"%d" % key)
    data = (tmp_path / "many.rec").read_bytes().replace(MAGIC + b"\1\0\0\0", MAGIC + b"\1\0\0\xff")
    data = data.replace(MAGIC + b"\2\0\0\0", MAGIC + b"\2\0\0\xff").replace(MAGIC + b"\3\0\0\0", MAGIC + b"\3\0\0\xff")
    (tmp_path / "many.rec").write_bytes(data)
    report = verify(tmp_path / "many.rec", limit=7)
    assert report.counts["framing.bad-flag"] == 500
    assert report.totals["damage"] == 500
    assert [finding.key for finding in report.findings if finding.code == "framing.bad-flag"] == list(range(7))


def test_progress_counts_bytes_up_to_all_of_them(tmp_path: Path) -> None:
    home = Home(tmp_path / "set")
    told: list[tuple[int, int]] = []
    verify(home.folder, progress=lambda done, total: told.append((done, total)))
    size = home.rec.stat().st_size
    assert told == sorted(told)
    assert told[-1] == (size, size)


def test_hostile_and_missing_input(tmp_path: Path) -> None:
    home = Home(tmp_path / "set")
    with pytest.raises(SourceError, match="not there"):
        verify(tmp_path / "no")
    (tmp_path / "folder" / "train.rec").mkdir(parents=True)
    with pytest.raises(SourceError, match="is a folder"):
        verify(tmp_path / "folder")
    home.idx.unlink()
    home.idx.mkdir()
    assert seen(verify(home.folder)) == [("index.missing", None, None)]
    home.idx.rmdir()
    home.idx.write_bytes(b"9" * 3_000_000)
    assert verify(home.folder).counts == {"index.bad-line": 1, "index.unindexed": 10}
    home.property.write_bytes(b"3,8,6\n" * 20_000)
    assert verify(home.folder).counts["property.unreadable"] == 1
    home.rec.write_bytes(MAGIC * 5000)
    assert verify(home.rec).counts["framing.bad-flag"] == 4999
    nested = b"".join(MAGIC + struct.pack("<I", 1 << 29 | 8 * (20_000 - i)) for i in range(20_000))
    home.rec.write_bytes(nested + (MAGIC + struct.pack("<I", 2 << 29)) * 20_000)  # no time beyond one look a head
    assert verify(home.rec).counts["framing.overrun"] == 20_000


def spoil(data: bytes, rng: random.Random) -> bytes:
    """One to three changes: a byte, a cut, bytes put in or taken out, a word at a multiple of 4."""
    raw = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 3])):
        at = rng.randrange(len(raw) + 1)
        match rng.randrange(5):
            case 0:
                raw[at : at + 1] = rng.randbytes(1)
            case 1:
                del raw[max(at, len(raw) // 2) :]
            case 2:
                raw[at:at] = rng.randbytes(rng.choice([1, 4, 8]))
            case 3:
                del raw[at : at + rng.choice([1, 4, 8])]
            case _:
                at -= at % 4
                raw[at : at + 4] = rng.choice([MAGIC, b"\0" * 4, b"\x10\0\0\0", b"\x10\0\0\x20", b"\x10\0\0\x60"])
    return bytes(raw)


def test_what_reader_calls_damage_verify_finds(tmp_path: Path, make_set: Callable[..., Path]) -> None:
    rng = random.Random(5)
    sets = [make_set(tmp_path / layout, [3, 1, 2], layout) for layout in LAYOUTS]
    with Writer(tmp_path / "parts.rec") as writer:
        for key in range(12):
            writer.write(key, b"%04d" % key + (MAGIC + b"more") * (key % 4))
    sound = [(path / "train.rec").read_bytes() for path in sets] + [(tmp_path / "parts.rec").read_bytes()]
    indexes = [(path / "train.idx").read_bytes() for path in sets] + [(tmp_path / "parts.idx").read_bytes()]
    raised = 0
    for _ in range(400):
        which = rng.randrange(4)
        of = rng.choice(["rec", "rec", "idx"])
        rec, idx = tmp_path / "x.rec", tmp_path / "x.idx"
        rec.write_bytes(spoil(sound[which], rng) if of == "rec" else sound[which])
        idx.write_bytes(spoil(indexes[which], rng) if of == "idx" else indexes[which])
        report = verify(rec, limit=1000)
        damages = [finding for finding in report.findings if finding.severity == "damage"]
        try:
            reader = Reader(rec)
        except RecordIOError:
            assert damages
            continue
        for position in range(len(reader)):
            try:
                reader.read_at(position)
            except DamageError as error:
                raised += 1
                assert any(error.key == one.key or error.offset == one.offset for one in damages), str(error)
    assert raised > 200  # the test has something to say
