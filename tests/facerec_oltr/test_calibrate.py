"""Thresholds from strangers, worked by hand with faces of one bright column on a circle of angles."""

import math

import numpy as np
import pytest

from facerec_oltr.calibrate import calibrate, calibrate_by_gallery, cautions, derive
from facerec_oltr.enroll import Policy, enroll_folder, enroll_photos
from facerec_oltr.errors import ConfigError, DataError, GalleryError, MetricError
from facerec_oltr.gallery.gallery import Gallery

from .conftest import angles, write_photo


def cosine(degrees):
    return pytest.approx(math.cos(math.radians(degrees)), abs=1e-6)


@pytest.fixture
def gallery(tmp_path):
    write_photo(tmp_path / "people/ann/1.png", 0)
    with Gallery.create(tmp_path / "gallery.db", angles()) as gallery:
        enroll_folder(gallery, angles(), tmp_path / "people")
        yield gallery


STRANGERS = {
    "a": (20, 40),
    "b": (41, 60),
    "c": (62, 70),
    "d": (75, 80),
    "e": (85, 90),
    "f": (95, 100),
    "g": (110, 120),
    "h": (130, 140),
}


@pytest.fixture
def strangers(tmp_path):
    """Sixteen photos of eight people, at these angles from ann."""
    for name, places in STRANGERS.items():
        for angle in places:
            write_photo(tmp_path / f"strangers/{name}/{angle}.png", angle)
    return tmp_path / "strangers"


def test_calibration_by_hand(gallery, strangers):
    seen = []
    report = calibrate(gallery, angles(), strangers, 0.25, on_progress=lambda *done: seen.append(done))
    found = report.calibration
    # Four of sixteen may pass, so the threshold is just above the fifth best, 62 degrees away.
    assert found.threshold == cosine(62)
    assert found.threshold == math.nextafter(found.maxima[-5], 2)
    assert (found.target_fpir, found.achieved_fpir, found.measurable) == (0.25, 0.25, True)
    assert (found.strangers, found.searches) == (8, 16)
    assert (found.source, found.rule) == ("strangers", "cosine")
    assert found.state == gallery.state()
    assert gallery.calibration() == found
    assert not gallery.is_stale(found)
    assert report.unreadable == ()
    assert seen == [(n, 16) for n in range(1, 17)]
    # Leaving a person out, the other 14 searches may let in 3.5: with 3 the thresholds let in a's two and b's two
    # (their limits are 70, the fourth best of the others), with 4 those of c too (75): on average 5 of 16.
    assert found.expected_fpir == pytest.approx(5 / 16)
    assert found.upper_fpir is not None
    assert 0.25 < found.upper_fpir < 1
    [line] = report.cautions
    assert line.startswith("only 8 people chose the threshold for FPIR 0.25; 0.31 is to be expected of others")


def test_target_too_small_to_measure_is_refused_and_says_what_it_takes(gallery, strangers):
    with pytest.raises(MetricError, match=r"not measurable: 8 strangers \(16 photos\), FPIR 0.01 needs about 300"):
        calibrate(gallery, angles(), strangers, 0.01)
    assert gallery.calibrations() == []
    assert gallery.cohort() is None


def test_enrolled_stranger_is_refused_and_nothing_is_stored(gallery, strangers, tmp_path):
    (strangers / "b/2.png").write_bytes((tmp_path / "people/ann/1.png").read_bytes())
    with pytest.raises(GalleryError, match=r"b/2\.png: not a stranger, but enrolled as 'ann'"):
        calibrate(gallery, angles(), strangers, 0.25)
    assert gallery.calibrations() == []


def test_unreadable_photos_are_left_out_and_named(gallery, strangers):
    (strangers / "h/130.png").write_bytes(b"broken")
    report = calibrate(gallery, angles(), strangers, 0.25)
    assert (report.calibration.searches, report.calibration.strangers) == (15, 8)
    [line] = report.unreadable
    assert "h/130.png" in line


def test_only_unreadable_photos_are_an_error(gallery, tmp_path):
    (tmp_path / "strangers/x").mkdir(parents=True)
    (tmp_path / "strangers/x/1.png").write_bytes(b"broken")
    with pytest.raises(DataError, match="no usable photo of a stranger"):
        calibrate(gallery, angles(), tmp_path / "strangers", 0.5)


