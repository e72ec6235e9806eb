"""Connections to a gallery's file, and SQLite's errors in one line and in this package's terms."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.store.migrations import APPLICATION_ID, MIGRATIONS, migrate, version_of

PAGE_SIZE = 8192  # three templates of 512 dimensions fill one, where 4096 would hold one and half of nothing

# A damaged file may give messages that are no text, which Python cannot even raise as SQLite's error.
FAULTS = (sqlite3.Error, UnicodeDecodeError)

_BUSY_SECONDS = 30.0
_CACHE_KIB = 65_536  # so that a large enrolment writes each page of the photos' index once, not once a photo


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection in autocommit mode; ``mode`` as SQLite's URIs have it: ``rwc`` to create, ``rw``, ``ro``."""
    # Opened as a URI, because a plain path would be created where it is missing.
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        for setting in (
            "synchronous = FULL",
            "foreign_keys = ON",
            "secure_delete = ON",  # a removed face is overwritten, not just unlinked
            "trusted_schema = OFF",
            "cell_size_check = ON",
            f"cache_size = -{_CACHE_KIB}",
        ):
            connection.execute(f"PRAGMA {setting}")
    except BaseException:
        connection.close()
        raise
    return connection


def open_file(path: Path, *, readonly: bool, now: str) -> sqlite3.Connection:
    """Open a gallery's file, and migrate it if it is of an older version.

    Raises:
        GalleryError: no file, not a gallery, of a newer version, damaged, locked or not to be written.
    """
    try:
        there = path.is_file()
    except OSError as error:
        raise GalleryError(
            f"{path}: cannot be looked at ({error.strerror}); look at its folder's permissions"
        ) from error
    if not there:
        raise GalleryError(f"{path}: no such gallery; make one with: facerec enroll --gallery {path} ...")
    with one_line(path):
        connection = _connect_to_read(path) if readonly else connect(path, "rw")
        try:
            if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                raise GalleryError("an SQLite file, but not a gallery; give the file that facerec enroll made")
            if not readonly:
                migrate(connection, now=now)
                _keep_from_disk(connection)
            elif (version := version_of(connection)) < len(MIGRATIONS):
                raise GalleryError(
                    f"of version {version}, and opened for reading only it cannot be migrated to {len(MIGRATIONS)}; "
                    "run: facerec gallery migrate"
                )
        except BaseException:
            connection.close()
            raise
    return connection


def _connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that cannot write.

    Where the folder cannot be written either, SQLite cannot keep the shared memory that it follows writers by. Then
    the file is read as one that nobody changes: what is written to it meanwhile is not seen.
    """
    try:
        connection = connect(path, "ro")
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException:
            connection.close()
            raise
    except sqlite3.OperationalError as error:
        if _code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        journal = path.with_name(f"{path.name}-wal")
        if journal.exists() and journal.stat().st_size:
            raise GalleryError(
                f"its folder is read-only, and {journal.name} holds changes that are not in the file yet; "
                "copy both to a folder that can be written and open that copy"
            ) from error
        return connect(path, "ro&immutable=1")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str, path: Path) -> Iterator[sqlite3.Connection]:
    """A transaction: DEFERRED sees one state throughout, IMMEDIATE also keeps other writers out."""
    with one_line(path):
        connection.execute(f"BEGIN {kind}")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def flush_journal(connection: sqlite3.Connection) -> bool:
    """Take the journal into the file and empty it; False where another process' reading or writing forbids it now."""
    return connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


def write_anew(connection: sqlite3.Connection) -> None:
    """Write the whole file anew, by way of a copy that is too large for memory."""
    connection.execute("PRAGMA temp_store = FILE")
    try:
        connection.execute("VACUUM")
    finally:
        _keep_from_disk(connection)


def _keep_from_disk(connection: sqlite3.Connection) -> None:
    """Before a statement that may fail halfway SQLite saves the pages that it changes, faces among them, to a file.

    The file lies in /var/tmp or a folder like it, out of reach of erasure; and it takes longer than memory.
    """
    connection.execute("PRAGMA temp_store = MEMORY")


@contextmanager
def one_line(path: Path) -> Iterator[None]:
    """Say of which file an error speaks, and what to do."""
    try:
        yield
    except GalleryError as error:
        raise GalleryError(f"{path}: {error}") from error
    except UnicodeEncodeError as error:
        raise GalleryError(f"{path}: text with a lone surrogate cannot be stored; replace it") from error
    except FAULTS as error:
        raise GalleryError(f"{path}: {in_words(error)}") from error


def in_words(error: Exception) -> str:
    """What SQLite met (one of ``FAULTS``), and what to do next."""
    if isinstance(error, UnicodeDecodeError):
        return _DAMAGED
    if isinstance(error, sqlite3.OperationalError) and ("no such" in str(error) or "decode to UTF-8" in str(error)):
        return _DAMAGED  # a table or column that every gallery has, or text that was never written
    return _IN_WORDS.get(_code(error), f"SQLite says: {error}").replace("\n", " ")


def _code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


_DAMAGED = "the gallery is damaged; restore it from a backup or enrol again"

_IN_WORDS = {
    sqlite3.SQLITE_NOTADB: "not a gallery (not even an SQLite file); give the file that facerec enroll made",
    sqlite3.SQLITE_BUSY: f"another process has kept the gallery for over {_BUSY_SECONDS:.0f} s; try again",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_FULL: "the disk is full; nothing of this step was written",
    sqlite3.SQLITE_IOERR: "the disk cannot be read or written; look at its free space and its health",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; look at its permissions and those of its folder",
    sqlite3.SQLITE_READONLY: "the gallery or its folder is read-only, or it was opened for reading only",
}
