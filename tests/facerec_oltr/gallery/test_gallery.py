"""Enrolling, removing and searching people, alone and beside another process."""

from datetime import date
from hashlib import sha256

import numpy as np
import pytest

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.gallery import Gallery
from facerec_oltr.gallery.records import (
    Calibration,
    Candidate,
    Cohort,
    Enrolment,
    Fusion,
    GalleryState,
    NewTemplate,
    Outcome,
    RecordedEmbedder,
)
from facerec_oltr.metrics.identification import fuse_templates

EMBEDDER = RecordedEmbedder("pixels", "ab" * 32, 2, 8, "pixels")


def digest(text):
    return sha256(text.encode()).hexdigest()


def at(degrees):
    """A unit vector in the plane: scores are cosines of angles that one can work out."""
    return [np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]


def enrol(gallery, name, *photos):
    """Photos are (label, angle)."""
    return gallery.enrol(name, [template(at(angle), p) for p, angle in photos])


def template(vector, photo, quality=1.0):
    return NewTemplate(np.asarray(vector, np.float32), digest(photo), photo, quality)


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
            gallery.enrol(f"p{who}", [template(vectors[i], str(i)) for i in own])
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
        gallery.enrol("carol", [template(at(1), "c1"), NewTemplate(np.array(at(2), np.float32), "no digest", "c2")])
    assert "carol" not in gallery.identities()
    assert gallery.state().changes == 2


def test_removal(gallery):
    gallery.search([at(0)])
    receipt = gallery.erase("ann")
    assert (receipt.identities, receipt.templates) == (1, 2)
    assert (receipt.before.templates, receipt.after.templates) == (3, 1)
    assert receipt.traces
    assert not any(receipt.traces.values())
    assert gallery.identities() == {"bob": 1}
    assert [c.name for c in gallery.search([at(0)])[0]] == ["bob"]
    enrol(gallery, "eve", ("a1", 0))  # the photo is free again
    assert [c.name for c in gallery.search([at(0)])[0]] == ["eve", "bob"]
    with pytest.raises(GalleryError, match="did you mean 'bob'"):
        gallery.erase("bob", "bobb")
    assert "bob" in gallery.identities()


def test_what_another_process_writes_is_found(gallery):
    gallery.search([at(0)])
    with Gallery.open(gallery.path) as other:
        enrol(other, "carol", ("c1", 180))
        other.erase("bob")
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
        gallery.enrol("carol", [NewTemplate(np.array(v, np.float32), digest("c"), "c") for v in vectors])
    assert "carol" not in gallery.identities()


def test_names_and_paths_are_any_text(gallery):
    gallery.enrol("Zoë 王", [template(at(100), "z")])
    bad = NewTemplate(np.array(at(101), np.float32), digest("y"), "bad\udcff.png")  # as os.listdir gives a broken name
    gallery.enrol("Zoë 王", [bad])
    assert gallery.person("Zoë 王").templates[1].photo_path == "bad\ufffd.png"
    assert gallery.search([at(100)], k=1)[0][0].name == "Zoë 王"
    with pytest.raises(GalleryError, match="must not be empty"):
        gallery.enrol(" ", [template(at(0), "e")])


def calibrated(gallery, target, threshold, measurable=True):
    calibration = Calibration(
        target,
        threshold,
        0.0625,
        measurable,
        4,
        16,
        gallery.state(),
        "max",
        gallery.timestamp(),
        expected_fpir=0.08,
        upper_fpir=0.2,
        maxima=(0.125, 0.1 + 0.2, 0.75),
    )
    gallery.save_calibration(calibration)
    return calibration


def test_calibrations_are_kept_with_their_facts(gallery):
    assert gallery.calibration() is None
    first = calibrated(gallery, 0.1, float(np.nextafter(0.5, 1)))
    second = calibrated(gallery, 0.01, 0.75, measurable=False)
    assert gallery.calibrations() == [first, second]  # to the last bit of the threshold and the maxima
    assert (gallery.calibration(), gallery.calibration(0.1), gallery.calibration(0.5)) == (
        second,
        first,
        None,
    )
    assert (gallery.calibration(rule="cosine"), gallery.calibration(rule="nac")) == (second, None)


def test_calibration_is_stale_after_any_change(gallery):
    calibration = calibrated(gallery, 0.1, 0.5)
    assert not gallery.is_stale(calibration)
    enrol(gallery, "ann", ("a1", 0))  # already enrolled: nothing changed
    assert not gallery.is_stale(calibration)
    enrol(gallery, "carol", ("c1", 200))
    gallery.erase("carol")  # as many people as before, yet not known to be the same
    assert gallery.is_stale(calibration)


