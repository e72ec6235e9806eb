"""All that is wrong with a gallery's file, found by reading all of it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.encryption import VectorForm
from facerec_oltr.gallery.records import Finding
from facerec_oltr.gallery.store.chain import BEGINNING, chain
from facerec_oltr.gallery.store.connection import FAULTS, in_words
from facerec_oltr.gallery.store.migrations import migrate
from facerec_oltr.gallery.store.rows import (
    TABLES,
    AuditRow,
    CohortRow,
    MetaRow,
    NegativeRow,
    TemplateRow,
    read,
    read_one,
)

_RESTORE = "restore a backup"
_MOST_PAGE_FAULTS = 100
_UNGIVEN = "SELECT count(*) FROM templates WHERE id > (SELECT last_template FROM meta)"
_UNGIVEN_NEGATIVES = "SELECT count(*) FROM negatives WHERE id > (SELECT last_negative FROM meta)"
_TWICE = """
    SELECT count(*)
    FROM (SELECT substr(photo_sha256, 1, 8) AS beginning FROM templates GROUP BY 1 HAVING count(*) > 1)
    JOIN templates AS one ON substr(one.photo_sha256, 1, 8) = beginning
    JOIN templates AS other ON substr(other.photo_sha256, 1, 8) = beginning
    WHERE one.id < other.id AND one.photo_sha256 = other.photo_sha256
"""


def check_file(db: sqlite3.Connection, vectors: VectorForm) -> Iterator[Finding]:
    """Every fault that can be found, in one transaction.

    SQLite's own check covers pages, indices and constraints; a checksum a row covers what the rows hold; the schema
    is compared with the one that this version makes; counts are recounted, and the audit trail is hashed again.
    """
    for part in (_pages, _schema, _orphans, _rows, _counts, _audit):
        try:
            yield from part(db)
        except FAULTS as error:  # a part of the file that cannot even be read through
            yield Finding("database file", in_words(error), _RESTORE)
    try:
        yield from _vectors(db, vectors)
    except FAULTS as error:
        yield Finding("database file", in_words(error), _RESTORE)


def _pages(db: sqlite3.Connection) -> Iterator[Finding]:
    for (problem,) in db.execute(f"PRAGMA integrity_check({_MOST_PAGE_FAULTS})").fetchall():
        if problem != "ok":
            yield Finding("database file", problem.replace("\n", "; "), _RESTORE)


def _schema(db: sqlite3.Connection) -> Iterator[Finding]:
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master"
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        migrate(model)
        expected = set(model.execute(query))
    found = set(db.execute(query))
    for kind, name, *_ in sorted(expected ^ found, key=str):
        yield Finding(f"{kind} {name}", "is not as this version of a gallery has it", _RESTORE)


def _orphans(db: sqlite3.Connection) -> Iterator[Finding]:
    for table, row, parent, _ in db.execute("PRAGMA foreign_key_check").fetchall():
        yield Finding(f"{table} row {row}", f"belongs to nothing in {parent}", _RESTORE)


def _rows(db: sqlite3.Connection) -> Iterator[Finding]:
    for kind, table in TABLES.items():
        damaged: list[int] = []
        for _ in read(db, kind, damaged=damaged.append):
            pass
        for row in damaged:
            yield Finding(f"{table} row {row}", "its checksum differs", _RESTORE)


def _vectors(db: sqlite3.Connection, vectors: VectorForm) -> Iterator[Finding]:
    for kind in (TemplateRow, NegativeRow, CohortRow):
        for row in read(db, kind, damaged=lambda _: None):
            try:
                vectors.read(row.vector, row.photo_sha256)
            except GalleryError as error:
                yield Finding(f"{TABLES[kind]} row {row.id}", str(error), _RESTORE)


def _counts(db: sqlite3.Connection) -> Iterator[Finding]:
    meta = read_one(db, MetaRow, "")
    if meta is None:
        yield Finding("meta", "the row that says what the gallery is has gone", _RESTORE)
        return
    sequences = dict(db.execute("SELECT name, seq FROM sqlite_sequence"))
    last_calibration = _number(db, "SELECT max(id) FROM calibrations")
    for what, found, expected in (
        ("identities", _number(db, "SELECT count(*) FROM identities"), meta.identities),
        ("templates", _number(db, "SELECT count(*) FROM templates"), meta.templates),
        ("the last identity's number", sequences.get("identities", 0), meta.last_identity),
        ("templates with numbers not given yet", _number(db, _UNGIVEN), 0),
        ("negatives", _number(db, "SELECT count(*) FROM negatives"), meta.negatives),
        ("negatives with numbers not given yet", _number(db, _UNGIVEN_NEGATIVES), 0),
        ("photos enrolled twice", _number(db, _TWICE), 0),
        ("the last calibration's number", sequences.get("calibrations", 0), last_calibration),
        ("the last move's number", _number(db, "SELECT max(id) FROM moves"), meta.last_move),
        ("audit entries", _number(db, "SELECT count(*) FROM audit"), meta.audit_entries),
    ):
        if found != expected:
            yield Finding("meta", f"{what}: found {found}, expected {expected}", _RESTORE)


def _audit(db: sqlite3.Connection) -> Iterator[Finding]:
    before = BEGINNING
    for expected, row in enumerate(read(db, AuditRow, "ORDER BY id", damaged=lambda _: None), 1):
        if row.id != expected or row.chained != _chained(before, row):
            yield Finding(f"audit entry {row.id}", "does not follow the entry before it: one was changed or taken out",
                          "find out who could write to the file")  # fmt: skip
            return
        before = row.chained
    meta = read_one(db, MetaRow, "")
    if meta is not None and before != (meta.audit_digest or BEGINNING):
        yield Finding("audit trail", "its last entries are missing", "find out who could write to the file")


def _chained(before: str, row: AuditRow) -> str:
    try:
        return chain(before, row.id, row.moment, row.action, row.facts)
    except (json.JSONDecodeError, GalleryError):
        return "not JSON"


def _number(db: sqlite3.Connection, query: str) -> Any:
    return db.execute(query).fetchone()[0] or 0
