"""What has become of templates since an earlier state, from the moves that the store remembers."""

import sqlite3

import numpy as np

from facerec_oltr.gallery.records import Delta, GalleryState
from facerec_oltr.gallery.store.rows import MetaRow, MoveRow, read


def follow(db: sqlite3.Connection, meta: MetaRow, changes: int, last_template: int) -> Delta | None:
    """See ``protocols.Store.follow``; in one transaction with ``meta``."""
    if not (0 <= changes <= meta.changes and 0 <= last_template <= meta.last_template):
        return None
    if changes < meta.forgotten and last_template > 0:
        return None
    was: dict[int, int] = {}
    became: dict[int, int | None] = {}
    tail = "WHERE changes > ? AND template <= ? ORDER BY id"
    for move in read(db, MoveRow, tail, (changes, last_template)):
        was.setdefault(move.template, move.was)
        became[move.template] = move.became
    removed = [template for template, to in became.items() if to is None]
    moved = [(template, to) for template, to in became.items() if to is not None and to != was[template]]
    return Delta(
        GalleryState(meta.changes, meta.identities, meta.templates),
        meta.last_template,
        np.array(removed, np.int64),
        np.array([was[template] for template in removed], np.int64),
        np.array([template for template, _ in moved], np.int64),
        np.array([was[template] for template, _ in moved], np.int64),
        np.array([to for _, to in moved], np.int64),
    )
