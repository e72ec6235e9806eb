"""How good a photo of a face is for recognition, as numbers that a person can check.

Sharpness, brightness and contrast are measured on the face aligned to 112 × 112 pixels, so that they do not depend on
the photo's size. The angles are those of a plain head: seen from the front the nose lies where ArcFace's template has
it, and its tip stands half the distance between the eyes in front of the plane of eyes and mouth. Turned by an angle,
it moves in that plane by 0.5 tan(angle), in distances between the eyes. Noses differ, so the angles tell a profile
from a portrait; they do not measure heads.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np

from facerec_oltr.faces.align import TEMPLATE, alignment, cut, inside
from facerec_oltr.faces.found import FoundFace, Points
from recordio_tools.images import Image

_SIZE = 112
_CENTRE = slice(16, 96)  # of the aligned square: the face without most of the hair and background
_MOST_DIGITS = 17  # that a double can have
_NOSE = 0.5  # how far its tip stands out, in distances between the eyes


@dataclass(frozen=True)
class Quality:
    """What was measured of a face.

    Attributes:
        size: pixels of the picture between the eyes; without points the box's shorter side.
        sharpness: variance of the Laplacian over the variance of the grey values; 0 where there is one grey only.
        yaw: degrees that the face is turned to the image's right; None without points.
        pitch: degrees that it looks up; None without points.
        roll: degrees that it leans clockwise; None without points.
        brightness: mean grey value, 0 to 255.
        contrast: standard deviation of the grey values.
        score: the detector's confidence, 0 to 1.
        inside: the share of the aligned square, or of the box, that lies in the picture.
    """

    size: float
    sharpness: float
    yaw: float | None
    pitch: float | None
    roll: float | None
    brightness: float
    contrast: float
    score: float
    inside: float

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``, to four digits."""
        return {name: None if value is None else float(f"{value:.4g}") for name, value in asdict(self).items()}


@dataclass(frozen=True)
class QualityLimits:
    """Which faces are good enough to enrol; a probe need not be.

    Chosen on photos of LFW, of which they refuse 0.3 % with YuNet (of 1,500) and 0.7 % with SCRFD (of 1,000). With
    YuNet the middle 99 % have 31 to 57 pixels between the eyes, a sharpness of 0.022 to 0.38, a yaw of -39° to 39°, a
    pitch of -25° to 5°, a mean of 68 to 184, a contrast of 23 to 73, and 90 % or more in the picture. Of 200 of them
    blurred by a Gaussian of 2, 3 and 4 pixels (of 44 between the eyes) they refuse 47, 84 and 98 %; at a third of the
    size, all; at a fifth of the light, 99 %; with the left half cut off, 95 %.

    Attributes:
        size: at least, with points.
        side: of the box at least, without.
        sharpness: at least.
        yaw: at most, to either side.
        pitch: at most, up or down.
        dark: brightness at least.
        bright: brightness at most.
        contrast: at least.
        score: at least.
        inside: at least.
    """

    size: float = 20.0
    side: float = 50.0
    sharpness: float = 0.015
    yaw: float = 50.0
    pitch: float = 45.0
    dark: float = 30.0
    bright: float = 230.0
    contrast: float = 12.0
    score: float = 0.5
    inside: float = 0.7

    @classmethod
    def none(cls) -> Self:
        """Accept every face."""
        lowest = {field.name: -np.inf for field in fields(cls)}
        return cls(**lowest | {"yaw": np.inf, "pitch": np.inf, "bright": np.inf})


def measure(picture: Image, face: FoundFace) -> Quality:
    """The quality of a face in its picture (height, width, 3) uint8 RGB."""
    import cv2

    square = cut(picture, alignment(face, _SIZE), _SIZE, repeat=face.points is None)
    grey = cv2.cvtColor(square, cv2.COLOR_RGB2GRAY)[_CENTRE, _CENTRE].astype(np.float32)
    variance = float(grey.var())
    edges = float(cv2.Laplacian(grey, cv2.CV_32F).var())
    size, yaw, pitch, roll = _pose(face.points) if face.points is not None else (None, None, None, None)
    return Quality(
        min(face.width, face.height) if size is None else size,
        edges / variance if variance >= 1 else 0.0,
        yaw,
        pitch,
        roll,
        float(grey.mean()),
        variance**0.5,
        face.score,
        inside(picture.shape, face),
    )


