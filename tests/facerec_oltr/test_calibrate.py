"""Thresholds from strangers, worked by hand with faces of one bright column on a circle of angles."""

import math

import numpy as np
import pytest

from facerec_oltr.calibrate import calibrate
from facerec_oltr.enroll import enroll_folder, enroll_photos
from facerec_oltr.errors import DataError, GalleryError
from facerec_oltr.gallery.gallery import Gallery

from .conftest import AngleEmbedder, write_photo


def cosine(degrees):
    return pytest.approx(math.cos(math.radians(degrees)), abs=1e-6)


@pytest.fixture
def gallery(tmp_path):
    write_photo(tmp_path / "people/ann/1.png", 0)
    with Gallery.create(tmp_path / "gallery.db", AngleEmbedder()) as gallery:
        enroll_folder(gallery, AngleEmbedder(), tmp_path / "people")
        yield gallery


@pytest.fixture
def strangers(tmp_path):
    """Four photos of three people, at 20, 40, 40 + 1 and 90 degrees from ann."""
    for photo, angle in {"x/1": 20, "x/2": 40, "y/1": 41, "z/1": 90}.items():
        write_photo(tmp_path / f"strangers/{photo}.png", angle)
    return tmp_path / "strangers"


def test_calibration_by_hand(gallery, strangers):
    seen = []
    report = calibrate(gallery, AngleEmbedder(), strangers, 0.25, on_progress=lambda *done: seen.append(done))
    found = report.calibration
    # One of four may pass, so the threshold is just above the second best, 40 degrees away.
    [[second]] = gallery.search(AngleEmbedder().embed(np.full((1, 4, 4, 3), 40, np.uint8)), k=1)
    assert found.threshold == math.nextafter(second.score, 2)
    assert found.threshold == cosine(40)
    assert (found.target_fpir, found.achieved_fpir, found.measurable) == (0.25, 0.25, True)
    assert (found.strangers, found.searches) == (3, 4)
    assert found.state == gallery.state()
    assert gallery.calibration() == found
    assert not gallery.is_stale(found)
    assert (report.unreadable, report.cautions) == ((), ())
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_target_too_small_to_measure_says_what_it_would_take(gallery, strangers):
    report = calibrate(gallery, AngleEmbedder(), strangers, 0.01)
    found = report.calibration
    assert (found.measurable, found.achieved_fpir, found.threshold) == (False, 0, cosine(20))
    [line] = report.cautions
    assert "not measurable with 4 searches by 3 strangers" in line
    assert "at least 100, and 300" in line
    assert "up to 0.75" in line  # 3 / 4
    assert gallery.calibration() == found


def test_enrolled_stranger_is_refused_and_nothing_is_stored(gallery, strangers, tmp_path):
    (strangers / "y/2.png").write_bytes((tmp_path / "people/ann/1.png").read_bytes())
    with pytest.raises(GalleryError, match=r"y/2\.png: not a stranger, but enrolled as 'ann'"):
        calibrate(gallery, AngleEmbedder(), strangers, 0.25)
    assert gallery.calibrations() == []


def test_unreadable_photos_are_left_out_and_named(gallery, strangers):
    (strangers / "y/1.png").write_bytes(b"broken")
    report = calibrate(gallery, AngleEmbedder(), strangers, 0.5)
    assert (report.calibration.searches, report.calibration.strangers) == (3, 2)
    [line] = report.unreadable
    assert "y/1.png" in line


def test_only_unreadable_photos_are_an_error(gallery, tmp_path):
    (tmp_path / "strangers/x").mkdir(parents=True)
    (tmp_path / "strangers/x/1.png").write_bytes(b"broken")
    with pytest.raises(DataError, match="no readable photo of a stranger"):
        calibrate(gallery, AngleEmbedder(), tmp_path / "strangers", 0.5)


def test_enrolling_more_makes_it_stale(gallery, strangers, tmp_path):
    found = calibrate(gallery, AngleEmbedder(), strangers, 0.25).calibration
    enroll_photos(gallery, AngleEmbedder(), "bob", [write_photo(tmp_path / "bob.png", 200)])
    assert gallery.is_stale(found)


@pytest.mark.parametrize("target", [0, 1, -0.1, 7, math.nan])
def test_target_out_of_range(gallery, strangers, target):
    with pytest.raises(DataError, match="between 0 and 1"):
        calibrate(gallery, AngleEmbedder(), strangers, target)


def test_missing_strangers_and_empty_gallery(gallery, strangers, tmp_path):
    with pytest.raises(DataError, match="none"):
        calibrate(gallery, AngleEmbedder(), tmp_path / "none", 0.1)
    gallery.remove("ann")
    with pytest.raises(GalleryError, match="nobody is enrolled"):
        calibrate(gallery, AngleEmbedder(), strangers, 0.1)