@pytest.mark.parametrize(
    ("fusion", "expected"),
    [
        # ann's photos lie at 0 and 90 degrees with qualities 1 and 0.25, the probe at 20
        (Fusion.MAX, np.cos(np.radians(20))),
        (Fusion.MEAN, (np.cos(np.radians(20)) + np.cos(np.radians(70))) / 2),
        (Fusion.QUALITY, (np.cos(np.radians(20)) + 0.25 * np.cos(np.radians(70))) / 1.25),
    ],
)
def test_fusion_by_hand(tmp_path, fusion, expected):
    with Gallery.create(tmp_path / "g.db", EMBEDDER, fusion=fusion) as gallery:
        gallery.enrol("ann", [template(at(0), "a1"), template(at(90), "a2", 0.25)])
        gallery.enrol("bob", [template(at(180), "b1")])
        [[best, other]] = gallery.search([at(20)], 2)
        assert (best.name, other.name) == ("ann", "bob")
        assert best.score == pytest.approx(expected, abs=1e-6)
        assert other.score == pytest.approx(np.cos(np.radians(160)), abs=1e-6)
    with pytest.raises(GalleryError, match="fuses templates by"):
        Gallery.open_or_create(tmp_path / "g.db", EMBEDDER, fusion=Fusion.MEAN if fusion is Fusion.MAX else Fusion.MAX)


def test_renaming_and_merging(gallery):
    gallery.search([at(0)])
    gallery.rename("bob", "bert")
    assert [c.name for c in gallery.search([at(30)])[0]] == ["bert", "ann"]
    assert gallery.merge("bert", "ann") == 1
    assert gallery.identities() == {"ann": 3}
    assert gallery.search([at(30)]) == [[Candidate("ann", 1.0)]]
    for wrong in (lambda: gallery.rename("nobody", "x"), lambda: gallery.merge("ann", "nobody")):
        with pytest.raises(GalleryError, match="nobody is enrolled as 'nobody'"):
            wrong()


def test_a_cohort_is_kept_and_replaced(gallery):
    assert gallery.cohort() is None
    for angles in ((10, 20, 30), (40,)):
        vectors = np.array([at(a) for a in angles], np.float32)
        gallery.save_cohort(Cohort(vectors, np.arange(len(angles)), tuple(digest(f"s{a}") for a in angles)))
        kept = gallery.cohort()
        assert kept is not None
        assert np.array_equal(kept.vectors, vectors)
        assert kept.hashes == tuple(digest(f"s{a}") for a in angles)


def test_another_detector_is_refused(tmp_path):
    by_yunet = RecordedEmbedder("pixels", "ab" * 32, 2, 8, "pixels", "yunet.onnx", "ef" * 32)
    with Gallery.create(tmp_path / "g.db", by_yunet):
        pass
    with pytest.raises(GalleryError, match=r"found by yunet\.onnx, not by nobody: photos were aligned crops"):
        Gallery.open(tmp_path / "g.db", EMBEDDER)
    Gallery.open(tmp_path / "g.db", by_yunet).close()


def test_check_finds_a_sound_gallery_sound_and_a_changed_index_changed(gallery):
    gallery.search([at(0)])
    assert gallery.check() == []


def test_expiry_and_consent(gallery):
    gallery.enrol("dia", [template(at(250), "d")], consent="form 3", expires=date(2027, 5, 1))
    summary = gallery.person("dia").summary
    assert (summary.consent, summary.expires) == ("form 3", "2027-05-01")
    assert gallery.expired(date(2027, 4, 30)) == []
    assert gallery.expired(date(2027, 5, 1)) == ["dia"]


def test_a_backup_is_a_gallery(gallery, tmp_path):
    gallery.backup(tmp_path / "copy.db")
    with Gallery.open(tmp_path / "copy.db") as copy:
        assert copy.identities() == gallery.identities()
        assert copy.search([at(50)]) == gallery.search([at(50)])
    assert gallery.erase("bob").backups == (str(tmp_path / "copy.db"),)


def test_a_gallery_that_cannot_be_written_is_read(gallery):
    with Gallery.open(gallery.path, readonly=True) as reader:
        assert reader.search([at(50)]) == gallery.search([at(50)])
        with pytest.raises(GalleryError, match="read"):
            enrol(reader, "eve", ("e", 1))
