"""Writes `tests/golden` with real mxnet: python -m tests.oracle.make_golden, in the environment of `make oracle`.

Small record files as mxnet 1.9.1 and, with it, InsightFace's writers make them, and `golden.json`, which holds what
was given to mxnet and what mxnet reads back. No time, path or random source enters: every run gives the same bytes.
"""

import json
import shutil
import struct
import sys
import zlib
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.oracle.real_mxnet import VERSION, recordio

GOLDEN = Path(__file__).parents[1] / "golden"
MAGIC = bytes.fromhex("0a23d7ce")
PEOPLE = ((0, 3), (1, 1), (3, 2), (4, 4))  # (class, images); class 2 has none
SIZE = 6
SHUFFLED = (7, 2, 10, 4, 1, 9, 3, 6, 8, 5)


class Item(NamedTuple):
    """An image record: what `pack` is given, and the number of its image, None for no image bytes."""

    key: int
    label: Any
    id: int
    id2: int
    image: int | None


def write_golden(folder: Path) -> None:
    """All files of `folder`, but for its README."""
    faces = [_picture(number) for number in range(sum(count for _, count in PEOPLE))]
    facts = {
        "mxnet": VERSION,
        "raw": _raw(folder),
        "headers": _headers(folder),
        "pictures": [data.hex() for data in faces],
        "sets": {name: _face_set(folder / name, items, faces, text) for name, items, text in _sets()},
    }
    (folder / "golden.json").write_text(json.dumps(facts, indent=1) + "\n")


def _raw(folder: Path) -> list[dict[str, Any]]:
    """raw.rec: payloads of any kind, whole and in parts."""
    payloads = [b"x" * length for length in range(9)]
    payloads += [MAGIC, MAGIC * 2, MAGIC * 3 + b"ab", b"abcd" + MAGIC + b"e", b"abcd" + MAGIC, MAGIC + b"abcd" + MAGIC]
    payloads += [b"a" + MAGIC + b"bcd", b"ab" + MAGIC * 2, MAGIC[:3], MAGIC[2:] + MAGIC + MAGIC[:2], MAGIC[:2] * 3]
    payloads += [(bytes(range(256)) + MAGIC) * 3, bytes(1000)]
    keys = [7, 0, 10**17, *range(100, 100 - len(payloads) + 3, -1)]
    table = dict(zip(keys, payloads, strict=True))
    _write(folder / "raw.rec", table.items())
    reader = _open(folder / "raw.rec")
    read = {key: reader.read_idx(key) for key in reader.keys}
    reader.close()
    assert read == table
    return [{"key": key, "payload": payload.hex()} for key, payload in read.items()]


def _headers(folder: Path) -> list[dict[str, Any]]:
    """headers.rec: labels and ids of every kind."""
    labels = [
        0,
        3,
        3.5,
        0.1,
        -1,
        1 << 24,
        (1 << 24) + 2,
        1e-45,
        np.float32(0.1),
        [7],
        [0.1, 1],
        (2, True),
        np.arange(5),
    ]
    labels += [np.float64(0.3), np.linspace(0, 1, 236), np.frombuffer(MAGIC * 3, "<f4"), [[1, 2], [3, 4]]]
    ids = [(key, 0) for key in range(len(labels))]
    ids[1:4] = [((1 << 64) - 1, 0), (1 << 32, 1), (5, (1 << 64) - 1)]
    numbered = enumerate(zip(labels, ids, strict=True))
    given = [(label, key, key2, b"image"[: number % 6]) for number, (label, (key, key2)) in numbered]
    packed = [recordio.pack(recordio.IRHeader(9, *header), image) for *header, image in given]
    _write(folder / "headers.rec", enumerate(packed, 1))
    reader = _open(folder / "headers.rec")
    facts = []
    for key, (label, *_) in enumerate(given, 1):
        header, image = recordio.unpack(reader.read_idx(key))
        facts.append({"key": key, "given": np.asarray(label).tolist(), "image": image.hex(), **_read(header)})
    reader.close()
    return facts


