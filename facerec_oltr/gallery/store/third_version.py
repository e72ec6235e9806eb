"""What migration 3 does to the rows that are there: meta and backups know of negatives, of which there are none yet.

Released with that migration and never edited. It names its columns itself: tables may change again.
"""

import sqlite3

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.store.chain import canonical_facts, chain
from facerec_oltr.gallery.store.rows import checksum

_OLD_META = (
    "only_row, embedder, fingerprint, dimensions, size, source, created, changes, detector, detector_fingerprint, "
    "fusion, serial, origin, encrypted, key_check, identities, templates, last_identity, last_template, last_move, "
    "forgotten, audit_entries, audit_digest"
)
META = f"{_OLD_META}, negatives, last_negative, negative_changes"  # of versions 3 and 4
_OLD_BACKUPS = "id, path, created, last_identity, last_template"
_BACKUPS = f"{_OLD_BACKUPS}, last_negative"


def fill_third_version(db: sqlite3.Connection, now: str) -> None:
    """Give rows that got columns their new checksums; a file that is just being made has none."""
    if db.execute("SELECT count(*) FROM meta").fetchone()[0] == 0:
        return
    renew_checksums(db, "meta", _OLD_META, META, "only_row", 2)
    renew_checksums(db, "backups", _OLD_BACKUPS, _BACKUPS, "id", 2)
    note_migration(db, now, 3)


def renew_checksums(db: sqlite3.Connection, table: str, before: str, after: str, key: str, version: int) -> None:
    """Write checksums over other columns than before; a damaged row must not get a fitting one.

    Args:
        db: in the transaction of a migration.
        table: whose.
        before: the columns that the checksums are of, the key first.
        after: those that they are to be of.
        key: the name of the key.
        version: of the file, for the message.

    Raises:
        GalleryError: a row does not fit its checksum.
    """
    for *values, stored in db.execute(f"SELECT {before}, checksum FROM {table}").fetchall():  # noqa: S608
        if checksum(values) != stored:
            raise GalleryError(
                f"row {values[0]} of {table} is damaged (its checksum differs), so the gallery is left at version "
                f"{version}; restore a backup"
            )
    for row in db.execute(f"SELECT {after} FROM {table}").fetchall():  # noqa: S608
        db.execute(f"UPDATE {table} SET checksum = ? WHERE {key} = ?", (checksum(row), row[0]))  # noqa: S608


def note_migration(db: sqlite3.Connection, now: str, version: int) -> None:
    """Tell the audit trail of a migration to this version, 3 or 4."""
    entries, digest = db.execute("SELECT audit_entries, audit_digest FROM meta").fetchone()
    facts = canonical_facts({"from": version - 1, "to": version})
    chained = chain(digest, entries + 1, now, "migrate", facts)
    entry = (entries + 1, now, "migrate", facts, chained)
    db.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?)", (*entry, checksum(entry)))
    db.execute("UPDATE meta SET audit_entries = ?, audit_digest = ?", (entries + 1, chained))
    meta = db.execute(f"SELECT {META} FROM meta").fetchone()  # noqa: S608
    db.execute("UPDATE meta SET checksum = ?", (checksum(meta),))
