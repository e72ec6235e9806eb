"""The two things that a gallery stands on, so that either can be another database.

A **store** is the truth: transactional, shared by several processes, durable once a call has returned. An **index** is
derived from it and never the only copy. What is above them sees these promises alone; one suite of contract tests runs
on every kind of each.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from facerec_oltr.gallery.records import (
    AuditEntry,
    Block,
    Calibration,
    Cohort,
    Delta,
    Enrolment,
    Finding,
    GalleryFacts,
    GalleryState,
    Ids,
    NegativeFaces,
    NewNegative,
    NewTemplate,
    PersonRecord,
    PersonSummary,
    Receipt,
    Vectors,
)


class Store(Protocol):
    """Who is enrolled. Every method is one transaction, and raises GalleryError with one clear line."""

    @property
    def path(self) -> Path:
        """Where it is, for messages and for what lies beside it."""
        ...

    def close(self) -> None:
        """Close it; nothing can be asked afterwards."""
        ...

    def facts(self) -> GalleryFacts:
        """What never changes."""
        ...

    def state(self) -> GalleryState:
        """The size now, and the change counter."""
        ...

    def people(self) -> list[PersonSummary]:
        """Everybody, in order of enrolment."""
        ...

    def person(self, name: str) -> PersonRecord | None:
        """All that is held on somebody; None where nobody has this name."""
        ...

    def names(self, identities: Sequence[int]) -> dict[int, str]:
        """The names of identities by number; one that is gone is left out."""
        ...

    def owner(self, photo_sha256: str) -> str | None:
        """Under which name a photo is enrolled, if it is."""
        ...

    def owners(self, photos: Sequence[str]) -> dict[str, str]:
        """Under which names photos are enrolled, by digest; those that are not are left out."""
        ...

    def enrol(
        self,
        name: str,
        templates: Sequence[NewTemplate],
        *,
        consent: str | None = None,
        expires: str | None = None,
        replace: bool = False,
    ) -> list[Enrolment]:
        """Add templates to a name, all or none; a photo that is enrolled already stays where it is.

        A photo whose first face is said not to be this person is not enrolled.

        Args:
            name: made if nobody has it and at least one template is new.
            templates: in order.
            consent: kept with the identity where given, in place of an earlier one.
            expires: the same, an ISO 8601 date.
            replace: erase the name's other templates, so that it has exactly these afterwards.
        """
        ...

    def erase(self, names: Sequence[str], *, prove: bool = True) -> Receipt:
        """Remove identities for good: templates, photos' hashes and paths, free pages, journal; all or none.

        The faces that are said not to be these people go with them, and so do those that were taken from their own
        photos to say that somebody else is not in these.

        Args:
            names: of people who are enrolled.
            prove: read all of it afterwards to look for what was erased.
        """
        ...

    def reject(self, name: str, negatives: Sequence[NewNegative]) -> list[bool]:
        """Keep faces of which somebody says that they are not this person, all or none; whether each is new.

        A face, told by its photo and number, is kept once a person. That its photo is enrolled under the same name by
        this face is an error: one of the two is wrong.
        """
        ...

    def unreject(self, photos: Sequence[str], name: str | None = None, *, prove: bool = True) -> Receipt:
        """Remove such faces for good, by the digests of their photos.

        Args:
            photos: SHA-256 digests; of which none is there is an error.
            name: only those that are said not to be this person; everybody's if None.
            prove: read all of it afterwards to look for what was erased.
        """
        ...

    def negatives(self) -> NegativeFaces:
        """All faces that are said not to be somebody."""
        ...

    def negative_changes(self) -> int:
        """A counter that every change of them raises; the templates' own counter does not follow them."""
        ...

    def expired(self, today: str) -> list[str]:
        """Names whose day has come, given an ISO 8601 date."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Give somebody another name, which nobody has."""
        ...

    def merge(self, source: str, into: str) -> int:
        """Give one identity's templates to another and remove the first; returns how many templates moved.

        The faces that are said not to be the first are said not to be the other from then on, but for those by which
        one of the templates was enrolled: whoever merges says that these are one person.
        """
        ...

    def follow(self, changes: int, last_template: int) -> Delta | None:
        """What has changed since the state with this counter, when ``last_template`` was the highest number.

        None where the store does not remember so far back (or the state is none of its own): begin anew, from 0 and 0.
        """
        ...

    def blocks(self, after: int, up_to: int, *, rows: int = 65_536) -> Iterator[Block]:
        """Templates with numbers in (after, up_to], in blocks of at most ``rows``; each block as of its own moment."""
        ...

    def templates_of(self, identities: Sequence[int]) -> Block:
        """All templates of some identities."""
        ...

    def save_calibration(self, calibration: Calibration) -> None:
        """Add a calibration; older ones stay, without their maxima where source, rule and target are the same."""
        ...

    def calibration(self, target_fpir: float | None = None, rule: str | None = None) -> Calibration | None:
        """The latest calibration, or the latest for this target and this score rule; no other is read."""
        ...

    def calibrations(self) -> list[Calibration]:
        """All calibrations, the latest last; old ones without maxima."""
        ...

    def save_cohort(self, cohort: Cohort) -> None:
        """Keep a cohort in place of an earlier one, which is erased."""
        ...

    def cohort(self) -> Cohort | None:
        """The cohort, if there is one."""
        ...

    def audit(self) -> list[AuditEntry]:
        """The audit trail, oldest first."""
        ...

    def note(self, action: str, facts: Mapping[str, Any]) -> AuditEntry:
        """Add an entry to the audit trail."""
        ...

    def check(self) -> list[Finding]:
        """All that is wrong with it, found by reading all of it; empty where all is well."""
        ...

    def backup(self, to: Path) -> None:
        """Write a whole copy to a place where nothing is, and remember that it was made."""
        ...


class Index(Protocol):
    """Vectors under numbers, searched by dot product.

    A score is the dot product in double precision, rounded to float32. It depends on the two vectors alone: not on the
    batch, the other vectors, the kind of index or the linear algebra library. So a threshold chosen by a batch of
    searches holds to the last bit for a single one, and equal vectors tie.
    """

    kind: str
    dimensions: int

    def __len__(self) -> int: ...

    def add(self, vectors: npt.ArrayLike, ids: npt.ArrayLike) -> None:
        """Add vectors (n, D) under new ids (n,); an id that is there already is an error."""
        ...

    def remove(self, ids: npt.ArrayLike) -> None:
        """Remove vectors; an id that is not there is an error."""
        ...

    def search(self, vectors: npt.ArrayLike, k: int) -> tuple[Vectors, Ids]:
        """The k best of each probe: scores (B, min(k, N)), falling, and their ids; ties by lowest id.

        Exact kinds give what brute force gives. Others may miss some, and say how many in their description.
        """
        ...
