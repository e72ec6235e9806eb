"""Files that real mxnet 1.9.1 wrote: we write the same bytes, and read what mxnet reads. See tests/golden/README.md."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recordio_tools import FaceSet, Header, Reader, Writer, pack, unpack
from recordio_tools.index import Index
from recordio_tools.rebuild import rebuild
from recordio_tools.set_writer import SetWriter

GOLDEN = Path(__file__).parents[1] / "golden"
FACTS: dict[str, Any] = json.loads((GOLDEN / "golden.json").read_text())
PICTURES = [bytes.fromhex(picture) for picture in FACTS["pictures"]]
SETS: dict[str, dict[str, Any]] = FACTS["sets"]
LAYOUTS = {"face2rec2": "face2rec2", "rec_builder": "RecBuilder"}  # the others are plain


def written(path: Path, records: list[tuple[int, bytes]]) -> tuple[bytes, bytes]:
    """What our writer makes of `records`: the bytes of both files."""
    with Writer(path) as writer:
        for key, payload in records:
            writer.write(key, payload)
    return path.read_bytes(), path.with_suffix(".idx").read_bytes()


def body(record: dict[str, Any]) -> bytes:
    return b"" if record["picture"] is None else PICTURES[record["picture"]]


def packed(record: dict[str, Any]) -> tuple[int, bytes]:
    """A record of a set by our `pack`; a flag that `pack` has to set right is given wrong."""
    return record["key"], pack(Header(9, record["label"], record["id"], record["id2"]), body(record))


def set_folder(name: str, tmp_path: Path) -> Path:
    """The golden set; rec2shufrec's gets the index that its writer leaves out."""
    if name != "rec2shufrec":
        return GOLDEN / name
    folder = Path(shutil.copytree(GOLDEN / name, tmp_path / name))
    index, _ = rebuild(folder / "train.rec")
    index.save(folder / "train.idx")
    return folder


def test_raw_payloads(tmp_path: Path) -> None:
    table = [(record["key"], bytes.fromhex(record["payload"])) for record in FACTS["raw"]]
    assert len(table) == 22
    golden = (GOLDEN / "raw.rec").read_bytes(), (GOLDEN / "raw.idx").read_bytes()
    assert written(tmp_path / "a.rec", table) == golden
    assert list(Reader(GOLDEN / "raw.rec")) == table
    assert all(Reader(GOLDEN / "raw.rec").read(key) == payload for key, payload in table)


def test_raw_holds_records_in_parts() -> None:
    """Counted by hand: 15 whole records and 7 of several parts, of which two have four, two three and three two.

    A part's flag stands in the top bits of the second word of its head, and every aligned magic is a head.
    """
    words = np.frombuffer((GOLDEN / "raw.rec").read_bytes(), "<u4")
    flags = words[np.flatnonzero(words == 0xCED7230A) + 1] >> 29
    assert np.bincount(flags).tolist() == [15, 7, 6, 7]


def test_headers(tmp_path: Path) -> None:
    table = []
    for record in FACTS["headers"]:
        image = bytes.fromhex(record["image"])
        table.append((record["key"], pack(Header(0, record["given"], record["id"], record["id2"]), image)))
    golden = (GOLDEN / "headers.rec").read_bytes(), (GOLDEN / "headers.idx").read_bytes()
    assert written(tmp_path / "a.rec", table) == golden


def test_headers_read_as_mxnet_reads_them() -> None:
    reader = Reader(GOLDEN / "headers.rec")
    assert len(reader) == len(FACTS["headers"]) == 17
    for record in FACTS["headers"]:
        header, image = unpack(reader.read(record["key"]))
        assert (header.flag, header.id, header.id2) == (record["flag"], record["id"], record["id2"])
        assert np.asarray(header.label).tolist() == record["label"]
        assert image.hex() == record["image"]


@pytest.mark.parametrize("name", SETS)
def test_the_records_of_a_set(name: str, tmp_path: Path) -> None:
    records = SETS[name]["records"]
    rec, idx = written(tmp_path / "a.rec", [packed(record) for record in records])
    assert rec == (GOLDEN / name / "train.rec").read_bytes()
    if name != "rec2shufrec":
        assert idx == (GOLDEN / name / "train.idx").read_bytes()
    reader = Reader(set_folder(name, tmp_path) / "train.rec")
    for record in records:
        header, image = unpack(reader.read(record["key"]))
        assert header == (record["flag"], record["label"], record["id"], record["id2"])
        assert image == body(record)


@pytest.mark.parametrize("name", SETS)
def test_a_face_set(name: str, tmp_path: Path) -> None:
    images = SETS[name]["images"]
    faces = FaceSet(set_folder(name, tmp_path))
    assert faces.layout == LAYOUTS.get(name, "plain")
    assert (len(faces), faces.classes, faces.size) == (10, 5, (6, 6))
    assert faces.counts().tolist() == [3, 1, 0, 2, 4]
    assert faces.keys.tolist() == [image["key"] for image in images]
    assert faces.labels.tolist() == [image["label"] for image in images]
    for position, image in enumerate(images):
        assert bytes(faces.encoded(position)) == PICTURES[image["picture"]]
        row, column = np.indices((6, 6))
        expected = np.stack([10 * image["picture"] + row, column, np.full((6, 6), image["picture"])], axis=-1)
        np.testing.assert_array_equal(faces.image(position), expected)


@pytest.mark.parametrize("name", LAYOUTS)
def test_identity_ranges(name: str) -> None:
    ranges = FaceSet(GOLDEN / name).ranges
    assert ranges is not None
    assert ranges.tolist() == [[1, 4], [4, 5], [5, 7], [7, 11]]  # 3, 1, 2 and 4 images, by hand


def test_our_set_writer_lays_a_set_out_as_face2rec2_does(tmp_path: Path) -> None:
    """But for the classes: ours are numbered without a gap."""
    faces = FaceSet(GOLDEN / "face2rec2")
    with SetWriter(tmp_path, 6, 6) as ours:
        for position, label in enumerate(np.unique(faces.labels, return_inverse=True)[1].tolist()):
            ours.add(label, faces.encoded(position), f"{label}/{position}.png")
    assert (tmp_path / "train.idx").read_bytes() == (GOLDEN / "face2rec2/train.idx").read_bytes()
    assert (tmp_path / "property").read_text() == "4,6,6\n"
    records = [dict(record) for record in SETS["face2rec2"]["records"]]
    for record in records[:10]:
        record["label"] = [{0: 0, 1: 1, 3: 2, 4: 3}[record["label"][0]], record["label"][1]]
    assert list(Reader(tmp_path / "train.rec")) == [packed(record) for record in records]


@pytest.mark.parametrize("path", sorted(GOLDEN.rglob("*.idx")), ids=lambda path: path.parent.name)
def test_an_index_made_anew_has_mxnets_offsets(path: Path) -> None:
    index = Index.load(path)
    found, _ = rebuild(path.with_suffix(".rec"))
    assert found.offsets.tolist() == index.offsets.tolist()
    if path.parent.name in ("face2rec2", "rec_builder", "seq_rec_builder", "seq_rec_builder_mask"):
        assert found.keys.tolist() == index.keys.tolist()  # the ids in the headers are the keys
