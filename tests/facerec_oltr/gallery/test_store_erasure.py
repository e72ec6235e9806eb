"""What is erased is gone from the files, to the byte, and a receipt never says so where it is not."""

import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from facerec_oltr.gallery.encryption import Key
from facerec_oltr.gallery.records import AuditEntry, Cohort, NewTemplate, RecordedEmbedder
from facerec_oltr.gallery.store import SqliteStore, connection, erasure, traces
from facerec_oltr.gallery.store.traces import Needles
from facerec_oltr.gallery.store.writing import Writing

D = 512
EMBEDDER = RecordedEmbedder("pixels", "ab" * 32, D, 8, "pixels")
KEYS = {"plain": None, "encrypted": Key(bytes(32), "key")}


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def new(name: str, photo: int) -> NewTemplate:
    label = f"{name}/{photo}"
    vector = np.random.default_rng(list(label.encode())).normal(size=D).astype(np.float32)
    return NewTemplate(vector, digest(label), f"people/{label}.jpg", 0.5, {"seen as": f"{name}-{photo}"})


@pytest.fixture(params=KEYS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore.create(tmp_path / "g.db", EMBEDDER, key=KEYS[request.param])
    for person in range(30):
        name = f"person {person:03d}"
        store.enrol(name, [new(name, photo) for photo in range(person % 4 + 1)], consent=f"form of {name}")
    yield store
    store.close()


def files(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.iterdir() if file.name.startswith(path.name))


def secrets(name: str, photos: int) -> list[bytes]:
    own = [new(name, photo) for photo in range(photos)]
    texts = [name, f"form of {name}"]
    for template in own:
        texts += [template.photo_sha256, template.photo_path, str(template.details["seen as"])]
    return [text.encode() for text in texts] + [template.vector.tobytes()[:64] for template in own]


def stored_vectors(path: Path, name: str) -> list[bytes]:
    query = "SELECT vector FROM templates JOIN identities ON identities.id = identity WHERE name = ?"
    with closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute(query, (name,))]


def test_no_byte_of_the_erased_is_left(store: SqliteStore):
    for person in (7, 11, 0, 29):
        name = f"person {person:03d}"
        photos = person % 4 + 1
        vectors = stored_vectors(store.path, name)
        pieces = [vector[start : start + 16] for vector in vectors for start in range(0, len(vector) - 16, 100)]
        assert len(vectors) == photos
        assert all(piece in files(store.path) for piece in pieces)
        receipt = store.erase([name])
        assert dict(receipt.traces) == {"rows": 0, "database file": 0, "-wal": 0, "-shm": 0}
        left = files(store.path)
        for secret in [*secrets(name, photos), *pieces]:
            assert secret not in left
        assert Path(f"{store.path}-wal").stat().st_size == 0
    assert len(store.people()) == 26
    assert store.check() == []


def test_no_page_is_copied_to_a_file_elsewhere(store: SqliteStore, monkeypatch: pytest.MonkeyPatch):
    # By its own will SQLite keeps pages that a statement changes, above 64 kB in a nameless file in /var/tmp until
    # the transaction ends. A DELETE changes so many in a large gallery, in this one something larger must.
    open_files: list[str] = []
    note = Writing.note

    def looked_at(writing: Writing, action: str, facts: Mapping[str, int]) -> AuditEntry:
        for change in ("quality / 2", "quality * 2"):
            writing.db.execute(f"UPDATE templates SET quality = {change}")
        for entry in Path("/proc/self/fd").iterdir():
            with suppress(OSError):  # the folder's own, gone by now
                open_files.append(str(entry.readlink()))
        return note(writing, action, facts)

    monkeypatch.setattr(Writing, "note", looked_at)
    store.erase(["person 015"])
    connection.write_anew(store._connection)  # which takes a file, and gives it back
    store.erase(["person 019"])
    assert str(store.path) in open_files
    assert [name for name in open_files if "etilqs" in name] == []


def test_replaced_renamed_and_merged_leave_nothing_behind(store: SqliteStore):
    store.enrol("person 003", [new("person 003", 9)], replace=True)
    store.rename("person 004", "another name")
    store.merge("person 005", "person 006")
    store.save_cohort(Cohort(np.ones((2, D), np.float32), np.zeros(2, np.int64), (digest("c1"), digest("c2"))))
    store.save_cohort(Cohort(np.ones((1, D), np.float32), np.zeros(1, np.int64), (digest("c3"),)))
    left = files(store.path)
    gone = [template.photo_sha256.encode() for template in (new("person 003", photo) for photo in range(4))]
    gone += [b"form of person 005", digest("c1").encode()]
    assert not [secret for secret in gone if secret in left]
    with closing(sqlite3.connect(store.path)) as db:
        named = {row[0] for row in db.execute("SELECT name FROM identities")}
    assert not named & {"person 004", "person 005"}


