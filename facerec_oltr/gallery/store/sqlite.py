"""The truth of a gallery: one SQLite file, written in transactions.

Once a call has returned, what it wrote survives a killed process and a power cut (WAL, ``synchronous=FULL``).
Several processes may read and write at once; a connection is not carried across ``fork``.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.encryption import (
    KEY_VARIABLE,
    EncryptedVectors,
    Key,
    PlainVectors,
    VectorForm,
    decoded_vectors,
)
from facerec_oltr.gallery.records import (
    AuditEntry,
    Block,
    Calibration,
    Cohort,
    Delta,
    Enrolment,
    Finding,
    Fusion,
    GalleryFacts,
    GalleryState,
    NegativeFaces,
    NegativeRecord,
    NewNegative,
    NewTemplate,
    PersonRecord,
    PersonSummary,
    Receipt,
    RecordedEmbedder,
    TemplateRecord,
    Vectors,
)
from facerec_oltr.gallery.store.calibrations import calibration_of, calibration_row, forget_maxima, latest_calibration
from facerec_oltr.gallery.store.checking import check_file
from facerec_oltr.gallery.store.connection import one_line, open_file, transaction
from facerec_oltr.gallery.store.enrolling import enrol, iso_date
from facerec_oltr.gallery.store.erasure import (
    Erased,
    backups_holding,
    byte_traces,
    empty_journal,
    erase_negatives,
    erase_people,
    row_traces,
)
from facerec_oltr.gallery.store.following import follow
from facerec_oltr.gallery.store.made import copy_file, make_file
from facerec_oltr.gallery.store.rejecting import merge_negatives, negatives_by_photos, negatives_of, reject
from facerec_oltr.gallery.store.rows import (
    BY_PHOTO,
    OWNERS,
    AuditRow,
    BackupRow,
    CalibrationRow,
    CohortRow,
    IdentityRow,
    MetaRow,
    NegativeRow,
    TemplateRow,
    insert,
    read,
    read_meta,
    read_one,
    replace,
)
from facerec_oltr.gallery.store.writing import Writing

Clock = Callable[[], datetime]

_AT_ONCE = 1000  # numbers in one query


def _now() -> datetime:
    return datetime.now(UTC)


class SqliteStore:
    """An open gallery file: ``protocols.Store``. Make one with ``create`` or ``open``; close it with ``close``."""

    def __init__(self, path: Path, connection: sqlite3.Connection, clock: Clock, form: VectorForm) -> None:
        self._path = path
        self._connection = connection
        self._clock = clock
        self._form = form
        with self._reading() as db:
            self._dimensions = read_meta(db).dimensions

    @classmethod
    def create(
        cls,
        path: Path,
        embedder: RecordedEmbedder,
        fusion: Fusion = Fusion.MAX,
        *,
        clock: Clock = _now,
        key: Key | None = None,
    ) -> Self:
        """Make an empty gallery where no file is, complete from the moment it can be seen, and open it.

        Args:
            path: where; its folder is there.
            embedder: whose vectors it will hold.
            fusion: how the templates of an identity make one score.
            clock: what to date rows by.
            key: to encrypt its vectors with; None for plain ones.

        Raises:
            FileExistsError: there is a file already.
            GalleryError: the place cannot be written, or cryptography is not installed.
        """
        make_file(path, embedder, fusion, key, clock().isoformat())
        return cls.open(path, clock=clock, key=key)

    @classmethod
    def open(cls, path: Path, *, clock: Clock = _now, key: Key | None = None, readonly: bool = False) -> Self:
        """Open a gallery and migrate it if it is of an older version.

        Args:
            path: its file.
            clock: what to date rows by.
            key: its key, if it is encrypted. One from the environment is for those galleries that need one; one from
                a file is refused by a gallery that is not encrypted, lest somebody believe that it is.
            readonly: write nothing. Where the folder cannot be written either, what other processes write while
                this is open is not seen.

        Raises:
            GalleryError: no file, not a gallery, of a newer version, damaged, locked; no key or another.
        """
        connection = open_file(path, readonly=readonly, now=clock().isoformat())
        try:
            with transaction(connection, "DEFERRED", path) as db:
                form = _form(read_meta(db), key)
            return cls(path, connection, clock, form)
        except BaseException:
            connection.close()
            raise

    @property
    def path(self) -> Path:  # noqa: D102
        return self._path

    def close(self) -> None:  # noqa: D102
        self._connection.close()

    def facts(self) -> GalleryFacts:  # noqa: D102
        with self._reading() as db:
            m = read_meta(db)
        embedder = RecordedEmbedder(
            m.embedder, m.fingerprint, m.dimensions, m.size, m.source, m.detector, m.detector_fingerprint
        )
        return GalleryFacts(embedder, Fusion(m.fusion), m.created, m.serial, bool(m.encrypted))

    def state(self) -> GalleryState:  # noqa: D102
        with self._reading() as db:
            return _state(read_meta(db))

    def people(self) -> list[PersonSummary]:  # noqa: D102
        with self._reading() as db:
            counts = dict(db.execute("SELECT identity, count(*) FROM templates GROUP BY identity"))
            others = dict(db.execute("SELECT identity, count(*) FROM negatives GROUP BY identity"))
            return [
                _summary(row, counts.get(row.id, 0), others.get(row.id, 0))
                for row in read(db, IdentityRow, "ORDER BY id")
            ]

    def person(self, name: str) -> PersonRecord | None:  # noqa: D102
        with self._reading() as db:
            identity = read_one(db, IdentityRow, "WHERE name = ?", (name,))
            if identity is None:
                return None
            rows = list(read(db, TemplateRow, "WHERE identity = ? ORDER BY id", (identity.id,)))
            block = self._block(rows)
            others = negatives_of(db, identity.id)
            vectors = self._vectors(others)
        return PersonRecord(
            _summary(identity, len(rows), len(others)),
            tuple(_template(row, vector) for row, vector in zip(rows, block.vectors, strict=True)),
            tuple(_negative(row, vector) for row, vector in zip(others, vectors, strict=True)),
        )

    def names(self, identities: Sequence[int]) -> dict[int, str]:  # noqa: D102
        with self._reading() as db:
            return self._names(db, identities)

    def owner(self, photo_sha256: str) -> str | None:  # noqa: D102
        tail = f"WHERE id = (SELECT identity FROM templates WHERE {BY_PHOTO})"  # noqa: S608
        with self._reading() as db:
            identity = read_one(db, IdentityRow, tail, (photo_sha256,))
        return identity.name if identity else None

    def owners(self, photos: Sequence[str]) -> dict[str, str]:  # noqa: D102
        with self._reading() as db:
            owners = dict(db.execute(OWNERS, (json.dumps(list(photos)),)).fetchall())
            names = self._names(db, list(owners.values()))
        return {photo: names[identity] for photo, identity in owners.items()}

    def enrol(  # noqa: D102
        self,
        name: str,
        templates: Sequence[NewTemplate],
        *,
        consent: str | None = None,
        expires: str | None = None,
        replace: bool = False,
    ) -> list[Enrolment]:
        with self._writing() as writing:
            outcomes = enrol(writing, self._form, name, templates, consent=consent, expires=expires, replacing=replace)
        if replace:
            self._empty_journal_if_idle()
        return outcomes

    def erase(self, names: Sequence[str], *, prove: bool = True) -> Receipt:
        """Remove identities for good: templates, photos' hashes and paths, free pages, journal; all or none.

        Args:
            names: of people who are enrolled.
            prove: read all of the file afterwards to look for what was erased, seconds for each GB. Without, only
                the rows are counted, unless other processes keep the journal from being emptied: then the files are
                read anyway. Counts above 0 in places that end in ``-wal`` mean that another process still reads an
                older state; they go when it ends and the last process closes the gallery.
        """
        return self._erase("erase", lambda writing: erase_people(writing, names), prove)

    def reject(self, name: str, negatives: Sequence[NewNegative]) -> list[bool]:  # noqa: D102
        with self._writing() as writing:
            return reject(writing, self._form, name, negatives)

    def unreject(self, photos: Sequence[str], name: str | None = None, *, prove: bool = True) -> Receipt:  # noqa: D102
        def work(writing: Writing) -> Erased:
            whose = None if name is None else writing.known(name).id
            rows, erased = negatives_by_photos(writing.db, photos, whose), Erased()
            if not rows:
                who = "anybody" if name is None else repr(name)
                raise GalleryError(f"no face of these {len(photos)} photos is said not to be {who}; see: facerec "
                                   "gallery show")  # fmt: skip
            erase_negatives(writing, erased, rows)
            return erased

        return self._erase("unreject", work, prove)

    def negatives(self) -> NegativeFaces:  # noqa: D102
        with self._reading() as db:
            rows = list(read(db, NegativeRow, "ORDER BY identity, id"))
            return NegativeFaces(self._vectors(rows), np.array([row.identity for row in rows], np.int64))

    def negative_changes(self) -> int:  # noqa: D102
        with self._reading() as db:
            return read_meta(db).negative_changes

    def expired(self, today: str) -> list[str]:  # noqa: D102
        with self._reading() as db:
            return [row.name for row in read(db, IdentityRow, "WHERE expires <= ? ORDER BY id", (iso_date(today),))]

    def rename(self, old: str, new: str) -> None:  # noqa: D102
        with self._writing() as writing:
            identity = writing.known(old)
            if writing.identity(new) is not None:
                raise GalleryError(f"somebody is enrolled as {new!r} already; choose another name, or merge the two")
            replace(writing.db, identity._replace(name=new))
            writing.change()
            writing.note("rename", {"identities": 1})
        self._empty_journal_if_idle()

    def merge(self, source: str, into: str) -> int:  # noqa: D102
        with self._writing() as writing:
            if source == into:
                raise GalleryError(f"{source!r} cannot be merged into itself; give two names")
            one, other = writing.known(source), writing.known(into)
            templates = list(read(writing.db, TemplateRow, "WHERE identity = ? ORDER BY id", (one.id,)))
            writing.change()
            merge_negatives(writing, one.id, other.id)
            writing.move_templates(templates, other.id)
            writing.remove_identity(one.id)
            writing.note("merge", {"identities": 2, "templates": len(templates)})
        self._empty_journal_if_idle()
        return len(templates)

    def follow(self, changes: int, last_template: int) -> Delta | None:  # noqa: D102
        with self._reading() as db:
            return follow(db, read_meta(db), changes, last_template)

    def blocks(self, after: int, up_to: int, *, rows: int = 65_536) -> Iterator[Block]:  # noqa: D102
        tail = f"WHERE id > ? AND id <= ? ORDER BY id LIMIT {int(rows)}"
        while True:
            with self._reading() as db:
                block = self._block(list(read(db, TemplateRow, tail, (after, up_to))))
            if not len(block.templates):
                return
            yield block
            after = int(block.templates[-1])

    def templates_of(self, identities: Sequence[int]) -> Block:  # noqa: D102
        with self._reading() as db:
            found = [
                row
                for some in _some_at_once(identities)
                for row in read(db, TemplateRow, f"WHERE identity IN ({some})")
            ]
            return self._block(sorted(found))

    def save_calibration(self, calibration: Calibration) -> None:  # noqa: D102
        with self._writing() as writing:
            number = writing.db.execute("SELECT coalesce(max(id), 0) + 1 FROM calibrations").fetchone()[0]
            row = calibration_row(number, calibration)
            forget_maxima(writing.db, row)
            insert(writing.db, [row])
            facts = {"target_fpir": row.target_fpir, "strangers": row.strangers, "searches": row.searches}
            writing.note("calibrate", facts)

    def calibration(self, target_fpir: float | None = None, rule: str | None = None) -> Calibration | None:  # noqa: D102
        with self._reading() as db:
            return latest_calibration(db, target_fpir, rule)

    def calibrations(self) -> list[Calibration]:  # noqa: D102
        with self._reading() as db:
            return [calibration_of(row) for row in read(db, CalibrationRow, "ORDER BY id")]

    def save_cohort(self, cohort: Cohort) -> None:  # noqa: D102
        vectors = np.asarray(cohort.vectors, np.float32)
        if vectors.shape != (len(cohort.hashes), self._dimensions) or len(cohort.people) != len(cohort.hashes):
            raise GalleryError(
                f"{self._path}: a cohort of {vectors.shape} vectors, {len(cohort.people)} people and "
                f"{len(cohort.hashes)} hashes; expected as many of each, of {self._dimensions} dimensions"
            )
        faces = zip(cohort.people, vectors, cohort.hashes, strict=True)
        with self._writing() as writing:
            writing.db.execute("DELETE FROM cohort")
            insert(
                writing.db,
                [CohortRow(n, int(p), self._form.write(v, photo), photo) for n, (p, v, photo) in enumerate(faces, 1)],
            )
            writing.note("calibrate", {"cohort": len(vectors)})
        self._empty_journal_if_idle()

    def cohort(self) -> Cohort | None:  # noqa: D102
        with self._reading() as db:
            rows = list(read(db, CohortRow, "ORDER BY id"))
            if not rows:
                return None
            vectors = self._vectors(rows)
        return Cohort(vectors, np.array([r.person for r in rows], np.int64), tuple(r.photo_sha256 for r in rows))

    def audit(self) -> list[AuditEntry]:  # noqa: D102
        with self._reading() as db:
            rows = list(read(db, AuditRow, "ORDER BY id"))
        return [AuditEntry(row.id, row.moment, row.action, json.loads(row.facts), row.chained) for row in rows]

    def note(self, action: str, facts: Mapping[str, Any]) -> AuditEntry:  # noqa: D102
        with self._writing() as writing:
            return writing.note(action, facts)

    def check(self) -> list[Finding]:  # noqa: D102
        findings: list[Finding] = []
        try:
            with self._reading() as db:
                for finding in check_file(db, self._form):
                    findings.append(finding)  # noqa: PERF402 - those before an error are kept
        except GalleryError:
            if not findings:  # else they say it better: SQLite will not even end a transaction on such a file
                raise
        return findings

    def backup(self, to: Path) -> None:
        """Write a whole copy to a place where nothing is, and remember that it was made.

        The copy opens as a gallery, with the same key and a serial of its own.
        """

        def remember() -> None:
            with self._writing() as writing:
                number = writing.db.execute("SELECT coalesce(max(id), 0) + 1 FROM backups").fetchone()[0]
                m = writing.meta
                place = str(to.resolve())
                held = (m.last_identity, m.last_template, m.last_negative)
                insert(writing.db, [BackupRow(number, place, writing.when, *held)])
                writing.note("backup", {"identities": m.identities, "templates": m.templates})

        try:
            copy_file(self._connection, to, remember)
        except FileExistsError as error:
            raise GalleryError(
                f"{to}: there is a file already, and a backup replaces none; give another name"
            ) from error

    def _erase(self, action: str, work: Callable[[Writing], Erased], prove: bool) -> Receipt:
        with self._writing() as writing:
            before = writing.state
            erased = work(writing)
            backups = backups_holding(writing.db, erased)
            people, templates, negatives = map(len, (erased.identities, erased.templates, erased.negatives))
            entry = writing.note(action, {"identities": people, "templates": templates, "negatives": negatives})
            after = writing.state
        with one_line(self._path):
            emptied = empty_journal(self._connection)
            traces = {"rows": row_traces(self._connection, erased)}
            if prove or not emptied:
                traces.update(byte_traces(self._connection, self._path, erased))
        return Receipt(entry.when, people, templates, before, after, traces, backups, entry.chained, negatives)

    @staticmethod
    def _names(db: sqlite3.Connection, identities: Sequence[int]) -> dict[int, str]:
        return {
            row.id: row.name
            for some in _some_at_once(identities)
            for row in read(db, IdentityRow, f"WHERE id IN ({some})")
        }

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with transaction(self._connection, "DEFERRED", self._path) as db:
            yield db

    @contextmanager
    def _writing(self) -> Iterator[Writing]:
        with transaction(self._connection, "IMMEDIATE", self._path) as db:
            writing = Writing(db, self._clock().isoformat())
            yield writing
            writing.finish()

    def _empty_journal_if_idle(self) -> None:
        """What was erased on the way goes from the journal now, if nobody reads; else with the last close."""
        with one_line(self._path):
            empty_journal(self._connection, patience=0)

    def _block(self, rows: Sequence[TemplateRow]) -> Block:
        return Block(
            np.array([row.id for row in rows], np.int64),
            np.array([row.identity for row in rows], np.int64),
            self._vectors(rows),
            np.array([row.quality for row in rows], np.float64),
        )

    def _vectors(self, rows: Sequence[TemplateRow] | Sequence[NegativeRow] | Sequence[CohortRow]) -> Vectors:
        return decoded_vectors([self._form.read(row.vector, row.photo_sha256) for row in rows], self._dimensions)


def _form(meta: MetaRow, key: Key | None) -> VectorForm:
    if not meta.encrypted:
        if key is not None and key.source != KEY_VARIABLE:
            raise GalleryError(
                f"not encrypted, yet a key was given ({key.source}); leave it out, or make an encrypted gallery "
                "and import this one"
            )
        return PlainVectors(meta.dimensions)
    if key is None:
        raise GalleryError(f"encrypted; give its key, as a file or in {KEY_VARIABLE}")
    form = EncryptedVectors(key, meta.origin, meta.dimensions)
    if not form.knows(meta.key_check or b""):
        raise GalleryError(f"encrypted with another key than {key.source}; give the one it was made with")
    return form


def _state(meta: MetaRow) -> GalleryState:
    return GalleryState(meta.changes, meta.identities, meta.templates)


def _summary(row: IdentityRow, templates: int, negatives: int) -> PersonSummary:
    return PersonSummary(row.id, row.name, templates, row.created, row.expires, row.consent, negatives)


def _template(row: TemplateRow, vector: Any) -> TemplateRecord:
    details = json.loads(row.details)
    return TemplateRecord(row.id, row.photo_sha256, row.photo_path, row.quality, details, row.created, vector)


def _negative(row: NegativeRow, vector: Any) -> NegativeRecord:
    return NegativeRecord(row.id, row.photo_sha256, row.photo_path, row.face, row.created, vector)


def _some_at_once(numbers: Sequence[int]) -> Iterator[str]:
    """Lists of numbers for SQL, none of them too long and none of them anything but numbers."""
    unique = sorted({int(number) for number in numbers})
    for start in range(0, len(unique), _AT_ONCE):
        yield ", ".join(map(str, unique[start : start + _AT_ONCE]))
