"""Photos into a gallery, person by person.

A photo is taken as an aligned crop of one face. A killed run leaves whole persons, and running it again goes
on where it stopped: what is enrolled already is known by the hash of its bytes and not embedded again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from facerec_oltr.embedder import Embedder
from facerec_oltr.errors import DataError
from facerec_oltr.faces.photos import EmbeddedPhoto, Progress, embed_photos, people_in
from facerec_oltr.gallery.gallery import Gallery
from facerec_oltr.gallery.records import Outcome


@dataclass(frozen=True)
class PhotoResult:
    """What became of a photo.

    Attributes:
        path: the photo.
        name: under which name it was to be enrolled.
        outcome: see ``Outcome``.
        owner: under which name it stands in the gallery now; None if it is unreadable.
        reason: why it is unreadable, in one line.
    """

    path: Path
    name: str
    outcome: Outcome
    owner: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class EnrollReport:
    """What became of every photo, in order, and the people of whom no photo could be read."""

    results: tuple[PhotoResult, ...]
    errors: tuple[str, ...]

    def count(self, outcome: Outcome) -> int:
        """How many photos had this outcome."""
        return sum(result.outcome is outcome for result in self.results)

    def raise_if_failed(self) -> None:
        """Raise if somebody has no readable photo; everybody else is enrolled by then.

        Raises:
            DataError: names the first such person, and how many more there are.
        """
        if self.errors:
            first, *others = self.errors
            raise DataError(first + (f" (and {len(others)} more such people)" if others else ""))


def enroll_folder(
    gallery: Gallery, embedder: Embedder, folder: str | Path, *, on_progress: Progress | None = None
) -> EnrollReport:
    """Enrol a folder of one folder a person, each under the name of its folder.

    Each person is one transaction, on disk before the next begins.

    Raises:
        DataError: the folder is missing or holds nobody.
        GalleryError: the gallery is of another embedder or cannot be written.
    """
    return _enroll(gallery, embedder, people_in(folder), on_progress)


def enroll_photos(gallery: Gallery, embedder: Embedder, name: str, paths: Sequence[str | Path]) -> EnrollReport:
    """Enrol photos of one person, in one transaction.

    Raises:
        DataError: no photo is given.
        GalleryError: the gallery is of another embedder or cannot be written.
    """
    if not paths:
        raise DataError(f"{name}: no photo to enrol; give at least one")
    return _enroll(gallery, embedder, [(name, [Path(path) for path in paths])], None)


def _enroll(
    gallery: Gallery,
    embedder: Embedder,
    people: Sequence[tuple[str, Sequence[Path]]],
    on_progress: Progress | None,
) -> EnrollReport:
    gallery.check_embedder(embedder)
    total = sum(len(paths) for _, paths in people)
    photos = embed_photos(embedder, (path for _, paths in people for path in paths), owner_of=gallery.owner)
    results: list[PhotoResult] = []
    errors: list[str] = []
    for name, paths in people:
        own = _enroll_person(gallery, name, list(islice(photos, len(paths))))
        if all(result.outcome is Outcome.UNREADABLE for result in own):
            errors.append(f"{name}: no readable photo among {len(own)}; the first: {own[0].reason}")
        results += own
        if on_progress is not None:
            on_progress(len(results), total)
    return EnrollReport(tuple(results), tuple(errors))


def _enroll_person(gallery: Gallery, name: str, photos: Sequence[EmbeddedPhoto]) -> list[PhotoResult]:
    new = [(photo, photo.vector) for photo in photos if photo.vector is not None]
    enrolments = iter(
        gallery.enrol(
            name,
            np.stack([vector for _, vector in new]),
            [photo.sha256 for photo, _ in new],
            [photo.path for photo, _ in new],
        )
        if new
        else ()
    )
    results = []
    for photo in photos:
        if photo.reason is not None:
            results.append(PhotoResult(photo.path, name, Outcome.UNREADABLE, reason=photo.reason))
        elif photo.owner is not None:
            outcome = Outcome.ALREADY if photo.owner == name else Outcome.OTHER
            results.append(PhotoResult(photo.path, name, outcome, photo.owner))
        else:
            done = next(enrolments)
            results.append(PhotoResult(photo.path, name, done.outcome, done.owner))
    return results
