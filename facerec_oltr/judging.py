"""How a photo that is to be enrolled is judged by itself: is there one face in it, and is it good enough?"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from facerec_oltr.faces.extractor import Face
from facerec_oltr.faces.photos import ExtractedPhoto
from facerec_oltr.faces.quality import QualityLimits, faults, weight
from facerec_oltr.gallery.records import NewTemplate, Outcome

_LARGER = 3.0  # times the area of every other face, and a face is what its photo is of


@dataclass(frozen=True)
class Policy:
    """How photos are judged, and what happens to people who are enrolled already.

    Attributes:
        limits: of quality; the extractor's if None, which are none for photos that are taken as aligned crops.
        guard: whether faces unlike their person's other photos are refused, and lookalikes reported.
        lookalikes: what happens to a face that looks like somebody else: enrolled and reported, or refused.
        known: what happens to people who are enrolled already: new photos are added (``add``), they are left as they
            are (``skip``), or they have exactly the given photos afterwards (``update``).
    """

    limits: QualityLimits | None = None
    guard: bool = True
    lookalikes: Literal["report", "refuse"] = "report"
    known: Literal["add", "skip", "update"] = "add"


@dataclass(frozen=True)
class PhotoResult:
    """What became of a photo.

    Attributes:
        path: the photo.
        name: under which name it was to be enrolled.
        outcome: see ``Outcome``.
        owner: under which name it stands in the gallery now; None if under none.
        reason: why it was not enrolled, in one line, with the measured value and the limit.
        looks_like: somebody else who is enrolled and looks like it; None where nobody does.
        looks_like_score: how much.
    """

    path: Path
    name: str
    outcome: Outcome
    owner: str | None = None
    reason: str | None = None
    looks_like: str | None = None
    looks_like_score: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        return {**vars(self), "path": str(self.path), "outcome": self.outcome.value}


@dataclass
class Judged:
    """A photo on its way: what became of it, or the template that it is to become."""

    photo: ExtractedPhoto
    result: PhotoResult | None = None
    template: NewTemplate | None = None


def judge(name: str, photo: ExtractedPhoto, limits: QualityLimits) -> Judged:
    """What becomes of a photo by itself, before it is compared with others."""
    if photo.reason is not None:
        return _refused(photo, name, Outcome.UNREADABLE, photo.reason)
    if photo.owner is not None:
        outcome = Outcome.ALREADY if photo.owner == name else Outcome.OTHER
        return Judged(photo, PhotoResult(photo.path, name, outcome, photo.owner))
    if not photo.faces:
        return _refused(photo, name, Outcome.NO_FACE, f"{photo.path}: no face was found in it")
    face = the_face_of(photo.faces)
    if face is None:
        reason = (
            f"{photo.path}: {len(photo.faces)} faces, and none is {_LARGER:g} times as large as every other one; "
            "cut out the face that is meant"
        )
        return _refused(photo, name, Outcome.SEVERAL_FACES, reason)
    wrong = faults(face.quality, limits)
    if wrong:
        return _refused(photo, name, Outcome.POOR, f"{photo.path}: {'; '.join(wrong)}")
    details = {"box": [round(side, 1) for side in face.found.box], **face.quality.to_json()}
    return Judged(photo, None, NewTemplate(face.vector, photo.sha256, str(photo.path), weight(face.quality), details))


def the_face_of(faces: Sequence[Face]) -> Face | None:
    """The face that a photo is of: the only one, or one three times as large as every other; None if there is none."""
    areas = sorted(
        ((right - left) * (bottom - top), place) for place, (left, top, right, bottom) in enumerate(_boxes(faces))
    )
    if len(areas) > 1 and areas[-1][0] < _LARGER * areas[-2][0]:
        return None
    return faces[areas[-1][1]] if areas else None


def _boxes(faces: Iterable[Face]) -> Iterator[tuple[float, float, float, float]]:
    return (face.found.box for face in faces)


def _refused(photo: ExtractedPhoto, name: str, outcome: Outcome, reason: str) -> Judged:
    return Judged(photo, PhotoResult(photo.path, name, outcome, reason=reason))
