"""Quality: angles of a head turned by known ones, and photos that were spoilt on purpose."""

import json

import cv2
import numpy as np
import pytest

from facerec_oltr.faces.align import TEMPLATE
from facerec_oltr.faces.found import FoundFace, whole_picture
from facerec_oltr.faces.quality import Quality, QualityLimits, faults, measure, weight

EYES = 35.2377  # pixels between the eyes of the template: hypot(73.5318 - 38.2946, 51.5014 - 51.6963)
GOOD = Quality(60, 0.1, 0, 0, 0, 120, 40, 0.9, 1.0)


def head(yaw: float = 0, pitch: float = 0, roll: float = 0, scale: float = 1) -> np.ndarray:
    """The template with the nose half an eye distance in front of it, turned in space and seen from afar.

    Right, down and towards the camera are the axes; yaw turns to the right, pitch up, roll clockwise.
    """
    middle = (TEMPLATE[0] + TEMPLATE[1]) / 2
    space = np.column_stack([TEMPLATE - middle, [0, 0, EYES / 2, 0, 0]])
    y, p, r = np.radians([yaw, pitch, roll])
    about_down = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_right = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    flat = (space @ (about_right @ about_down).T)[:, :2]
    turn = np.array([[np.cos(r), -np.sin(r)], [np.sin(r), np.cos(r)]])
    return (flat @ turn.T * scale + 100).astype(np.float32)


def of(points: np.ndarray | None, picture: np.ndarray | None = None) -> Quality:
    picture = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8) if picture is None else picture
    return measure(picture, FoundFace((60, 60, 140, 150), 0.8, points))


@pytest.mark.parametrize("degrees", [-60, -30, 0, 20, 45])
def test_the_angles_are_those_that_a_head_was_turned_by(degrees: float) -> None:
    frontal = of(head())
    assert frontal.yaw is not None and frontal.pitch is not None and frontal.roll is not None
    turned, raised, leaning = of(head(yaw=degrees)), of(head(pitch=degrees)), of(head(roll=degrees))
    # the template's nose is not quite in the middle, so its own yaw is 0.3 degrees
    assert turned.yaw == pytest.approx(degrees, abs=2) and turned.pitch == pytest.approx(0, abs=1)
    assert raised.pitch == pytest.approx(degrees, abs=2) and raised.yaw == pytest.approx(0, abs=2)
    assert leaning.roll == pytest.approx(degrees + frontal.roll, abs=0.1)
    assert (leaning.yaw, leaning.pitch) == pytest.approx((frontal.yaw, frontal.pitch), abs=0.1)


def test_the_size_is_the_distance_between_the_eyes_or_the_box() -> None:
    assert of(head(scale=2)).size == pytest.approx(2 * EYES, rel=1e-3)
    without = of(None)
    assert (without.size, without.yaw, without.pitch, without.roll) == (80, None, None, None)
    assert without.score == 0.8


def test_points_that_are_no_face_are_turned_away() -> None:
    for points in (np.full((5, 2), 50), np.array([[0, 0], [10, 0], [5, 0], [2, 0], [8, 0]])):
        quality = of(points.astype(np.float32))
        assert quality.yaw is not None and abs(quality.yaw) == 90
        assert any(fault.startswith("turned away") for fault in faults(quality, QualityLimits()))
        assert 0 < weight(quality) <= 1


