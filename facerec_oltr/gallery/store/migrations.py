"""The tables of a gallery, version by version.

``PRAGMA user_version`` holds the number of migrations that a file has had. To change the tables, append a
migration; one that has been released is never edited.
"""

import sqlite3
from collections.abc import Callable, Sequence

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.store.fourth_version import fill_fourth_version
from facerec_oltr.gallery.store.second_version import fill_second_version
from facerec_oltr.gallery.store.third_version import fill_third_version

APPLICATION_ID = 0x4F4C5452  # "OLTR" in the file's header tells a gallery from any other SQLite file

Step = str | Callable[[sqlite3.Connection, str], None]  # SQL, or a function of the connection and the time
Migration = tuple[Step, ...]
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
    (
        "ALTER TABLE meta ADD COLUMN detector TEXT NOT NULL DEFAULT 'none'",
        "ALTER TABLE meta ADD COLUMN detector_fingerprint TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE meta ADD COLUMN fusion TEXT NOT NULL DEFAULT 'max'",
        "ALTER TABLE meta ADD COLUMN serial TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE meta ADD COLUMN origin TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE meta ADD COLUMN encrypted INTEGER NOT NULL DEFAULT 0 CHECK (encrypted IN (0, 1))",
        "ALTER TABLE meta ADD COLUMN key_check BLOB",
        "ALTER TABLE meta ADD COLUMN identities INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE meta ADD COLUMN templates INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE meta ADD COLUMN last_identity INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE meta ADD COLUMN last_template INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE meta ADD COLUMN last_move INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE meta ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE meta ADD COLUMN audit_entries INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE meta ADD COLUMN audit_digest TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE meta ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE identities ADD COLUMN expires TEXT",
        "ALTER TABLE identities ADD COLUMN consent TEXT",
        "ALTER TABLE identities ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX identities_by_expiry ON identities (expires) WHERE expires IS NOT NULL",
        # The photos' whole digests made an index of 100 MB for a million templates, of which every large enrolment
        # wrote a half anew. Eight of their digits find a photo as well; that it comes once, the writer sees to. The
        # numbers come from meta. The checksum was of the vector alone, and is of the whole row from here on.
        "UPDATE meta SET last_template = coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'templates'), 0)",
        """
        CREATE TABLE templates_2 (
            id INTEGER PRIMARY KEY,
            identity INTEGER NOT NULL REFERENCES identities (id) ON DELETE CASCADE,
            vector BLOB NOT NULL,
            checksum INTEGER NOT NULL,
            photo_sha256 TEXT NOT NULL CHECK (length(photo_sha256) = 64),
            photo_path TEXT NOT NULL,
            created TEXT NOT NULL,
            quality REAL NOT NULL CHECK (quality > 0 AND quality <= 1),
            details TEXT NOT NULL
        )
        """,
        """
        INSERT INTO templates_2
        SELECT id, identity, vector, checksum, photo_sha256, photo_path, created, 1.0, '{}' FROM templates ORDER BY id
        """,
        "DROP TABLE templates",
        "ALTER TABLE templates_2 RENAME TO templates",
        "CREATE INDEX templates_by_identity ON templates (identity)",
        "CREATE INDEX templates_by_photo ON templates (substr(photo_sha256, 1, 8))",
        "ALTER TABLE calibrations ADD COLUMN source TEXT NOT NULL DEFAULT 'strangers'",
        "ALTER TABLE calibrations ADD COLUMN rule TEXT NOT NULL DEFAULT 'cosine'",
        "ALTER TABLE calibrations ADD COLUMN expected_fpir REAL",
        "ALTER TABLE calibrations ADD COLUMN upper_fpir REAL",
        "ALTER TABLE calibrations ADD COLUMN maxima BLOB NOT NULL DEFAULT x''",
        "ALTER TABLE calibrations ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0",
        """
        CREATE TABLE moves (
            id INTEGER PRIMARY KEY,
            changes INTEGER NOT NULL,
            template INTEGER NOT NULL,
            was INTEGER NOT NULL,
            became INTEGER,
            checksum INTEGER NOT NULL
        )
        """,
        "CREATE INDEX moves_by_change ON moves (changes)",
        """
        CREATE TABLE cohort (
            id INTEGER PRIMARY KEY,
            person INTEGER NOT NULL,
            vector BLOB NOT NULL,
            photo_sha256 TEXT NOT NULL CHECK (length(photo_sha256) = 64),
            checksum INTEGER NOT NULL
        )
        """,
        """
        CREATE TABLE audit (
            id INTEGER PRIMARY KEY,
            moment TEXT NOT NULL,
            action TEXT NOT NULL CHECK (action <> ''),
            facts TEXT NOT NULL,
            chained TEXT NOT NULL,
            checksum INTEGER NOT NULL
        )
        """,
        """
        CREATE TABLE backups (
            id INTEGER PRIMARY KEY,
            path TEXT NOT NULL,
            created TEXT NOT NULL,
            last_identity INTEGER NOT NULL,
            last_template INTEGER NOT NULL,
            checksum INTEGER NOT NULL
        )
        """,
        fill_second_version,
    ),
    (
        "ALTER TABLE meta ADD COLUMN negatives INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE meta ADD COLUMN last_negative INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE meta ADD COLUMN negative_changes INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE backups ADD COLUMN last_negative INTEGER NOT NULL DEFAULT 0",
        """
        CREATE TABLE negatives (
            id INTEGER PRIMARY KEY,
            identity INTEGER NOT NULL REFERENCES identities (id) ON DELETE CASCADE,
            vector BLOB NOT NULL,
            photo_sha256 TEXT NOT NULL CHECK (length(photo_sha256) = 64),
            photo_path TEXT NOT NULL,
            face INTEGER NOT NULL CHECK (face > 0),
            created TEXT NOT NULL,
            checksum INTEGER NOT NULL,
            UNIQUE (identity, photo_sha256, face)
        )
        """,
        fill_third_version,
    ),
    (fill_fourth_version,),
)


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS, *, now: str = "") -> None:
    """Bring a file to the newest version, each step in a transaction of its own: done whole or not at all.

    Args:
        connection: in autocommit mode (``isolation_level=None``).
        migrations: all that the program knows, the first making a gallery of an empty file.
        now: ISO 8601, for the audit trail.

    Raises:
        GalleryError: the file has had more migrations than the program knows, or is damaged.
        sqlite3.Error: a step failed; the file is left as the step before it.
    """
    # The version is read before locking, so that a gallery that is up to date opens beside a busy writer, and
    # again inside the transaction: another process may be migrating too.
    while (version := version_of(connection, len(migrations))) < len(migrations):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if version_of(connection, len(migrations)) == version:
                for step in migrations[version]:
                    if isinstance(step, str):
                        connection.execute(step)
                    else:
                        step(connection, now)
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def version_of(connection: sqlite3.Connection, known: int = len(MIGRATIONS)) -> int:
    """How many migrations a file has had.

    Raises:
        GalleryError: more than the program knows.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > known:
        raise GalleryError(f"the gallery is of version {version} and this program knows {known}; update facerec-oltr")
    return version
