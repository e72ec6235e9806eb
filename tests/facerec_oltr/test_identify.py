"""Decisions worked by hand with faces whose brightness is an angle."""

import json
import math

import cv2
import numpy as np
import pytest

from facerec_oltr.calibrate import calibrate
from facerec_oltr.enroll import Policy, enroll_photos
from facerec_oltr.errors import GalleryError
from facerec_oltr.faces.extractor import Extractor
from facerec_oltr.faces.found import FoundFace
from facerec_oltr.gallery.gallery import Gallery
from facerec_oltr.gallery.records import NewTemplate
from facerec_oltr.identify import identify, rule_for

from .conftest import AngleEmbedder, angles, write_photo


def cosine(degrees):
    return math.cos(math.radians(degrees))


@pytest.fixture
def photo(tmp_path):
    """Writes a probe at an angle."""
    return lambda angle: write_photo(tmp_path / f"probes/{angle}.png", angle)


@pytest.fixture
def gallery(tmp_path):
    """ann at 0 and 90 degrees, bob at 200."""
    with Gallery.create(tmp_path / "gallery.db", angles()) as gallery:
        for name, places in {"ann": (0, 90), "bob": (200,)}.items():
            photos = [write_photo(tmp_path / f"people/{name}/{a}.png", a) for a in places]
            enroll_photos(gallery, angles(), name, photos)
        yield gallery


@pytest.fixture
def strangers(tmp_path):
    """Eight photos of two people, the nearest 40 degrees from ann and 30 from bob."""
    for name, places in {"x": (130, 131, 132, 133), "y": (230, 231, 232, 233)}.items():
        for angle in places:
            write_photo(tmp_path / f"strangers/{name}/{angle}.png", angle)
    return tmp_path / "strangers"


def test_decisions_by_hand(gallery, photo):
    near, far = identify(gallery, angles(), [photo(80), str(photo(130))], threshold=cosine(20))
    # 80: ann's second photo is 10 away, bob 120. 130: ann 40, bob 70, both beyond 20.
    assert (near.decision, near.identity, near.runner_up) == ("accepted", "ann", "bob")
    assert (near.score, near.runner_up_score) == pytest.approx((cosine(10), cosine(120)), abs=1e-6)
    assert near.margin == pytest.approx(cosine(10) - cosine(120), abs=1e-6)
    assert (far.decision, far.identity, far.runner_up) == ("unknown", "ann", "bob")
    assert near.rule.threshold == cosine(20)


def test_accepted_at_exactly_the_threshold(gallery, photo):
    [first] = identify(gallery, angles(), [photo(30)], threshold=0)
    assert first.score is not None
    [at] = identify(gallery, angles(), [photo(30)], threshold=first.score)
    [above] = identify(gallery, angles(), [photo(30)], threshold=math.nextafter(first.score, 2))
    assert (at.decision, above.decision) == ("accepted", "unknown")


def test_calibrated_on_a_batch_holds_for_a_single_photo(gallery, strangers):
    report = calibrate(gallery, angles(), strangers, 0.4)
    assert report.calibration.achieved_fpir == 3 / 8
    accepted = []
    for path in strangers.rglob("*.png"):
        [decision] = identify(gallery, angles(), [path])
        assert decision.rule.cautions == report.cautions
        accepted += [path.stem] * (decision.decision == "accepted")
    assert sorted(accepted) == ["230", "231", "232"]


def test_latest_calibration_or_the_one_asked_for(gallery, strangers, photo):
    calibrate(gallery, angles(), strangers, 0.4)  # three of eight may pass: above 33 degrees
    calibrate(gallery, angles(), strangers, 0.5)  # four may pass: 40 degrees
    [latest] = identify(gallery, angles(), [photo(35)])
    [asked] = identify(gallery, angles(), [photo(35)], target_fpir=0.4)
    assert (latest.decision, latest.rule.target_fpir) == ("accepted", 0.5)
    assert (asked.decision, asked.rule.target_fpir) == ("unknown", 0.4)


def test_nothing_is_guessed_without_a_calibration(gallery, strangers, photo):
    with pytest.raises(GalleryError, match="run facerec calibrate or give --threshold"):
        identify(gallery, angles(), [photo(1)])
    calibrate(gallery, angles(), strangers, 0.5)
    with pytest.raises(GalleryError, match=r"not measurable: 2 strangers .*FPIR 0\.01 needs about 300; give more"):
        identify(gallery, angles(), [photo(1)], target_fpir=0.01)
    with pytest.raises(GalleryError, match="either a threshold"):
        rule_for(gallery, target_fpir=0.5, threshold=0.1)
    with pytest.raises(GalleryError, match="either a threshold"):
        rule_for(gallery, threshold=math.nan)


