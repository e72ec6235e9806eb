"""A flipped byte anywhere in the file is found, or changes nothing that can be read."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.encryption import Key
from facerec_oltr.gallery.records import (
    Calibration,
    Cohort,
    Fusion,
    GalleryState,
    NewNegative,
    NewTemplate,
    RecordedEmbedder,
)
from facerec_oltr.gallery.store import SqliteStore

EMBEDDER = RecordedEmbedder("pixels", "ab" * 32, 64, 8, "pixels")
KEYS = {"plain": None, "encrypted": Key(bytes(32), "key")}


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def vectors(count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, 64)).astype(np.float32)


def make(path: Path, key: Key | None = None) -> Path:
    """A gallery with something in every table, and free pages."""
    store = SqliteStore.create(path, EMBEDDER, Fusion.QUALITY, key=key)
    for person in range(40):
        templates = [
            NewTemplate(vector, digest(f"{person}/{i}"), f"people/{person}/{i}.png", 0.5, {"blur": i})
            for i, vector in enumerate(vectors(person % 5 + 1))
        ]
        store.enrol(f"person {person}", templates, consent=f"form {person}", expires="2030-01-01")
    store.erase([f"person {person}" for person in range(0, 40, 3)])
    store.merge("person 1", "person 2")
    for person in (4, 7):
        store.reject(f"person {person}", [NewNegative(v, digest(f"not {person}"), "not.png", i)
                                          for i, v in enumerate(vectors(6), 1)])  # fmt: skip
    for target in (0.1, 0.01):
        state = GalleryState(3, 2, 1)
        store.save_calibration(Calibration(target, 0.5, 0.0, True, 3, 9, state, "max", "then", upper_fpir=0.2))
    store.save_cohort(Cohort(vectors(9), np.arange(9), tuple(digest(f"cohort {n}") for n in range(9))))
    store.backup(path.with_name("copy.db"))
    store.close()
    return path


def plain(record: Any) -> dict[str, Any]:
    """A record with its arrays as bytes."""
    return {name: v.tobytes() if isinstance(v, np.ndarray) else v for name, v in vars(record).items()}


def answers(store: SqliteStore) -> list[Callable[[], Any]]:
    """All that can be asked, in a form that can be compared."""
    everybody = range(1, 60)

    def person(name: str) -> Any:
        found = store.person(name)
        return found and (found.summary, [plain(one) for one in (*found.templates, *found.negatives)])

    return [
        store.facts,
        store.state,
        store.people,
        lambda: [person(f"person {n}") for n in range(40)],
        lambda: store.names(everybody),
        lambda: [store.owner(digest(f"{n}/0")) for n in range(40)],
        lambda: store.expired("2031-01-01"),
        lambda: [plain(store.follow(changes, last)) for changes, last in ((0, 0), (41, 10))],
        lambda: [plain(block) for block in store.blocks(0, 999, rows=10)],
        lambda: plain(store.templates_of(everybody)),
        store.calibrations,
        lambda: plain(store.cohort()),
        lambda: plain(store.negatives()),
        store.negative_changes,
        store.audit,
    ]


def told(path: Path, key: Key | None) -> tuple[list[Any], list[Any]]:
    """What a gallery says, and what its check finds; an answer may be an error of one line."""
    try:
        store = SqliteStore.open(path, key=key)
    except GalleryError as error:
        assert "\n" not in str(error)
        return [], [error]
    said: list[Any] = []
    try:
        for ask in answers(store):
            try:
                said.append(ask())
            except GalleryError as error:
                assert "\n" not in str(error)
                said.append(GalleryError)
        findings = list(store.check())
    finally:
        store.close()
    for finding in findings:
        assert "\n" not in f"{finding.place}{finding.problem}{finding.advice}"
    return said, findings


def flip(tmp_path: Path, key: Key | None, flips: int, seed: int) -> tuple[int, int]:
    """Flip that many bytes, one at a time; how many were found, and how many changed nothing."""
    whole = make(tmp_path / "g.db", key).read_bytes()
    truth, findings = told(tmp_path / "g.db", key)
    assert findings == []
    rng = np.random.default_rng(seed)
    damaged = tmp_path / "damaged.db"
    found = 0
    for _ in range(flips):
        content = bytearray(whole)
        place = int(rng.integers(len(content)))
        content[place] ^= int(rng.integers(1, 256))
        damaged.write_bytes(content)
        said, findings = told(damaged, key)
        if findings:
            found += 1
        else:
            assert said == truth, f"byte {place} changed an answer and was not found"
        for beside in ("-wal", "-shm"):
            damaged.with_name(damaged.name + beside).unlink(missing_ok=True)
    return found, flips - found


@pytest.mark.parametrize("kind", KEYS)
def test_flipped_byte_is_found_or_changes_nothing(tmp_path: Path, kind: str):
    found, harmless = flip(tmp_path, KEYS[kind], 150, seed=17)
    assert found > 30
    assert harmless > 0  # free space


@pytest.mark.slow
@pytest.mark.parametrize("kind", KEYS)
def test_thousands_of_flipped_bytes_are_found_or_change_nothing(tmp_path: Path, kind: str):
    found, harmless = flip(tmp_path, KEYS[kind], 4000, seed=18)
    assert found > 1000
    assert harmless > 0


def test_every_byte_of_the_header_is_found_or_changes_nothing(tmp_path: Path):
    whole = make(tmp_path / "g.db").read_bytes()
    truth, _ = told(tmp_path / "g.db", None)
    damaged = tmp_path / "damaged.db"
    for place in range(100):
        content = bytearray(whole)
        content[place] ^= 0xFF if place % 2 else 1
        damaged.write_bytes(content)
        said, findings = told(damaged, None)
        assert findings or said == truth, place
        for beside in ("-wal", "-shm"):
            damaged.with_name(damaged.name + beside).unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("statement", "place", "problem"),
    [
        ("UPDATE templates SET quality = 0.25 WHERE id = 3", "templates row 3", "checksum"),
        ("UPDATE identities SET consent = 'forged' WHERE id = 3", "identities row 3", "checksum"),
        ("UPDATE calibrations SET threshold = 0 WHERE id = 1", "calibrations row 1", "checksum"),
        ("UPDATE cohort SET person = 5 WHERE id = 1", "cohort row 1", "checksum"),
        ("UPDATE negatives SET face = 9 WHERE id = 1", "negatives row 1", "checksum"),
        ("DELETE FROM negatives WHERE id = 3", "meta", "negatives: found"),
        ("UPDATE negatives SET id = 99 WHERE id = 3", "meta", "negatives with numbers not given yet"),
        ("UPDATE moves SET template = 9 WHERE id = 1", "moves row 1", "checksum"),
        ("UPDATE backups SET path = '' WHERE id = 1", "backups row 1", "checksum"),
        ("DELETE FROM templates WHERE id = 3", "meta", "templates: found"),
        ("DELETE FROM audit WHERE id = 5", "audit entry 6", "does not follow"),
        ("DELETE FROM audit WHERE id = (SELECT max(id) FROM audit)", "audit trail", "last entries"),
        ("UPDATE sqlite_sequence SET seq = 9999 WHERE name = 'identities'", "meta", "last identity"),
        (
            "INSERT INTO templates SELECT 999, identity, vector, 0, photo_sha256, '', '', 1, '' FROM templates LIMIT 1",
            "meta",
            "photos enrolled twice",
        ),
        ("UPDATE templates SET identity = 77 WHERE id = 3", "templates row 3", "belongs to nothing"),
        ("DROP INDEX templates_by_identity", "index templates_by_identity", "is not as"),
    ],
)
def test_what_was_changed_by_other_means_is_named(tmp_path: Path, statement: str, place: str, problem: str):
    path = make(tmp_path / "g.db")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)
    store = SqliteStore.open(path)
    assert any(f.place == place and problem in f.problem for f in store.check()), store.check()
    store.close()


def test_forged_audit_entry_is_found_even_with_a_fitting_checksum(tmp_path: Path):
    from facerec_oltr.gallery.store.rows import AuditRow, read_one
    from facerec_oltr.gallery.store.rows import replace as write

    path = make(tmp_path / "g.db")
    with closing(sqlite3.connect(path)) as db, db:
        entry = read_one(db, AuditRow, "WHERE id = 4")
        assert entry is not None
        write(db, entry._replace(facts='{"templates":1}'))
    store = SqliteStore.open(path)
    assert [f.place for f in store.check()] == ["audit entry 4"]
    store.close()


def test_encrypted_vectors_swapped_between_rows_are_found(tmp_path: Path):
    from facerec_oltr.gallery.store.rows import TemplateRow, read
    from facerec_oltr.gallery.store.rows import replace as write

    path = make(tmp_path / "g.db", KEYS["encrypted"])
    with closing(sqlite3.connect(path)) as db, db:
        one, other = list(read(db, TemplateRow, "ORDER BY id LIMIT 2"))
        write(db, one._replace(vector=other.vector))
        write(db, other._replace(vector=one.vector))
    store = SqliteStore.open(path, key=KEYS["encrypted"])
    assert [f.place for f in store.check()] == [f"templates row {one.id}", f"templates row {other.id}"]
    with pytest.raises(GalleryError, match="changed or belongs elsewhere"):
        list(store.blocks(0, 999))
    store.close()