def test_the_cohort_is_kept_unless_it_is_not_wanted(gallery, strangers):
    calibrate(gallery, angles(), strangers, 0.25, keep=False)
    assert gallery.cohort() is None
    calibrate(gallery, angles(), strangers, 0.25)
    kept = gallery.cohort()
    assert kept is not None
    assert len(np.unique(kept.people)) == 8
    assert kept.vectors[1] == pytest.approx([math.cos(math.radians(40)), math.sin(math.radians(40))], abs=1e-6)


def test_enrolling_more_makes_it_stale_and_the_cohort_mends_it(gallery, strangers, tmp_path):
    found = calibrate(gallery, angles(), strangers, 0.25).calibration
    enroll_photos(gallery, angles(), "bob", [write_photo(tmp_path / "bob.png", 180)])
    assert gallery.is_stale(found)
    cohort = gallery.cohort()
    assert cohort is not None
    fresh = derive(gallery, cohort, 0.25)
    # bob takes those beyond 90 degrees: 140 is 40 from him, 130 is 50. The best five are 20, 40, 140, 41 and 130.
    assert fresh.threshold == cosine(50)
    assert not gallery.is_stale(fresh)


def test_a_stranger_who_was_enrolled_since_chooses_no_threshold(gallery, strangers):
    calibrate(gallery, angles(), strangers, 0.25)
    enroll_photos(gallery, angles(), "a", [strangers / "a/20.png"])
    cohort = gallery.cohort()
    assert cohort is not None
    fresh = derive(gallery, cohort, 0.25)
    assert (fresh.strangers, fresh.searches) == (7, 14)


def test_the_gallery_alone(gallery, tmp_path):
    with pytest.raises(GalleryError, match="1 people are enrolled, and it takes two"):
        calibrate_by_gallery(gallery, 0.25)
    for name, angle in {"bob": 40, "cem": 90, "dia": 91, "eve": 93, "fay": 100, "gus": 120, "hal": 150}.items():
        enroll_photos(gallery, angles(), name, [write_photo(tmp_path / f"{name}.png", angle)], Policy(guard=False))
    found = calibrate_by_gallery(gallery, 0.375)
    # The next of each: ann 40, bob 40, cem 1, dia 1, eve 2, fay 7, gus 20, hal 30. Three of eight may pass: 1, 1, 2.
    assert found.threshold == cosine(7)
    assert (found.source, found.strangers, found.searches) == ("gallery", 8, 8)
    assert "8 enrolled people, each searched among the others" in cautions(found)[0]
    assert gallery.calibrations() == []


def test_another_rule_is_compared_with_half_of_the_strangers(gallery, strangers, tmp_path):
    enroll_photos(gallery, angles(), "bob", [write_photo(tmp_path / "bob.png", 180)])
    found = calibrate(gallery, angles(), strangers, 0.4, rule="centroid").calibration
    assert (found.rule, found.strangers) == ("centroid", 8)  # no cohort is compared with
    with pytest.raises(GalleryError, match="cohort of 4 people"):
        calibrate(gallery, angles(), strangers, 0.4, rule="adaptive_snorm")
    with pytest.raises(DataError, match="compares with the strangers at every search"):
        calibrate(gallery, angles(), strangers, 0.4, rule="adaptive_snorm", keep=False)
    with pytest.raises(ConfigError, match="no rule is called 'magic'"):
        calibrate(gallery, angles(), strangers, 0.4, rule="magic")


@pytest.mark.parametrize("target", [0, 1, -0.1, 7, math.nan])
def test_target_out_of_range(gallery, strangers, target):
    with pytest.raises(DataError, match="between 0 and 1"):
        calibrate(gallery, angles(), strangers, target)


def test_missing_strangers_and_empty_gallery(gallery, strangers, tmp_path):
    with pytest.raises(DataError, match="none"):
        calibrate(gallery, angles(), tmp_path / "none", 0.1)
    gallery.erase("ann")
    with pytest.raises(GalleryError, match="nobody is enrolled"):
        calibrate(gallery, angles(), strangers, 0.1)
