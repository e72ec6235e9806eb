"""Every code of `verify` by one fault of _faults.py; sound sets without a finding; and parity with Reader."""

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from recordio_tools import Header, Reader, Writer, pack
from recordio_tools.checks.findings import CODES
from recordio_tools.errors import DamageError, RecordIOError, SourceError
from recordio_tools.rebuild import rebuild
from recordio_tools.verify import Report, verify

from ._faults import CASES, MAGIC, Expected, Home, picture
from .conftest import worker_threads

LAYOUTS = ("face2rec2", "RecBuilder", "SeqRecBuilder")


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