def test_reader_in_the_way_is_waited_for_and_then_told_of(store: SqliteStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(erasure.empty_journal, "__defaults__", (0.2,))
    with closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM templates").fetchone()  # sees the state of now from here on
        for prove in (True, False):  # what cannot be emptied is looked through in any case
            name = "person 008" if prove else "person 009"
            receipt = store.erase([name], prove=prove)
            assert receipt.traces["rows"] == 0
            assert sum(receipt.traces.values()) > 0
            assert name.encode() in files(store.path)
        reader.execute("COMMIT")
    store.erase(["person 010"])
    assert b"person 008" not in files(store.path)


def test_copy_of_a_row_left_on_another_page_is_found_and_removed(store: SqliteStore):
    # SQLite without secure_delete, as another program would have it, leaves a row's bytes in free space.
    name = "person 013"
    with closing(sqlite3.connect(store.path, isolation_level=None)) as db:
        db.execute("PRAGMA secure_delete = OFF")
        db.execute("BEGIN")
        db.execute(
            "INSERT INTO backups SELECT 900 + templates.id, photo_path || name, '', 0, 0, 0, 0 "
            "FROM templates JOIN identities ON identities.id = identity WHERE name = ?",
            (name,),
        )
        db.execute("DELETE FROM backups")
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    quick = store.erase(["person 014"], prove=False)
    assert dict(quick.traces) == {"rows": 0}  # and says nothing of bytes, for which it did not look
    assert b"people/person 013/0.jpgperson 013" in store.path.read_bytes()
    receipt = store.erase([name])
    assert not any(receipt.traces.values())
    assert b"person 013" not in files(store.path)
    assert store.check() == []


def test_bytes_that_somebody_else_has_too_are_no_traces(store: SqliteStore):
    twin = new("person 001", 0)
    store.enrol("Ann", [NewTemplate(twin.vector, digest("ann"), "people/ann.jpg")], consent="form of person 001")
    store.enrol("Annabel", [NewTemplate(twin.vector, digest("annabel"), "people/ann.jpg.jpg")])
    store.enrol("enrol", [NewTemplate(new("x", 0).vector, digest("enrol"), "TEXT")])  # words of the file itself
    for name in ("Ann", "enrol"):
        assert not any(store.erase([name]).traces.values())
    assert "Annabel" in [person.name for person in store.people()]


def test_removal_log_holds_numbers_alone(store: SqliteStore):
    store.erase(["person 020"])
    with closing(sqlite3.connect(store.path)) as db:
        kinds = {kind for _, _, kind, *_ in db.execute("PRAGMA table_info(moves)")}
        assert kinds == {"INTEGER"}
        assert db.execute("SELECT count(*) FROM moves").fetchone() == (1,)


def test_backup_keeps_what_is_erased_later_and_is_named(store: SqliteStore, tmp_path: Path):
    store.backup(tmp_path / "copy.db")
    moved = shutil.move(tmp_path / "copy.db", tmp_path / "elsewhere.db")
    receipt = store.erase(["person 002"])
    assert receipt.backups == (str(tmp_path / "copy.db"),)  # wherever it is now
    assert b"person 002" in Path(moved).read_bytes()


@pytest.mark.parametrize("block", [100, 4096, 1 << 20])
def test_needles_are_counted_as_a_plain_search_counts_them(tmp_path: Path, monkeypatch, block: int):
    monkeypatch.setattr(traces, "_BLOCK", block)
    rng = np.random.default_rng(3)
    content = rng.integers(0, 3, 8_000, np.uint8).tobytes()  # three letters: short needles come often
    places = rng.integers(0, 7_900, 60)
    needles = {content[p : p + n] for p, n in zip(places.tolist(), rng.integers(4, 60, 60).tolist(), strict=True)}
    needles |= {b"absent", content[-7:], content[:9]}
    (tmp_path / "file").write_bytes(content)
    expected = {n: sum(content.startswith(n, p) for p in range(len(content))) for n in needles}
    counted = Needles(needles).count_in_file(tmp_path / "file")
    assert dict(counted) == {needle: count for needle, count in expected.items() if count}
    assert Needles(needles).found_in([content[:5000], content[5000:]]) == {
        n for n in needles if n in content[:5000] or n in content[5000:]
    }
    assert Needles(needles).count_in_file(tmp_path / "none") == {}
    assert Needles([]).count_in_file(tmp_path / "file") == {}
