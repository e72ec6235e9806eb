"""What migration 2 does to the rows that are there: counts, numbers and checksums, which version 1 did not have.

Released with that migration and never edited. It names its columns itself: tables may change again.
"""

import secrets
import sqlite3
import zlib
from collections.abc import Iterator

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.store.chain import BEGINNING, canonical_facts, chain
from facerec_oltr.gallery.store.rows import checksum

_ROWS = 1000  # at a time

_META = (
    "only_row, embedder, fingerprint, dimensions, size, source, created, changes, detector, detector_fingerprint, "
    "fusion, serial, origin, encrypted, key_check, identities, templates, last_identity, last_template, last_move, "
    "forgotten, audit_entries, audit_digest"
)
_IDENTITIES = "id, name, created, expires, consent"
_TEMPLATES = "id, identity, vector, photo_sha256, photo_path, created, quality, details"
_CALIBRATIONS = (
    "id, target_fpir, threshold, achieved_fpir, measurable, strangers, searches, changes, identities, templates, "
    "policy, created, source, rule, expected_fpir, upper_fpir, maxima"
)


def fill_second_version(db: sqlite3.Connection, now: str) -> None:
    """Give a gallery of version 1 what version 2 keeps; a file that is just being made has nothing to be given."""
    if db.execute("SELECT count(*) FROM meta").fetchone()[0] == 0:
        return
    _check_vectors(db)
    for table, columns in (("identities", _IDENTITIES), ("templates", _TEMPLATES), ("calibrations", _CALIBRATIONS)):
        for row in _all(db, table, columns):
            db.execute(f"UPDATE {table} SET checksum = ? WHERE id = ?", (checksum(row), row[0]))  # noqa: S608
    serial = secrets.token_hex(16)
    facts = canonical_facts({"from": 1, "to": 2})
    chained = chain(BEGINNING, 1, now, "migrate", facts)
    entry = (1, now, "migrate", facts, chained)
    db.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?)", (*entry, checksum(entry)))
    db.execute(
        "UPDATE meta SET serial = ?, origin = ?, forgotten = changes, audit_entries = 1, audit_digest = ?, "
        "identities = (SELECT count(*) FROM identities), templates = (SELECT count(*) FROM templates), "
        "last_identity = coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'identities'), 0)",
        (serial, serial, chained),
    )
    meta = db.execute(f"SELECT {_META} FROM meta").fetchone()  # noqa: S608
    db.execute("UPDATE meta SET checksum = ?", (checksum(meta),))


def _check_vectors(db: sqlite3.Connection) -> None:
    """A vector that does not fit the checksum that version 1 gave it must not get a fitting one."""
    for template, vector, before in _all(db, "templates", "id, vector, checksum"):
        if zlib.crc32(vector) != before:
            raise GalleryError(
                f"template {template} is damaged (its checksum differs), so the gallery is left at version 1; "
                "restore a backup"
            )


def _all(db: sqlite3.Connection, table: str, columns: str) -> Iterator[tuple]:
    """All rows by number, some at a time: no cursor stays open on a table that is being written."""
    last = 0
    query = f"SELECT {columns} FROM {table} WHERE id > ? ORDER BY id LIMIT {_ROWS}"  # noqa: S608
    while rows := db.execute(query, (last,)).fetchall():
        yield from rows
        last = rows[-1][0]
