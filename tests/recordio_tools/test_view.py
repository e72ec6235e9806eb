import hashlib
import io
import json
import os
import pickle
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recordio_tools import FaceSet, Reader
from recordio_tools.build import build_longtail
from recordio_tools.errors import FaceSetError, RecordIOError, SourceError
from recordio_tools.longtail import Rule
from recordio_tools.packing import pack_folder
from recordio_tools.view import Records, View, path_from, read_view

RULE = Rule("pareto", images=9, identities=3, alpha=1.0)


@pytest.fixture(scope="module")
def made(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set, a cut of it as a copy, and the same cut as a view."""
    room = tmp_path_factory.mktemp("made")
    pack_folder(photos, room / "set", size=24)
    build_longtail(room / "set", room / "copy", RULE, seed=3)
    build_longtail(room / "set", room / "view", RULE, seed=3, view=True)
    return room


@pytest.fixture
def source(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made / "set", tmp_path / "set")


@pytest.fixture
def both(made: Path, source: Path, tmp_path: Path) -> tuple[FaceSet, FaceSet]:
    """The cut as a copy and as a view."""
    return tuple(FaceSet(shutil.copytree(made / name, tmp_path / name)) for name in ("copy", "view"))  # type: ignore


def test_a_view_shows_what_the_copy_holds(both: tuple[FaceSet, FaceSet], source: Path, tmp_path: Path) -> None:
    copy, view = both
    assert sorted(path.name for path in (tmp_path / "view").iterdir()) == [
        "images_per_identity.png",
        "manifest.json",
        "property",
        "view.npz",
    ]
    assert view.labels.tolist() == copy.labels.tolist()
    assert (len(view), view.classes, view.size, view.layout) == (9, 3, (24, 24), "view")
    assert view.counts().tolist() == copy.counts().tolist()
    assert copy.paths is not None
    assert view.paths is not None
    assert list(view.paths) == list(copy.paths)
    assert view.names == copy.names
    whole = FaceSet(source)
    assert whole.paths is not None
    for position in range(9):
        assert bytes(view.encoded(position)) == bytes(copy.encoded(position))
        assert np.array_equal(view.image(position), copy.image(position))
        origin = whole.paths.index(view.paths[position])
        assert view.keys[position] == whole.keys[origin]
        assert view.record(position)[0] == whole.record(origin)[0]  # the label there, not the view's
    assert view.ranges is None
    read = list(view.reader)  # the records of the view alone
    assert sorted(read) == sorted((key, whole.reader.read(key)) for key in view.keys.tolist())
    facts = view.summary()
    assert (facts["path"], facts["looks_into"]) == (str(tmp_path / "view"), str(source / "train.rec"))
    assert (facts["layout"], facts["records"], facts["bytes"]) == (
        "view",
        9,
        (tmp_path / "view/view.npz").stat().st_size,
    )
    assert FaceSet(tmp_path / "view" / "view.npz").path == view.path
    again = pickle.loads(pickle.dumps(view))
    assert bytes(again.encoded(4)) == bytes(copy.encoded(4))
    assert again.names == copy.names


def test_a_view_has_a_fingerprint_of_its_own(both: tuple[FaceSet, FaceSet], source: Path, tmp_path: Path) -> None:
    _, view = both
    manifest = json.loads((tmp_path / "view" / "manifest.json").read_text())
    assert manifest["output"] == {"fingerprint": view.fingerprint, "images": 9, "identities": 3}
    assert manifest["view"]["fingerprint"] == manifest["source"]["fingerprint"] == FaceSet(source).fingerprint
    other = build_longtail(source, tmp_path / "other", RULE, seed=4, view=True)
    assert other["output"]["fingerprint"] != view.fingerprint
    rec = bytearray((source / "train.rec").read_bytes())
    rec[80] ^= 1  # in an image: neither size nor index tell
    (source / "train.rec").write_bytes(rec)
    with pytest.raises(FaceSetError, match=r"train.rec is not the file of when the view was made"):
        _ = FaceSet(tmp_path / "view").fingerprint


@pytest.mark.parametrize("layout", ["face2rec2", "RecBuilder", "SeqRecBuilder"])
def test_a_view_of_every_layout(tmp_path: Path, make_set: Callable[..., Path], layout: str) -> None:
    source = make_set(tmp_path / "source", [4, 3, 5], layout, first_label=2)
    build_longtail(source / "train.rec", tmp_path / "view", Rule("uniform_images", 6, 2), seed=0, view=True)
    build_longtail(source / "train.rec", tmp_path / "copy", Rule("uniform_images", 6, 2), seed=0)
    view, copy = FaceSet(tmp_path / "view"), FaceSet(tmp_path / "copy")
    assert view.labels.tolist() == copy.labels.tolist()
    assert [bytes(view.encoded(place)) for place in range(6)] == [bytes(copy.encoded(place)) for place in range(6)]
    assert (view.paths, view.names) == (None, None)


def test_sparse_keys_above_32_bits(sparse_set: Path, tmp_path: Path) -> None:
    build_longtail(sparse_set, tmp_path / "view", Rule("uniform_images", 4), seed=1, view=True)
    view = FaceSet(tmp_path / "view")
    assert set(view.keys.tolist()) < {10**17, 5, 2**32, 7, 2**40}
    assert [bytes(view.encoded(place)) for place in range(4)] == [b"image %d" % key for key in view.keys]


@pytest.mark.parametrize("as_view", [False, True])
def test_a_view_can_be_cut_again(source: Path, tmp_path: Path, as_view: bool) -> None:
    rule = Rule("uniform_images", 14, 4)
    build_longtail(source, tmp_path / "copy", rule, seed=0)
    build_longtail(source, tmp_path / "view", rule, seed=0, view=True)
    once = build_longtail(tmp_path / "copy", tmp_path / "1", RULE, seed=1)
    again = build_longtail(tmp_path / "view", tmp_path / "2", RULE, seed=1, view=as_view)
    assert [entry["name"] for entry in once["kept"]] == [entry["name"] for entry in again["kept"]]
    shutil.rmtree(tmp_path / "copy")
    shutil.rmtree(tmp_path / "view")  # a view of a view looks into the records themselves
    one, two = FaceSet(tmp_path / "1"), FaceSet(tmp_path / "2")
    assert one.labels.tolist() == two.labels.tolist()
    assert [bytes(one.encoded(place)) for place in range(9)] == [bytes(two.encoded(place)) for place in range(9)]
    assert one.paths is not None
    assert two.paths is not None
    assert list(one.paths) == list(two.paths)
    assert two.fingerprint == again["output"]["fingerprint"]


def test_a_view_is_never_written_over_its_source(both: tuple[FaceSet, FaceSet], tmp_path: Path) -> None:
    for out, given in (("set", "view"), ("view", "view")):
        with pytest.raises(SourceError, match="is the source itself"):
            build_longtail(tmp_path / given, tmp_path / out, Rule("uniform_images", 3), seed=0, force=True)


def test_a_tree_can_be_moved_and_a_lost_source_is_said(source: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    source = source.rename(tree / "set")
    build_longtail(source, tree / "deep" / "view", RULE, seed=3, view=True)
    first = [bytes(FaceSet(tree / "deep" / "view").encoded(place)) for place in range(9)]
    tree = tree.rename(tmp_path / "moved")
    assert [bytes(FaceSet(tree / "deep" / "view").encoded(place)) for place in range(9)] == first
    (tmp_path / "link").symlink_to(tree / "deep")
    assert [bytes(FaceSet(tmp_path / "link" / "view").encoded(place)) for place in range(9)] == first
    (tree / "set").rename(tree / "elsewhere")
    with pytest.raises(SourceError, match=r"looks into ../../set/train.rec, which is not there; put it back"):
        FaceSet(tree / "deep" / "view")
    manifest = tree / "deep" / "view" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"records": "../../set/', '"records": "../../elsewhere/'))
    assert [bytes(FaceSet(tree / "deep" / "view").encoded(place)) for place in range(9)] == first


def test_the_way_to_the_source_is_the_same_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("a/data/set", "b"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "b" / "data").symlink_to(tmp_path / "a" / "data")
    (tmp_path / "b" / "deep").symlink_to(tmp_path / "a" / "data" / "set")
    monkeypatch.chdir(tmp_path / "b")
    for given in (Path("../a/data/set"), tmp_path / "a" / "data" / "set", Path("./../b/../a/data/set")):
        assert path_from(Path("out"), given) == path_from(tmp_path / "b" / "out", given) == "../../a/data/set"
    assert path_from(Path("out"), Path("data/set")) == "../data/set"  # the link stays
    assert path_from(Path("out"), Path("deep/../set")) == "../../a/data/set"  # behind the link is not b
    assert path_from(Path("data/out"), tmp_path / "b") == "../../../b"  # the real parent of out is a/data


def test_a_changed_source_is_found_when_the_view_is_opened(
    both: tuple[FaceSet, FaceSet], source: Path, tmp_path: Path, photos: Path
) -> None:
    index = (source / "train.idx").read_text()
    first, second, rest = index.split("\n", 2)
    swapped = [f"{one.split()[0]}\t{other.split()[1]}" for one, other in ((first, second), (second, first))]
    (source / "train.idx").write_text("\n".join([*swapped, rest]))
    with pytest.raises(FaceSetError, match=r"train.idx is not the index of when the view was made; put the old"):
        FaceSet(tmp_path / "view")
    pack_folder(photos, source, size=32, force=True)
    with pytest.raises(FaceSetError, match=r"train.rec has [\d,]+ bytes, expected the [\d,]+ of when"):
        FaceSet(tmp_path / "view")
    shutil.rmtree(source)
    with pytest.raises(SourceError, match="which is not there"):
        FaceSet(tmp_path / "view")


def swell(data: bytes) -> bytes:
    """The same arrays, compressed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    return zipped(entries, zipfile.ZIP_DEFLATED)


def zipped(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def npy(array: Any, claims: tuple[int, ...] | None = None) -> bytes:
    """An array file, whose header may claim another shape than there is."""
    file = io.BytesIO()
    header = {"descr": np.asarray(array).dtype.str, "fortran_order": False, "shape": claims or np.shape(array)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + np.asarray(array).tobytes()


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("bombed",)


KEYS = np.arange(1, 10, dtype="<u4")
COUNTS = np.array([5, 3, 1], "<u4")


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"keys.npy": npy(KEYS)}, "is damaged"),
        ({"counts.npy": npy(COUNTS), "keys.npy": npy(KEYS)}, "is damaged"),
        ({"keys.npy": npy(KEYS), "counts.npy": npy(COUNTS), "more.npy": npy(KEYS)}, "is damaged"),
        ({"keys.npy": npy(KEYS, (10**12,)), "counts.npy": npy(COUNTS)}, "is damaged"),
        ({"keys.npy": npy(KEYS, (3, 3)), "counts.npy": npy(COUNTS)}, "is damaged"),
        ({"keys.npy": npy(KEYS.astype("<f8")), "counts.npy": npy(COUNTS)}, "is damaged"),
        ({"keys.npy": npy(KEYS.astype(">u4")), "counts.npy": npy(COUNTS)}, "is damaged"),
        ({"keys.npy": b"\x93NUMPY\x01\x00\xff\xff{", "counts.npy": npy(COUNTS)}, "is damaged"),
        ({"keys.npy": b"\x93NUMPY\x01\x00\x04\x00'''\n", "counts.npy": npy(COUNTS)}, "is damaged"),
        ({"keys.npy": b"", "counts.npy": npy(COUNTS)}, "is damaged"),
        ({"keys.npy": npy(KEYS % 8), "counts.npy": npy(COUNTS)}, "stands twice"),
        ({"keys.npy": npy(KEYS.astype("<i8") - 2), "counts.npy": npy(COUNTS)}, "is negative"),
        ({"keys.npy": npy(KEYS), "counts.npy": npy(COUNTS + 1)}, "holds 9 keys but counts 12"),
        ({"keys.npy": npy(KEYS), "counts.npy": npy(np.array([9, 0], "<u4"))}, "a class has no image"),
        ({"keys.npy": npy(KEYS), "counts.npy": npy(np.array([2**62, -(2**62) + 9], "<i8"))}, "a class has no image"),
        ({"keys.npy": npy(KEYS + 12), "counts.npy": npy(COUNTS)}, "has no image of key 21"),
        ({"keys.npy": npy(KEYS), "counts.npy": npy(np.array([1] * 9, "<u4"))}, "says 3 classes but"),
        ({"keys.npy": npy(KEYS), "counts.npy": npy(np.array([8, 1], "<u4"))}, "says 3 classes but"),
    ],
)
def test_hostile_arrays(both: tuple[FaceSet, FaceSet], tmp_path: Path, entries: dict[str, bytes], said: str) -> None:
    replace_arrays(tmp_path / "view", zipped(entries))
    with pytest.raises(RecordIOError, match=said):
        FaceSet(tmp_path / "view")


