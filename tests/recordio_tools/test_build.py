import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recordio_tools import FaceSet, Header, Writer, pack
from recordio_tools.build import build_longtail, shot_bins
from recordio_tools.errors import PlanError, SourceError
from recordio_tools.images import read_rgb
from recordio_tools.longtail import Rule
from recordio_tools.packing import pack_folder
from recordio_tools.plot import images_per_identity

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
