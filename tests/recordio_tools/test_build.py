import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recordio_tools import FaceSet, Header, Writer, _behind, _copying, pack
from recordio_tools.build import build_longtail, shot_bins
from recordio_tools.chosen import ChosenList
from recordio_tools.errors import PlanError, SourceError
from recordio_tools.held_out import OpenSplit
from recordio_tools.images import read_rgb
from recordio_tools.listing import Listed, read_listing
from recordio_tools.longtail import Rule
from recordio_tools.packing import pack_folder
from recordio_tools.plot import images_per_identity
from recordio_tools.set_writer import OPEN_LISTS

FILES = ["images_per_identity.png", "manifest.json", "property", "train.idx", "train.lst", "train.rec"]
RULE = Rule("pareto", images=9, identities=3, alpha=1.0)


@pytest.fixture(scope="session")
def source(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("source") / "set"
    pack_folder(photos, out, size=24)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_copies_the_image_bytes_as_they_are(source: Path, tmp_path: Path) -> None:
    manifest = build_longtail(source, tmp_path / "lt", RULE, seed=0)
    whole, cut = FaceSet(source), FaceSet(tmp_path / "lt")
    assert len(cut) == 9
    assert cut.classes == 3
    assert cut.layout == "face2rec2"
    assert cut.size == (24, 24)
    assert whole.paths is not None
    assert whole.names is not None
    assert cut.paths is not None
    assert len(set(cut.paths)) == 9
    for position, path in enumerate(cut.paths):
        origin = whole.paths.index(path)
        assert bytes(cut.encoded(position)) == bytes(whole.encoded(origin))
        header, _ = cut.record(position)
        assert header == Header(2, [cut.labels[position], 1.0], position + 1)
        kept = manifest["kept"][cut.labels[position]]
        assert kept["source_label"] == whole.labels[origin]
        assert kept["name"] == whole.names[whole.labels[origin]]


def test_the_manifest_accounts_for_every_identity_and_image(source: Path, tmp_path: Path) -> None:
    returned = build_longtail(str(source), tmp_path / "lt", RULE, seed=5)
    manifest = json.loads((tmp_path / "lt" / "manifest.json").read_text())
    assert manifest == returned
    whole, cut = FaceSet(source), FaceSet(tmp_path / "lt")
    assert manifest["rule"] == {
        "law": "pareto",
        "images": 9,
        "identities": 3,
        "alpha": 1.0,
        "imbalance": None,
        "minimum": 1,
        "maximum": None,
    }
    assert manifest["seed"] == 5
    assert manifest["source"] == {
        "path": os.path.relpath(source, tmp_path / "lt"),
        "fingerprint": whole.fingerprint,
        "images": 20,
        "identities": 5,
    }
    assert manifest["output"] == {"fingerprint": cut.fingerprint, "images": 9, "identities": 3}
    assert [entry["label"] for entry in manifest["kept"]] == [0, 1, 2]
    assert [entry["kept"] for entry in manifest["kept"]] == cut.counts().tolist()
    kept, left_out = ({entry["source_label"] for entry in manifest[name]} for name in ("kept", "open"))
    assert not kept & left_out
    assert kept | left_out == set(range(5))
    sizes = {entry["source_label"]: entry["available"] for entry in manifest["kept"]}
    sizes |= {entry["source_label"]: entry["images"] for entry in manifest["open"]}
    assert [sizes[label] for label in range(5)] == whole.counts().tolist()
    assert sum(manifest["shots"]["faces"].values()) == sum(manifest["shots"]["lists"].values()) == 3


def test_shot_bins_at_their_borders() -> None:
    bins = shot_bins(np.array([1, 2, 4, 5, 19, 20, 100, 101]))
    assert list(bins["faces"].values()) == [5, 2, 1]
    assert list(bins["lists"].values()) == [1, 2, 5]


def test_the_same_seed_gives_the_same_bytes(source: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        build_longtail(source, tmp_path / name, RULE, seed)
    assert sorted(contents(tmp_path / "a")) == FILES
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a")["train.rec"] != contents(tmp_path / "c")["train.rec"]


@pytest.mark.parametrize("view", [False, True])
def test_the_same_bytes_from_another_folder(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, view: bool
) -> None:
    """Two trees alike, one named absolutely, one from a folder inside it; all files are compared."""
    rule = Rule("uniform_images", 5, 2)
    for tree in ("one", "two"):
        shutil.copytree(source, tmp_path / tree / "set")
        (tmp_path / tree / "work").mkdir()
    build_longtail(tmp_path / "one" / "set", tmp_path / "one" / "lt", rule, seed=1, view=view)
    monkeypatch.chdir(tmp_path / "two" / "work")
    build_longtail("../set", "../lt", rule, seed=1, view=view)
    one, two = contents(tmp_path / "one" / "lt"), contents(tmp_path / "two" / "lt")
    assert one == two
    assert ("view.npz" in one, "train.rec" in one) == (view, not view)
    assert len([name for name in one if name.startswith("open_")]) == 4


def open_people(folder: Path) -> dict[str, list[Listed]]:
    return {role: read_listing(folder / name) for role, name in OPEN_LISTS.items()}


def test_the_open_lists_name_the_people_left_out(source: Path, tmp_path: Path) -> None:
    split = OpenSplit(enrolled=0.4, calibration=0.3, gallery_photos=1)
    manifest = build_longtail(source, tmp_path / "lt", Rule("uniform_images", 4, 2), seed=0, split=split)
    whole = FaceSet(source)
    assert whole.paths is not None
    assert whole.names is not None
    lists = open_people(tmp_path / "lt")
    left_out = {entry["source_label"]: entry["images"] for entry in manifest["open"]}
    listed = [line for lines in lists.values() for line in lines]
    assert sorted(line.path for line in listed) == sorted(
        path for path, label in zip(whole.paths, whole.labels, strict=True) if label in left_out
    )
    for role, lines in lists.items():
        text = (tmp_path / "lt" / OPEN_LISTS[role]).read_text().splitlines()
        for line, raw in zip(lines, text, strict=True):
            key = int(raw.split("\t")[0])
            assert whole.paths[key - 1] == line.path
            assert whole.labels[key - 1] == line.label
            assert whole.names[line.label] == line.name
        facts = {"file": OPEN_LISTS[role], "identities": len({line.label for line in lines}), "images": len(lines)}
        assert manifest["open_roles"][role] == facts
    # three people: one of each kind, by hand
    assert [manifest["open_roles"][role]["identities"] for role in OPEN_LISTS] == [1, 1, 1, 1]
    assert len(lists["gallery"]) == 1
    assert manifest["open_roles"]["choices"] == {
        "enrolled": 0.4, "calibration": 0.3, "gallery_photos": 1, "distinct": False
    }  # fmt: skip


def test_how_people_are_dealt_changes_nothing_else(source: Path, tmp_path: Path) -> None:
    rule = Rule("uniform_images", 4, 2)
    build_longtail(source, tmp_path / "a", rule, seed=0)
    build_longtail(source, tmp_path / "b", rule, seed=0, split=OpenSplit(0.1, 0.1, 9))
    for name in ("train.rec", "train.lst", "train.idx"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_too_small_an_open_set_has_no_lists(source: Path, tmp_path: Path) -> None:
    manifest = build_longtail(source, tmp_path / "lt", Rule("uniform_images", 4, 3), seed=0)
    assert manifest["open_roles"]["none"].startswith(
        "2 people are left out, 2 of them with two photos or more; expected 3"
    )
    assert not [name for name in contents(tmp_path / "lt") if name.startswith("open_")]
    assert len(manifest["open"]) == 2


def test_images_alike_are_listed_once_or_not_at_all(tmp_path: Path) -> None:
    """People 1 to 4 are left out: 1 has one photo twice, 2 and 3 share one, 4 has nothing but what 2 and 3 share."""
    photos = {0: b"aa", 1: b"bcb", 2: b"def", 3: b"dgh", 4: b"d"}
    (tmp_path / "set").mkdir()
    rows = [(label, bytes([image])) for label, images in photos.items() for image in images]
    with Writer(tmp_path / "set" / "train.rec") as writer:
        for key, (label, image) in enumerate(rows):
            writer.write(key, pack(Header(0, float(label), key), image))
    (tmp_path / "set" / "property").write_text("5,112,112\n")
    (tmp_path / "list").write_text("0\n")
    chosen = ChosenList(tmp_path / "list", "labels")
    plain = build_longtail(tmp_path / "set", tmp_path / "a", chosen, seed=0)
    distinct = build_longtail(tmp_path / "set", tmp_path / "b", chosen, seed=0, split=OpenSplit(distinct=True))
    assert sum(len(lines) for lines in open_people(tmp_path / "a").values()) == 10
    assert "several_people" not in plain["open_roles"]
    listed = sorted(line.path for lines in open_people(tmp_path / "b").values() for line in lines)
    assert listed == ["1/2", "1/3", "2/6", "2/7", "3/10", "3/9"]
    assert distinct["open_roles"]["same_person_twice"] == 1
    assert distinct["open_roles"]["several_people"] == 3


def test_the_picture_is_a_picture(tmp_path: Path, source: Path) -> None:
    build_longtail(source, tmp_path / "lt", RULE, seed=0)
    assert read_rgb(tmp_path / "lt" / "images_per_identity.png").shape == (600, 1080, 3)
    counts = np.array([1, 2, 300])
    images_per_identity(counts, counts * 2, tmp_path / "log.png")
    assert len(np.unique(read_rgb(tmp_path / "log.png").reshape(-1, 3), axis=0)) > 10


@pytest.mark.parametrize("layout", ["RecBuilder", "SeqRecBuilder"])
def test_other_layouts_without_a_listing(tmp_path: Path, make_set: Callable[..., Path], layout: str) -> None:
    source = make_set(tmp_path / "source", [4, 3, 5], layout, first_label=2)
    manifest = build_longtail(source / "train.rec", tmp_path / "lt", Rule("uniform_images", 6, 2), seed=0)
    whole, cut = FaceSet(source), FaceSet(tmp_path / "lt")
    assert cut.paths is not None
    for position, path in enumerate(cut.paths):
        label, key = map(int, path.split("/"))
        origin = whole.keys.tolist().index(key)
        assert whole.labels[origin] == label
        assert bytes(cut.encoded(position)) == bytes(whole.encoded(origin))
        assert cut.record(position)[0].label[1] == 1.0  # type: ignore[index]
    assert all(entry["name"] is None for entry in manifest["kept"] + manifest["open"])


def test_further_labels_are_kept_and_a_missing_size_is_measured(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with Writer(tmp_path / "source" / "train.rec") as writer:
        image = (photos / "p1" / "1.png").read_bytes()
        writer.write(0, pack(Header(0, [3.0, 0.5, 7.0], 0), image))
    build_longtail(tmp_path / "source", tmp_path / "lt", Rule("uniform_images", 1), seed=0)
    cut = FaceSet(tmp_path / "lt")
    assert cut.record(0)[0] == Header(3, [0.0, 0.5, 7.0], 1)
    assert cut.size == (24, 20)
    assert bytes(cut.encoded(0)) == image


def test_nothing_is_left_when_it_fails(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PlanError, match="500 images"):
        build_longtail(source, tmp_path / "new" / "lt", Rule("uniform_images", 500), seed=0)
    with pytest.raises(PlanError, match="seed -1"):
        build_longtail(source, tmp_path / "new" / "lt", RULE, seed=-1)
    with pytest.raises(SourceError, match="not there"):
        build_longtail(tmp_path / "no", tmp_path / "new" / "lt", RULE, seed=0)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_longtail(source, tmp_path / "new" / "lt", RULE, seed=0, progress=stop)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fails_while_more_is_prepared(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(_copying, "BLOCK", 3000)
    monkeypatch.setattr(_behind, "_FLUSH_AFTER", 0)
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OSError, match="no space left"):
        build_longtail(source, tmp_path / "lt", Rule("uniform_images", 18), seed=0)
    assert not list(tmp_path.iterdir())


def test_the_source_is_never_its_own_output(source: Path) -> None:
    before = contents(source)
    for given in (source, source / "train.rec"):
        with pytest.raises(SourceError, match="is the source itself"):
            build_longtail(given, source.parent / "." / source.name, RULE, seed=0, force=True)
    assert contents(source) == before


def test_a_cut_can_be_cut_again(source: Path, tmp_path: Path) -> None:
    build_longtail(source, tmp_path / "lt", RULE, seed=0)
    build_longtail(tmp_path / "lt", tmp_path / "again", Rule("proportional", 4), seed=0)
    build_longtail(source, tmp_path / "lt", Rule("proportional", 4), seed=0, force=True)
    assert len(FaceSet(tmp_path / "again")) == len(FaceSet(tmp_path / "lt")) == 4
