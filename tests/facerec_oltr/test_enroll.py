"""Folders of photos into a gallery: what is reported of each photo, and what a killed run leaves."""

import cv2
import numpy as np
import pytest

from facerec_oltr.enroll import EnrollReport, enroll_folder, enroll_photos
from facerec_oltr.errors import DataError, GalleryError
from facerec_oltr.faces.extractor import Extractor
from facerec_oltr.gallery.gallery import Gallery
from facerec_oltr.gallery.records import Outcome


class PixelEmbedder:
    """The pixels themselves, centred and of unit length; remembers how many faces each batch had."""

    name, fingerprint, dimensions, size, source = "pixels", "ab" * 32, 8 * 8 * 3, 8, "pixels"

    def __init__(self):
        self.batches: list[int] = []

    def embed(self, faces):
        self.batches.append(len(faces))
        flat = faces.reshape(len(faces), -1).astype(np.float32) - 127.5
        return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def write_photo(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    assert cv2.imwrite(str(path), pixels)
    return path


@pytest.fixture
def embedder():
    return PixelEmbedder()


@pytest.fixture
def extractor(embedder):
    """Photos as aligned crops."""
    return Extractor(embedder, None)


@pytest.fixture
def gallery(tmp_path, extractor):
    with Gallery.create(tmp_path / "gallery.db", extractor) as gallery:
        yield gallery


@pytest.fixture
def folder(tmp_path):
    for seed, photo in enumerate(["ann/1.png", "ann/2.png", "bob/1.png", "carol/1.png"]):
        write_photo(tmp_path / "people" / photo, seed)
    return tmp_path / "people"


def test_folder_is_enrolled(gallery, extractor, embedder, folder):
    seen = []
    report = enroll_folder(gallery, extractor, folder, on_progress=lambda *done: seen.append(done))
    assert gallery.identities() == {"ann": 2, "bob": 1, "carol": 1}
    assert [(r.path, r.name, r.owner) for r in report.results[:3]] == [
        (folder / "ann/1.png", "ann", "ann"),
        (folder / "ann/2.png", "ann", "ann"),
        (folder / "bob/1.png", "bob", "bob"),
    ]
    assert report.count(Outcome.ENROLLED) == 4
    assert report.errors == ()
    assert seen == [(2, 4), (3, 4), (4, 4)]
    assert embedder.batches == [4]  # one batch over all people
    report.raise_if_failed()


def test_a_photo_finds_its_own_person_in_true_colours(gallery, extractor, embedder, folder):
    enroll_folder(gallery, extractor, folder)
    rgb = np.random.default_rng(2).integers(0, 256, (8, 8, 3), np.uint8)[..., ::-1]  # cv2 wrote bob's as BGR
    [[best]] = gallery.search(embedder.embed(rgb[None]), k=1)
    assert (best.name, best.score) == ("bob", pytest.approx(1, abs=1e-6))


def test_again_embeds_nothing_and_changes_nothing(gallery, extractor, embedder, folder):
    enroll_folder(gallery, extractor, folder)
    before = gallery.state()
    embedder.batches.clear()
    report = enroll_folder(gallery, extractor, folder)
    assert report.count(Outcome.ALREADY) == 4
    assert report.errors == ()
    assert embedder.batches == []
    assert gallery.state() == before


def test_interrupted_run_keeps_whole_persons_and_goes_on(gallery, extractor, embedder, folder):
    def stop_after_ann(done, _):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        enroll_folder(gallery, extractor, folder, on_progress=stop_after_ann)
    assert gallery.identities() == {"ann": 2}
    embedder.batches.clear()
    report = enroll_folder(gallery, extractor, folder)
    assert [r.outcome for r in report.results] == [Outcome.ALREADY] * 2 + [Outcome.ENROLLED] * 2
    assert embedder.batches == [2]
    assert gallery.identities() == {"ann": 2, "bob": 1, "carol": 1}


def test_unreadable_photo_is_reported_and_the_rest_enrolled(gallery, extractor, folder):
    (folder / "ann/2.png").write_bytes(b"no image")
    report = enroll_folder(gallery, extractor, folder)
    [bad] = [r for r in report.results if r.outcome is Outcome.UNREADABLE]
    assert (bad.path, bad.owner) == (folder / "ann/2.png", None)
    assert bad.reason is not None
    assert str(folder / "ann/2.png") in bad.reason
    assert report.errors == ()
    assert gallery.identities()["ann"] == 1


def test_person_without_readable_photo_is_an_error_after_all_others_are_enrolled(gallery, extractor, folder):
    (folder / "ann/1.png").write_bytes(b"")
    (folder / "ann/2.png").write_bytes(b"no image")
    report = enroll_folder(gallery, extractor, folder)
    assert gallery.identities() == {"bob": 1, "carol": 1}
    assert len(report.errors) == 1
    with pytest.raises(DataError, match=r"^ann: none of 2 photos could be enrolled"):
        report.raise_if_failed()
    with pytest.raises(DataError, match=r"^a \(and 2 more such people\)$"):
        EnrollReport((), ("a", "b", "c")).raise_if_failed()


def test_same_photo_under_two_names_stays_with_the_first(gallery, extractor, folder):
    copy = folder / "bob/copy.png"
    copy.write_bytes((folder / "ann/1.png").read_bytes())
    for _ in range(2):  # in one run, and against what is enrolled
        report = enroll_folder(gallery, extractor, folder)
        [moved] = [r for r in report.results if r.outcome is Outcome.OTHER]
        assert (moved.path, moved.name, moved.owner) == (copy, "bob", "ann")
    assert gallery.identities() == {"ann": 2, "bob": 1, "carol": 1}


def test_photos_of_one_person(gallery, extractor, folder):
    paths = [str(folder / "ann/1.png"), str(folder / "missing.png")]
    report = enroll_photos(gallery, extractor, "Ann", paths)
    assert [r.outcome for r in report.results] == [Outcome.ENROLLED, Outcome.UNREADABLE]
    assert "No such file" in (report.results[1].reason or "")
    assert gallery.identities() == {"Ann": 1}
    with pytest.raises(DataError, match="no photo to enrol"):
        enroll_photos(gallery, extractor, "Ann", [])


def test_another_embedder_is_refused_before_anything_is_read(gallery, extractor, folder):
    other = PixelEmbedder()
    other.fingerprint = "cd" * 32
    with pytest.raises(GalleryError, match="made with embedder 'pixels'"):
        enroll_folder(gallery, Extractor(other, None), folder)
    assert other.batches == []


def test_missing_and_empty_folder(gallery, extractor, tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("none", "empty"):
        with pytest.raises(DataError, match=name):
            enroll_folder(gallery, extractor, tmp_path / name)
