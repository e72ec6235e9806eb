"""Faces that are said not to be somebody, in a transaction that writes."""

import sqlite3
from collections.abc import Sequence

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.encryption import VectorForm
from facerec_oltr.gallery.records import NewNegative
from facerec_oltr.gallery.store.rows import BY_PHOTO, IdentityRow, NegativeRow, TemplateRow, insert, read, replace
from facerec_oltr.gallery.store.writing import Writing

_ENROLLED_BY = 1  # the number of the face by which a photo is enrolled: the largest


def reject(writing: Writing, form: VectorForm, name: str, negatives: Sequence[NewNegative]) -> list[bool]:
    """See ``protocols.Store.reject``."""
    identity = writing.known(name)
    there = {(row.photo_sha256, row.face) for row in negatives_of(writing.db, identity.id)}
    outcomes, rows = [], []
    for negative in negatives:
        place = (negative.photo_sha256, negative.face)
        outcomes.append(place not in there)
        if place not in there:
            there.add(place)
            _refuse_own(writing.db, identity, negative)
            rows.append(_row(writing, form, identity, negative, writing.meta.last_negative + len(rows) + 1))
    if rows:
        insert(writing.db, rows)
        writing.count_negatives(added=len(rows))
        writing.note("reject", {"negatives": len(rows)})
    return outcomes


def negatives_of(db: sqlite3.Connection, identity: int) -> list[NegativeRow]:
    """The faces that are said not to be somebody."""
    return list(read(db, NegativeRow, "WHERE identity = ? ORDER BY id", (identity,)))


def negatives_by_photos(
    db: sqlite3.Connection, photos: Sequence[str], identity: int | None = None
) -> list[NegativeRow]:
    """Those that were taken from these photos, of one person or of everybody."""
    wanted = set(photos)
    tail = "ORDER BY id" if identity is None else "WHERE identity = ? ORDER BY id"
    rows = read(db, NegativeRow, tail, () if identity is None else (identity,))
    return [row for row in rows if row.photo_sha256 in wanted]


def contradicts(db: sqlite3.Connection, identity: int, photo: str) -> bool:
    """Whether somebody said that the face by which this photo is enrolled is not this person."""
    query = "SELECT 1 FROM negatives WHERE identity = ? AND photo_sha256 = ? AND face = ?"
    return db.execute(query, (identity, photo, _ENROLLED_BY)).fetchone() is not None


def merge_negatives(writing: Writing, source: int, into: int) -> None:
    """Give them to the other person, but for what is there already and what the merging contradicts."""
    templates = read(writing.db, TemplateRow, "WHERE identity IN (?, ?)", (source, into))
    taken = {(template.photo_sha256, _ENROLLED_BY) for template in templates}
    gone = [row for row in negatives_of(writing.db, into) if (row.photo_sha256, row.face) in taken]
    taken |= {(row.photo_sha256, row.face) for row in negatives_of(writing.db, into)}
    moved = negatives_of(writing.db, source)
    gone += [row for row in moved if (row.photo_sha256, row.face) in taken]
    writing.remove_negatives([row.id for row in gone])
    for row in moved:
        if row not in gone:
            replace(writing.db, row._replace(identity=into))
    if moved and not gone:
        writing.count_negatives()


def _refuse_own(db: sqlite3.Connection, identity: IdentityRow, negative: NewNegative) -> None:
    if negative.face != _ENROLLED_BY:
        return
    query = f"SELECT identity FROM templates WHERE {BY_PHOTO}"  # noqa: S608
    owner = db.execute(query, (negative.photo_sha256,)).fetchone()
    if owner is not None and owner[0] == identity.id:
        raise GalleryError(
            f"{negative.photo_path} is enrolled as {identity.name!r} by this face, and cannot be said not to be them; "
            "enrol them anew without it: facerec enroll --update"
        )


def _row(writing: Writing, form: VectorForm, identity: IdentityRow, negative: NewNegative, number: int) -> NegativeRow:
    vector = writing.checked(negative.vector)
    if negative.face < 1:
        raise GalleryError(f"a face with the number {negative.face}; faces are numbered from 1")
    blob = form.write(vector, negative.photo_sha256)
    return NegativeRow(
        number, identity.id, blob, negative.photo_sha256, negative.photo_path, int(negative.face), writing.when
    )
