"""Photos into a gallery, person by person.

Each person is one transaction, on disk before the next begins. A killed run leaves whole persons, and running it again
goes on where it stopped: what is enrolled already is known by the hash of its bytes and not embedded again. People are
looked at some at a time, about as many as are embedded together, and those searched for lookalikes at once.

A photo becomes a template if there is one face in it, or one that is far larger than all others; if that face is good
enough; and if it is not unlike the person's other photos. Whatever is refused is reported with the value that was
measured and the limit. A face that looks like somebody else who is enrolled is reported too, and refused if asked.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from facerec_oltr.errors import DataError
from facerec_oltr.faces.extractor import Extractor
from facerec_oltr.faces.photos import ExtractedPhoto, Progress, extract_photos, people_in
from facerec_oltr.gallery.gallery import Gallery
from facerec_oltr.gallery.records import Enrolment, NewTemplate, Outcome
from facerec_oltr.guard import FEWEST_PEOPLE, Guard
from facerec_oltr.judging import Judged, PhotoResult, Policy, judge
from facerec_oltr.lookalikes import Lookalikes
from facerec_oltr.to_enrol import ToEnrol

__all__ = ["EnrollReport", "PhotoResult", "Policy", "enroll", "enroll_folder", "enroll_photos"]

_TOGETHER = 64  # photos, at least, of people whose lookalikes are searched at once


@dataclass(frozen=True)
class EnrollReport:
    """What became of every photo, in order.

    Attributes:
        results: of the photos.
        errors: the people of whom no photo stands in the gallery, one line each.
        skipped: people who were left as they are.
        guarded_by: what the guard rested on in the end, for a person to read; None without a guard.
        unguarded: people who were enrolled before there was anybody to compare them with.
    """

    results: tuple[PhotoResult, ...]
    errors: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    guarded_by: str | None = None
    unguarded: int = 0

    def count(self, outcome: Outcome) -> int:
        """How many photos had this outcome."""
        return sum(result.outcome is outcome for result in self.results)

    def raise_if_failed(self) -> None:
        """Raise if somebody has no photo in the gallery; everybody else is enrolled by then.

        Raises:
            DataError: names the first such person, and how many more there are.
        """
        if self.errors:
            first, *others = self.errors
            raise DataError(first + (f" (and {len(others)} more such people)" if others else ""))


def enroll_folder(
    gallery: Gallery,
    extractor: Extractor,
    folder: str | Path,
    policy: Policy | None = None,
    *,
    on_progress: Progress | None = None,
) -> EnrollReport:
    """Enrol a folder of one folder a person, each under the name of its folder.

    Raises:
        DataError: the folder is missing or holds nobody.
        GalleryError: the gallery is of another embedder or cannot be written.
    """
    people = [ToEnrol(name, tuple(paths)) for name, paths in people_in(folder)]
    return enroll(gallery, extractor, people, policy, on_progress=on_progress)


def enroll_photos(
    gallery: Gallery, extractor: Extractor, name: str, paths: Sequence[str | Path], policy: Policy | None = None
) -> EnrollReport:
    """Enrol photos of one person, in one transaction.

    Raises:
        DataError: no photo is given.
        GalleryError: the gallery is of another embedder or cannot be written.
    """
    if not paths:
        raise DataError(f"{name}: no photo to enrol; give at least one")
    return enroll(gallery, extractor, [ToEnrol(name, tuple(map(Path, paths)))], policy)


def enroll(
    gallery: Gallery,
    extractor: Extractor,
    people: Sequence[ToEnrol],
    policy: Policy | None = None,
    *,
    on_progress: Progress | None = None,
) -> EnrollReport:
    """Enrol people, each in one transaction.

    Args:
        gallery: whom it knows afterwards.
        extractor: the gallery's.
        people: in order.
        policy: how photos are judged.
        on_progress: called after each person with the number of photos done, and of all.

    Raises:
        GalleryError: the gallery is of another embedder or cannot be written; the people before are on disk.
    """
    gallery.check_embedder(extractor)
    return _Enrolment(gallery, extractor, policy or Policy()).run(people, on_progress)


@dataclass
class _Group:
    """People whose photos are judged together."""

    templates: list[NewTemplate]
    changing: set[str] = field(default_factory=set)
    lookalikes: Lookalikes | None = None


@dataclass
class _Enrolment:
    """One run: the people who were there before it, and the guard as it learns."""

    gallery: Gallery
    extractor: Extractor
    policy: Policy
    guard: Guard | None = None
    _known: set[str] = field(default_factory=set)
    _learned_at: int = 0

    def run(self, people: Sequence[ToEnrol], on_progress: Progress | None) -> EnrollReport:
        self._known = set(self.gallery.identities())
        skipped = [p.name for p in people if self.policy.known == "skip" and p.name in self._known]
        people = [p for p in people if p.name not in set(skipped)]
        total = sum(len(person.paths) for person in people)
        # To update somebody all photos are looked at again, for the photos that are enrolled are to stay.
        owner_of = None if self.policy.known == "update" else self.gallery.owner
        photos = extract_photos(self.extractor, (path for p in people for path in p.paths), owner_of=owner_of)
        results: list[PhotoResult] = []
        errors: list[str] = []
        unguarded = 0
        for person, judged, group in self._judged(people, photos):
            self._learn()
            own = self._person(person, judged, group)
            if not any(result.owner == person.name for result in own):
                why = own[0].reason or f"{own[0].outcome} ({own[0].owner})"
                errors.append(f"{person.name}: none of {len(own)} photos could be enrolled; the first: {why}")
            elif self.guard is not None and self.guard.lookalike is None:
                unguarded += 1
            results += own
            if on_progress is not None:
                on_progress(len(results), total)
        basis = self.guard.basis if self.guard else None
        return EnrollReport(tuple(results), tuple(errors), tuple(skipped), basis, unguarded)

    def _learn(self) -> None:
        """Take the guard's limits anew whenever the gallery has doubled."""
        size = len(self._known)
        if self.policy.guard and (self.guard is None or size >= max(FEWEST_PEOPLE, 2 * self._learned_at)):
            self.guard = Guard.of(self.gallery)
            self._learned_at = size

    def _judged(
        self, people: Sequence[ToEnrol], photos: Iterator[ExtractedPhoto]
    ) -> Iterator[tuple[ToEnrol, list[Judged], _Group]]:
        """People with their photos, judged each by itself, and the group of people that they belong to."""
        limits = self.policy.limits or self.extractor.limits
        for together in _groups(people):
            own = [[judge(p.name, photo, limits) for photo in islice(photos, len(p.paths))] for p in together]
            group = _Group([one.template for judged in own for one in judged if one.template is not None])
            group.changing = {p.name for p in together} & self._known
            for person, judged in zip(together, own, strict=True):
                yield person, judged, group

    def _person(self, person: ToEnrol, judged: Sequence[Judged], group: _Group) -> list[PhotoResult]:
        if self.guard is not None:
            self._refuse_outliers(person.name, judged)
            lookalikes = self._lookalikes(person.name, judged, group)
        else:
            lookalikes = {}
        templates = [one.template for one in judged if one.template is not None]
        update = self.policy.known == "update" and bool(templates)
        outcomes = (
            self.gallery.enrol(
                person.name, templates, consent=person.consent, expires=person.expires, replace_others=update
            )
            if templates
            else []
        )
        self._remember(person.name, templates, outcomes, group)
        done = iter(outcomes)
        results = []
        for place, one in enumerate(judged):
            if one.result is not None:
                results.append(one.result)
                continue
            enrolment = next(done)
            like, score = lookalikes.get(place, (None, None))
            results.append(
                PhotoResult(
                    one.photo.path,
                    person.name,
                    enrolment.outcome,
                    enrolment.owner,
                    _why_not(one.photo.path, person.name) if enrolment.outcome is Outcome.NOT_THEM else None,
                    looks_like=like,
                    looks_like_score=score,
                )
            )
        return results

    def _remember(
        self, name: str, templates: Sequence[NewTemplate], outcomes: Sequence[Enrolment], group: _Group
    ) -> None:
        """Let those who follow in the group see whom they may look like."""
        enrolled = [t for t, e in zip(templates, outcomes, strict=True) if e.outcome is Outcome.ENROLLED]
        if group.lookalikes is not None and enrolled:
            if name in self._known:
                person = self.gallery.person(name)
                group.lookalikes.enrolled(name, person.templates, person.negatives)
            else:
                group.lookalikes.enrolled(name, enrolled)
        if templates:
            self._known.add(name)

    def _refuse_outliers(self, name: str, judged: Sequence[Judged]) -> None:
        assert self.guard is not None
        new = [one for one in judged if one.template is not None]
        vectors = [one.template.vector for one in new if one.template is not None]
        if name in self._known and self.policy.known == "add":
            vectors += [t.vector for t in self.gallery.person(name).templates]
        for place, one in enumerate(new):
            assert one.template is not None
            others = [v for other, v in enumerate(vectors) if other != place]
            best = self.guard.unlike(
                one.template.vector, np.array(others, np.float32).reshape(len(others), self.extractor.dimensions)
            )
            if best is not None:
                reason = (
                    f"{one.photo.path}: unlike the {len(others)} other photos of {name!r}: its best score among them "
                    f"is {best:.3f}, at least {self.guard.outlier:.3f} is wanted; look whether it shows somebody else"
                )
                one.result = PhotoResult(one.photo.path, name, Outcome.OUTLIER, reason=reason)
        for one in new:
            if one.result is not None:
                one.template = None

    def _lookalikes(self, name: str, judged: Sequence[Judged], group: _Group) -> dict[int, tuple[str, float]]:
        """By place: somebody else who looks like it, and how much; where such are refused, they are marked so."""
        assert self.guard is not None
        found: dict[int, tuple[str, float]] = {}
        if self.guard.lookalike is None:
            return found
        if group.lookalikes is None:  # now, when it is known what a lookalike is
            group.lookalikes = Lookalikes(self.gallery, group.templates, group.changing)
        for place, one in enumerate(judged):
            other = None if one.template is None else group.lookalikes.best_other(one.template, name)
            if other is None or other.score < self.guard.lookalike:
                continue
            found[place] = (other.name, other.score)
            if self.policy.lookalikes == "refuse":
                reason = (
                    f"{one.photo.path}: looks like {other.name!r}, who is enrolled: a score of {other.score:.3f}, "
                    f"below {self.guard.lookalike:.3f} is wanted; if both are one person, enrol under that name"
                )
                one.result = PhotoResult(one.photo.path, name, Outcome.LOOKS_LIKE, None, reason, *found[place])
                one.template = None
        return found


def _groups(people: Sequence[ToEnrol]) -> Iterator[list[ToEnrol]]:
    """People in order, so many at a time that they have enough photos together."""
    group: list[ToEnrol] = []
    for person in people:
        group.append(person)
        if sum(len(p.paths) for p in group) >= _TOGETHER:
            yield group
            group = []
    if group:
        yield group


def _why_not(path: Path, name: str) -> str:
    return f"{path}: it is said not to be {name!r}; if it is, take that back first: facerec gallery unreject"