def _pose(points: Points) -> tuple[float, float, float, float]:
    """(distance between the eyes, yaw, pitch, roll)."""
    left, right, _, left_mouth, right_mouth = points.astype(np.float64)
    apart, down = right - left, (left_mouth + right_mouth) / 2 - (left + right) / 2
    size = float(np.hypot(*apart))
    roll = float(np.degrees(np.arctan2(apart[1], apart[0])))
    sideways, along = _of_nose(points)
    if size < 1e-3 or np.hypot(*down) < 1e-3:  # no face of this world: as far away from the camera as can be
        return size, 90.0, 90.0, roll
    yaw = np.degrees(np.arctan(sideways / _NOSE))
    pitch = np.degrees(np.arctan((_of_nose(TEMPLATE)[1] - along) * _height(TEMPLATE) / _NOSE))
    return size, float(yaw), float(pitch), roll


def _of_nose(points: Any) -> tuple[float, float]:
    """Where it lies: sideways from the middle in distances between the eyes, and down from eyes (0) to mouth (1).

    Both axes are the face's own, so a head that leans counts as upright.
    """
    left, right, nose, left_mouth, right_mouth = np.asarray(points, np.float64)
    eyes, mouth = (left + right) / 2, (left_mouth + right_mouth) / 2
    axes = np.column_stack([right - left, mouth - eyes])
    if abs(np.linalg.det(axes)) < 1e-6:
        return np.inf, np.inf
    sideways, along = np.linalg.solve(axes, nose - eyes)
    return float(sideways), float(along)


def _height(points: Any) -> float:
    """From the eyes to the mouth, in distances between the eyes."""
    left, right, _, left_mouth, right_mouth = np.asarray(points, np.float64)
    return float(np.hypot(*(left_mouth + right_mouth - left - right) / 2) / np.hypot(*(right - left)))


def faults(quality: Quality, limits: QualityLimits) -> tuple[str, ...]:
    """What is wrong with a face, with the value measured and the limit; empty where it is good enough."""
    q = quality
    least, side = (limits.side, "the box's shorter side") if q.yaw is None else (limits.size, "between the eyes")
    yaw, pitch = abs(q.yaw or 0), abs(q.pitch or 0)
    found = (
        (q.size < least, f"too small: {{}} pixels {side}, at least {{}} are wanted", q.size, least, ".0f"),
        (q.sharpness < limits.sharpness, "too blurred: sharpness {}, at least {} is wanted", q.sharpness,
         limits.sharpness, ".2g"),
        (yaw > limits.yaw, "turned away: {}° to the side, at most {}° is wanted", yaw, limits.yaw, ".0f"),
        (pitch > limits.pitch, "turned away: {}° up or down, at most {}° is wanted", pitch, limits.pitch, ".0f"),
        (q.brightness < limits.dark, "too dark: mean grey value {}, at least {} is wanted", q.brightness, limits.dark,
         ".0f"),
        (q.brightness > limits.bright, "too bright: mean grey value {}, at most {} is wanted", q.brightness,
         limits.bright, ".0f"),
        (q.contrast < limits.contrast, "too flat: contrast {}, at least {} is wanted", q.contrast, limits.contrast,
         ".0f"),
        (q.score < limits.score, "hardly a face: detection score {}, at least {} is wanted", q.score, limits.score,
         ".2f"),
        (q.inside < limits.inside, "cut off: {}% of the face in the picture, at least {}% is wanted", 100 * q.inside,
         100 * limits.inside, ".0f"),
    )  # fmt: skip
    return tuple(
        words.format(_told(value, limit, form), f"{limit:g}") for wrong, words, value, limit, form in found if wrong
    )


def _told(value: float, limit: float, form: str) -> str:
    """A measured value in this form, or with as many more digits as it takes to look different from its limit."""
    digits, kind = int(form[1:-1]), form[-1]
    while digits < _MOST_DIGITS and f"{value:.{digits}{kind}}" == f"{limit:.{digits}{kind}}":
        digits += 1
    return f"{value:.{digits}{kind}}"


def weight(quality: Quality) -> float:
    """How much a face counts where several of one person are averaged, above 0 and at most 1.

    The product of what each measure leaves, linear up to where more does not help any more: 60 pixels between the eyes
    (150 of a box), a sharpness of 0.05, the detector's score, and the cosine of the angles.
    """
    enough = 150 if quality.yaw is None else 60
    turned = np.cos(np.radians(min(abs(quality.yaw or 0), 85))) * np.cos(np.radians(min(abs(quality.pitch or 0), 85)))
    parts = (quality.size / enough, quality.sharpness / 0.05, quality.score, quality.inside, turned)
    return float(max(0.01, np.prod(np.clip(parts, 0, 1))))
