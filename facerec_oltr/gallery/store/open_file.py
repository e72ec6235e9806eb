"""An open gallery file: its transactions, and vectors out of its rows."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import numpy as np

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.encryption import (
    KEY_VARIABLE,
    EncryptedVectors,
    Key,
    PlainVectors,
    VectorForm,
    decoded_vectors,
)
from facerec_oltr.gallery.records import (
    Block,
    Fusion,
    GalleryFacts,
    GalleryState,
    RecordedEmbedder,
    Vectors,
)
from facerec_oltr.gallery.store.connection import one_line, transaction
from facerec_oltr.gallery.store.erasure import (
    empty_journal,
)
from facerec_oltr.gallery.store.rows import (
    CohortRow,
    MetaRow,
    NegativeRow,
    TemplateRow,
    read_meta,
)
from facerec_oltr.gallery.store.writing import Writing

Clock = Callable[[], datetime]


class OpenFile:
    """What the parts of ``SqliteStore`` stand on.

    Args:
        path: of the file.
        connection: to it.
        clock: what to date rows by.
        form: how its vectors are written.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, clock: Clock, form: VectorForm) -> None:
        self._path = path
        self._connection = connection
        self._clock = clock
        self._form = form
        with self._reading() as db:
            self._dimensions = read_meta(db).dimensions

    @property
    def path(self) -> Path:  # noqa: D102
        return self._path

    def close(self) -> None:  # noqa: D102
        self._connection.close()

    def facts(self) -> GalleryFacts:  # noqa: D102
        with self._reading() as db:
            m = read_meta(db)
        embedder = RecordedEmbedder(
            m.embedder, m.fingerprint, m.dimensions, m.size, m.source, m.detector, m.detector_fingerprint
        )
        return GalleryFacts(embedder, Fusion(m.fusion), m.created, m.serial, bool(m.encrypted))

    def state(self) -> GalleryState:  # noqa: D102
        with self._reading() as db:
            return _state(read_meta(db))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with transaction(self._connection, "DEFERRED", self._path) as db:
            yield db

    @contextmanager
    def _writing(self) -> Iterator[Writing]:
        with transaction(self._connection, "IMMEDIATE", self._path) as db:
            writing = Writing(db, self._clock().isoformat())
            yield writing
            writing.finish()

    def _empty_journal_if_idle(self) -> None:
        """What was erased on the way goes from the journal now, if nobody reads; else with the last close."""
        with one_line(self._path):
            empty_journal(self._connection, patience=0)

    def _block(self, rows: Sequence[TemplateRow]) -> Block:
        return Block(
            np.array([row.id for row in rows], np.int64),
            np.array([row.identity for row in rows], np.int64),
            self._vectors(rows),
            np.array([row.quality for row in rows], np.float64),
        )

    def _vectors(self, rows: Sequence[TemplateRow] | Sequence[NegativeRow] | Sequence[CohortRow]) -> Vectors:
        return decoded_vectors([self._form.read(row.vector, row.photo_sha256) for row in rows], self._dimensions)


def form_of(meta: MetaRow, key: Key | None) -> VectorForm:
    """How a gallery's vectors are written.

    Raises:
        GalleryError: the key does not fit.
    """
    if not meta.encrypted:
        if key is not None and key.source != KEY_VARIABLE:
            raise GalleryError(
                f"not encrypted, yet a key was given ({key.source}); leave it out, or make an encrypted gallery "
                "and import this one"
            )
        return PlainVectors(meta.dimensions)
    if key is None:
        raise GalleryError(f"encrypted; give its key, as a file or in {KEY_VARIABLE}")
    form = EncryptedVectors(key, meta.origin, meta.dimensions)
    if not form.knows(meta.key_check or b""):
        raise GalleryError(f"encrypted with another key than {key.source}; give the one it was made with")
    return form


def _state(meta: MetaRow) -> GalleryState:
    return GalleryState(meta.changes, meta.identities, meta.templates)