def replace_arrays(folder: Path, data: bytes) -> None:
    """Put other arrays into a view, with a manifest that calls them right."""
    (folder / "view.npz").write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["view"]["sha256"] = hashlib.sha256(data).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_arrays_that_would_run_or_swell_do_neither(
    both: tuple[FaceSet, FaceSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = io.BytesIO()
    np.save(file, np.array([Bomb()], object), allow_pickle=True)
    sound = (tmp_path / "view" / "view.npz").read_bytes()
    for data in (zipped({"keys.npy": file.getvalue(), "counts.npy": npy(COUNTS)}), swell(sound), b"", b"PK\5\6" * 9):
        replace_arrays(tmp_path / "view", data)
        with pytest.raises(FaceSetError, match="is damaged, expected the arrays"):
            FaceSet(tmp_path / "view")
    assert not (tmp_path / "bombed").exists()
    replace_arrays(tmp_path / "view", sound)
    assert len(FaceSet(tmp_path / "view")) == 9


def test_300_damaged_archives(both: tuple[FaceSet, FaceSet], tmp_path: Path) -> None:
    """Bytes changed, cut and doubled at random: the view says so, or shows 9 different images of the source."""
    sound = (tmp_path / "view" / "view.npz").read_bytes()
    chance = random.Random(0)
    refused = 0
    for _ in range(300):
        data = bytearray(sound)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(data))
            match chance.randrange(3):
                case 0:
                    data[place] = chance.randrange(256)
                case 1:
                    del data[place : place + chance.randint(1, 40)]
                case _:
                    data[place:place] = data[place : place + chance.randint(1, 40)]
        replace_arrays(tmp_path / "view", bytes(data))
        try:
            view = read_view(tmp_path / "view")
        except FaceSetError:
            refused += 1
        else:
            assert len(set(view.keys.tolist())) == len(view.keys) == view.counts.sum()
    assert refused > 240


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (None, "does not say what"),
        ([], "does not say what"),
        ({"records": 3}, "does not say what"),
        ({"records": "a\0b"}, "does not say what"),
        ({"bytes": "9"}, "does not say what"),
        ({"bytes": True}, "does not say what"),
        ({"index": None}, "does not say what"),
        ({"sha256": "0" * 64}, "is not the file that .*manifest.json describes"),
        ({"records": "."}, "looks into ., which is not there"),
        ({"records": "view.npz"}, "does not say what"),
        ({"records": "manifest.json"}, "manifest.idx: not there"),
        ({"bytes": 5}, "bytes, expected the 5 of when"),
        ({"index": "0" * 64}, "is not the index of when"),
    ],
)
def test_hostile_manifests(both: tuple[FaceSet, FaceSet], tmp_path: Path, entry: Any, said: str) -> None:
    path = tmp_path / "view" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["view"] = {**manifest["view"], **entry} if isinstance(entry, dict) else entry
    path.write_text(json.dumps(manifest))
    with pytest.raises(RecordIOError, match=said):
        FaceSet(tmp_path / "view")
    for text in ("", "[", "[" * 100_000, "3", "{}"):
        path.write_text(text)
        with pytest.raises(FaceSetError, match="does not say what"):
            FaceSet(tmp_path / "view")
    path.unlink()
    with pytest.raises(SourceError, match=r"manifest.json: not there"):
        FaceSet(tmp_path / "view")


