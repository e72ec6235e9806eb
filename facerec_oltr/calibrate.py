"""The threshold of a gallery, chosen by strangers so that a wanted share of them at most is accepted.

The FPIR of a threshold grows with the gallery, about as 1 - (1 - FMR)^N: a threshold belongs to the gallery that it was
measured in, and a calibration says which that was. The strangers' vectors can be kept in the gallery, as its cohort:
then the threshold is derived anew whenever the gallery has changed, without their photos.

Where no strangers are at hand the enrolled people stand in for them, each searched among all others (leave one out).
That measures the FPIR of a gallery with one person less, by people who were chosen to be enrolled: it is marked as
such.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facerec_oltr.deciding import COSINE, Searcher, needs_cohort, split_cohort
from facerec_oltr.errors import DataError, GalleryError
from facerec_oltr.faces.extractor import Extractor
from facerec_oltr.faces.photos import Progress, extract_photos, find_photos, people_in
from facerec_oltr.gallery.gallery import Gallery
from facerec_oltr.gallery.records import Calibration, Cohort, GalleryState
from facerec_oltr.metrics.calibration import calibrate_threshold

FEW_PEOPLE = 100  # below which a threshold depends much on who they were
CONFIDENCE = 0.95

_SEED = 0
_MOST_PEOPLE = 3000  # enrolled people that stand in for strangers


@dataclass(frozen=True)
class CalibrationReport:
    """A calibration as it was stored.

    Attributes:
        calibration: the threshold and what it holds for.
        unreadable: one line for each stranger's photo that was left out, because it is unreadable or has no face.
        cautions: what a user of the threshold ought to know, one line each.
    """

    calibration: Calibration
    unreadable: tuple[str, ...]
    cautions: tuple[str, ...]


def calibrate(
    gallery: Gallery,
    extractor: Extractor,
    strangers: str | Path,
    target_fpir: float,
    *,
    rule: str = COSINE,
    keep: bool = True,
    on_progress: Progress | None = None,
) -> CalibrationReport:
    """Search strangers in the gallery and store the threshold that at most the target share of them reaches.

    Args:
        gallery: with everybody enrolled whom it is to know.
        extractor: the gallery's.
        strangers: a folder of one folder a person, or of photos that each show somebody else; people who are not
            enrolled, and best none who are used to measure the result.
        target_fpir: the share of searches by strangers that may be accepted, above 0 and below 1.
        rule: what makes a score of cosines, see ``facerec_oltr.scoring``.
        keep: keep the strangers' vectors in the gallery, in place of earlier ones.
        on_progress: called with the number of photos searched, and of all.

    Raises:
        DataError: a target out of range, a folder that is missing or holds nobody, no usable photo.
        ConfigError: no such rule.
        MetricError: the strangers are too few to show the target.
        GalleryError: an empty gallery, one of another embedder, or a stranger whose photo is enrolled.
    """
    _check_target(target_fpir)
    gallery.check_embedder(extractor)
    if needs_cohort(rule) and not keep:
        raise DataError(f"the rule {rule!r} compares with the strangers at every search; let the gallery keep them")
    if gallery.state().identities == 0:
        raise GalleryError(f"{gallery.path}: nobody is enrolled, so there is nothing to calibrate; enrol first")
    cohort, unreadable = _embed(gallery, extractor, _people(strangers), on_progress)
    if not len(cohort.vectors):
        raise DataError(f"{strangers}: no usable photo of a stranger; the first: {unreadable[0]}")
    calibration = derive(gallery, cohort, target_fpir, rule)
    if keep:
        gallery.save_cohort(cohort)
    gallery.save_calibration(calibration)
    return CalibrationReport(calibration, tuple(unreadable), cautions(calibration))


def derive(gallery: Gallery, cohort: Cohort, target_fpir: float, rule: str = COSINE) -> Calibration:
    """The threshold for a target by a cohort's vectors, in the gallery as it is now; nothing is stored.

    People of the cohort who were enrolled since, by one of the same photos, are strangers no more and left out. Where
    the rule compares with a cohort, every second person is that, and the others choose the threshold.

    Raises:
        MetricError: the cohort is too small to show the target.
    """
    state = gallery.state()  # before the searches: what is enrolled meanwhile makes the calibration stale
    compared, judges = split_cohort(cohort) if needs_cohort(rule) else (None, cohort)
    owners = gallery.owners(judges.hashes)
    enrolled = {p for p, photo in zip(judges.people.tolist(), judges.hashes, strict=True) if photo in owners}
    strangers = ~np.isin(judges.people, list(enrolled))
    maxima = Searcher(gallery, rule, compared).maxima(judges.vectors[strangers])
    return _calibration(gallery, maxima, judges.people[strangers], target_fpir, state, rule, "strangers")


def calibrate_by_gallery(gallery: Gallery, target_fpir: float) -> Calibration:
    """The threshold for a target by the enrolled people themselves, each searched among all others; nothing is stored.

    Raises:
        DataError: a target out of range.
        GalleryError: fewer than two people are enrolled.
        MetricError: they are too few to show the target.
    """
    _check_target(target_fpir)
    state = gallery.state()
    if state.identities < 2:
        raise GalleryError(
            f"{gallery.path}: {state.identities} people are enrolled, and it takes two to compare; enrol more"
        )
    block = gallery.drawn(_MOST_PEOPLE, _SEED)
    found = gallery.search_others(block.vectors, block.identities)
    return _calibration(gallery, found.maxima, found.people, target_fpir, state, COSINE, "gallery")


def cautions(calibration: Calibration) -> tuple[str, ...]:
    """What the calibration's own size and kind forbid to claim, one line each; empty where all is well."""
    c = calibration
    lines = []
    if c.source == "gallery":
        lines.append(
            f"the threshold was chosen by the {c.strangers} enrolled people, each searched among the others, because "
            "no strangers were given; run facerec calibrate with photos of people who are not enrolled"
        )
    if c.strangers < FEW_PEOPLE:
        expected = "" if c.expected_fpir is None else f"; {c.expected_fpir:.2g} is to be expected of others"
        upper = "" if c.upper_fpir is None else f", and up to {c.upper_fpir:.2g} cannot be ruled out"
        lines.append(
            f"only {c.strangers} people chose the threshold for FPIR {c.target_fpir:g}{expected}{upper} "
            f"({CONFIDENCE:.0%} confidence); {FEW_PEOPLE} or more make it dependable"
        )
    return tuple(lines)