def _sets() -> Iterable[tuple[str, list[Item], str]]:
    """(name, records, property) as each of InsightFace's writers lays a face set out."""
    labels = [label for label, count in PEOPLE for _ in range(count)]
    images = list(enumerate(labels, 1))
    first = len(labels) + 1
    starts = np.cumsum([1, *(count for _, count in PEOPLE)]).tolist()
    ranges = list(pairwise(starts))
    end = first + len(ranges)
    with_two = [Item(key, [label, True], key, 0, key - 1) for key, label in images]
    with_one = [Item(key, label, key, 0, key - 1) for key, label in images]
    identities = [Item(first + place, list(bounds), first + place, 0, None) for place, bounds in enumerate(ranges)]
    from_zero = [Item(key - 1, label, key - 1, 0, key - 1) for key, label in images]
    masked = [item._replace(label=[item.label, *(0.125 * place for place in range(7))]) for item in from_zero]
    size = f"5,{SIZE},{SIZE}\n"
    yield "face2rec2", [*with_two, Item(0, [float(first), float(end)], 0, 0, None), *identities], size
    yield "rec_builder", [*with_one, *identities, Item(0, (first, end), 0, 1, None)], size
    yield "seq_rec_builder", from_zero, size
    yield "seq_rec_builder_mask", masked, f"{size}{len(labels)}\n"
    # shuffle_rec.py keeps the source's ids under new keys; rec2shufrec.py numbers both anew and writes no index
    drawn = [Item(place, np.float32(labels[key - 1]), key, 0, key - 1) for place, key in enumerate(SHUFFLED)]
    yield "shuffle_rec", drawn, size
    renumbered = [item._replace(id=item.key) for item in drawn]
    yield "rec2shufrec", renumbered, f"{size}{len(labels)}\nshuffled\n2020-01-02 03:04:05.678901\n"


def _face_set(folder: Path, items: list[Item], faces: list[bytes], text: str) -> dict[str, Any]:
    """The set's files, and what mxnet reads from them by the rule of arcface_torch's loader."""
    folder.mkdir()
    packed = []
    for item in items:
        body = b"" if item.image is None else faces[item.image]
        packed.append((item.key, recordio.pack(recordio.IRHeader(0, item.label, item.id, item.id2), body)))
    _write(folder / "train.rec", packed)
    (folder / "property").write_text(text)
    reader = _open(folder / "train.rec")
    header, _ = recordio.unpack(reader.read_idx(0))
    is_header = header.flag == 2  # the loader says > 0, which takes the image with mask parameters for a header
    images = []
    for key in range(1, int(header.label[0])) if is_header else reader.keys:
        found, body = recordio.unpack(reader.read_idx(key))
        images.append({"key": key, "label": int(np.ravel(found.label)[0]), "picture": faces.index(body)})
    records = []
    for item in items:
        found, body = recordio.unpack(reader.read_idx(item.key))
        picture = faces.index(body) if body else None
        records.append({"key": item.key, **_read(found), "picture": picture})
    reader.close()
    if folder.name == "rec2shufrec":
        (folder / "train.idx").unlink()
    return {"records": records, "images": images}


def _read(header: Any) -> dict[str, Any]:
    """A header as mxnet reads it; a list of labels stays one."""
    return {"flag": header.flag, "label": np.asarray(header.label).tolist(), "id": header.id, "id2": header.id2}


def _write(path: Path, records: Iterable[tuple[int, bytes]]) -> None:
    writer = recordio.MXIndexedRecordIO(str(path.with_suffix(".idx")), str(path), "w")
    for key, payload in records:
        writer.write_idx(key, payload)
    writer.close()


def _open(path: Path) -> Any:
    return recordio.MXIndexedRecordIO(str(path.with_suffix(".idx")), str(path), "r")


def _picture(number: int) -> bytes:
    """A PNG of SIZE × SIZE pixels (10 × number + row, column, number), stored, so that any zlib gives these bytes.

    Number 4 ends in a magic at a multiple of 4 bytes, after which no decoder looks: its record has two parts.
    """
    rows = [
        b"\0" + bytes(v for column in range(SIZE) for v in (10 * number + row, column, number)) for row in range(SIZE)
    ]
    data = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", SIZE, SIZE, 8, 2, 0, 0, 0))
    data += _chunk(b"IDAT", zlib.compress(b"".join(rows), 0)) + _chunk(b"IEND", b"")
    return data + bytes(-len(data) % 4) + MAGIC + b"end" if number == 4 else data


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for old in GOLDEN.glob("*/"):
        shutil.rmtree(old)
    write_golden(GOLDEN)
    sys.stderr.write(f"{GOLDEN}: written with mxnet {VERSION}, numpy {np.__version__}\n")
