"""A gallery: who is enrolled, and who a probe looks like.

The store is the truth; the index is derived from it and follows what other processes write. The score of an identity
is fused over its templates before identities are ranked.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from facerec_oltr.embedder import EmbedderFacts
from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.encryption import Key
from facerec_oltr.gallery.index import Derived
from facerec_oltr.gallery.protocols import Store
from facerec_oltr.gallery.records import (
    NO_DETECTOR,
    AuditEntry,
    Block,
    Calibration,
    Candidate,
    Cohort,
    Enrolment,
    Finding,
    Fusion,
    GalleryState,
    Ids,
    NegativeFaces,
    NewNegative,
    NewTemplate,
    PersonRecord,
    PersonSummary,
    Receipt,
    RecordedEmbedder,
    Vectors,
)
from facerec_oltr.gallery.refusing import Found, Search, search_respecting
from facerec_oltr.gallery.store import Clock, SqliteStore
from facerec_oltr.metrics.impostors import ImpostorSearches, leave_one_out

_UNIT = 1e-3  # how far from 1 the length of a vector may be


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


class Gallery:
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
        self._store = store
        self._clock = clock
        self.readonly = readonly
        self.path = store.path
        self.facts = facts = store.facts()
        # Where vectors are encrypted they are not written down in clear beside it either.
        folder = None if facts.encrypted else self.path.with_name(f"{self.path.name}.index")
        self._derived = Derived(facts.serial, facts.embedder.dimensions, facts.fusion, folder, index)
        self._negatives: tuple[int, NegativeFaces] | None = None

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

    @property
    def store(self) -> Store:
        """The truth, for what is asked of it alone."""
        return self._store

    @property
    def index(self) -> Derived:
        """The search index, for what is asked of it alone."""
        return self._derived

    @property
    def embedder(self) -> RecordedEmbedder:
        """The embedder it was made with; vectors of another cannot be compared with its own."""
        return self.facts.embedder

    def check_embedder(self, embedder: EmbedderFacts) -> None:
        """Refuse an embedder or a detector that did not make this gallery: its vectors mean something else."""
        given, mine = recorded(embedder), self.embedder
        if (given.fingerprint, given.dimensions) != (mine.fingerprint, mine.dimensions):
            raise GalleryError(
                f"{self.path}: made with embedder {mine}, not with {given}; "
                "give the model it was made with, or enrol into a new gallery"
            )
        if given.detector_fingerprint != mine.detector_fingerprint:
            raise GalleryError(
                f"{self.path}: its faces were found by {_detector(mine)}, not by {_detector(given)}, and lie "
                "differently in their crops; give the detector it was made with, or enrol into a new gallery"
            )

    def check_fusion(self, fusion: Fusion | None) -> None:
        """Refuse another fusion than the gallery was made with; None is any."""
        if fusion is not None and self.facts.fusion != fusion:
            raise GalleryError(
                f"{self.path}: fuses templates by {self.facts.fusion}, not by {fusion}; leave it out, or make a new "
                "gallery"
            )

    def identities(self) -> dict[str, int]:
        """How many templates each name has, in order of enrolment."""
        return {person.name: person.templates for person in self.people()}

    def people(self) -> list[PersonSummary]:
        """Everybody, in order of enrolment."""
        return self._store.people()

    def person(self, name: str) -> PersonRecord:
        """All that is held on somebody.

        Raises:
            GalleryError: nobody is enrolled under this name.
        """
        record = self._store.person(_text(name))
        if record is None:
            raise self._nobody(name)
        return record

    def owner(self, photo_sha256: str) -> str | None:
        """Under which name a photo is enrolled, if it is."""
        return self._store.owner(photo_sha256)

    def owners(self, photos: Sequence[str]) -> dict[str, str]:
        """Under which names photos are enrolled, by digest, in one query; those that are not are left out."""
        return self._store.owners(photos)

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
            _text(name),
            [replace(t, photo_path=_text(t.photo_path)) for t in templates],
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
        kept = [replace(n, photo_path=_text(n.photo_path)) for n in negatives]
        return self._store.reject(self.person(name).summary.name, kept)

    def unreject(self, photos: Sequence[str], name: str | None = None, *, prove: bool = True) -> Receipt:
        """Remove such faces for good, by the digests of their photos, of one person or of everybody.

        Raises:
            GalleryError: nobody has the name, or there is no such face.
        """
        whose = None if name is None else self.person(name).summary.name
        return self._store.unreject(photos, whose, prove=prove)

    def negatives(self) -> NegativeFaces:
        """All faces that are said not to be somebody."""
        counter = self._store.negative_changes()
        if self._negatives is None or self._negatives[0] != counter:
            # The counter is older than the faces at most: then they are read once more at the next search.
            self._negatives = counter, self._store.negatives()
        return self._negatives[1]

    def expired(self, today: date | None = None) -> list[str]:
        """Whose day has come."""
        return self._store.expired((today or self._clock().date()).isoformat())

    def rename(self, old: str, new: str) -> None:
        """Give somebody another name, which nobody has."""
        if not new.strip():
            raise GalleryError("a name must not be empty")
        self._store.rename(self.person(old).summary.name, _text(new))

    def merge(self, source: str, into: str) -> int:
        """Give one person's templates to another and remove the first; returns how many templates moved."""
        return self._store.merge(self.person(source).summary.name, self.person(into).summary.name)

    def state(self) -> GalleryState:
        """The size now, and the counter that every change raises."""
        return self._store.state()

    def search(self, vectors: npt.ArrayLike, k: int = 2) -> list[list[Candidate]]:
        """The k identities most like each probe, best first; fewer where fewer are enrolled.

        Args:
            vectors: (B, D), of length 1.
            k: how many identities, at least 1.

        Returns:
            One list a probe; equal scores in order of enrolment. Candidates that a negative refuses stand among them,
            marked, and do not count as one of the k.
        """

        def cosines(probes: Vectors, depth: int) -> tuple[Vectors, Vectors, Ids]:
            scores, identities = self.search_numbers(probes, depth)
            return scores, scores, identities

        return self.search_by(cosines, vectors, k)

    def search_by(self, search: Search, vectors: npt.ArrayLike, k: int) -> list[list[Candidate]]:
        """The same by another search, whose scores need not be cosines."""
        return self._named(search_respecting(search, self._checked(vectors), k, self.negatives()))

    def _named(self, answers: Sequence[Found]) -> list[list[Candidate]]:
        names = self._store.names(list({identity for found in answers for identity, _, _ in found}))
        return [
            # Somebody who was erased between the search and the question for names is not a candidate any more.
            [Candidate(names[identity], score, negative) for identity, score, negative in found if identity in names]
            for found in answers
        ]

    def search_numbers(self, vectors: npt.ArrayLike, k: int) -> tuple[Vectors, Ids]:
        """Scores (B, K) and numbers of identities (B, K), best first, as though there were no negatives."""
        vectors = self._checked(vectors)
        self._derived.refresh(self._store)
        return self._derived.search(vectors, k)

    def search_others(self, vectors: Vectors, identities: Ids) -> ImpostorSearches:
        """Templates (n, D) of enrolled people (n,), each searched among everybody else.

        Raises:
            MetricError: the templates are of fewer than two people.
        """
        return leave_one_out(
            vectors,
            identities,
            search=lambda vectors: self.search_numbers(vectors, 2),
            rng=np.random.default_rng(),  # nothing is left to draw
        )

    def drawn(self, most_people: int, seed: int = 0) -> Block:
        """The templates of so many people at most, drawn by a seed."""
        people = self.people()
        drawn = np.random.default_rng(seed).permutation(len(people))[:most_people]
        return self._store.templates_of([people[i].number for i in drawn])

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

    def _nobody(self, name: str) -> GalleryError:
        near = difflib.get_close_matches(name, self.identities(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return GalleryError(f"{self.path}: nobody is enrolled as {name!r}{hint}")

    def _checked(self, vectors: npt.ArrayLike | Sequence[Vectors]) -> Vectors:
        vectors = np.asarray(vectors, np.float32)
        dimensions = self.embedder.dimensions
        if vectors.size == 0 and len(vectors) == 0:
            return vectors.reshape(0, dimensions)
        if vectors.ndim != 2 or vectors.shape[1] != dimensions:
            raise GalleryError(f"{self.path}: vectors have shape {vectors.shape}, expected (n, {dimensions})")
        lengths = np.linalg.norm(vectors, axis=1)
        wrong = lengths[~(np.abs(lengths - 1) <= _UNIT)]
        if len(wrong):
            raise GalleryError(f"{self.path}: a vector has length {wrong[0]:.4g}, expected 1; normalise it")
        return vectors


def recorded(embedder: EmbedderFacts) -> RecordedEmbedder:
    """What a gallery remembers of an embedder, and of the detector that finds faces for it where there is one."""
    if isinstance(embedder, RecordedEmbedder):
        return embedder
    return RecordedEmbedder(
        embedder.name,
        embedder.fingerprint,
        embedder.dimensions,
        embedder.size,
        embedder.source,
        getattr(embedder, "detector_source", NO_DETECTOR),
        getattr(embedder, "detector_fingerprint", ""),
    )


def _detector(embedder: RecordedEmbedder) -> str:
    return "nobody: photos were aligned crops" if embedder.detector == NO_DETECTOR else embedder.detector


def _text(raw: str) -> str:
    # A file name that is not valid UTF-8 reaches Python with surrogates, which SQLite cannot hold.
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
