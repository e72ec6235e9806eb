"""The threshold of a gallery, chosen by strangers so that a wanted share of them at most is accepted.

The FPIR of a threshold grows with the gallery, about as 1 - (1 - FMR)^N: a threshold belongs to the gallery
that it was measured in, and a calibration says which that was.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facerec_oltr.embedder import Embedder
from facerec_oltr.errors import DataError, GalleryError
from facerec_oltr.faces.photos import Progress, embed_photos, people_in
from facerec_oltr.gallery.gallery import Gallery
from facerec_oltr.gallery.records import Calibration
from facerec_oltr.metrics.identification import threshold_at_fpir
from facerec_oltr.metrics.intervals import rule_of_three


@dataclass(frozen=True)
class CalibrationReport:
    """A calibration as it was stored.

    Attributes:
        calibration: the threshold and what it holds for.
        unreadable: one line for each stranger's photo that could not be read and was left out.
        cautions: what a user of the threshold ought to know, one line each.
    """

    calibration: Calibration
    unreadable: tuple[str, ...]
    cautions: tuple[str, ...]


def calibrate(
    gallery: Gallery,
    embedder: Embedder,
    strangers: str | Path,
    target_fpir: float,
    *,
    on_progress: Progress | None = None,
) -> CalibrationReport:
    """Search strangers in the gallery and store the threshold that at most the target share of them reaches.

    Args:
        gallery: with everybody enrolled whom it is to know.
        embedder: the gallery's.
        strangers: a folder of one folder a person, of people who are not enrolled; best none who are used to
            measure the result.
        target_fpir: the share of searches by strangers that may be accepted, above 0 and below 1.
        on_progress: called with the number of photos searched, and of all.

    Raises:
        DataError: a target out of range, a folder that is missing or holds nobody, no readable photo.
        GalleryError: an empty gallery, one of another embedder, or a stranger whose photo is enrolled.
    """
    if not 0 < target_fpir < 1:
        raise DataError(f"a target FPIR lies between 0 and 1, not {target_fpir:g}; try 0.01")
    gallery.check_embedder(embedder)
    state = gallery.state()  # before the searches: what is enrolled meanwhile makes the calibration stale
    if state.identities == 0:
        raise GalleryError(f"{gallery.path}: nobody is enrolled, so there is nothing to calibrate; enrol first")

    people = people_in(strangers)
    who = [name for name, paths in people for _ in paths]
    photos = embed_photos(embedder, (path for _, paths in people for path in paths), owner_of=gallery.owner)
    searched: list[str] = []
    unreadable: list[str] = []
    vectors = []
    for done, (name, photo) in enumerate(zip(who, photos, strict=True), 1):
        if photo.owner is not None:
            raise GalleryError(
                f"{photo.path}: not a stranger, but enrolled as {photo.owner!r}; calibrate with other photos"
            )
        if photo.vector is None:
            unreadable.append(photo.reason or "")
        else:
            searched.append(name)
            vectors.append(photo.vector)
        if on_progress is not None:
            on_progress(done, len(who))
    if not vectors:
        raise DataError(f"{strangers}: no readable photo of a stranger; the first: {unreadable[0]}")

    maxima = [best[0].score for best in gallery.search(np.stack(vectors), k=1)]
    calibration = gallery.save_calibration(
        threshold_at_fpir(maxima, target_fpir),
        strangers=len(set(searched)),
        searches=len(searched),
        state=state,
    )
    return CalibrationReport(calibration, tuple(unreadable), cautions(calibration))


def cautions(calibration: Calibration) -> tuple[str, ...]:
    """What the calibration's own size forbids to claim, one line each; empty where all is well."""
    c = calibration
    if c.measurable:
        return ()
    needed, to_claim = math.ceil(1 / c.target_fpir), math.ceil(3 / c.target_fpir)
    line = (
        f"FPIR {c.target_fpir:g} is not measurable with {c.searches} searches by {c.strangers} strangers: "
        f"it takes at least {needed:,}, and {to_claim:,} without a false alarm to claim it with 95 % "
        "confidence; the threshold lies just above the best of them, "
        f"and the true FPIR may be up to {rule_of_three(c.searches):.2g}"
    )
    return (line,)
