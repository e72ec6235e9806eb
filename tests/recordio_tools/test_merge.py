"""Several sets into one; expected numbers are counted by hand."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from recordio_tools import FaceSet, Header
from recordio_tools.errors import SourceError
from recordio_tools.merge import merge_sets

MakeSet = Callable[..., Path]
Contents = Callable[[Path], dict[str, bytes]]


def _images(faces: FaceSet) -> list[memoryview]:
    return [faces.encoded(position) for position in range(len(faces))]


@pytest.mark.parametrize("layouts", [("face2rec2", "RecBuilder"), ("SeqRecBuilder", "face2rec2")])
def test_merge_numbers_one_set_after_another(make_set: MakeSet, tmp_path: Path, layouts: tuple[str, str]) -> None:
    a = make_set(tmp_path / "a", [2, 3], layouts[0], first_label=1)  # label 0 has no image
    b = make_set(tmp_path / "b", [1, 4, 2], layouts[1])
    manifest = merge_sets([str(a), b / "train.rec"], tmp_path / "out")
    merged = FaceSet(tmp_path / "out")
    assert merged.layout == "face2rec2"
    assert merged.labels.tolist() == [0, 0, 1, 1, 1, 2, 3, 3, 3, 3, 4, 4]
    images = [bytes(image) for faces in (FaceSet(a), FaceSet(b)) for image in _images(faces)]
    assert [bytes(image) for image in _images(merged)] == images
    for position, label in enumerate(merged.labels.tolist()):
        assert merged.record(position)[0] == Header(2, [label, 1.0], position + 1)
    assert merged.names == ["1", "2", "0", "1", "2"]  # the sources' labels, since nobody was named
    assert (tmp_path / "out" / "property").read_text() == "5,112,112\n"
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == manifest
    digest = hashlib.sha256((a / "train.rec").read_bytes()).hexdigest()
    assert manifest["merged_from"][0] == {
        "path": str(a), "fingerprint": digest, "images": 5, "identities": 2, "first_label": 0,
    }  # fmt: skip
    assert manifest["merged_from"][1]["first_label"] == 2
    assert manifest["output"] == {"fingerprint": merged.fingerprint, "images": 12, "identities": 5}


def test_merge_by_name_joins_people(tmp_path: Path, contents: Contents, make_listed_set: MakeSet) -> None:
    a = make_listed_set(tmp_path / "a", ["eva/1", "bob/1", "bob/2"], [0, 1, 1])
    b = make_listed_set(tmp_path / "b", ["bob/9", "zoe/1", "eva/2", "bob/8"], [0, 2, 1, 0])
    manifest = merge_sets([a, b], tmp_path / "out", by_name=True)
    merged = FaceSet(tmp_path / "out")
    assert merged.names == ["eva", "bob", "zoe"]
    assert list(merged.paths or ()) == ["eva/1", "eva/2", "bob/1", "bob/2", "bob/9", "bob/8", "zoe/1"]
    images = [(FaceSet(a), 0), (FaceSet(b), 2), (FaceSet(a), 1), (FaceSet(a), 2), (FaceSet(b), 0), (FaceSet(b), 3)]
    assert [bytes(merged.encoded(at)) for at in range(6)] == [bytes(faces.encoded(at)) for faces, at in images]
    assert (manifest["by_name"], manifest["joined"]) == (True, 2)
    apart = merge_sets([a, b], tmp_path / "apart")
    assert (apart["joined"], FaceSet(tmp_path / "apart").names) == (0, ["eva", "bob", "bob", "eva", "zoe"])
    merge_sets([a, b], tmp_path / "again", by_name=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "again")


def test_merges_that_cannot_be(make_set: MakeSet, tmp_path: Path, contents: Contents, make_listed_set: MakeSet) -> None:
    a = make_listed_set(tmp_path / "a", ["eva/1", "bob/1"], [0, 1])
    plain = make_set(tmp_path / "plain", [2, 2], "face2rec2")
    twice = make_listed_set(tmp_path / "twice", ["eva/1", "eva/2"], [0, 1])
    unnamed = make_listed_set(tmp_path / "unnamed", ["eva/1", "2.jpg"], [0, 1])
    before = contents(tmp_path)
    for sets, by_name, said in [
        ([a], False, "expected two or more"),
        ([a, a / "train.rec"], False, "given twice"),
        ([a, plain], False, r"112 x 112 .* those of .*a are 24 x 24"),
        ([twice, a], True, "identities 0 and 1 are both named 'eva'"),
        ([a, unnamed], True, "identity 1 has no name"),
    ]:
        with pytest.raises(SourceError, match=said):
            merge_sets(sets, tmp_path / "new" / "out", by_name=by_name)
    (plain / "property").write_text("2,24,24\n")
    with pytest.raises(SourceError, match=r"has no train\.lst"):
        merge_sets([a, plain], tmp_path / "out", by_name=True)
    for inside in (a, plain, plain / "deep"):
        with pytest.raises(SourceError, match="is the source itself or lies in it"):
            merge_sets([a, plain], inside, force=True)
    assert contents(tmp_path) == {**before, "plain/property": b"2,24,24\n"}
