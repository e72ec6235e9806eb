"""Do two photos show the same person? One comparison, 1:1, and how rare its score is between different people.

A score alone says little: what two different people reach depends on the network. A gallery of the same network knows
many different people, and their pairs are what a score is held against.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from facerec_oltr.deciding import false_alarm_rate
from facerec_oltr.errors import DataError, GalleryError
from facerec_oltr.faces.extractor import Extractor, Face
from facerec_oltr.faces.photos import extract_photos
from facerec_oltr.gallery.gallery import Gallery
from facerec_oltr.metrics.identification import threshold_at_fpir
from facerec_oltr.metrics.impostors import pair_scores
from facerec_oltr.metrics.intervals import rule_of_three

DEFAULT_FMR = 0.001

_MOST_PEOPLE = 2000
_FEWEST_PAIRS = 3  # times 1 / FMR, the rule of three


@dataclass(frozen=True)
class Verification:
    """What a comparison came to.

    Attributes:
        photos: the two.
        score: the cosine of their largest faces.
        decision: ``same`` or ``different`` person; None where there is no threshold to decide by.
        threshold: ``same`` if and only if score >= threshold.
        target_fmr: the false match rate that the threshold was chosen for; None if it was given by hand.
        false_match_rate: the share of pairs of different people in the gallery that reach the score; None without one.
        people: in the gallery, of whom one face each was paired.
    """

    photos: tuple[Path, Path]
    score: float
    decision: Literal["same", "different"] | None
    threshold: float | None
    target_fmr: float | None = None
    false_match_rate: float | None = None
    people: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        return {**vars(self), "photos": [str(photo) for photo in self.photos]}


def verify(
    extractor: Extractor,
    one: str | Path,
    other: str | Path,
    *,
    gallery: Gallery | None = None,
    threshold: float | None = None,
    target_fmr: float | None = None,
) -> Verification:
    """Compare the largest faces of two photos.

    Args:
        extractor: finds and embeds them.
        one: a photo.
        other: another one.
        gallery: of the same extractor, whose people say how alike different people look.
        threshold: decide by this.
        target_fmr: decide by the score that this share of the gallery's pairs of different people reaches.

    Raises:
        DataError: a photo is unreadable or has no face, or a threshold and a target are given.
        GalleryError: the gallery is of another embedder, or has too few people for the target.
    """
    if threshold is not None and target_fmr is not None:
        raise DataError("give either a threshold, a number, or a target FMR")
    if target_fmr is not None and gallery is None:
        raise DataError("a target FMR needs a gallery, whose people say how alike different people look; give one")
    photos = (Path(one), Path(other))
    faces = [_largest(extractor, photo) for photo in photos]
    score = float(faces[0].vector.astype(np.float64) @ faces[1].vector.astype(np.float64))
    rate, people = None, None
    if gallery is not None:
        gallery.check_embedder(extractor)
        block = gallery.drawn(_MOST_PEOPLE)
        first = np.unique(block.identities, return_index=True)[1]
        pairs, people = pair_scores(block.vectors[first]).astype(np.float64), len(first)
        rate = false_alarm_rate(score, pairs)
        if threshold is None:
            target_fmr = target_fmr or DEFAULT_FMR
            if len(pairs) < _FEWEST_PAIRS / target_fmr:
                raise GalleryError(
                    f"{gallery.path}: not measurable: {people} people make {len(pairs):,} pairs, FMR {target_fmr:g} "
                    f"needs about {_FEWEST_PAIRS / target_fmr:,.0f} (below {rule_of_three(max(1, len(pairs))):.2g} "
                    "nothing is seen); enrol more people or give --threshold"
                )
            threshold = threshold_at_fpir(pairs, target_fmr).value
    decision = None if threshold is None else ("same" if score >= threshold else "different")
    return Verification(photos, score, decision, threshold, target_fmr, rate, people)


def _largest(extractor: Extractor, path: Path) -> Face:
    [photo] = extract_photos(extractor, [path])
    if not photo.faces:
        raise DataError(photo.reason or f"{path}: no face was found in it; give a photo that shows one")
    return photo.faces[0]
