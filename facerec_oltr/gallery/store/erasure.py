"""Erasing people so that no byte of them stays, and looking whether one has.

Deleted rows are overwritten (``secure_delete``), then the journal, which still has older pages, is taken into the file
and emptied. This speaks of the gallery's files: what the file system or the disk keeps of a block that it has given
away, and copies made by other means than ``backup``, are out of reach.
"""

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from facerec_oltr.gallery.store.connection import flush_journal, write_anew
from facerec_oltr.gallery.store.rejecting import negatives_by_photos, negatives_of
from facerec_oltr.gallery.store.rows import BackupRow, NegativeRow, TemplateRow, read
from facerec_oltr.gallery.store.traces import SHORTEST, Needles
from facerec_oltr.gallery.store.writing import Writing

_PATIENCE = 10.0  # seconds that readers in other processes are given to end
_PIECE = 64  # bytes of a vector that are looked for as one
_MOST_PIECES = 262_144


@dataclass
class Erased:
    """What was erased: numbers for the receipt, vectors and texts to look for. Nothing of it is kept."""

    identities: list[int] = field(default_factory=list)
    templates: list[int] = field(default_factory=list)
    negatives: list[int] = field(default_factory=list)
    vectors: list[bytes] = field(default_factory=list)
    texts: list[str | None] = field(default_factory=list)

    def needles(self) -> set[bytes]:
        """The bytes to look for; vectors in pieces, so that a part of one that was left is found."""
        most = _MOST_PIECES // max(1, len(self.vectors))
        needles = {raw for text in self.texts if len(raw := (text or "").encode("utf-8")) >= SHORTEST}
        return needles.union(*(_pieces(vector, most) for vector in self.vectors))


def erase_people(writing: Writing, names: Sequence[str]) -> Erased:
    """Remove identities with all they have, in a transaction that writes.

    Their photos may also say of others who these are not: it is their faces all the same, and goes too.
    """
    people = [writing.known(name) for name in dict.fromkeys(names)]
    erased = Erased()
    if not people:
        return erased
    writing.change()
    for person in people:
        templates, photos = [], []
        for row in read(writing.db, TemplateRow, "WHERE identity = ? ORDER BY id", (person.id,)):
            templates.append((row.id, row.identity))
            photos.append(row.photo_sha256)
            erased.vectors.append(row.vector)
            erased.texts += [row.photo_sha256, row.photo_path, row.details]
        writing.remove_templates(templates)
        erase_negatives(writing, erased, [*negatives_of(writing.db, person.id)])
        erase_negatives(writing, erased, negatives_by_photos(writing.db, photos))
        writing.remove_identity(person.id)
        erased.identities.append(person.id)
        erased.templates += [number for number, _ in templates]
        erased.texts += [person.name, person.consent]
    return erased


def erase_negatives(writing: Writing, erased: Erased, rows: Sequence[NegativeRow]) -> None:
    """Remove faces that are said not to be somebody, in a transaction that writes."""
    for row in rows:
        erased.vectors.append(row.vector)
        erased.texts += [row.photo_sha256, row.photo_path]
    numbers = [row.id for row in rows]
    writing.remove_negatives(numbers)
    erased.negatives += numbers


def backups_holding(db: sqlite3.Connection, erased: Erased) -> tuple[str, ...]:
    """Copies that were made after some of it came, wherever they are now."""
    return tuple(
        backup.path
        for backup in read(db, BackupRow, "ORDER BY id")
        if min(erased.identities, default=backup.last_identity + 1) <= backup.last_identity
        or min(erased.templates, default=backup.last_template + 1) <= backup.last_template
        or min(erased.negatives, default=backup.last_negative + 1) <= backup.last_negative
    )


def empty_journal(connection: sqlite3.Connection, patience: float = _PATIENCE) -> bool:
    """Empty the journal, waiting for other processes; whether it is empty now."""
    deadline = time.monotonic() + patience
    busy = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    connection.execute("PRAGMA busy_timeout = 200")
    try:
        while not (flushed := flush_journal(connection)) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        connection.execute(f"PRAGMA busy_timeout = {busy}")
    return flushed


def row_traces(db: sqlite3.Connection, erased: Erased) -> int:
    """How many rows are still there under the erased numbers, which are never given twice."""
    counted = 0
    for query, numbers in (
        ("SELECT count(*) FROM identities WHERE id = ?", erased.identities),
        ("SELECT count(*) FROM templates WHERE identity = ?", erased.identities),
        ("SELECT count(*) FROM templates WHERE id = ?", erased.templates),
        ("SELECT count(*) FROM negatives WHERE identity = ?", erased.identities),
        ("SELECT count(*) FROM negatives WHERE id = ?", erased.negatives),
    ):
        counted += sum(db.execute(query, (number,)).fetchone()[0] for number in numbers)
    return counted


def byte_traces(connection: sqlite3.Connection, path: Path, erased: Erased) -> Mapping[str, int]:
    """How often erased bytes are still in the files; those that somebody who remains has too do not count.

    Where any are in the database file, a page was left with the copy of a row that had moved to another page: then the
    file is written anew, which takes as long as copying it, and looked through again.
    """
    needles = erased.needles()
    found = _search(connection, path, needles)
    if not any(found.values()):
        return found
    try:
        write_anew(connection)
    except sqlite3.OperationalError:  # no space or no quiet: the counts say that something is left
        return found
    empty_journal(connection)
    return _search(connection, path, needles)


def _search(connection: sqlite3.Connection, path: Path, wanted: set[bytes]) -> dict[str, int]:
    needles = Needles(wanted)
    places = {"database file": path, "-wal": path.with_name(f"{path.name}-wal")}
    places["-shm"] = path.with_name(f"{path.name}-shm")
    found: dict[str, Counter[bytes]] = {place: needles.count_in_file(file) for place, file in places.items()}
    everywhere = set().union(*found.values())
    shared = Needles(everywhere).found_in(_values(connection)) if everywhere else set()
    return {place: sum(n for needle, n in counts.items() if needle not in shared) for place, counts in found.items()}


def _values(db: sqlite3.Connection) -> Iterator[bytes]:
    """Every text and blob of every table, the tables' own description too."""
    tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in (*tables, "sqlite_master"):
        for row in db.execute(f'SELECT * FROM "{table}"'):  # noqa: S608
            for value in row:
                if isinstance(value, str):
                    yield value.encode("utf-8", "surrogateescape")
                elif isinstance(value, bytes):
                    yield value


def _pieces(vector: bytes, most: int) -> Iterator[bytes]:
    step = max(_PIECE, _PIECE * -(-len(vector) // (_PIECE * max(1, most))))
    for start in range(0, len(vector), step):
        piece = vector[start : start + _PIECE]
        # The end of a short last piece, and bytes that are all the same, are found everywhere.
        if len(piece) >= SHORTEST and len(set(piece)) > 1:
            yield piece
