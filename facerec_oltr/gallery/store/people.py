"""Who is enrolled, as it is read."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from facerec_oltr.gallery.records import (
    Block,
    Delta,
    NegativeFaces,
    NegativeRecord,
    PersonRecord,
    PersonSummary,
    TemplateRecord,
)
from facerec_oltr.gallery.store.enrolling import iso_date
from facerec_oltr.gallery.store.following import follow
from facerec_oltr.gallery.store.open_file import OpenFile
from facerec_oltr.gallery.store.rejecting import negatives_of
from facerec_oltr.gallery.store.rows import (
    BY_PHOTO,
    OWNERS,
    IdentityRow,
    NegativeRow,
    TemplateRow,
    read,
    read_meta,
    read_one,
)

_AT_ONCE = 1000  # numbers in one query


class People(OpenFile):
    """What ``protocols.Store`` promises of people, their templates and what is said not to be them."""

    def people(self) -> list[PersonSummary]:  # noqa: D102
        with self._reading() as db:
            counts = dict(db.execute("SELECT identity, count(*) FROM templates GROUP BY identity"))
            others = dict(db.execute("SELECT identity, count(*) FROM negatives GROUP BY identity"))
            return [
                _summary(row, counts.get(row.id, 0), others.get(row.id, 0))
                for row in read(db, IdentityRow, "ORDER BY id")
            ]

    def person(self, name: str) -> PersonRecord | None:  # noqa: D102
        with self._reading() as db:
            identity = read_one(db, IdentityRow, "WHERE name = ?", (name,))
            if identity is None:
                return None
            rows = list(read(db, TemplateRow, "WHERE identity = ? ORDER BY id", (identity.id,)))
            block = self._block(rows)
            others = negatives_of(db, identity.id)
            vectors = self._vectors(others)
        return PersonRecord(
            _summary(identity, len(rows), len(others)),
            tuple(_template(row, vector) for row, vector in zip(rows, block.vectors, strict=True)),
            tuple(_negative(row, vector) for row, vector in zip(others, vectors, strict=True)),
        )

    def names(self, identities: Sequence[int]) -> dict[int, str]:  # noqa: D102
        with self._reading() as db:
            return self._names(db, identities)

    def owner(self, photo_sha256: str) -> str | None:  # noqa: D102
        tail = f"WHERE id = (SELECT identity FROM templates WHERE {BY_PHOTO})"  # noqa: S608
        with self._reading() as db:
            identity = read_one(db, IdentityRow, tail, (photo_sha256,))
        return identity.name if identity else None

    def owners(self, photos: Sequence[str]) -> dict[str, str]:  # noqa: D102
        with self._reading() as db:
            owners = dict(db.execute(OWNERS, (json.dumps(list(photos)),)).fetchall())
            names = self._names(db, list(owners.values()))
        return {photo: names[identity] for photo, identity in owners.items()}

    def negatives(self) -> NegativeFaces:  # noqa: D102
        with self._reading() as db:
            rows = list(read(db, NegativeRow, "ORDER BY identity, id"))
            return NegativeFaces(self._vectors(rows), np.array([row.identity for row in rows], np.int64))

    def negative_changes(self) -> int:  # noqa: D102
        with self._reading() as db:
            return read_meta(db).negative_changes

    def expired(self, today: str) -> list[str]:  # noqa: D102
        with self._reading() as db:
            return [row.name for row in read(db, IdentityRow, "WHERE expires <= ? ORDER BY id", (iso_date(today),))]

    def follow(self, changes: int, last_template: int) -> Delta | None:  # noqa: D102
        with self._reading() as db:
            return follow(db, read_meta(db), changes, last_template)

    def blocks(self, after: int, up_to: int, *, rows: int = 65_536) -> Iterator[Block]:  # noqa: D102
        tail = f"WHERE id > ? AND id <= ? ORDER BY id LIMIT {int(rows)}"
        while True:
            with self._reading() as db:
                block = self._block(list(read(db, TemplateRow, tail, (after, up_to))))
            if not len(block.templates):
                return
            yield block
            after = int(block.templates[-1])

    def templates_of(self, identities: Sequence[int]) -> Block:  # noqa: D102
        with self._reading() as db:
            found = [
                row
                for some in _some_at_once(identities)
                for row in read(db, TemplateRow, f"WHERE identity IN ({some})")
            ]
            return self._block(sorted(found))

    @staticmethod
    def _names(db: sqlite3.Connection, identities: Sequence[int]) -> dict[int, str]:
        return {
            row.id: row.name
            for some in _some_at_once(identities)
            for row in read(db, IdentityRow, f"WHERE id IN ({some})")
        }


def _summary(row: IdentityRow, templates: int, negatives: int) -> PersonSummary:
    return PersonSummary(row.id, row.name, templates, row.created, row.expires, row.consent, negatives)


def _template(row: TemplateRow, vector: Any) -> TemplateRecord:
    details = json.loads(row.details)
    return TemplateRecord(row.id, row.photo_sha256, row.photo_path, row.quality, details, row.created, vector)


def _negative(row: NegativeRow, vector: Any) -> NegativeRecord:
    return NegativeRecord(row.id, row.photo_sha256, row.photo_path, row.face, row.created, vector)


def _some_at_once(numbers: Sequence[int]) -> Iterator[str]:
    """Lists of numbers for SQL, none of them too long and none of them anything but numbers."""
    unique = sorted({int(number) for number in numbers})
    for start in range(0, len(unique), _AT_ONCE):
        yield ", ".join(map(str, unique[start : start + _AT_ONCE]))
