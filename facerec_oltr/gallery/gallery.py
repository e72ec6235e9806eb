"""A gallery: who is enrolled, and who a probe looks like.

The store is the truth; the index is derived from it and follows what other processes write. The score of an identity
is fused over its templates before identities are ranked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np

from facerec_oltr.embedder import EmbedderFacts
from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.encryption import Key
from facerec_oltr.gallery.made_by import check_made_by, recorded
from facerec_oltr.gallery.protocols import Store
from facerec_oltr.gallery.records import (
    AuditEntry,
    Calibration,
    Cohort,
    Enrolment,
    Finding,
    Fusion,
    NewNegative,
    NewTemplate,
    Receipt,
)
from facerec_oltr.gallery.searched import Searched, plain_text
from facerec_oltr.gallery.store import Clock, SqliteStore


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


class Gallery(Searched):
    """An open gallery, and a context manager. Get one by ``create``, ``open`` or ``open_or_create``.

    Each process and each thread opens its own.

    Args:
        store: the truth.
        clock: what to date by.
        index: the kind of index; by size if None.
        readonly: nothing is to be written.

    Attributes:
        path: its file.
        readonly: whether nothing can be written.
        facts: what it is from its beginning to its end, its embedder above all.
    """

    def __init__(self, store: Store, clock: Clock = now, *, index: str | None = None, readonly: bool = False) -> None:
        super().__init__(store, index)
        self._clock = clock
        self.readonly = readonly

    @classmethod
    def create(
        cls,
        path: str | Path,
        embedder: EmbedderFacts,
        *,
        fusion: Fusion = Fusion.MAX,
        key: Key | None = None,
        clock: Clock = now,
        index: str | None = None,
    ) -> Self:
        """Make an empty gallery for this embedder.

        Raises:
            GalleryError: there is a file already, or the place cannot be written.
        """
        path = Path(path)
        try:
            store = SqliteStore.create(path, recorded(embedder), fusion, clock=clock, key=key)
        except FileExistsError as error:
            raise GalleryError(f"{path}: there is a file already; open it or choose another name") from error
        return cls(store, clock, index=index)

    @classmethod
    def open(
        cls,
        path: str | Path,
        embedder: EmbedderFacts | None = None,
        *,
        key: Key | None = None,
        clock: Clock = now,
        index: str | None = None,
        readonly: bool = False,
    ) -> Self:
        """Open a gallery.

        Args:
            path: its file.
            embedder: the embedder at hand, if there is one; another than the gallery's is refused.
            key: of its encryption, if it has one.
            clock: what to date new rows by.
            index: the kind of index; by size if None.
            readonly: nothing is to be written.

        Raises:
            GalleryError: no file, not a gallery, of a newer version, damaged, locked, of another embedder or key.
        """
        store = SqliteStore.open(Path(path), clock=clock, key=key, readonly=readonly)
        try:
            gallery = cls(store, clock, index=index, readonly=readonly)
            if embedder is not None:
                gallery.check_embedder(embedder)
        except BaseException:
            store.close()
            raise
        return gallery

    @classmethod
    def open_or_create(
        cls,
        path: str | Path,
        embedder: EmbedderFacts,
        *,
        fusion: Fusion | None = None,
        key: Key | None = None,
        clock: Clock = now,
        index: str | None = None,
    ) -> Self:
        """Open a gallery, or make it where there is none; safe if several processes do so at once.

        Raises:
            GalleryError: as ``create`` and ``open``, or it is there and fuses templates in another way.
        """
        if not Path(path).exists():
            try:
                store = SqliteStore.create(Path(path), recorded(embedder), fusion or Fusion.MAX, clock=clock, key=key)
                return cls(store, clock, index=index)
            except FileExistsError:
                pass  # another process was faster: its gallery is as good
        gallery = cls.open(path, embedder, key=key, clock=clock, index=index)
        try:
            gallery.check_fusion(fusion)
        except BaseException:
            gallery.close()
            raise
        return gallery

    def close(self) -> None:
        """Close the file."""
        self._derived.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check_embedder(self, embedder: EmbedderFacts) -> None:
        """Refuse an embedder or a detector that did not make this gallery: its vectors mean something else."""
        check_made_by(self.path, self.embedder, embedder)

    def check_fusion(self, fusion: Fusion | None) -> None:
        """Refuse another fusion than the gallery was made with; None is any."""
        if fusion is not None and self.facts.fusion != fusion:
            raise GalleryError(
                f"{self.path}: fuses templates by {self.facts.fusion}, not by {fusion}; leave it out, or make a new "
                "gallery"
            )

    def enrol(
        self,
        name: str,
        templates: Sequence[NewTemplate],
        *,
        consent: str | None = None,
        expires: date | None = None,
        replace_others: bool = False,
    ) -> list[Enrolment]:
        """Add templates to a name, all or none; when this returns they are on disk.

        A photo that is enrolled already is not enrolled again, and not moved if it stands under another name. One that
        is said not to be this person is not enrolled as them.
        A name all of whose photos stand elsewhere is not added.

        Args:
            name: any text, not empty.
            templates: in order; paths may be any file name.
            consent: a reference to the consent that this rests on, kept in place of an earlier one.
            expires: the day from which ``expired`` names this identity, kept in place of an earlier one.
            replace_others: the name has exactly these templates afterwards.

        Returns:
            What became of each, in order.
        """
        if not name.strip():
            raise GalleryError("a name must not be empty")
        self._checked([t.vector for t in templates])
        return self._store.enrol(
            plain_text(name),
            [replace(t, photo_path=plain_text(t.photo_path)) for t in templates],
            consent=consent,
            expires=expires.isoformat() if expires else None,
            replace=replace_others,
        )

    def erase(self, *names: str, prove: bool = True) -> Receipt:
        """Remove identities for good, from the store and from the index, and prove it.

        Args:
            names: whom.
            prove: search all files for what was erased; reads all of them.

        Raises:
            GalleryError: nobody is enrolled under one of the names; nothing is removed then.
        """
        people = [self.person(name) for name in names]
        vectors = np.array([t.vector for person in people for t in person.templates], np.float32)
        receipt = self._store.erase([person.summary.name for person in people], prove=prove)
        self._derived.refresh(self._store)
        traces = dict(receipt.traces)
        if prove:
            traces |= {"index": self._derived.traces(vectors.reshape(-1, self.embedder.dimensions))}
        return replace(receipt, traces=traces)

    def reject(self, name: str, negatives: Sequence[NewNegative]) -> list[bool]:
        """Keep faces of which somebody says that they are not this person, all or none.

        See ``gallery.refusing`` for what follows from them, and ``facerec_oltr.reject`` for what it may cost.

        Returns:
            Whether each is new.

        Raises:
            GalleryError: nobody has the name, or one of the photos is enrolled under it by the same face.
        """
        self._checked([n.vector for n in negatives])
        kept = [replace(n, photo_path=plain_text(n.photo_path)) for n in negatives]
        return self._store.reject(self.person(name).summary.name, kept)

    def unreject(self, photos: Sequence[str], name: str | None = None, *, prove: bool = True) -> Receipt:
        """Remove such faces for good, by the digests of their photos, of one person or of everybody.

        Raises:
            GalleryError: nobody has the name, or there is no such face.
        """
        whose = None if name is None else self.person(name).summary.name
        return self._store.unreject(photos, whose, prove=prove)

    def expired(self, today: date | None = None) -> list[str]:
        """Whose day has come."""
        return self._store.expired((today or self._clock().date()).isoformat())

    def rename(self, old: str, new: str) -> None:
        """Give somebody another name, which nobody has."""
        if not new.strip():
            raise GalleryError("a name must not be empty")
        self._store.rename(self.person(old).summary.name, plain_text(new))

    def merge(self, source: str, into: str) -> int:
        """Give one person's templates to another and remove the first; returns how many templates moved."""
        return self._store.merge(self.person(source).summary.name, self.person(into).summary.name)

    def save_calibration(self, calibration: Calibration) -> None:
        """Keep a threshold with all that it holds for."""
        self._store.save_calibration(calibration)

    def calibration(self, target_fpir: float | None = None, rule: str | None = None) -> Calibration | None:
        """The latest calibration, or the latest for this target and this score rule; None where there is none."""
        return self._store.calibration(target_fpir, rule)

    def calibrations(self) -> list[Calibration]:
        """All calibrations, the latest last; see ``Calibration.maxima`` of those before."""
        return self._store.calibrations()

    def is_stale(self, calibration: Calibration) -> bool:
        """Whether templates were added or removed since: the FPIR then differs from what was measured."""
        return calibration.state.changes != self.state().changes

    def save_cohort(self, cohort: Cohort) -> None:
        """Keep faces of people who are not enrolled, in place of earlier ones."""
        self._checked(cohort.vectors)
        self._store.save_cohort(cohort)

    def cohort(self) -> Cohort | None:
        """The faces of people who are not enrolled, if they were kept."""
        return self._store.cohort()

    def timestamp(self) -> str:
        """The present moment as its rows are dated."""
        return self._clock().isoformat()

    def note(self, action: str, facts: Mapping[str, Any]) -> AuditEntry:
        """Add an entry to the audit trail: counts, never who it is about."""
        return self._store.note(action, facts)

    def audit(self) -> list[AuditEntry]:
        """The audit trail, oldest first."""
        return self._store.audit()

    def check(self) -> list[Finding]:
        """All that is wrong with store and index, found by reading all of them."""
        found = self._store.check()
        if not found:  # an index is compared with what is known to be whole
            self._derived.refresh(self._store)
            found = self._derived.check(self._store)
        return found

    def backup(self, to: str | Path) -> None:
        """Write a whole copy of the store to a place where nothing is; the index is made anew from it."""
        self._store.backup(Path(to))
