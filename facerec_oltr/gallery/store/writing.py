"""One transaction that writes: it gives out numbers, keeps the counts, and remembers moves for ``follow``."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.records import AuditEntry, GalleryState, Vectors
from facerec_oltr.gallery.store.chain import canonical_facts, chain
from facerec_oltr.gallery.store.rows import (
    AuditRow,
    IdentityRow,
    MoveRow,
    TemplateRow,
    insert,
    read_meta,
    read_one,
    replace,
)

REMEMBERED_MOVES = 100_000  # a moved or removed template each; whoever follows from further back begins anew


class Writing:
    """The gallery inside a transaction; ``finish`` before it is committed.

    Args:
        db: in a transaction that keeps other writers out.
        when: the moment of all that is written, ISO 8601.
    """

    def __init__(self, db: sqlite3.Connection, when: str) -> None:
        self.db = db
        self.when = when
        self.meta = self._before = read_meta(db)

    @property
    def state(self) -> GalleryState:
        """The state that is being made."""
        return GalleryState(self.meta.changes, self.meta.identities, self.meta.templates)

    def finish(self) -> None:
        """Write the counts."""
        if self.meta != self._before:
            replace(self.db, self.meta)

    def identity(self, name: str) -> IdentityRow | None:
        """Somebody, None where nobody has this name."""
        return read_one(self.db, IdentityRow, "WHERE name = ?", (name,))

    def known(self, name: str) -> IdentityRow:
        """Somebody who must be there."""
        identity = self.identity(name)
        if identity is None:
            raise GalleryError(f"nobody is enrolled as {name!r}; see: facerec gallery list")
        return identity

    def checked(self, vector: Vectors) -> Vectors:
        """A vector (D,) of the gallery's size, all of whose numbers are finite."""
        vector, dimensions = np.asarray(vector, np.float32), self.meta.dimensions
        if vector.shape != (dimensions,) or not np.isfinite(vector).all():
            raise GalleryError(f"a vector of {vector.shape} or not finite; expected {dimensions} finite numbers")
        return vector

    def change(self) -> None:
        """Count a change, before its moves are remembered."""
        self.meta = self.meta._replace(changes=self.meta.changes + 1)

    def add_identity(self, name: str, expires: str | None, consent: str | None) -> IdentityRow:
        """Add somebody."""
        number = self.meta.last_identity + 1
        identity = IdentityRow(number, name, self.when, expires, consent)
        insert(self.db, [identity])
        self.meta = self.meta._replace(last_identity=number, identities=self.meta.identities + 1)
        return identity

    def add_templates(self, templates: Sequence[TemplateRow]) -> None:
        """Add templates, numbered from ``meta.last_template + 1`` on."""
        insert(self.db, templates)
        self.meta = self.meta._replace(
            last_template=self.meta.last_template + len(templates), templates=self.meta.templates + len(templates)
        )

    def remove_templates(self, templates: Sequence[tuple[int, int]]) -> None:
        """Remove templates, given as (number, identity)."""
        self.db.executemany("DELETE FROM templates WHERE id = ?", ((number,) for number, _ in templates))
        self.meta = self.meta._replace(templates=self.meta.templates - len(templates))
        self._remember((number, was, None) for number, was in templates)

    def remove_negatives(self, numbers: Sequence[int]) -> None:
        """Remove faces that are said not to be somebody."""
        self.db.executemany("DELETE FROM negatives WHERE id = ?", ((number,) for number in numbers))
        if numbers:
            self.count_negatives(removed=len(numbers))

    def count_negatives(self, *, added: int = 0, removed: int = 0) -> None:
        """Count a change of them, and how many there are after it; those added have the next numbers."""
        self.meta = self.meta._replace(
            negatives=self.meta.negatives + added - removed,
            last_negative=self.meta.last_negative + added,
            negative_changes=self.meta.negative_changes + 1,
        )

    def remove_identity(self, number: int) -> None:
        """Remove somebody who has neither templates nor negatives left."""
        self.db.execute("DELETE FROM identities WHERE id = ?", (number,))
        self.meta = self.meta._replace(identities=self.meta.identities - 1)

    def move_templates(self, templates: Sequence[TemplateRow], became: int) -> None:
        """Give templates to somebody else."""
        for template in templates:
            replace(self.db, template._replace(identity=became))
        self._remember((template.id, template.identity, became) for template in templates)

    def note(self, action: str, facts: Mapping[str, Any]) -> AuditEntry:
        """Add to the audit trail."""
        number = self.meta.audit_entries + 1
        text = canonical_facts(facts)
        chained = chain(self.meta.audit_digest, number, self.when, action, text)
        insert(self.db, [AuditRow(number, self.when, action, text, chained)])
        self.meta = self.meta._replace(audit_entries=number, audit_digest=chained)
        return AuditEntry(number, self.when, action, json.loads(text), chained)

    def _remember(self, moves: Iterable[tuple[int, int, int | None]]) -> None:
        last = self.meta.last_move
        rows = [MoveRow(last + n, self.meta.changes, *move) for n, move in enumerate(moves, 1)]
        insert(self.db, rows)
        last += len(rows)
        # Whole changes are forgotten: of a state at or after the last of them, every later move is still there.
        too_old = (last - REMEMBERED_MOVES,)
        forgotten = self.db.execute("SELECT max(changes) FROM moves WHERE id <= ?", too_old).fetchone()[0]
        self.db.execute("DELETE FROM moves WHERE id <= ?", too_old)
        self.meta = self.meta._replace(last_move=last, forgotten=max(self.meta.forgotten, forgotten or 0))
