"""A gallery's file comes into being whole: made in a hidden folder beside, then linked to its name."""

import os
import secrets
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.encryption import EncryptedVectors, Key
from facerec_oltr.gallery.records import Fusion, RecordedEmbedder
from facerec_oltr.gallery.store.chain import BEGINNING
from facerec_oltr.gallery.store.connection import PAGE_SIZE, connect, in_words
from facerec_oltr.gallery.store.migrations import migrate
from facerec_oltr.gallery.store.rows import MetaRow, insert, read_meta, replace
from facerec_oltr.gallery.store.writing import Writing
from recordio_tools.whole import flush_folder, flush_to_disk


def make_file(path: Path, embedder: RecordedEmbedder, fusion: Fusion, key: Key | None, now: str) -> None:
    """Make an empty gallery where no file is.

    Raises:
        FileExistsError: there is a file already.
        GalleryError: the place cannot be written.
    """
    origin = secrets.token_hex(16)
    key_check = EncryptedVectors(key, origin, embedder.dimensions).key_check() if key else None

    def fill(db: sqlite3.Connection) -> None:
        db.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        db.execute("PRAGMA journal_mode = WAL")  # stays with the file
        migrate(db, now=now)
        db.execute("BEGIN IMMEDIATE")
        insert(db, [_first_meta(embedder, fusion, origin, key_check, now)])
        writing = Writing(db, now)
        writing.note("create", {"dimensions": embedder.dimensions, "encrypted": key is not None})
        writing.finish()
        db.execute("COMMIT")

    _appear(path, fill)


def copy_file(source: sqlite3.Connection, to: Path, remember: Callable[[], None]) -> None:
    """Copy an open gallery to a place where nothing is.

    The copy has a serial of its own, because from here on it and the source go different ways.

    Args:
        source: not in a transaction.
        to: where to.
        remember: called when the copy is whole, before it can be seen: a copy is never there unremembered.

    Raises:
        FileExistsError: there is a file already.
        GalleryError: the place cannot be written.
    """
    if to.exists() or to.is_symlink():
        raise FileExistsError(to)

    def fill(db: sqlite3.Connection) -> None:
        source.backup(db)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("BEGIN IMMEDIATE")
        replace(db, read_meta(db)._replace(serial=secrets.token_hex(16)))
        db.execute("COMMIT")

    _appear(to, fill, remember)


def _appear(path: Path, fill: Callable[[sqlite3.Connection], None], last: Callable[[], None] = lambda: None) -> None:
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            part = Path(folder) / "new"
            with closing(connect(part, "rwc")) as connection:
                fill(connection)
            part.chmod(0o600)  # its owner's alone, as is the journal that SQLite makes beside it
            with part.open("rb") as file:
                flush_to_disk(file)
            last()
            os.link(part, path)  # unlike a rename it never replaces a gallery made in the meantime
    except FileExistsError:
        raise
    except OSError as error:
        raise GalleryError(f"{path}: cannot create a gallery here ({error.strerror}); look at its folder") from error
    except sqlite3.Error as error:
        raise GalleryError(f"{path}: cannot create a gallery here: {in_words(error)}") from error
    flush_folder(path.parent)


def _first_meta(embedder: RecordedEmbedder, fusion: Fusion, origin: str, key_check: bytes | None, now: str) -> MetaRow:
    return MetaRow(
        only_row=1,
        embedder=embedder.name,
        fingerprint=embedder.fingerprint,
        dimensions=embedder.dimensions,
        size=embedder.size,
        source=embedder.source,
        created=now,
        changes=0,
        detector=embedder.detector,
        detector_fingerprint=embedder.detector_fingerprint,
        fusion=fusion.value,
        serial=origin,
        origin=origin,
        encrypted=int(key_check is not None),
        key_check=key_check,
        identities=0,
        templates=0,
        last_identity=0,
        last_template=0,
        last_move=0,
        forgotten=0,
        audit_entries=0,
        audit_digest=BEGINNING,
        negatives=0,
        last_negative=0,
        negative_changes=0,
    )