def test_a_target_without_a_calibration_is_derived_from_the_cohort(gallery, strangers, photo):
    calibrate(gallery, angles(), strangers, 0.5)
    [asked] = identify(gallery, angles(), [photo(35)], target_fpir=0.4)
    assert (asked.decision, asked.rule.target_fpir, asked.rule.origin) == ("unknown", 0.4, "calibration")
    assert [c.target_fpir for c in gallery.calibrations()] == [0.5, 0.4]


def test_a_calibration_without_its_strangers_goes_stale_and_that_is_said(gallery, strangers, photo):
    calibrate(gallery, angles(), strangers, 0.5, keep=False)
    assert not rule_for(gallery).stale
    enroll_photos(gallery, angles(), "carol", [photo(250)])
    [decision] = identify(gallery, angles(), [photo(1)])
    assert decision.rule.stale
    assert decision.to_json()["stale_calibration"] is True
    assert "with 2 identities and 3 templates" in decision.rule.cautions[0]
    assert "now 3 and 4" in decision.rule.cautions[0]
    with pytest.raises(GalleryError, match=r"no calibration for FPIR 0\.4 \(there is one for 0\.5\)"):
        identify(gallery, angles(), [photo(1)], target_fpir=0.4)


def test_a_calibration_with_its_strangers_follows_the_gallery(gallery, strangers, photo):
    first = calibrate(gallery, angles(), strangers, 0.5).calibration
    enroll_photos(gallery, angles(), "carol", [photo(250)])  # 17 to 20 degrees from y
    [decision] = identify(gallery, angles(), [photo(1)])
    assert not decision.rule.stale
    second = gallery.calibration()
    assert second is not None
    assert second.threshold == first.threshold == pytest.approx(cosine(40), abs=1e-6)  # the fifth best is still x's
    assert second.state == gallery.state()
    assert second.maxima[-1] == pytest.approx(cosine(17), abs=1e-6)
    assert decision.rule.maxima is not None


def test_false_alarm_rates_come_from_the_strangers(gallery, strangers, photo):
    calibrate(gallery, angles(), strangers, 0.5)
    near, far = identify(gallery, angles(), [photo(1), photo(122)])
    assert near.false_alarm_rate == pytest.approx(1 / 9)
    assert far.false_alarm_rate == pytest.approx(4 / 9)  # 32 degrees from ann; 30, 31 and 32 are at least so near
    [given] = identify(gallery, angles(), [photo(1)], threshold=0.5)
    assert given.false_alarm_rate is None


def test_a_gallery_without_a_calibration_stands_in_for_strangers_and_says_so(gallery, photo):
    for name, angle in {"cem": 20, "dia": 41, "eve": 63, "fay": 110, "gus": 131, "hal": 153, "ida": 240}.items():
        enroll_photos(gallery, angles(), name, [photo(angle)], Policy(guard=False))
    [decision] = identify(gallery, angles(), [photo(21)], target_fpir=0.5)
    assert (decision.decision, decision.identity, decision.rule.origin) == ("accepted", "cem", "gallery")
    assert decision.rule.cautions[0].startswith("no calibration: accepted at")
    assert "the 9 enrolled people, each searched among the others" in decision.rule.cautions[1]
    assert gallery.calibrations() == []


class TwoFaces:
    """A detector that finds a face in the middle of each half of a picture that is twice as wide as it is high."""

    source, fingerprint = "halves", "ef" * 32

    def detect(self, picture):
        height, width = picture.shape[:2]
        halves = (0, height) if width == 2 * height else ()
        inner, outer = height // 3, 2 * height // 3
        return [FoundFace((left + inner, inner, left + outer, outer), 0.9, None) for left in halves]


def write_two(path, *places):
    pixels = np.repeat(np.array(places, np.uint8), 60)[None, :, None]
    assert cv2.imwrite(str(path), np.broadcast_to(pixels, (60, 120, 3)))
    return path


