"""The rows of a gallery's tables: what each holds, and a checksum over all of it.

Every row is written and read here, so none is without its checksum and none is used that does not fit it.
"""

import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from facerec_oltr.errors import GalleryError

Value = str | bytes | float | int | None


class MetaRow(NamedTuple):
    """What a gallery is, and where it stands. There is one.

    The counts are kept so that asking for the size reads one row, not a million; ``check`` recounts.
    ``serial`` is a copy's own, ``origin`` stays the same in copies, because ciphertexts are bound to it.
    ``forgotten``: ``follow`` knows nothing of states with a lower counter. ``negative_changes`` counts what ``changes``
    does not: a face that is said not to be somebody changes neither templates nor what a threshold was chosen by.
    """

    only_row: int
    embedder: str
    fingerprint: str
    dimensions: int
    size: int
    source: str
    created: str
    changes: int
    detector: str
    detector_fingerprint: str
    fusion: str
    serial: str
    origin: str
    encrypted: int
    key_check: bytes | None
    identities: int
    templates: int
    last_identity: int
    last_template: int
    last_move: int
    forgotten: int
    audit_entries: int
    audit_digest: str
    negatives: int
    last_negative: int
    negative_changes: int


class IdentityRow(NamedTuple):
    """Somebody."""

    id: int
    name: str
    created: str
    expires: str | None
    consent: str | None


class TemplateRow(NamedTuple):
    """A template; ``vector`` is as ``encryption.VectorForm`` wrote it."""

    id: int
    identity: int
    vector: bytes
    photo_sha256: str
    photo_path: str
    created: str
    quality: float
    details: str


class NegativeRow(NamedTuple):
    """A face that is said not to be somebody; ``vector`` is as ``encryption.VectorForm`` wrote it."""

    id: int
    identity: int
    vector: bytes
    photo_sha256: str
    photo_path: str
    face: int
    created: str


class MoveRow(NamedTuple):
    """That a template went from one identity to another, or altogether (``became`` None), and in which change."""

    id: int
    changes: int
    template: int
    was: int
    became: int | None


class CalibrationRow(NamedTuple):
    """A calibration, its state in three columns; ``maxima`` are float64, little-endian."""

    id: int
    target_fpir: float
    threshold: float
    achieved_fpir: float
    measurable: int
    strangers: int
    searches: int
    changes: int
    identities: int
    templates: int
    policy: str
    created: str
    source: str
    rule: str
    expected_fpir: float | None
    upper_fpir: float | None
    maxima: bytes


class CohortRow(NamedTuple):
    """A face of the cohort."""

    id: int
    person: int
    vector: bytes
    photo_sha256: str


class AuditRow(NamedTuple):
    """An entry of the audit trail; ``facts`` is JSON."""

    id: int
    moment: str
    action: str
    facts: str
    chained: str


class BackupRow(NamedTuple):
    """A copy that was made, and up to which numbers it holds identities, templates and negatives."""

    id: int
    path: str
    created: str
    last_identity: int
    last_template: int
    last_negative: int


TABLES: dict[type, str] = {
    MetaRow: "meta",
    IdentityRow: "identities",
    TemplateRow: "templates",
    NegativeRow: "negatives",
    MoveRow: "moves",
    CalibrationRow: "calibrations",
    CohortRow: "cohort",
    AuditRow: "audit",
    BackupRow: "backups",
}

# The beginning is what is indexed. The plus keeps SQLite from putting the whole digest, which it is told to be equal,
# into the expression of the beginning: it would then not know its index again, and read every row.
BY_PHOTO = "substr(photo_sha256, 1, 8) = substr(?1, 1, 8) AND +photo_sha256 = ?1"

# Photos, given as a list in JSON, with the identities that they are enrolled as.
OWNERS = """
    SELECT wanted.value, templates.identity
    FROM json_each(?1) AS wanted
    CROSS JOIN templates ON substr(photo_sha256, 1, 8) = substr(wanted.value, 1, 8) AND +photo_sha256 = wanted.value
"""

Row = TypeVar("Row", bound=tuple[Any, ...])


def checksum(values: Iterable[Value]) -> int:
    """CRC-32 over the types, lengths and bytes of a row's values, in order."""
    parts: list[bytes] = []
    for value in values:
        if isinstance(value, bytes):
            parts += (b"b%d:" % len(value), value)
        elif isinstance(value, str):
            raw = value.encode("utf-8", "surrogateescape")
            parts += (b"t%d:" % len(raw), raw)
        elif value is None:
            parts.append(b"n")
        elif isinstance(value, float):
            parts += (b"f", struct.pack("<d", value))
        else:
            parts.append(b"i%d;" % value)
    return zlib.crc32(b"".join(parts))


def columns(row: type) -> tuple[str, ...]:
    """The columns of a table, its key first, without the checksum."""
    return row._fields


def insert(db: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Add rows of one table."""
    if rows:
        kind = type(rows[0])
        names = ", ".join((*columns(kind), "checksum"))
        places = ", ".join("?" * (len(columns(kind)) + 1))
        db.executemany(
            f"INSERT INTO {TABLES[kind]} ({names}) VALUES ({places})",  # noqa: S608
            ((*row, checksum(row)) for row in rows),
        )


def replace(db: sqlite3.Connection, row: tuple[Any, ...]) -> None:
    """Write a row in place of the one with its key."""
    kind = type(row)
    key, *others = columns(kind)
    settings = ", ".join(f"{name} = ?" for name in (*others, "checksum"))
    db.execute(
        f"UPDATE {TABLES[kind]} SET {settings} WHERE {key} = ?",  # noqa: S608
        (*row[1:], checksum(row), row[0]),
    )


def read(
    db: sqlite3.Connection,
    kind: type[Row],
    tail: str = "",
    parameters: Sequence[Value] = (),
    damaged: Callable[[int], None] | None = None,
) -> Iterator[Row]:
    """Rows of a table.

    Args:
        db: the connection.
        kind: of which table.
        tail: what follows FROM in the query: WHERE, ORDER BY, LIMIT.
        parameters: of the tail.
        damaged: what to do about a row that does not fit its checksum, given its key; else it is an error.
    """
    names = ", ".join((*columns(kind), "checksum"))
    make: Callable[[Iterable[Any]], Row] = kind._make  # type: ignore[attr-defined]
    for *values, stored in db.execute(f"SELECT {names} FROM {TABLES[kind]} {tail}", parameters):  # noqa: S608
        if checksum(values) == stored:
            yield make(values)
        elif damaged is not None:
            damaged(values[0])
        else:
            raise GalleryError(f"row {values[0]} of {TABLES[kind]} is damaged (its checksum differs); restore a backup")


def read_one(db: sqlite3.Connection, kind: type[Row], tail: str, parameters: Sequence[Value] = ()) -> Row | None:
    """The first such row, None where there is none."""
    return next(read(db, kind, f"{tail} LIMIT 1", parameters), None)


def read_meta(db: sqlite3.Connection) -> MetaRow:
    """The one row of meta."""
    meta = read_one(db, MetaRow, "")
    if meta is None:
        raise GalleryError("the gallery does not say what it is (its table meta is empty); restore a backup")
    return meta
