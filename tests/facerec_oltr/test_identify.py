"""Decisions worked by hand with faces whose brightness is an angle."""

import json
import math

import pytest

from facerec_oltr.calibrate import calibrate
from facerec_oltr.enroll import enroll_photos
from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.gallery import Gallery
from facerec_oltr.identify import identify, rule_for

from .conftest import AngleEmbedder, write_photo


def cosine(degrees):
    return math.cos(math.radians(degrees))


@pytest.fixture
def photo(tmp_path):
    """Writes a probe at an angle."""
    return lambda angle: write_photo(tmp_path / f"probes/{angle}.png", angle)


@pytest.fixture
def gallery(tmp_path):
    """ann at 0 and 90 degrees, bob at 200."""
    with Gallery.create(tmp_path / "gallery.db", AngleEmbedder()) as gallery:
        for name, angles in {"ann": (0, 90), "bob": (200,)}.items():
            photos = [write_photo(tmp_path / f"people/{name}/{a}.png", a) for a in angles]
            enroll_photos(gallery, AngleEmbedder(), name, photos)
        yield gallery


@pytest.fixture
def strangers(tmp_path):
    """Two people, 40 degrees from ann and 30 from bob."""
    write_photo(tmp_path / "strangers/x/1.png", 130)
    write_photo(tmp_path / "strangers/y/1.png", 230)
    return tmp_path / "strangers"


def test_decisions_by_hand(gallery, photo):
    near, far = identify(gallery, AngleEmbedder(), [photo(80), str(photo(130))], threshold=cosine(20))
    # 80: ann's second photo is 10 away, bob 120. 130: ann 40, bob 70, both beyond 20.
    assert (near.decision, near.identity, near.runner_up) == ("accepted", "ann", "bob")
    assert (near.score, near.runner_up_score) == pytest.approx((cosine(10), cosine(120)), abs=1e-6)
    assert near.margin == pytest.approx(cosine(10) - cosine(120), abs=1e-6)
    assert (far.decision, far.identity, far.runner_up) == ("unknown", "ann", "bob")
    assert near.rule.threshold == cosine(20)


def test_accepted_at_exactly_the_threshold(gallery, photo):
    [first] = identify(gallery, AngleEmbedder(), [photo(30)], threshold=0)
    assert first.score is not None
    [at] = identify(gallery, AngleEmbedder(), [photo(30)], threshold=first.score)
    [above] = identify(gallery, AngleEmbedder(), [photo(30)], threshold=math.nextafter(first.score, 2))
    assert (at.decision, above.decision) == ("accepted", "unknown")


def test_calibrated_on_a_batch_holds_for_a_single_photo(gallery, strangers):
    # No stranger of two may pass at 0.4; alone, to the last bit, none of them does.
    report = calibrate(gallery, AngleEmbedder(), strangers, 0.4)
    assert report.calibration.achieved_fpir == 0
    for path in strangers.rglob("*.png"):
        [decision] = identify(gallery, AngleEmbedder(), [path])
        assert decision.decision == "unknown"
        assert decision.rule.cautions == report.cautions


def test_latest_calibration_or_the_one_asked_for(gallery, strangers, photo):
    calibrate(gallery, AngleEmbedder(), strangers, 0.4)  # above both: 30 degrees
    calibrate(gallery, AngleEmbedder(), strangers, 0.5)  # one may pass: 40 degrees
    [latest] = identify(gallery, AngleEmbedder(), [photo(35)])
    [asked] = identify(gallery, AngleEmbedder(), [photo(35)], target_fpir=0.4)
    assert (latest.decision, latest.rule.target_fpir) == ("accepted", 0.5)
    assert (asked.decision, asked.rule.target_fpir) == ("unknown", 0.4)


def test_nothing_is_guessed_without_a_calibration(gallery, strangers, photo):
    with pytest.raises(GalleryError, match="run facerec calibrate or give --threshold"):
        identify(gallery, AngleEmbedder(), [photo(1)])
    calibrate(gallery, AngleEmbedder(), strangers, 0.5)
    with pytest.raises(GalleryError, match=r"no calibration for FPIR 0\.01 \(there is one for 0\.5\)"):
        identify(gallery, AngleEmbedder(), [photo(1)], target_fpir=0.01)
    with pytest.raises(GalleryError, match="either a threshold"):
        rule_for(gallery, target_fpir=0.5, threshold=0.1)
    with pytest.raises(GalleryError, match="either a threshold"):
        rule_for(gallery, threshold=math.nan)


def test_stale_calibration_is_said(gallery, strangers, photo):
    calibrate(gallery, AngleEmbedder(), strangers, 0.5)
    assert not rule_for(gallery).stale
    enroll_photos(gallery, AngleEmbedder(), "carol", [photo(250)])
    [decision] = identify(gallery, AngleEmbedder(), [photo(1)])
    assert decision.rule.stale
    assert decision.to_json()["stale_calibration"] is True
    [line] = decision.rule.cautions
    assert "with 2 identities and 3 templates" in line
    assert "now 3 and 4" in line


def test_unreadable_photo_does_not_stop_the_others(gallery, photo, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    decisions = identify(
        gallery, AngleEmbedder(), [tmp_path / "broken.png", tmp_path / "none.png", photo(1)], threshold=0.5
    )
    assert [d.decision for d in decisions] == ["unreadable", "unreadable", "accepted"]
    assert "broken.png" in (decisions[0].reason or "")
    assert decisions[1].to_json()["score"] is None


def test_empty_gallery_and_a_gallery_of_one(tmp_path, photo):
    with Gallery.create(tmp_path / "g.db", AngleEmbedder()) as gallery:
        [nobody] = identify(gallery, AngleEmbedder(), [photo(1)], threshold=-1)
        assert (nobody.decision, nobody.identity, nobody.score, nobody.margin) == (
            "unknown",
            None,
            None,
            None,
        )
        enroll_photos(gallery, AngleEmbedder(), "ann", [photo(0)])
        [alone] = identify(gallery, AngleEmbedder(), [photo(1)], threshold=0.9)
        assert (alone.decision, alone.identity, alone.runner_up, alone.margin) == (
            "accepted",
            "ann",
            None,
            None,
        )
        assert identify(gallery, AngleEmbedder(), [], threshold=0.9) == []


def test_json_holds_the_whole_decision(gallery, photo):
    [decision] = identify(gallery, AngleEmbedder(), [photo(0)], threshold=0.5)
    told = json.loads(json.dumps(decision.to_json(), allow_nan=False))
    assert told == {
        "photo": str(photo(0)),
        "decision": "accepted",
        "identity": "ann",
        "score": 1.0,
        "runner_up": "bob",
        "runner_up_score": pytest.approx(cosine(160)),
        "margin": pytest.approx(1 - cosine(160)),
        "threshold": 0.5,
        "target_fpir": None,
        "stale_calibration": False,
        "reason": None,
    }


def test_another_embedder_is_refused(gallery, photo):
    other = AngleEmbedder()
    other.fingerprint = "cd" * 32
    with pytest.raises(GalleryError, match="made with embedder 'angle'"):
        identify(gallery, other, [photo(1)], threshold=0.5)