def _calibration(
    gallery: Gallery,
    maxima: npt.ArrayLike,
    people: npt.NDArray[np.int64],
    target: float,
    state: GalleryState,
    rule: str,
    source: str,
) -> Calibration:
    maxima = np.asarray(maxima, np.float64)
    chosen = calibrate_threshold(maxima, people, target, confidence=CONFIDENCE, rng=np.random.default_rng(_SEED))
    return Calibration(
        target_fpir=target,
        threshold=chosen.threshold.value,
        achieved_fpir=chosen.threshold.achieved,
        measurable=chosen.threshold.measurable,
        strangers=chosen.people,
        searches=chosen.searches,
        state=state,
        policy=gallery.facts.fusion.value,
        created=gallery.timestamp(),
        source="gallery" if source == "gallery" else "strangers",
        rule=rule,
        expected_fpir=chosen.expected,
        upper_fpir=chosen.upper,
        maxima=tuple(np.sort(maxima).tolist()),
    )


def _people(strangers: str | Path) -> list[tuple[str, Sequence[Path]]]:
    """Names and photos; of a folder that has photos and no folders, each photo as a person of its own."""
    folder = Path(strangers)
    if folder.is_dir() and not any(path.is_dir() for path in folder.iterdir() if not path.name.startswith(".")):
        return [(photo.name, [photo]) for photo in find_photos([folder])]
    return people_in(folder)


def _embed(
    gallery: Gallery, extractor: Extractor, people: Sequence[tuple[str, Sequence[Path]]], on_progress: Progress | None
) -> tuple[Cohort, list[str]]:
    """The largest face of each photo, and a line for each photo without one."""
    who = [number for number, (_, paths) in enumerate(people) for _ in paths]
    photos = extract_photos(extractor, (path for _, paths in people for path in paths), owner_of=gallery.owner)
    unreadable: list[str] = []
    vectors, searched, hashes = [], [], []
    for done, (person, photo) in enumerate(zip(who, photos, strict=True), 1):
        if photo.owner is not None:
            raise GalleryError(
                f"{photo.path}: not a stranger, but enrolled as {photo.owner!r}; calibrate with other photos"
            )
        if not photo.faces:
            unreadable.append(photo.reason or f"{photo.path}: no face was found in it")
        else:
            vectors.append(photo.faces[0].vector)
            searched.append(person)
            hashes.append(photo.sha256)
        if on_progress is not None:
            on_progress(done, len(who))
    shape = (len(vectors), extractor.dimensions)
    return Cohort(np.array(vectors, np.float32).reshape(shape), np.array(searched, np.int64), tuple(hashes)), unreadable


def _check_target(target_fpir: float) -> None:
    if not 0 < target_fpir < 1:
        raise DataError(f"a target FPIR lies between 0 and 1, not {target_fpir:g}; try 0.01")