@pytest.fixture
def crowd(tmp_path):
    """ann at 0 and 90 degrees, bob at 60, enrolled without a detector by a gallery that has one."""
    extractor = Extractor(AngleEmbedder(), TwoFaces())
    with Gallery.create(tmp_path / "crowd.db", extractor) as gallery:
        for name, places in {"ann": (0, 90), "bob": (60,)}.items():
            for angle in places:
                vector = np.array([cosine(angle), math.sin(math.radians(angle))], np.float32)
                gallery.enrol(name, [NewTemplate(vector, f"{angle:064x}", name)])
        yield gallery, extractor


def test_every_face_of_a_photo_and_nobody_twice(crowd, tmp_path):
    gallery, extractor = crowd
    photo = write_two(tmp_path / "two.png", 1, 85)  # both are ann most: 1 degree from her, and 5 from her other photo
    first, second = identify(gallery, extractor, [photo], threshold=cosine(40))
    assert (first.face, first.identity, first.decision) == (1, "ann", "accepted")
    assert (second.face, second.identity, second.decision) == (2, "bob", "accepted")  # 25 degrees
    assert second.reason == "'ann' is another face of this photo"
    assert (second.runner_up, second.margin) == ("ann", pytest.approx(cosine(25) - cosine(5), abs=1e-6))
    assert (first.box, second.box) == ((20, 20, 40, 40), (80, 20, 100, 40))
    strict = identify(gallery, extractor, [photo], threshold=cosine(20))
    assert [(d.identity, d.decision) for d in strict] == [("ann", "accepted"), ("ann", "unknown")]
    twice = identify(gallery, extractor, [photo], threshold=cosine(20), once=False)
    assert [d.decision for d in twice] == ["accepted", "accepted"]


def test_a_photo_without_a_face_is_answered(crowd, tmp_path):
    gallery, extractor = crowd
    [decision] = identify(gallery, extractor, [write_photo(tmp_path / "none.png", 3)], threshold=0.5)
    assert (decision.decision, decision.face, decision.score) == ("no face", None, None)


def test_unreadable_photo_does_not_stop_the_others(gallery, photo, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    decisions = identify(gallery, angles(), [tmp_path / "broken.png", tmp_path / "none.png", photo(1)], threshold=0.5)
    assert [d.decision for d in decisions] == ["unreadable", "unreadable", "accepted"]
    assert "broken.png" in (decisions[0].reason or "")
    assert decisions[1].to_json()["score"] is None


def test_empty_gallery_and_a_gallery_of_one(tmp_path, photo):
    with Gallery.create(tmp_path / "g.db", angles()) as gallery:
        [nobody] = identify(gallery, angles(), [photo(1)], threshold=-1)
        assert (nobody.decision, nobody.identity, nobody.score, nobody.margin) == (
            "unknown",
            None,
            None,
            None,
        )
        enroll_photos(gallery, angles(), "ann", [photo(0)])
        [alone] = identify(gallery, angles(), [photo(1)], threshold=0.9)
        assert (alone.decision, alone.identity, alone.runner_up, alone.margin) == (
            "accepted",
            "ann",
            None,
            None,
        )
        assert identify(gallery, angles(), [], threshold=0.9) == []


def test_json_holds_the_whole_decision(gallery, photo):
    [decision] = identify(gallery, angles(), [photo(0)], threshold=0.5)
    told = json.loads(json.dumps(decision.to_json(), allow_nan=False))
    assert told == {
        "photo": str(photo(0)),
        "time": None,
        "face": 1,
        "box": [0, 0, 4, 4],
        "decision": "accepted",
        "identity": "ann",
        "score": 1.0,
        "runner_up": "bob",
        "runner_up_score": pytest.approx(cosine(160)),
        "margin": pytest.approx(1 - cosine(160)),
        "candidates": [
            {"identity": "ann", "score": 1.0, "negative": None},
            {"identity": "bob", "score": pytest.approx(cosine(160)), "negative": None},
        ],
        "false_alarm_rate": None,
        "threshold": 0.5,
        "threshold_from": "given",
        "target_fpir": None,
        "stale_calibration": False,
        "reason": None,
    }


def test_another_embedder_is_refused(gallery, photo):
    embedder = AngleEmbedder()
    embedder.fingerprint = "cd" * 32
    other = Extractor(embedder, None)
    with pytest.raises(GalleryError, match="made with embedder 'angle'"):
        identify(gallery, other, [photo(1)], threshold=0.5)
