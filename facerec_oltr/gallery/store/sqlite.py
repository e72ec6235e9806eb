"""The truth of a gallery: one SQLite file, written in transactions.

Once a call has returned, what it wrote survives a killed process and a power cut (WAL, ``synchronous=FULL``).
Several processes may read and write at once; a connection is not carried across ``fork``.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.encryption import (
    Key,
)
from facerec_oltr.gallery.records import (
    Enrolment,
    Finding,
    Fusion,
    NewNegative,
    NewTemplate,
    Receipt,
    RecordedEmbedder,
)
from facerec_oltr.gallery.store.checking import check_file
from facerec_oltr.gallery.store.connection import one_line, open_file, transaction
from facerec_oltr.gallery.store.enrolling import enrol
from facerec_oltr.gallery.store.erasure import (
    Erased,
    backups_holding,
    byte_traces,
    empty_journal,
    erase_negatives,
    erase_people,
    row_traces,
)
from facerec_oltr.gallery.store.kept import Kept
from facerec_oltr.gallery.store.made import copy_file, make_file
from facerec_oltr.gallery.store.open_file import Clock, form_of
from facerec_oltr.gallery.store.people import People
from facerec_oltr.gallery.store.rejecting import merge_negatives, negatives_by_photos, reject
from facerec_oltr.gallery.store.rows import (
    BackupRow,
    TemplateRow,
    insert,
    read,
    read_meta,
    replace,
)
from facerec_oltr.gallery.store.writing import Writing


def _now() -> datetime:
    return datetime.now(UTC)


class SqliteStore(People, Kept):
    """An open gallery file: ``protocols.Store``. Make one with ``create`` or ``open``; close it with ``close``."""

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
                form = form_of(read_meta(db), key)
            return cls(path, connection, clock, form)
        except BaseException:
            connection.close()
            raise

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
