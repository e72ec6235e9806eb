"""Enrolling, removing and searching people, alone and beside another process."""

from hashlib import sha256

import numpy as np
import pytest

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.gallery import Gallery
from facerec_oltr.gallery.records import Candidate, Enrolment, GalleryState, Outcome, RecordedEmbedder
from facerec_oltr.metrics.identification import Threshold, fuse_templates

EMBEDDER = RecordedEmbedder("pixels", "ab" * 32, 2, 8, "pixels")


def digest(text):
    return sha256(text.encode()).hexdigest()


def at(degrees):
    """A unit vector in the plane: scores are cosines of angles that one can work out."""
    return [np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]


def enrol(gallery, name, *photos):
    """Photos are (label, angle)."""
    return gallery.enrol(
        name, [at(angle) for _, angle in photos], [digest(p) for p, _ in photos], [p for p, _ in photos]
    )


@pytest.fixture
def gallery(tmp_path):
    with Gallery.create(tmp_path / "gallery.db", EMBEDDER) as gallery:
        enrol(gallery, "ann", ("a1", 0), ("a2", 90))
        enrol(gallery, "bob", ("b1", 30))
        yield gallery


def test_search_by_hand(gallery):
    # A probe at 50°: bob's photo is 20° away, ann's second one 40° and her first one 50°.
    [found] = gallery.search([at(50)], k=5)
    assert [c.name for c in found] == ["bob", "ann"]
    assert [c.score for c in found] == pytest.approx(np.cos(np.radians([20, 40])), abs=1e-7)
    assert gallery.search([at(50)], k=1) == [[found[0]]]


def test_equal_scores_go_to_the_first_enrolled(gallery):
    enrol(gallery, "aaron", ("x", 90))
    assert gallery.search([[0, 1]], k=2) == [[Candidate("ann", 1.0), Candidate("aaron", 1.0)]]


def test_search_equals_fusion_of_all_scores(tmp_path):
    # One person has most of the templates, so that the best few templates belong to her alone.
    rng = np.random.default_rng(0)
    owners = np.array([0] * 60 + list(range(1, 8)) * 2)
    vectors = rng.normal(size=(len(owners), 2)).astype(np.float32)
    vectors[:60] = [1, 0] + 0.05 * vectors[:60]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    probes = np.array([at(angle) for angle in range(-10, 11)], np.float32)
    with Gallery.create(tmp_path / "g.db", EMBEDDER) as gallery:
        for who in range(8):
            own = np.flatnonzero(owners == who)
            gallery.enrol(f"p{who}", vectors[own], [digest(str(i)) for i in own], [str(i) for i in own])
        for k in (1, 3, 8, 20):
            scores, _ = fuse_templates(probes.astype(np.float64) @ vectors.T.astype(np.float64), owners)
            for row, found in zip(scores, gallery.search(probes, k=k), strict=True):
                assert [c.name for c in found] == [f"p{i}" for i in np.argsort(-row)[:k]]
                assert [c.score for c in found] == pytest.approx(np.sort(row)[::-1][:k], abs=1e-7)


def test_enrolling_twice_changes_nothing(gallery):
    before = gallery.state()
    assert enrol(gallery, "ann", ("a1", 0), ("a2", 90)) == [Enrolment(Outcome.ALREADY, "ann")] * 2
    assert gallery.state() == before == GalleryState(changes=2, identities=2, templates=3)


def test_photo_of_somebody_else_is_reported_and_stays(gallery):
    done = enrol(gallery, "carol", ("a1", 0), ("c1", 200))
    assert done == [Enrolment(Outcome.OTHER, "ann"), Enrolment(Outcome.ENROLLED, "carol")]
    assert gallery.identities() == {"ann": 2, "bob": 1, "carol": 1}
    assert enrol(gallery, "dave", ("b1", 30)) == [Enrolment(Outcome.OTHER, "bob")]
    assert "dave" not in gallery.identities()
    assert gallery.owner(digest("a1")) == "ann"
    assert gallery.owner(digest("nobody")) is None