def test_brightness_contrast_and_sharpness_by_hand() -> None:
    """Stripes of 8 pixels, 100 and 140: mean 120, deviation 20."""
    stripes = np.where(np.indices((112, 112))[1] // 8 % 2, 140, 100).astype(np.uint8)[..., None].repeat(3, 2)
    quality = measure(stripes, whole_picture(stripes))
    assert (quality.brightness, quality.contrast) == pytest.approx((120, 20), abs=0.01)
    # at both sides of each edge the Laplacian is 40 or -40, so 2 of 8 columns have 1,600: 400 of a variance of 400;
    # the outermost edges are mirrored, and the first and last column have none
    assert quality.sharpness == pytest.approx((80 - 8) / 80 * 0.25 * 1600 / 400 * 80 / 72, rel=0.12)


def test_blur_is_seen_at_any_exposure_and_size() -> None:
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (56, 56, 3), dtype=np.uint8)
    sharp = np.asarray(cv2.resize(coarse, (224, 224), interpolation=cv2.INTER_CUBIC), np.uint8)
    spoilt = [np.asarray(cv2.GaussianBlur(sharp, (0, 0), s), np.uint8) for s in (4, 8)]
    values = [measure(p, whole_picture(p)).sharpness for p in (sharp, *spoilt)]
    assert values[0] > 2 * values[1] > 4 * values[2]
    dim = (sharp * 0.4 + 50).astype(np.uint8)
    assert measure(dim, whole_picture(dim)).sharpness == pytest.approx(values[0], rel=0.05)


def test_one_grey_is_no_face() -> None:
    grey = np.full((50, 70, 3), 128, np.uint8)
    quality = measure(grey, whole_picture(grey))
    assert (quality.sharpness, quality.contrast, quality.size) == (0, 0, 50)
    assert {fault.partition(":")[0] for fault in faults(quality, QualityLimits())} == {"too blurred", "too flat"}
    assert weight(quality) == 0.01


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"size": 14.4}, "too small: 14 pixels between the eyes, at least 20 are wanted"),
        ({"sharpness": 0.0023}, "too blurred: sharpness 0.0023, at least 0.015 is wanted"),
        ({"yaw": -61.2}, "turned away: 61° to the side, at most 50° is wanted"),
        ({"pitch": 50.0}, "turned away: 50° up or down, at most 45° is wanted"),
        ({"pitch": -45.04}, "turned away: 45.04° up or down, at most 45° is wanted"),
        ({"inside": 0.698}, "cut off: 69.8% of the face in the picture, at least 70% is wanted"),
        ({"sharpness": 0.01499}, "too blurred: sharpness 0.01499, at least 0.015 is wanted"),
        ({"score": 0.4999}, "hardly a face: detection score 0.4999, at least 0.5 is wanted"),
        ({"brightness": 12.0}, "too dark: mean grey value 12, at least 30 is wanted"),
        ({"brightness": 250.0}, "too bright: mean grey value 250, at most 230 is wanted"),
        ({"contrast": 3.0}, "too flat: contrast 3, at least 12 is wanted"),
        ({"score": 0.2}, "hardly a face: detection score 0.20, at least 0.5 is wanted"),
        ({"inside": 0.5}, "cut off: 50% of the face in the picture, at least 70% is wanted"),
    ],
)
def test_a_fault_says_what_was_measured_and_what_is_wanted(changed: dict[str, float], said: str) -> None:
    assert faults(GOOD, QualityLimits()) == ()
    bad = Quality(**GOOD.to_json() | changed)
    assert faults(bad, QualityLimits()) == (said,)
    assert faults(bad, QualityLimits.none()) == ()


def test_a_box_has_its_own_limit_of_size() -> None:
    box = Quality(49, 0.1, None, None, None, 120, 40, 0.9, 1.0)
    assert faults(box, QualityLimits()) == ("too small: 49 pixels the box's shorter side, at least 50 are wanted",)


def test_better_faces_weigh_more() -> None:
    assert weight(Quality(100, 0.2, 0, 0, 0, 120, 40, 1.0, 1.0)) == 1
    assert weight(GOOD) == pytest.approx(0.9)
    for changed in ({"size": 30.0}, {"sharpness": 0.02}, {"yaw": 60.0}, {"score": 0.5}, {"inside": 0.5}):
        assert 0 < weight(Quality(**GOOD.to_json() | changed)) < 0.6


def test_as_json_it_is_plain_and_short() -> None:
    said = json.loads(json.dumps(of(None).to_json()))
    assert said["yaw"] is None and said["score"] == 0.8
    assert set(said) == set(GOOD.to_json())
