"""The truth of a gallery: one SQLite file, written in transactions.

Once a call has returned, what it wrote survives a killed process and a power cut (WAL, ``synchronous=FULL``).
Several processes may read and write at once; a connection is not carried across ``fork``.
"""

import os
import sqlite3
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from facerec_oltr.embedder import EmbedderFacts
from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.migrations import APPLICATION_ID, migrate
from facerec_oltr.gallery.records import (
    Calibration,
    Enrolment,
    GalleryState,
    Outcome,
    RecordedEmbedder,
)
from recordio_tools.whole import flush_folder

Clock = Callable[[], datetime]

_BUSY_SECONDS = 30.0


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What a search index needs to follow the store.

    Attributes:
        state: size and change counter.
        names: name by identity number.
        owners: identity number by template number, of all templates, in rising order.
        vectors: (n, D) of the templates asked for, in the same order.
    """

    state: GalleryState
    names: dict[int, str]
    owners: dict[int, int]
    vectors: npt.NDArray[np.float32]


class Store:
    """An open gallery file. Make one with ``Store.create`` or ``Store.open``; close it with ``close``."""

    def __init__(self, path: Path, connection: sqlite3.Connection, clock: Clock) -> None:
        self.path = path
        self._connection = connection
        self._clock = clock

    @classmethod
    def create(cls, path: Path, embedder: EmbedderFacts, clock: Clock) -> Self:
        """Make an empty gallery where no file is, complete from the moment it can be seen, and open it.

        Raises:
            FileExistsError: there is a file already.
            GalleryError: the place cannot be written.
        """
        facts = (embedder.name, embedder.fingerprint, embedder.dimensions, embedder.size, embedder.source)
        try:
            with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
                part = Path(folder) / "new"
                connection = _connect(part, "rwc")
                try:
                    connection.execute("PRAGMA journal_mode = WAL")  # stays with the file
                    migrate(connection)
                    connection.execute(
                        "INSERT INTO meta (only_row, embedder, fingerprint, dimensions, size, source, created) "
                        "VALUES (1, ?, ?, ?, ?, ?, ?)",
                        (*facts, clock().isoformat()),
                    )
                finally:
                    connection.close()
                os.link(part, path)  # unlike a rename it never replaces a gallery made in the meantime
        except FileExistsError:
            raise
        except (OSError, sqlite3.Error) as error:
            why = getattr(error, "strerror", None) or error
            raise GalleryError(f"{path}: cannot create a gallery here ({why}); look at its folder") from error
        flush_folder(path.parent)
        return cls.open(path, clock)

    @classmethod
    def open(cls, path: Path, clock: Clock) -> Self:
        """Open a gallery and migrate it if it is of an older version.

        Raises:
            GalleryError: no file, not a gallery, of a newer version, damaged or locked.
        """
        if not path.is_file():
            raise GalleryError(f"{path}: no such gallery; make one with: facerec enroll --gallery {path} ...")
        with _one_line(path):
            connection = _connect(path, "rw")
            try:
                if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                    raise GalleryError("an SQLite file, but not a gallery; give the file that facerec enroll made")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA foreign_keys = ON")
                # A removed face is overwritten, not just unlinked.
                connection.execute("PRAGMA secure_delete = ON")
                migrate(connection)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection, clock)

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards."""
        self._connection.close()

    def embedder(self) -> RecordedEmbedder:
        """The embedder whose vectors the gallery holds."""
        with self._transaction("DEFERRED") as db:
            row = db.execute("SELECT embedder, fingerprint, dimensions, size, source FROM meta").fetchone()
        if row is None:
            raise GalleryError(f"{self.path}: the gallery does not say which embedder made it; it is damaged")
        return RecordedEmbedder(*row)

    def state(self) -> GalleryState:
        """The size now, and the counter that every enrolment and removal raises."""
        with self._transaction("DEFERRED") as db:
            return _state(db)

    def template_counts(self) -> dict[str, int]:
        """How many templates each name has, in order of enrolment."""
        with self._transaction("DEFERRED") as db:
            return dict(
                db.execute(
                    "SELECT name, count(templates.id) FROM identities "
                    "LEFT JOIN templates ON identity = identities.id "
                    "GROUP BY identities.id ORDER BY identities.id"
                )
            )

    def owner(self, photo_sha256: str) -> str | None:
        """Under which name a photo is enrolled, if it is."""
        with self._transaction("DEFERRED") as db:
            return _owner(db, photo_sha256)

    def enrol(
        self,
        name: str,
        vectors: npt.NDArray[np.float32],
        hashes: Sequence[str],
        paths: Sequence[str],
    ) -> list[Enrolment]:
        """Add templates to a name in one transaction; photos enrolled already stay where they are."""
        now = self._clock().isoformat()
        enrolments = []
        with self._transaction("IMMEDIATE") as db:
            for vector, photo, path in zip(vectors, hashes, paths, strict=True):
                owner = _owner(db, photo)
                if owner is not None:
                    enrolments.append(Enrolment(Outcome.ALREADY if owner == name else Outcome.OTHER, owner))
                    continue
                db.execute("INSERT OR IGNORE INTO identities (name, created) VALUES (?, ?)", (name, now))
                blob = vector.astype("<f4").tobytes()
                db.execute(
                    "INSERT INTO templates (identity, vector, checksum, photo_sha256, photo_path, created) "
                    "SELECT id, ?, ?, ?, ?, ? FROM identities WHERE name = ?",
                    (blob, zlib.crc32(blob), photo, path, now, name),
                )
                enrolments.append(Enrolment(Outcome.ENROLLED, name))
            if any(e.outcome is Outcome.ENROLLED for e in enrolments):
                db.execute("UPDATE meta SET changes = changes + 1")
        return enrolments

    def remove(self, name: str) -> int | None:
        """Remove a name and its templates; how many these were, or None where the name is not there."""
        with self._transaction("IMMEDIATE") as db:
            row = db.execute("SELECT id FROM identities WHERE name = ?", (name,)).fetchone()
            if row is None:
                return None
            removed = db.execute("DELETE FROM templates WHERE identity = ?", row).rowcount
            db.execute("DELETE FROM identities WHERE id = ?", row)
            db.execute("UPDATE meta SET changes = changes + 1")
            return removed

    def load(self, after: int, dimensions: int) -> Snapshot:
        """One consistent picture of the gallery, with the vectors of the templates numbered above ``after``.

        Raises:
            GalleryError: a vector does not fit its checksum.
        """
        with self._transaction("DEFERRED") as db:
            state = _state(db)
            names = dict(db.execute("SELECT id, name FROM identities"))
            owners = dict(db.execute("SELECT id, identity FROM templates ORDER BY id"))
            rows = db.execute("SELECT id, vector, checksum FROM templates WHERE id > ? ORDER BY id", (after,))
            blobs = [_intact(t, blob, checksum, dimensions) for t, blob, checksum in rows]
        return Snapshot(state, names, owners, np.frombuffer(b"".join(blobs), "<f4").reshape(-1, dimensions))

    def save_calibration(self, calibration: Calibration) -> None:
        """Add a calibration; older ones stay."""
        c = calibration
        facts = {
            "target_fpir": c.target_fpir,
            "threshold": c.threshold,
            "achieved_fpir": c.achieved_fpir,
            "measurable": c.measurable,
            "strangers": c.strangers,
            "searches": c.searches,
            "changes": c.state.changes,
            "identities": c.state.identities,
            "templates": c.state.templates,
            "policy": c.policy,
            "created": c.created,
        }
        columns, places = ", ".join(facts), ", ".join("?" * len(facts))
        with self._transaction("IMMEDIATE") as db:
            db.execute(
                f"INSERT INTO calibrations ({columns}) VALUES ({places})",  # noqa: S608
                tuple(facts.values()),
            )

    def calibrations(self) -> list[Calibration]:
        """All calibrations, the latest last."""
        with self._transaction("DEFERRED") as db:
            rows = db.execute("SELECT * FROM calibrations ORDER BY id").fetchall()
        return [_calibration(row) for row in rows]

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[sqlite3.Connection]:
        """A transaction: DEFERRED sees one state throughout, IMMEDIATE also keeps other writers out."""
        with _one_line(self.path):
            self._connection.execute(f"BEGIN {kind}")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    # Opened as a URI, because a plain path would be created where it is missing.
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Say of which file an error speaks, and in this package's terms."""
    try:
        yield
    except GalleryError as error:
        raise GalleryError(f"{path}: {error}") from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        raise GalleryError(f"{path}: {_IN_WORDS.get(code, f'SQLite says: {error}')}") from error


