"""Photos of which an operator says: this is not that person, whatever it looks like.

A wrong acceptance is mended so without a new threshold: whoever looks more like the photo than like the person is not
given the name any more, see ``gallery.refusing``. Photos of the person that are nearer to the negative than to all
enrolled ones are refused too. That costs next to nothing where the photo shows somebody else, and silences the person
where it shows the person after all, or a double. On LFW (MobileFaceNet of the tests' models, 311 people with 1, 2 and
3 templates, threshold at FPIR 1 %) the look-alikes with a cosine of 0.4 or more took none of 204, 448 and 681 accepted
probes away; a photo of the very person took 49, 38 and 29 %.

The negative is kept all the same, for the operator knows who is in the photo, and a caution says so where one of the
person's own templates, searched among the others, would be accepted and is now refused, or where the negative lies
above the threshold by a fifth of the way to 1. On the same faces that is said of 1 look-alike in 73, 153 and 235, and
of 72, 85 and 90 % of the person's own photos.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facerec_oltr.deciding import COSINE
from facerec_oltr.errors import DataError
from facerec_oltr.faces.extractor import Extractor
from facerec_oltr.faces.photos import ExtractedPhoto, extract_photos
from facerec_oltr.gallery.fusing import fused_score
from facerec_oltr.gallery.gallery import Gallery
from facerec_oltr.gallery.records import Fusion, NewNegative, TemplateRecord
from facerec_oltr.judging import the_face_of
from facerec_oltr.metrics.exact import dot_scores

_BEGINNING = 8  # digits of a digest that are enough to name a photo
_FAR = 0.2  # of the way from the threshold to a cosine of 1


@dataclass(frozen=True)
class Rejected:
    """What became of a photo that is said not to show somebody.

    Attributes:
        path: the photo.
        face: which one in it, from 1, the largest first.
        new: whether it was not kept already.
        likeness: its cosine with the person, fused over their templates.
        refused: how many of the person's own templates, each searched among the others, it takes from being accepted.
        templates: how many these are.
        caution: what it will cost the person, in one line; None where little.
    """

    path: Path
    face: int
    new: bool
    likeness: float
    refused: int
    templates: int
    caution: str | None

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        return {**vars(self), "path": str(self.path)}


def reject(
    gallery: Gallery, extractor: Extractor, name: str, paths: Sequence[str | Path], *, face: int | None = None
) -> list[Rejected]:
    """Keep photos as negatives of a person, all or none.

    Args:
        gallery: where the person is enrolled.
        extractor: the gallery's.
        name: who is not in the photos.
        paths: the photos.
        face: which face of each is meant, as ``identify`` numbers them; the one it is of if None.

    Raises:
        DataError: a photo cannot be read, shows no face, or several without saying which is meant.
        GalleryError: nobody has the name, or a photo is enrolled under it.
    """
    gallery.check_embedder(extractor)
    templates = gallery.person(name).templates
    photos = list(extract_photos(extractor, map(Path, paths)))
    negatives = [_negative(photo, face) for photo in photos]
    new = gallery.reject(name, negatives)
    calibration = gallery.calibration(rule=COSINE)
    limit = -np.inf if calibration is None else calibration.threshold
    return [
        _told(gallery, Path(negative.photo_path), negative, is_new, templates, name, limit)
        for negative, is_new in zip(negatives, new, strict=True)
    ]


def digests_of(gallery: Gallery, named: Sequence[str]) -> list[str]:
    """SHA-256 digests of photos that are named by their file, by their digest or by its beginning.

    A beginning has 8 digits or more, and is of one photo that is said not to be somebody.

    Raises:
        DataError: no such file, and no such photo in the gallery.
    """
    kept = {n.photo_sha256 for p in gallery.people() if p.negatives for n in gallery.person(p.name).negatives}
    digests = []
    for name in named:
        if Path(name).is_file():
            try:
                with Path(name).open("rb") as file:
                    digests.append(hashlib.file_digest(file, "sha256").hexdigest())
            except OSError as error:
                raise DataError(f"{name}: {error.strerror}; give a photo that can be read, or its SHA-256") from error
            continue
        found = [digest for digest in kept if len(name) >= _BEGINNING and digest.startswith(name.lower())]
        if len(found) != 1:
            raise DataError(
                f"{name}: neither a file nor the beginning of the SHA-256 of one photo that is said not to be somebody "
                f"({len(found)} fit); see: facerec gallery show"
            )
        digests += found
    return digests


def own_refused(
    negative: npt.NDArray[np.float32], templates: Sequence[TemplateRecord], fusion: Fusion, threshold: float
) -> int:
    """How many of a person's templates a negative (D,) takes from being accepted, each searched among the others.

    A person with one template has none to search it among: 0.
    """
    if len(templates) < 2:
        return 0
    scores = [_fused(own.vector, [t for t in templates if t is not own], fusion) for own in templates]
    nearer = [float(dot_scores(negative, own.vector)) for own in templates]
    return sum(threshold <= score < near for score, near in zip(scores, nearer, strict=True))


def _negative(photo: ExtractedPhoto, number: int | None) -> NewNegative:
    if photo.reason is not None:
        raise DataError(photo.reason)
    if not photo.faces:
        raise DataError(f"{photo.path}: no face was found in it; give a photo that shows who is meant")
    if number is None:
        chosen = the_face_of(photo.faces)
        if chosen is None:
            raise DataError(f"{photo.path}: {len(photo.faces)} faces; say with --face which is meant, the largest is 1")
        number = photo.faces.index(chosen) + 1
    if not 1 <= number <= len(photo.faces):
        raise DataError(f"{photo.path}: face {number} was asked for, found {len(photo.faces)}; the largest is 1")
    return NewNegative(photo.faces[number - 1].vector, photo.sha256, str(photo.path), number)


def _told(
    gallery: Gallery,
    path: Path,
    negative: NewNegative,
    is_new: bool,
    templates: Sequence[TemplateRecord],
    name: str,
    limit: float,
) -> Rejected:
    fusion = gallery.facts.fusion
    likeness = _fused(negative.vector, templates, fusion)
    refused = own_refused(negative.vector, templates, fusion, limit)
    caution = None
    if refused:
        caution = (
            f"{path}: {refused} of the {len(templates)} enrolled photos of {name!r} are nearer to it than to the "
            f"others, and such photos of them are refused now; {_advice(name)}"
        )
    elif limit > -np.inf and likeness >= limit + _FAR * (1 - limit):
        caution = (
            f"{path}: very like {name!r} (a cosine of {likeness:.3f}, accepted from {limit:.3f} on): many photos of "
            f"them may be refused now; {_advice(name)}"
        )
    return Rejected(path, negative.face, is_new, likeness, refused, len(templates), caution)


def _advice(name: str) -> str:
    return (
        f"look whether it shows {name!r} after all, and if so: facerec gallery unreject; or enrol more of their photos"
    )


def _fused(probe: npt.NDArray[np.float32], templates: Sequence[TemplateRecord], fusion: Fusion) -> float:
    return fused_score(probe, np.array([t.vector for t in templates]), np.array([t.quality for t in templates]), fusion)