def test_same_photo_twice_in_one_call_is_enrolled_once(gallery):
    done = enrol(gallery, "carol", ("c1", 200), ("c1", 200))
    assert [d.outcome for d in done] == [Outcome.ENROLLED, Outcome.ALREADY]


def test_enrolment_is_all_or_nothing(gallery):
    with pytest.raises(GalleryError, match="CHECK"):
        gallery.enrol("carol", [at(1), at(2)], [digest("c1"), "not a digest"], ["c1", "c2"])
    assert "carol" not in gallery.identities()
    assert gallery.state().changes == 2


def test_removal(gallery):
    gallery.search([at(0)])
    assert gallery.remove("ann") == 2
    assert gallery.identities() == {"bob": 1}
    assert [c.name for c in gallery.search([at(0)])[0]] == ["bob"]
    enrol(gallery, "eve", ("a1", 0))  # the photo is free again
    assert [c.name for c in gallery.search([at(0)])[0]] == ["eve", "bob"]
    with pytest.raises(GalleryError, match="did you mean 'bob'"):
        gallery.remove("bobb")


def test_what_another_process_writes_is_found(gallery):
    gallery.search([at(0)])
    with Gallery.open(gallery.path) as other:
        enrol(other, "carol", ("c1", 180))
        other.remove("bob")
        assert gallery.search([at(180)])[0][0].name == "carol"
        assert [c.name for c in gallery.search([at(30)], k=9)[0]] == ["ann", "carol"]


def test_empty_gallery_finds_nobody(tmp_path):
    with Gallery.create(tmp_path / "g.db", EMBEDDER) as gallery:
        assert gallery.search([at(0), at(1)]) == [[], []]
        assert gallery.search(np.empty((0, 2))) == []
        assert gallery.identities() == {}


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([[2.0, 0.0]], "length 2"),
        ([[np.nan, 0.0]], "length nan"),
        ([[1.0]], "shape"),
        ([[0.0, 0.0]], "length 0"),
    ],
)
def test_vectors_that_are_not_of_the_embedder_are_refused(gallery, vectors, message):
    with pytest.raises(GalleryError, match=message):
        gallery.search(vectors)
    with pytest.raises(GalleryError, match=message):
        gallery.enrol("carol", vectors, [digest("c")], ["c"])
    assert "carol" not in gallery.identities()


def test_names_and_paths_are_any_text(gallery):
    gallery.enrol("Zoë 王", [at(100)], [digest("z")], ["bad\udcff.png"])  # as os.listdir gives a broken file name
    assert gallery.search([at(100)], k=1)[0][0].name == "Zoë 王"
    with pytest.raises(GalleryError, match="must not be empty"):
        gallery.enrol(" ", [at(0)], [digest("e")], ["e"])


def test_calibrations_are_kept_with_their_facts(gallery):
    assert gallery.calibration() is None
    state = gallery.state()
    first = gallery.save_calibration(
        Threshold(0.1, np.nextafter(0.5, 1), 0.0625, measurable=True), strangers=4, searches=16, state=state
    )
    second = gallery.save_calibration(
        Threshold(0.01, 0.75, 0.0, measurable=False), strangers=4, searches=16, state=state
    )
    assert gallery.calibrations() == [first, second]  # to the last bit of the threshold
    assert (gallery.calibration(), gallery.calibration(0.1), gallery.calibration(0.5)) == (
        second,
        first,
        None,
    )
    assert (second.state, second.policy, second.measurable) == (GalleryState(2, 2, 3), "max", False)


def test_calibration_is_stale_after_any_change(gallery):
    calibration = gallery.save_calibration(
        Threshold(0.1, 0.5, 0.1, measurable=True), strangers=4, searches=16, state=gallery.state()
    )
    assert not gallery.is_stale(calibration)
    enrol(gallery, "ann", ("a1", 0))  # already enrolled: nothing changed
    assert not gallery.is_stale(calibration)
    enrol(gallery, "carol", ("c1", 200))
    gallery.remove("carol")  # as many people as before, yet not known to be the same
    assert gallery.is_stale(calibration)
