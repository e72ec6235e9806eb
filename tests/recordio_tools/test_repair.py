"""What `repair` saves, held against a slow reading of the damaged bytes, and what it must never touch."""

import hashlib
import json
import random
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from recordio_tools import FaceSet, Header, Reader, Writer, pack
from recordio_tools.errors import SourceError
from recordio_tools.images import encode_rgb
from recordio_tools.repair import repair
from recordio_tools.verify import verify

MAGIC = b"\x0a\x23\xd7\xce"
LAYOUTS = ("face2rec2", "RecBuilder", "SeqRecBuilder")
LABELS = (0, 0, 0, 1, 2, 2)


def picture(key: int) -> bytes:
    pixels = np.random.default_rng(key).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    return encode_rgb(pixels, ".png", 95)


def make(make_set: Callable[..., Path], folder: Path, layout: str) -> Path:
    made = make_set(folder, [3, 1, 2], layout, image=picture)
    (made / "property").write_text("3,5,4\n")
    return made


def digest(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def images_of(payload: bytes) -> tuple[float, bytes] | None:
    """(label, image) of an image record, after the format's description alone; None for anything else."""
    if len(payload) < 24 or len(payload) < 24 + 4 * struct.unpack_from("<I", payload)[0]:
        return None
    flag, label = struct.unpack_from("<If", payload)
    if flag:
        (label,) = struct.unpack_from("<f", payload, 24)
    image = payload[24 + 4 * flag :]
    return (label, image) if image else None


def slowly_readable(data: bytes) -> set[bytes]:
    """The image of whatever reads as a record from any place that bears the magic."""
    found = set()
    for at in range(0, len(data) - 7, 4):
        joined, place, flag = b"", at, 1
        while flag in (1, 2) and data[place : place + 4] == MAGIC and place + 8 <= len(data):
            (word,) = struct.unpack_from("<I", data, place + 4)
            flag, length = word // 2**29, word % 2**29
            joined += (MAGIC if joined or flag in (2, 3) else b"") + data[place + 8 : place + 8 + length]
            place += 8 + length + -length % 4
            if flag in (0, 3) and place <= len(data):
                image = images_of(joined)
                found |= {image[1]} if image else set()
    return found


def spoil(data: bytes, rng: random.Random) -> bytes:
    """One to four changes: a byte, bytes put in or taken out, a word, a stretch of zeros, the end."""
    raw = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randrange(len(raw) + 1)
        match rng.randrange(6):
            case 0:
                raw[at : at + 1] = rng.randbytes(1)
            case 1:
                raw[at:at] = rng.randbytes(rng.choice([1, 4, 8]))
            case 2:
                del raw[at : at + rng.choice([1, 4, 8, 40])]
            case 3:
                at -= at % 4
                raw[at : at + 4] = rng.choice([MAGIC, b"\x10\0\0\0", b"\x10\0\0\x20", b"\x10\0\0\x60"])
            case 4:
                raw[at : at + 60] = bytes(len(raw[at : at + 60]))
            case _:
                del raw[max(at, len(raw) * 2 // 3) :]
    return bytes(raw)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_that_is_intact_is_saved_and_nothing_else(
    tmp_path: Path, make_set: Callable[..., Path], slow: SimpleNamespace, layout: str
) -> None:
    source = make(make_set, tmp_path / "source", layout)
    sound = {name: (source / name).read_bytes() for name in ("train.rec", "train.idx")}
    originals = [payload for payload in slow.decode(sound["train.rec"]) if images_of(payload)]
    assert [images_of(payload)[0] for payload in originals] == list(LABELS)  # type: ignore[index]
    rng = random.Random(LAYOUTS.index(layout))
    saved = lost = 0
    for _ in range(60):
        for name, data in sound.items():
            changed = rng.random() < (0.9 if name == "train.rec" else 0.3)
            (source / name).write_bytes(spoil(data, rng) if changed else data)
        before = digest(source)
        damaged = (source / "train.rec").read_bytes()
        places = {payload: damaged.find(slow.encode(payload)) for payload in originals}
        intact = dict(images_of(payload)[::-1] for payload, at in places.items() if at >= 0 and at % 4 == 0)  # type: ignore[index]
        out = tmp_path / "out"
        try:
            done = repair(source, out, force=True)
        except SourceError as error:
            assert not intact, str(error)
            continue
        faces = FaceSet(out)
        got = {bytes(faces.encoded(place)): int(faces.labels[place]) for place in range(len(faces))}
        assert {image: got[image] for image in intact} == intact
        assert set(got) <= slowly_readable(damaged)
        report = verify(out)
        assert report.totals["damage"] == 0, report.findings
        assert set(report.counts) <= {"image.unknown", "image.size", "image.too-large", "labels.unused"}, (
            report.findings
        )
        assert digest(source) == before
        assert done.records == len(faces)
        known = (source / "train.idx").read_bytes() == sound["train.idx"]
        if known and "index.other-file" not in verify(source).counts:  # else nobody knows what there was
            assert len(got) + done.lost_total >= len(originals)
        saved += len(intact)
        lost += done.lost_total
    assert saved > 100
    assert lost > 60


def test_a_sound_set_comes_back_with_its_names_and_labels(tmp_path: Path, make_set: Callable[..., Path]) -> None:
    source = make(make_set, tmp_path / "source", "RecBuilder")
    paths = [f"p{label}/{number}.png" for number, label in enumerate(LABELS)]
    lines = zip(paths, LABELS, strict=True)
    (source / "train.lst").write_text("".join(f"1\t{path}\t{label}\n" for path, label in lines))
    done = repair(source, tmp_path / "out")
    assert (done.records, done.identities, done.lost, done.lost_total, done.relabelled) == (6, 3, (), 0, 0)
    faces = FaceSet(tmp_path / "out")
    assert (faces.names, list(faces.paths or ()), faces.size, faces.layout) == (
        ["p0", "p1", "p2"],
        paths,
        (5, 4),
        "face2rec2",
    )
    assert [bytes(faces.encoded(place)) for place in range(6)] == [picture(key) for key in range(1, 7)]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["made_by"], manifest["lost"], manifest["images"]) == ("recordio repair", [], 6)


def test_a_class_without_images_keeps_its_number(tmp_path: Path, make_set: Callable[..., Path]) -> None:
    source = make(make_set, tmp_path / "source", "face2rec2")
    offset = dict(line.split("\t") for line in (source / "train.idx").read_text().splitlines())["4"]
    raw = bytearray((source / "train.rec").read_bytes())
    raw[int(offset)] ^= 1
    (source / "train.rec").write_bytes(raw)
    (source / "train.lst").write_text("".join(f"1\tp{label}/x.png\t{label}\n" for label in LABELS))
    done = repair(source, tmp_path / "out")
    faces = FaceSet(tmp_path / "out")
    assert (faces.classes, faces.labels.tolist(), faces.names) == (3, [0, 0, 0, 2, 2], ["p0", "", "p2"])
    assert [(one.key, one.offset, one.code) for one in done.lost] == [(4, int(offset), "framing.bad-magic")]


def relabel(source: Path, key: int, label: float, place: int = 32) -> None:
    offset = int(Reader(source / "train.rec").index.offsets[Reader(source / "train.rec").index.position(key)])
    raw = bytearray((source / "train.rec").read_bytes())
    raw[offset + place : offset + place + 4] = struct.pack("<f", label)
    (source / "train.rec").write_bytes(raw)


def test_a_label_that_three_others_outvote_is_restored(tmp_path: Path, make_set: Callable[..., Path]) -> None:
    source = make(make_set, tmp_path / "source", "face2rec2")
    relabel(source, 2, 1000.0)
    done = repair(source, tmp_path / "out")
    assert (done.relabelled, done.lost_total) == (1, 0)
    assert FaceSet(tmp_path / "out").labels.tolist() == list(LABELS)


def test_a_wrong_range_corrects_nobody(tmp_path: Path, make_set: Callable[..., Path]) -> None:
    """The range of label 0 reaches into that of label 1: image 4 keeps its own label, and so does image 2."""
    source = make(make_set, tmp_path / "source", "face2rec2")
    relabel(source, 7, 5.0, place=36)
    relabel(source, 2, 2.0)
    done = repair(source, tmp_path / "out")
    assert (done.records, done.relabelled, done.doubtful) == (6, 0, 2)
    assert sorted(FaceSet(tmp_path / "out").labels.tolist()) == [0, 0, 1, 2, 2, 2]


def test_a_record_without_a_header_is_said_to_be_lost(tmp_path: Path, make_set: Callable[..., Path]) -> None:
    source = make(make_set, tmp_path / "source", "RecBuilder")
    raw = bytearray((source / "train.rec").read_bytes())
    raw[8:12] = struct.pack("<I", 10**9)  # labels claimed by the first image
    (source / "train.rec").write_bytes(raw)
    done = repair(source, tmp_path / "out")
    assert [(one.key, one.offset, one.code) for one in done.lost] == [(1, 0, "record.labels")]


def test_a_label_far_beyond_property_is_lost_where_nobody_outvotes_it(
    tmp_path: Path, make_set: Callable[..., Path]
) -> None:
    source = make(make_set, tmp_path / "source", "SeqRecBuilder")
    relabel(source, 4, 2.0**23, place=12)
    done = repair(source, tmp_path / "out")
    assert [(one.key, one.code) for one in done.lost] == [(4, "labels.too-high")]
    assert FaceSet(tmp_path / "out").labels.tolist() == [0, 0, 0, 1, 2]


def test_property_that_claims_too_few_classes_is_mended(tmp_path: Path, make_set: Callable[..., Path]) -> None:
    source = make(make_set, tmp_path / "source", "SeqRecBuilder")
    (source / "property").write_text("1,5,4\n")
    assert repair(source, tmp_path / "out").records == 6
    assert (tmp_path / "out" / "property").read_text() == "3,5,4\n"
    (source / "property").write_text("??")
    assert repair(source, tmp_path / "again").records == 6
    assert (tmp_path / "again" / "property").read_text() == "3,5,4\n"  # the size of most images


def test_a_size_that_only_decoding_tells(tmp_path: Path, make_set: Callable[..., Path]) -> None:
    """PPM tells its size to OpenCV alone; text to nobody."""
    ppm = b"P6 4 5 255\n" + bytes(range(60))
    source = make_set(tmp_path / "source", [1], "RecBuilder", image=lambda key: ppm)
    (source / "property").unlink()
    repair(source, tmp_path / "out")
    assert (tmp_path / "out" / "property").read_text() == "1,5,4\n"
    source = make_set(tmp_path / "text", [1], "RecBuilder")
    (source / "property").unlink()
    with pytest.raises(SourceError, match="the first image, which is to tell the size"):
        repair(source, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_names_come_from_the_lines_that_fit(tmp_path: Path, make_set: Callable[..., Path]) -> None:
    """Line 2 is nonsense, line 5 has another label, and line 6 a carriage return, which no listing can hold."""
    source = make(make_set, tmp_path / "source", "face2rec2")
    lines = [f"1\tp{label}/{key}.png\t{label}" for key, label in enumerate(LABELS, 1)]
    lines[1], lines[4], lines[5] = "??", "1\tp2/5.png\t0", "1\tp2/\r.png\t2"
    (source / "train.lst").write_bytes("\n".join(lines).encode())
    repair(source, tmp_path / "out")
    faces = FaceSet(tmp_path / "out")
    assert list(faces.paths or ()) == ["p0/1.png", "p0/2", "p0/3.png", "p1/4.png", "2/5", "2/6"]
    (source / "train.lst").write_bytes("\n".join(lines[:5]).encode())  # another set's: no line is believed
    repair(source, tmp_path / "again")
    assert list(FaceSet(tmp_path / "again").paths or ()) == ["0/1", "0/2", "0/3", "1/4", "2/5", "2/6"]


def test_images_that_cannot_be_decoded_are_left_out_on_demand(tmp_path: Path, make_set: Callable[..., Path]) -> None:
    broken = picture(3)[:33] + bytes(len(picture(3)) - 45) + picture(3)[-12:]
    source = make_set(tmp_path / "source", [3, 1, 2], "face2rec2", image=lambda k: broken if k == 3 else picture(k))
    assert repair(source, tmp_path / "all").records == 6
    done = repair(source, tmp_path / "whole", decode=True)
    assert [(one.key, one.code) for one in done.lost] == [(3, "image.undecodable")]
    assert not verify(tmp_path / "whole", decode=True).damaged


def test_a_record_file_keeps_order_and_keys(tmp_path: Path) -> None:
    """Key 13's magic is broken, 12's and 16's lines are lost; text has no id, so the two are numbered on."""
    with Writer(tmp_path / "text.rec") as writer:
        for key in (15, 12, 13, 16, 11):
            writer.write(key, b"line %d " % key * 3 + (MAGIC * 2 if key == 11 else b""))
    raw = bytearray((tmp_path / "text.rec").read_bytes())
    raw[64] ^= 1  # 8 + 24 bytes a record
    (tmp_path / "text.rec").write_bytes(raw)
    lines = (tmp_path / "text.idx").read_text().splitlines(keepends=True)
    (tmp_path / "text.idx").write_text("".join(line for line in lines if line[:2] not in ("12", "16")))
    before = digest(tmp_path)
    done = repair(tmp_path / "text.rec", tmp_path / "out.rec")
    assert {name: before[name] for name in before} == {name: digest(tmp_path)[name] for name in before}
    reader = Reader(tmp_path / "out.rec")
    texts = {15: 15, 16: 12, 17: 16, 11: 11}  # new key: what the record says
    assert reader.keys.tolist() == list(texts)
    assert reader.read(17) == b"line 16 " * 3
    assert reader.read(16) == b"line 12 " * 3
    assert reader.read(11) == b"line 11 " * 3 + MAGIC * 2
    assert [(one.key, one.offset, one.code) for one in done.lost] == [(13, 64, "framing.bad-magic")]
    assert json.loads((tmp_path / "out.repair.json").read_text())["lost_total"] == 1
    assert verify(tmp_path / "out.rec").totals["damage"] == 0


def test_without_an_index_image_records_keep_their_ids(tmp_path: Path) -> None:
    with Writer(tmp_path / "x.rec") as writer:
        for key in (7, 5, 9):
            writer.write(key, pack(Header(0, 1.0, key), picture(key)))
    (tmp_path / "x.idx").unlink()
    repair(tmp_path / "x.rec", tmp_path / "out.rec")
    assert Reader(tmp_path / "out.rec").keys.tolist() == [7, 5, 9]
    assert [payload[24:] for _, payload in Reader(tmp_path / "out.rec")] == [picture(key) for key in (7, 5, 9)]


def test_a_record_file_that_is_no_face_set_may_have_any_labels(tmp_path: Path) -> None:
    """As im2rec makes them for regression; no property, no identity records."""
    with Writer(tmp_path / "x.rec") as writer:
        for key in range(3):
            writer.write(key, pack(Header(0, key - 0.5, key), picture(key)))
    assert verify(tmp_path / "x.rec").counts == {}
    repair(tmp_path / "x.rec", tmp_path / "out.rec")
    assert (tmp_path / "out.rec").read_bytes() == (tmp_path / "x.rec").read_bytes()
    (tmp_path / "property").write_text("3,5,4\n")
    assert verify(tmp_path / "x.rec").counts["labels.not-whole"] == 3


def test_an_index_of_another_file_is_not_believed(tmp_path: Path, make_set: Callable[..., Path]) -> None:
    source = make(make_set, tmp_path / "source", "face2rec2")
    (source / "train.idx").write_text("".join(f"{key}\t{4 * key + 4}\n" for key in range(10)))
    done = repair(source, tmp_path / "out")
    assert (done.records, done.lost_total) == (6, 0)
    assert FaceSet(tmp_path / "out").labels.tolist() == list(LABELS)


def test_the_source_is_never_replaced(tmp_path: Path, make_set: Callable[..., Path], numbered: Path) -> None:
    source = make(make_set, tmp_path / "source", "face2rec2")
    repair(source, tmp_path / "made")
    before = digest(tmp_path / "made")
    for given, out in [
        (tmp_path / "made", tmp_path / "made"),
        (tmp_path / "made", tmp_path / "made" / "inside"),
        (tmp_path / "made" / "train.rec", tmp_path / "made"),
        (tmp_path / "made", tmp_path),
        (numbered, numbered),
        (numbered, numbered.with_suffix(".REC")),
    ]:
        with pytest.raises(SourceError, match="is the source, lies in it or holds it"):
            repair(given, out, force=True)
    assert digest(tmp_path / "made") == before
    (tmp_path / "link").symlink_to(tmp_path / "made")
    with pytest.raises(SourceError, match="is the source"):
        repair(tmp_path / "made", tmp_path / "link", force=True)


def test_out_must_be_a_name_of_the_right_kind(tmp_path: Path, make_set: Callable[..., Path], numbered: Path) -> None:
    source = make(make_set, tmp_path / "source", "face2rec2")
    with pytest.raises(SourceError, match=r"without \.rec"):
        repair(source, tmp_path / "out.rec")
    with pytest.raises(SourceError, match=r"out\.rec"):
        repair(numbered, tmp_path / "out")
    (tmp_path / "there.idx").touch()
    with pytest.raises(SourceError, match="already there"):
        repair(numbered, tmp_path / "there.rec")
    (tmp_path / "empty.rec").touch()
    with pytest.raises(SourceError, match="nothing can be saved"):
        repair(tmp_path / "empty.rec", tmp_path / "new.rec")
    assert not (tmp_path / "new.rec").exists()
    assert repair(numbered, tmp_path / "there.rec", force=True).records == 10


def test_the_list_of_losses_is_bounded(tmp_path: Path) -> None:
    with Writer(tmp_path / "x.rec") as writer:
        for key in range(100):
            writer.write(key, pack(Header(0, 1.0, key), picture(key) if key % 2 else b""))
    done = repair(tmp_path / "x.rec", tmp_path / "out.rec", limit=7)
    assert (done.records, done.lost_total, len(done.lost)) == (50, 50, 7)
    assert [one.key for one in done.lost] == list(range(0, 14, 2))
    assert {one.code for one in done.lost} == {"image.empty"}


def test_a_loss_of_which_nothing_is_known_is_listed(tmp_path: Path, make_set: Callable[..., Path]) -> None:
    """The header record says that there is an image 2, but neither record file nor index has one."""
    source = make(make_set, tmp_path / "source", "face2rec2")
    with Reader(source / "train.rec") as reader, Writer(source / "train.rec") as writer:
        for key, payload in reader:
            if key != 2:
                writer.write(key, payload)
    (source / "property").write_text("3,5,4\n")
    done = repair(source, tmp_path / "out")
    assert [(one.key, one.offset, one.code) for one in done.lost] == [(2, None, "images.missing")]
    (source / "train.idx").write_text((source / "train.idx").read_text() + "77\t4\n")
    again = repair(source, tmp_path / "again")
    assert [(one.key, one.code) for one in again.lost] == [(2, "images.missing"), (77, "index.no-record")]
    assert [one.key for one in repair(source, tmp_path / "few", limit=0).lost] == []