def test_the_size_of_a_view_of_ms1m(tmp_path: Path, numbered: Path) -> None:
    """887,500 images and 74,500 classes at 4 bytes each are 3.848 MB."""
    keys = np.sort(np.random.default_rng(0).permutation(5_822_653)[:887_500]) + 1
    counts = np.full(74_500, 11)
    counts[: 887_500 - counts.sum()] += 1
    view = View(keys, counts, Records.of(Reader(numbered), "0" * 64))
    entry = view.write(tmp_path, tmp_path)
    size = (tmp_path / "view.npz").stat().st_size
    assert 4 * (887_500 + 74_500) < size < 4 * (887_500 + 74_500) + 1000
    (tmp_path / "manifest.json").write_text(json.dumps({"view": entry}))
    back = read_view(tmp_path)
    assert np.array_equal(back.keys, keys)
    assert np.array_equal(back.counts, counts)
    assert back.records.path == numbered


@pytest.mark.parametrize("access", ["mapped", "positioned"])
def test_a_view_knows_where_its_records_end(
    access: Any, both: tuple[FaceSet, FaceSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is taken at its first look, without a second judgement."""
    copy, view = both[0], FaceSet(both[1].path, access=access)
    monkeypatch.setattr(view.reader, "_decode", None)
    for place in range(len(copy)):
        assert bytes(view.encoded(place)) == bytes(copy.encoded(place))