_IN_WORDS = {
    sqlite3.SQLITE_NOTADB: "not a gallery (not even an SQLite file); give the file that facerec enroll made",
    sqlite3.SQLITE_BUSY: f"another process has kept the gallery for over {_BUSY_SECONDS:.0f} s; try again",
    sqlite3.SQLITE_CORRUPT: "the gallery is damaged; restore it from a backup or enrol again",
    sqlite3.SQLITE_FULL: "the disk is full; nothing of this step was written",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; look at its permissions and those of its folder",
    sqlite3.SQLITE_READONLY: "the gallery or its folder is read-only",
}


def _state(db: sqlite3.Connection) -> GalleryState:
    query = "SELECT changes, (SELECT count(*) FROM identities), (SELECT count(*) FROM templates) FROM meta"
    return GalleryState(*db.execute(query).fetchone())


def _calibration(row: sqlite3.Row) -> Calibration:
    return Calibration(
        target_fpir=row["target_fpir"],
        threshold=row["threshold"],
        achieved_fpir=row["achieved_fpir"],
        measurable=bool(row["measurable"]),
        strangers=row["strangers"],
        searches=row["searches"],
        state=GalleryState(row["changes"], row["identities"], row["templates"]),
        policy=row["policy"],
        created=row["created"],
    )


def _owner(db: sqlite3.Connection, photo_sha256: str) -> str | None:
    query = "SELECT name FROM templates JOIN identities ON identities.id = identity WHERE photo_sha256 = ?"
    row = db.execute(query, (photo_sha256,)).fetchone()
    return row[0] if row else None


def _intact(template: int, blob: bytes, checksum: int, dimensions: int) -> bytes:
    if len(blob) != 4 * dimensions or zlib.crc32(blob) != checksum:
        raise GalleryError(f"template {template} is damaged (its checksum differs); restore a backup")
    return blob
