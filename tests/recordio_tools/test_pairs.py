import copy
import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from recordio_tools import FaceSet, Reader, Writer, pack, unpack
from recordio_tools.errors import DamageError, FaceSetError, RecordIOError, SourceError
from recordio_tools.images import encode_rgb
from recordio_tools.pairs import convert_pack, open_pack

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (5, 6, 4, 3), dtype=np.uint8)
PHOTOS = [encode_rgb(pixels, ".png", 95) for pixels in PIXELS]
ORDER = [2, 0, 2, 1, 4, 3, 0, 2]  # four pairs; photos 0 and 2 stand in several
ENTRIES = [PHOTOS[number] for number in ORDER]
SAME = [True, False, False, True]
FILES = ["manifest.json", "pairs.idx", "pairs.rec"]


def write(path: Path, value: object, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(value, protocol))
    return path


@pytest.fixture
def bin_file(tmp_path: Path) -> Path:
    return write(tmp_path / "toy.bin", (ENTRIES, SAME))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


FORMS: dict[str, Callable[[], object]] = {
    "bytes": lambda: (ENTRIES, SAME),
    "a list of two": lambda: [ENTRIES, SAME],
    "rows": lambda: ([np.frombuffer(entry, np.uint8) for entry in ENTRIES], SAME),
    "columns as OpenCV made them": lambda: ([np.frombuffer(entry, np.uint8).reshape(-1, 1) for entry in ENTRIES], SAME),
    "numpy flags": lambda: (ENTRIES, [np.bool_(flag) for flag in SAME]),
    "an array of flags": lambda: (ENTRIES, np.array(SAME)),
    "numbers": lambda: (ENTRIES, [int(flag) for flag in SAME]),
    "an array of numbers": lambda: (ENTRIES, np.array(SAME, np.int64)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("protocol", range(6))
def test_opens_every_form(tmp_path: Path, form: str, protocol: int) -> None:
    made = open_pack(write(tmp_path / "toy.bin", FORMS[form](), protocol))
    assert len(made) == 4
    assert [made.images[number] for number in made.pairs.ravel()] == ENTRIES
    assert made.same.tolist() == SAME
    assert made.same.dtype == bool


def test_equal_images_are_kept_once(bin_file: Path) -> None:
    made = open_pack(str(bin_file))
    assert made.images == (PHOTOS[2], PHOTOS[0], PHOTOS[1], PHOTOS[4], PHOTOS[3])
    assert made.pairs.tolist() == [[0, 1], [0, 2], [3, 4], [1, 0]]
    for number, photo in enumerate([2, 0, 1, 4, 3]):
        np.testing.assert_array_equal(made.image(number), PIXELS[photo])
    summary = made.summary()
    assert summary.pop("fingerprint") == made.fingerprint()
    assert summary == {
        "path": str(bin_file), "form": "pickle", "pairs": 4, "same": 2, "different": 2, "images": 5,
        "image_bytes": sum(map(len, PHOTOS)),
    }  # fmt: skip


def test_sizes(tmp_path: Path) -> None:
    wide = cv2.imencode(".jpg", np.zeros((3, 9, 3), np.uint8))[1].tobytes()
    made = open_pack(write(tmp_path / "toy.bin", ([*ENTRIES[:3], wide], [True, True])))
    steps: list[tuple[int, int]] = []
    assert made.sizes(lambda *step: steps.append(step)) == {"6 x 4": 2, "3 x 9": 1}
    assert steps == [(1, 3), (2, 3), (3, 3)]
    broken = open_pack(write(tmp_path / "toy.bin", ([*ENTRIES[:3], b"broken"], [True, True])))
    with pytest.raises(SourceError, match=r"toy\.bin: image 2: 6 bytes that are not"):
        broken.sizes()


def test_the_fingerprint_is_of_everything(tmp_path: Path) -> None:
    values = [
        (ENTRIES, SAME),
        (ENTRIES, [not flag for flag in SAME]),
        (ENTRIES, [False, False, False, True]),
        (ENTRIES[::-1], SAME),
        ([*ENTRIES[:7], ENTRIES[0] + b"\0"], SAME),
        (ENTRIES[:6], SAME[:3]),
        ([*ENTRIES[:6], ENTRIES[7], ENTRIES[6]], SAME),
    ]
    prints = {open_pack(write(tmp_path / "toy.bin", value)).fingerprint() for value in values}
    assert len(prints) == len(values)


def test_converts_into_a_folder_without_a_pickle(bin_file: Path, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    out = tmp_path / "new" / "toy"
    made = convert_pack(bin_file, out, progress=lambda *step: steps.append(step))
    assert names(out) == FILES
    assert names(tmp_path / "new") == ["toy"]
    assert steps == [(number, 5) for number in range(1, 6)]
    back = open_pack(out)
    assert (back.images, back.pairs.tolist(), back.same.tolist()) == (
        made.images,
        made.pairs.tolist(),
        made.same.tolist(),
    )
    assert back.fingerprint() == made.fingerprint()
    assert back.summary()["form"] == "folder"
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["pairs"] == [[0, 1, True], [0, 2, False], [3, 4, False], [1, 0, True]]
    assert (manifest["images"], manifest["same"], manifest["different"]) == (5, 2, 2)
    assert manifest["source"] == {"name": "toy.bin", "sha256": hashlib.sha256(bin_file.read_bytes()).hexdigest()}
    records = {key: unpack(record) for key, record in Reader(out / "pairs.rec")}
    assert [records[key] for key in range(5)] == [
        ((0, float(key), key, 0), image) for key, image in enumerate(made.images)
    ]
    # a record file like any other: whose faces they are is not known, so each is somebody else
    assert FaceSet(out / "pairs.rec").labels.tolist() == [0, 1, 2, 3, 4]


def test_the_same_pack_gives_the_same_bytes(bin_file: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(bin_file, tmp_path / "elsewhere")
    convert_pack(bin_file, tmp_path / "a")
    convert_pack(tmp_path / "elsewhere" / "toy.bin", tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    # a pickle in another protocol is the same pack, and so is a folder converted again
    other = write(bin_file, (ENTRIES, SAME), 5)
    convert_pack(other, tmp_path / "c")
    convert_pack(tmp_path / "c", tmp_path / "d")
    for name in "cd":
        made = contents(tmp_path / name)
        assert made["pairs.rec"] == contents(tmp_path / "a")["pairs.rec"]
        assert open_pack(tmp_path / name).fingerprint() == open_pack(tmp_path / "a").fingerprint()


def test_replaces_only_what_it_made(bin_file: Path, tmp_path: Path, make_set: Callable[..., Path]) -> None:
    out = tmp_path / "out"
    convert_pack(bin_file, out)
    with pytest.raises(SourceError, match="--force"):
        convert_pack(bin_file, out)
    convert_pack(out, out, force=True)  # read before it is replaced
    assert len(open_pack(out)) == 4
    faces = make_set(tmp_path / "faces", [2, 1], "face2rec2")
    (faces / "manifest.json").touch()
    before = contents(faces)
    with pytest.raises(SourceError, match="did not write"):
        convert_pack(bin_file, faces, force=True)
    assert contents(faces) == before
    with pytest.raises(SourceError, match="is a file"):
        convert_pack(bin_file, bin_file, force=True)
    assert names(tmp_path) == ["faces", "out", "toy.bin"]


def test_a_failure_leaves_nothing(bin_file: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_pack(bin_file, tmp_path / "new" / "out", progress=stop)
    assert names(tmp_path) == ["toy.bin"]
    convert_pack(bin_file, tmp_path / "out")
    before = contents(tmp_path / "out")
    other = write(tmp_path / "other.bin", (ENTRIES[:6], SAME[:3]))
    with pytest.raises(KeyboardInterrupt):
        convert_pack(other, tmp_path / "out", force=True, progress=stop)
    assert contents(tmp_path / "out") == before


def test_can_be_sent_to_another_process(bin_file: Path) -> None:
    made = open_pack(bin_file)
    for again in (pickle.loads(pickle.dumps(made)), copy.copy(made)):
        assert again.fingerprint() == made.fingerprint()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ((ENTRIES[:7], SAME), "holds 7 images for 4 pairs, expected 8"),
        ((ENTRIES, SAME[:3]), "holds 8 images for 3 pairs, expected 6"),
        (([], []), "holds no pair"),
        (([*ENTRIES[:5], np.zeros(0, np.uint8), *ENTRIES[6:]], SAME), "pair 2 has an empty image"),
        ((ENTRIES, [True, False, 2, True]), "has 2 for a flag"),
        ((ENTRIES, [True, False, None, True]), "has a NoneType for a flag"),
        ((ENTRIES, [True, False, b"x", True]), "has a bytes for a flag"),
        ((ENTRIES, [True, False, np.int64(-1), True]), "has -1 for a flag"),
        ((ENTRIES, [np.array([True])] * 4), "has an array of b1 for a flag"),
        ((["face", *ENTRIES[1:]], SAME), "entry 0 is a str"),
        (([*ENTRIES[:7], 5], SAME), "entry 7 is 5"),
        (([np.array([1, 2]), *ENTRIES[1:]], SAME), "entry 0 is an array of i8"),
        (([np.int64(1), *ENTRIES[1:]], SAME), "entry 0 is an array of i8"),
        (([ENTRIES, *ENTRIES[1:]], SAME), "entry 0 is a list"),
        (ENTRIES, "not of (images, flags)"),
        ((ENTRIES, SAME, []), "not of (images, flags)"),
        ((ENTRIES, ENTRIES[0]), "not of (images, flags)"),
        (7, "not of (images, flags)"),
    ],
)
def test_pickles_that_are_no_pack(tmp_path: Path, value: object, said: str) -> None:
    path = write(tmp_path / "toy.bin", value, 3)
    with pytest.raises(FaceSetError) as caught:
        open_pack(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no\.bin: not there"):
        open_pack(tmp_path / "no.bin")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="pipe: is not a file"):
        open_pack(tmp_path / "pipe")
    with pytest.raises(SourceError, match=r"has no pairs\.rec and manifest\.json"):
        open_pack(tmp_path)


def rewrite(folder: Path, **changes: Any) -> None:
    place = folder / "manifest.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | changes))


def spoil_records(folder: Path, change: Callable[[int, bytes], bytes]) -> None:
    records = list(Reader(folder / "pairs.rec"))
    with Writer(folder / "pairs.rec") as writer:
        for key, record in records:
            writer.write(key, change(key, record))


def swapped(key: int, record: bytes) -> bytes:
    header, _ = unpack(record)
    return pack(header, [PHOTOS[2], PHOTOS[1], PHOTOS[0], PHOTOS[4], PHOTOS[3]][key])


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "has no pairs.rec and manifest.json"),
    "no records": (lambda folder: (folder / "pairs.rec").unlink(), "has no pairs.rec and manifest.json"),
    "no index": (lambda folder: (folder / "pairs.idx").unlink(), "pairs.idx: not there"),
    "empty manifest": (lambda folder: (folder / "manifest.json").write_text(""), "is no manifest"),
    "manifest of a list": (lambda folder: (folder / "manifest.json").write_text("[]"), "is no manifest"),
    "deep manifest": (lambda folder: (folder / "manifest.json").write_text("[" * 100_000), "is no manifest"),
    "long number": (lambda folder: (folder / "manifest.json").write_text("9" * 9_000), "is no manifest"),
    "manifest not UTF-8": (lambda folder: (folder / "manifest.json").write_bytes(b'{"a": "\xff"}'), "is no manifest"),
    "other format": (lambda folder: rewrite(folder, format="recordio_tools face set"), "is no manifest"),
    "later version": (lambda folder: rewrite(folder, version=2), "is no manifest"),
    "pair of one": (lambda folder: rewrite(folder, pairs=[[0, True]]), "is no manifest"),
    "flag that is none": (lambda folder: rewrite(folder, pairs=[[0, 1, "yes"]]), "is no manifest"),
    "number that is none": (lambda folder: rewrite(folder, pairs=[[0, [], True]]), "is no manifest"),
    "infinite number": (lambda folder: rewrite(folder, pairs=[[0, float("inf"), True]]), "is no manifest"),
    "huge number": (lambda folder: rewrite(folder, pairs=[[0, 1 << 70, True]]), "is no manifest"),
    "no pairs": (lambda folder: rewrite(folder, pairs=[]), "holds no pair"),
    "image that is not there": (lambda folder: rewrite(folder, pairs=[[0, 5, True]]), "names image 5, expected 0 to 4"),
    "image before the first": (lambda folder: rewrite(folder, pairs=[[0, -1, True]]), "names image -1, expected 0"),
    "other pairs": (lambda folder: rewrite(folder, pairs=[[0, 1, True]]), "have the fingerprint"),
    "other flags": (
        lambda folder: rewrite(folder, pairs=[[0, 1, True], [0, 2, True], [3, 4, False], [1, 0, True]]),
        "have the fingerprint",
    ),
    "other fingerprint": (lambda folder: rewrite(folder, fingerprint="0"), "expected 0 as in manifest.json"),
    "swapped images": (lambda folder: spoil_records(folder, swapped), "have the fingerprint"),
    "short record": (lambda folder: spoil_records(folder, lambda key, _: b"short"), "key 0, byte"),
    "empty image": (lambda folder: spoil_records(folder, lambda _, record: record[:24]), "has an empty image"),
    "keys from 1": (
        lambda folder: (folder / "pairs.idx").write_text("1\t0\n2\t160\n3\t320\n4\t480\n5\t640\n"),
        "no key 0",
    ),
    "lines swapped in the index": (
        lambda folder: (folder / "pairs.idx").write_text(
            "0\t{1}\n1\t{0}\n2\t{2}\n3\t{3}\n4\t{4}\n".format(*Reader(folder / "pairs.rec").index.offsets)
        ),
        "have the fingerprint",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_spoilt_folders(bin_file: Path, tmp_path: Path, name: str) -> None:
    convert_pack(bin_file, tmp_path / "out")
    spoil, said = SPOILT[name]
    spoil(tmp_path / "out")
    with pytest.raises(RecordIOError) as caught:
        open_pack(tmp_path / "out")
    assert said in str(caught.value)
    assert str(tmp_path / "out") in str(caught.value)


def test_every_byte_of_the_records_counts(tmp_path: Path) -> None:
    """Each byte but the labels, ids and padding, which say nothing here, is missed when it changes."""
    out = tmp_path / "out"
    convert_pack(write(tmp_path / "toy.bin", ([b"face", b"another", b"third", b"face"], [True, False])), out)
    offsets = Reader(out / "pairs.rec").index.offsets.tolist()
    whole = (out / "pairs.rec").read_bytes()
    for at in range(len(whole)):
        start = max(offset for offset in offsets if offset <= at)
        length = int.from_bytes(whole[start + 4 : start + 8], "little")
        if not 12 <= at - start < 32 and at - start < 8 + length:
            (out / "pairs.rec").write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
            with pytest.raises(RecordIOError):
                open_pack(out)
    for end in range(len(whole)):
        (out / "pairs.rec").write_bytes(whole[:end])
        with pytest.raises(RecordIOError):
            open_pack(out)


def test_a_pickle_that_means_harm_is_named(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    path = tmp_path / "lfw.bin"
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(ran).encode() + b"'\ntR.")
    with pytest.raises(DamageError, match=r"lfw\.bin: byte 0: found the name 'os\.system', expected .+; nothing"):
        open_pack(path)
    assert not ran.exists()
