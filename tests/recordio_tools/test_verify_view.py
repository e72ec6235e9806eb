"""Every code of `verify` that a view can have, by one fault built by hand; sound views; and parity with FaceSet."""

import json
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recordio_tools import FaceSet, Reader
from recordio_tools.build import build_longtail
from recordio_tools.checks.findings import CODES
from recordio_tools.errors import RecordIOError
from recordio_tools.images import encode_rgb
from recordio_tools.longtail import Rule
from recordio_tools.packing import pack_folder
from recordio_tools.verify import Report, verify
from recordio_tools.view import Records, View, read_view


@pytest.fixture(scope="module")
def made(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photos as a set, keys 1 to 20, and a view of 6 images of two of the five people."""
    room = tmp_path_factory.mktemp("made")
    pack_folder(photos, room / "set", size=24)
    build_longtail(room / "set", room / "view", Rule("uniform_images", 6, 2), seed=1, view=True)
    return room


class Home:
    """A set and a view of it, to break."""

    def __init__(self, room: Path) -> None:
        self.set, self.view = room / "set", room / "view"
        self.rec = self.set / "train.rec"
        self.manifest = json.loads((self.view / "manifest.json").read_text())
        self.keys = FaceSet(self.view).keys.tolist()
        self.labels = {key: label for label, *keys in self.people() for key in keys}
        self.kept = {self.labels[key] for key in self.keys}
        self.offsets = {int(k): int(o) for k, o in map(str.split, (self.set / "train.idx").read_text().splitlines())}

    def people(self) -> list[list[int]]:
        """Label and keys of each person, as the photos were packed."""
        counts = [6, 5, 4, 3, 2]
        ends = [sum(counts[: label + 1]) for label in range(5)]
        return [[label, *range(ends[label] - count + 1, ends[label] + 1)] for label, count in enumerate(counts)]

    def write_manifest(self) -> None:
        (self.view / "manifest.json").write_text(json.dumps(self.manifest))

    def put_view(self, keys: list[int], counts: list[int]) -> None:
        """Another view.npz, of which the manifest says all that is true of it."""
        faces = FaceSet(self.set)
        view = View(np.array(keys), np.array(counts), Records.of(faces.reader, faces.fingerprint))
        self.manifest["view"] = view.write(self.view, self.view)
        self.manifest["output"] = {"fingerprint": view.fingerprint, "images": len(keys), "identities": len(counts)}
        self.write_manifest()

    def poke(self, key: int, place: int, data: bytes) -> None:
        """Bytes of a record, as the manifest then knows it."""
        raw = bytearray(self.rec.read_bytes())
        at = self.offsets[key] + place
        raw[at : at + len(data)] = data
        self.rec.write_bytes(raw)
        self.stamp()

    def stamp(self) -> None:
        """The manifest knows the records as they are now."""
        faces = FaceSet(self.set)
        records = Records.of(faces.reader, faces.fingerprint)
        entry = self.manifest["view"]
        entry |= {"bytes": records.size, "index": records.index, "fingerprint": records.fingerprint}
        self.manifest["output"]["fingerprint"] = read_view_unchecked(self.view, records).fingerprint
        self.write_manifest()

    def lines(self, role: str, change: Callable[[list[str]], object]) -> None:
        path = self.view / f"open_{role}.lst"
        lines = path.read_text().splitlines(keepends=True)
        change(lines)
        path.write_text("".join(lines))


def read_view_unchecked(folder: Path, records: Records) -> View:
    with np.load(folder / "view.npz") as arrays:
        return View(arrays["keys"].astype(np.int64), arrays["counts"].astype(np.int64), records)


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Home:
    for name in ("set", "view"):
        shutil.copytree(made / name, tmp_path / name)
    return Home(tmp_path)


Expected = list[tuple[str, int | None]]
CASES: dict[str, Callable[[Home], Expected]] = {}


def case(code: str) -> Callable[[Callable[[Home], Expected]], Callable[[Home], Expected]]:
    """A fault: the function breaks a sound view and says all the findings that it must give."""

    def register(make: Callable[[Home], Expected]) -> Callable[[Home], Expected]:
        CASES[code] = make
        return make

    return register


@case("view.manifest")
def _(home: Home) -> Expected:
    (home.view / "manifest.json").unlink()
    return [("view.manifest", None), ("view.manifest", None)]  # the records, and the people left out


@case("view.changed")
def _(home: Home) -> Expected:
    home.manifest["view"]["sha256"] = "0" * 64
    home.write_manifest()
    return [("view.changed", None)]


@case("view.arrays")
def _(home: Home) -> Expected:
    (home.view / "view.npz").write_bytes(b"PK")
    return [("view.changed", None), ("view.arrays", None)]


@case("view.no-records")
def _(home: Home) -> Expected:
    home.set.rename(home.set.with_name("elsewhere"))
    return [("view.no-records", None)]


@case("view.source")
def _(home: Home) -> Expected:
    """The range of an identity that the view does not use; its own records are looked at all the same."""
    key = home.keys[0]
    raw = bytearray(home.rec.read_bytes())
    place = home.offsets[21] + 8 + 24
    raw[place : place + 4] = struct.pack("<f", 3.0)
    raw[home.offsets[key] + 7] = 0xA0  # part flag 5
    home.rec.write_bytes(raw)
    return [("view.source", None), ("framing.bad-flag", key)]


@case("view.other-records")
def _(home: Home) -> Expected:
    unused = next(key for key in range(1, 21) if key not in home.keys)
    raw = bytearray(home.rec.read_bytes())
    raw[home.offsets[unused] + 60] ^= 1  # in an image: neither size nor index tell
    home.rec.write_bytes(raw)
    return [("view.other-records", None)]


@case("view.output")
def _(home: Home) -> Expected:
    home.manifest["output"] = {"fingerprint": "0" * 64, "images": 7, "identities": 3}
    home.write_manifest()
    return [("view.output", None)] * 3


@case("view.classes")
def _(home: Home) -> Expected:
    (home.view / "property").write_text("3,24,24\n")
    return [("view.classes", None)]


@case("view.key")
def _(home: Home) -> Expected:
    """A key that nobody has, and the key of an identity record."""
    home.put_view([*home.keys[:-2], 99, 21], [len(home.keys) - 2, 2])
    first, *others = home.keys[:-2]
    label = home.labels[first]
    mixed = [key for key in others if home.labels[key] != label]
    return [("view.key", 99), ("view.key", 21), *(("labels.mixed", key) for key in mixed)]


@case("open.missing")
def _(home: Home) -> Expected:
    (home.view / "open_probe.lst").unlink()
    return [("open.missing", None)]


@case("open.bad-line")
def _(home: Home) -> Expected:
    home.lines("stranger", lambda lines: lines.__setitem__(0, "x" + lines[0]))
    return [("open.bad-line", None)]


@case("open.count")
def _(home: Home) -> Expected:
    home.manifest["open_roles"]["gallery"] |= {"images": 99, "identities": 98}
    home.write_manifest()
    return [("open.count", None)] * 2


@case("open.key")
def _(home: Home) -> Expected:
    home.lines("stranger", lambda lines: lines.__setitem__(0, "99" + lines[0][lines[0].index("\t") :]))
    return [("open.key", 99)]


@case("open.label")
def _(home: Home) -> Expected:
    """An image under the label of somebody else in another list, who has more images there."""
    path = home.view / "open_calibration.lst"
    mine = [line.split("\t") for line in path.read_text().splitlines()]
    strangers = [line.split("\t") for line in (home.view / "open_stranger.lst").read_text().splitlines()]
    assert len(strangers) > 1
    mine[0][1] = strangers[0][1]
    path.write_text("".join("\t".join(row) + "\n" for row in mine))
    assert len({row[1] for row in mine}) == 2
    return [("open.label", int(mine[0][0])), ("open.count", None)]


@case("open.overlap")
def _(home: Home) -> Expected:
    """Whoever is enrolled is a stranger too, and one image that the view has itself."""
    gallery = (home.view / "open_gallery.lst").read_text().splitlines()[0].split("\t")
    probe = (home.view / "open_probe.lst").read_text().splitlines(keepends=True)
    key = home.keys[0]
    home.lines("stranger", lambda lines: lines.extend([probe[0], f"{key}\t{home.labels[key]}\tx/1.png\n"]))
    counts = home.manifest["open_roles"]["stranger"]
    counts |= {"images": counts["images"] + 2, "identities": counts["identities"] + 2}
    home.write_manifest()
    again = int(probe[0].split("\t")[0])
    assert again != int(gallery[0])
    return [("open.overlap", place) for place in (again, again, key, key)]  # the image, and its person


def seen(report: Report) -> Expected:
    return [(finding.code, finding.key) for finding in report.findings]


@pytest.mark.parametrize("code", [code for code in CODES if code.startswith(("view.", "open."))])
def test_one_fault_a_code(home: Home, code: str) -> None:
    assert seen(verify(home.view, decode=True)) == []
    expected = CASES[code](home)
    report = verify(home.view)
    assert sorted(map(str, seen(report))) == sorted(map(str, expected))
    assert report.damaged
    assert code in report.counts
    for finding in report.findings:
        assert finding.severity == CODES[finding.code]
        assert finding.message.startswith(f"{finding.file}: ")
        assert "\n" not in finding.message
        assert finding.key is None or f"key {finding.key}" in finding.message


@pytest.mark.parametrize("layout", ["face2rec2", "RecBuilder", "SeqRecBuilder"])
def test_sound_views_of_every_layout(tmp_path: Path, make_set: Callable[..., Path], layout: str) -> None:
    rng = np.random.default_rng(0)

    def image(key: int) -> bytes:
        return encode_rgb(rng.integers(0, 256, (8, 6, 3), dtype=np.uint8), ".png", 90)

    source = make_set(tmp_path / "source", [4, 3, 5, 2, 2], layout, first_label=2, image=image)
    (source / "property").write_text("7,8,6\n")
    build_longtail(source, tmp_path / "one", Rule("uniform_images", 10, 4), seed=0, view=True)
    build_longtail(tmp_path / "one", tmp_path / "two", Rule("uniform_images", 2, 1), seed=0, view=True)
    for name, images, identities in (("one", 10, 4), ("two", 2, 1)):  # two's lists have the labels of one
        report = verify(tmp_path / name / "view.npz", decode=True)
        assert seen(report) == []
        assert (report.records, report.images, report.identities) == (images, images, identities)
        assert (report.rec, report.bytes) == (source / "train.rec", (source / "train.rec").stat().st_size)


def test_only_the_records_that_are_used_are_read(home: Home) -> None:
    used, unused = home.keys[2], next(key for key in range(2, 21) if key not in home.keys)
    home.poke(unused, 60, b"\0" * 400)  # where the image's tables are
    assert seen(verify(home.set, decode=True)) == [("image.header", unused)]
    assert seen(verify(home.view, decode=True)) == []
    home.poke(used, 60, b"\0" * 400)
    assert seen(verify(home.view)) == [("image.header", used)]


@pytest.mark.parametrize(
    ("place", "data", "code"),
    [
        (0, b"\x0b", "framing.bad-magic"),
        (4, b"\4\0\0\0", "framing.gap"),
        (4, b"\xff\xff\xff\0", "framing.truncated"),
        (7, b"\xa0", "framing.bad-flag"),
        (7, b"\x40", "framing.orphan"),
        (7, b"\x20", "framing.incomplete"),
        (8, b"\xff\xff\xff\xff", "record.labels"),
        (32, b"\0\0\0\x3f", "labels.not-whole"),
        (32, b"\0\0\x80\x40", "labels.mixed"),
    ],
)
def test_damage_in_a_record_that_is_used(home: Home, place: int, data: bytes, code: str) -> None:
    middle = next(key for key in home.keys if home.labels[key] * 6 + 1 < key and key + 1 in home.keys)
    raw = bytearray(home.rec.read_bytes())
    at = home.offsets[middle] + place
    raw[at : at + len(data)] = data
    home.rec.write_bytes(raw)
    report = verify(home.view)
    found = [one for one in seen(report) if one[0] not in ("view.other-records", "view.source")]
    assert (code, middle) in found
    assert all(key == middle for _, key in found)
    place = home.offsets[middle] + (12 if code == "framing.gap" else 0)  # behind the four bytes that are left
    assert {finding.offset for finding in report.findings if finding.code == code} == {place}


def test_classes_that_are_one_person_there(home: Home) -> None:
    _, *keys = home.people()[0]
    home.put_view(keys[:4], [2, 2])
    found = seen(verify(home.view))
    assert ("labels.shared", keys[2]) in found
    assert {code for code, _ in found} <= {"labels.shared", "open.overlap"}


def test_an_index_of_another_time(home: Home) -> None:
    """The index has lost one of the view's images; of another it gives a place past the end."""
    one, other = home.keys[:2]
    lines = (home.set / "train.idx").read_text().splitlines(keepends=True)
    lines = [line for line in lines if int(line.split()[0]) != one]
    lines = [f"{other}\t{1 << 40}\n" if int(line.split()[0]) == other else line for line in lines]
    (home.set / "train.idx").write_text("".join(lines))
    assert seen(verify(home.view)) == [("view.source", None), ("view.key", one), ("index.past-end", other)]
    (home.set / "train.idx").write_text("nonsense\n" + "".join(lines))
    assert seen(verify(home.view))[1:] == [("index.bad-line", None), ("view.key", one), ("index.past-end", other)]
    (home.set / "train.idx").unlink()
    assert seen(verify(home.view)) == [("view.source", None), ("index.missing", None)]


def test_progress_counts_bytes_up_to_those_used(home: Home) -> None:
    told: list[tuple[int, int]] = []
    verify(home.view, progress=lambda done, total: told.append((done, total)))
    reader = Reader(home.rec)
    ends = dict(zip(reader.keys.tolist(), reader.index.ends(home.rec.stat().st_size).tolist(), strict=True))
    used = sum(ends[key] - home.offsets[key] for key in home.keys)
    assert told == sorted(told)
    assert told[-1] == (used, used)


def spoil(data: bytes, rng: random.Random) -> bytes:
    raw = bytearray(data)
    for _ in range(rng.choice([1, 1, 2])):
        at = rng.randrange(len(raw))
        match rng.randrange(3):
            case 0:
                raw[at] = rng.randrange(256)
            case 1:
                del raw[at : at + rng.randrange(1, 9)]
            case _:
                raw[at:at] = rng.randbytes(rng.randrange(1, 9))
    return bytes(raw)


def test_what_face_set_refuses_verify_finds(home: Home) -> None:
    rng = random.Random(1)
    files = [home.view / "view.npz", home.view / "manifest.json", home.view / "property", home.set / "train.idx"]
    sound = {path: path.read_bytes() for path in (*files, home.rec)}
    refused = 0
    for _ in range(250):
        path = rng.choice([*files, home.rec])
        path.write_bytes(spoil(sound[path], rng))
        damages = [finding for finding in verify(home.view).findings if finding.severity == "damage"]
        try:
            faces = FaceSet(home.view)
            [faces.record(position) for position in range(len(faces))]
        except RecordIOError as error:
            refused += 1
            assert damages, str(error)
        path.write_bytes(sound[path])
    assert refused > 100
    assert seen(verify(home.view)) == []


def test_hostile_manifests_are_findings(home: Home) -> None:
    path = home.view / "manifest.json"
    sound: dict[str, Any] = json.loads(path.read_text())
    for text in ("", "[" * 100_000, "3", "{}", "\xff"):
        path.write_text(text, encoding="latin-1")
        assert set(seen(verify(home.view))) == {("view.manifest", None)}
    for roles in (None, 3, {}, {"gallery": []}, dict.fromkeys(sound["open_roles"], 3)):
        path.write_text(json.dumps(sound | {"open_roles": roles}))
        assert seen(verify(home.view)) == [("view.manifest", None)]
    path.write_text(json.dumps(sound | {"output": 3}))
    assert set(seen(verify(home.view))) == {("view.output", None)}


def test_records_without_labels_of_their_own(sparse_set: Path, tmp_path: Path) -> None:
    build_longtail(sparse_set, tmp_path / "view", Rule("uniform_images", 4), seed=1, view=True)
    assert verify(tmp_path / "view").counts == {"image.unknown": 4}
    assert len(read_view(tmp_path / "view").keys) == 4
