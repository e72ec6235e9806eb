"""The tables of a gallery, version by version.

``PRAGMA user_version`` holds the number of migrations that a file has had. To change the tables, append a
migration; one that has been released is never edited.
"""

import sqlite3
from collections.abc import Sequence

from facerec_oltr.errors import GalleryError

APPLICATION_ID = 0x4F4C5452  # "OLTR" in the file's header tells a gallery from any other SQLite file

Migration = tuple[str, ...]

MIGRATIONS: tuple[Migration, ...] = (
    (
        f"PRAGMA application_id = {APPLICATION_ID}",
        """
        CREATE TABLE meta (
            only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
            embedder TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            dimensions INTEGER NOT NULL CHECK (dimensions > 0),
            size INTEGER NOT NULL CHECK (size > 0),
            source TEXT NOT NULL,
            created TEXT NOT NULL,
            changes INTEGER NOT NULL DEFAULT 0
        )
        """,
        # AUTOINCREMENT: a number is never given twice, so nothing derived from a row outlives it unseen.
        """
        CREATE TABLE identities (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL UNIQUE CHECK (name <> ''),
            created TEXT NOT NULL
        )
        """,
        """
        CREATE TABLE templates (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            identity INTEGER NOT NULL REFERENCES identities (id) ON DELETE CASCADE,
            vector BLOB NOT NULL,
            checksum INTEGER NOT NULL,
            photo_sha256 TEXT NOT NULL UNIQUE CHECK (length(photo_sha256) = 64),
            photo_path TEXT NOT NULL,
            created TEXT NOT NULL
        )
        """,
        "CREATE INDEX templates_by_identity ON templates (identity)",
        """
        CREATE TABLE calibrations (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            target_fpir REAL NOT NULL,
            threshold REAL NOT NULL,
            achieved_fpir REAL NOT NULL,
            measurable INTEGER NOT NULL CHECK (measurable IN (0, 1)),
            strangers INTEGER NOT NULL,
            searches INTEGER NOT NULL,
            changes INTEGER NOT NULL,
            identities INTEGER NOT NULL,
            templates INTEGER NOT NULL,
            policy TEXT NOT NULL,
            created TEXT NOT NULL
        )
        """,
    ),
)


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring a file to the newest version, each step in a transaction of its own: done whole or not at all.

    Args:
        connection: in autocommit mode (``isolation_level=None``).
        migrations: all that the program knows, the first making a gallery of an empty file.

    Raises:
        GalleryError: the file has had more migrations than the program knows.
        sqlite3.Error: a step failed; the file is left as the step before it.
    """
    # The version is read before locking, so that a gallery that is up to date opens beside a busy writer, and
    # again inside the transaction: another process may be migrating too.
    while (version := _version(connection, len(migrations))) < len(migrations):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _version(connection, len(migrations)) == version:
                for statement in migrations[version]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _version(connection: sqlite3.Connection, known: int) -> int:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > known:
        raise GalleryError(f"the gallery is of version {version} and this program knows {known}; update facerec-oltr")
    return version
