"""A gallery's file: older versions, read-only places, full disks, keys."""

import os
import sqlite3
import stat
import subprocess
import sys
import zlib
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.encryption import KEY_VARIABLE, Key, key_from_environment, make_key, read_key
from facerec_oltr.gallery.records import Calibration, Fusion, GalleryState, NewNegative, NewTemplate, RecordedEmbedder
from facerec_oltr.gallery.store import SqliteStore
from facerec_oltr.gallery.store.migrations import MIGRATIONS, migrate
from facerec_oltr.gallery.store.rows import checksum

EMBEDDER = RecordedEmbedder("pixels", "ab" * 32, 4, 8, "pixels")
KEY = Key(bytes(range(32)), "key.bin")


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def new(photo: str) -> NewTemplate:
    vector = np.random.default_rng(list(photo.encode())).normal(size=4).astype(np.float32)
    return NewTemplate(vector, digest(photo), f"{photo}.png")


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def version_1(path: Path, *, damaged: bool = False) -> list[np.ndarray]:
    """A gallery as version 1 wrote it: ann with templates 1 and 3, bob with 4; template 2 and cy were removed."""
    vectors = [new(photo).vector for photo in "abc"]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        migrate(db, MIGRATIONS[:1])
        db.execute("INSERT INTO meta VALUES (1, 'pixels', ?, 4, 8, 'pixels', '2025-01-01', 5)", ("ab" * 32,))
        db.execute("INSERT INTO identities VALUES (1, 'ann', '2025-01-02'), (2, 'bob', '2025-01-03'), (3, 'cy', '-')")
        db.execute("DELETE FROM identities WHERE id = 3")
        for number, who, photo, vector in zip((1, 3, 4), (1, 1, 2), "abc", vectors, strict=True):
            blob = vector.tobytes()
            row = (number, who, blob, zlib.crc32(blob) ^ damaged, digest(photo), f"{photo}.png", "2025-01-04")
            db.execute("INSERT INTO templates VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        db.execute(
            "INSERT INTO calibrations VALUES (1, 0.1, 0.75, 0.0625, 1, 4, 16, 3, 2, 3, 'max', '2025-01-05'), "
            "(2, 0.01, 0.5, 0.0, 0, 4, 16, 5, 2, 3, 'max', '2025-01-06')"
        )
    return vectors


def test_gallery_of_version_1_is_migrated_with_all_it_holds(tmp_path: Path):
    vectors = version_1(tmp_path / "g.db")
    store = SqliteStore.open(tmp_path / "g.db")
    facts = store.facts()
    assert (facts.embedder, facts.fusion, facts.encrypted) == (EMBEDDER, Fusion.MAX, False)
    assert len(facts.serial) == 32
    assert store.state() == GalleryState(5, 2, 3)
    assert [(p.number, p.name, p.templates, p.created, p.expires, p.consent) for p in store.people()] == [
        (1, "ann", 2, "2025-01-02", None, None),
        (2, "bob", 1, "2025-01-03", None, None),
    ]
    [block] = store.blocks(0, 99)
    assert (block.templates.tolist(), block.identities.tolist()) == ([1, 3, 4], [1, 1, 2])
    assert block.qualities.tolist() == [1.0, 1.0, 1.0]
    np.testing.assert_array_equal(block.vectors, vectors)
    state = GalleryState(3, 2, 3)
    assert store.calibrations()[0] == Calibration(0.1, 0.75, 0.0625, True, 4, 16, state, "max", "2025-01-05")
    assert [c.measurable for c in store.calibrations()] == [True, False]
    assert [(e.action, e.facts) for e in store.audit()] == [
        ("migrate", {"from": version, "to": version + 1}) for version in range(1, len(MIGRATIONS))
    ]
    assert (store.negatives().vectors.shape, store.negative_changes()) == ((0, 4), 0)
    assert store.follow(3, 4) is None  # version 1 remembered nothing
    assert store.follow(5, 4) is not None
    store.enrol("dan", [new("d")])
    assert [p.number for p in store.people()] == [1, 2, 4]
    assert store.check() == []
    store.close()


def test_migration_that_cannot_be_made_leaves_version_1(tmp_path: Path):
    version_1(tmp_path / "g.db", damaged=True)
    before = (tmp_path / "g.db").read_bytes()
    with pytest.raises(GalleryError) as error:
        SqliteStore.open(tmp_path / "g.db")
    assert "template 1 is damaged" in one_line(error)
    assert (tmp_path / "g.db").read_bytes() == before
    with pytest.raises(GalleryError) as error:
        SqliteStore.open(tmp_path / "g.db", readonly=True)
    assert "of version 1" in one_line(error)


def version_2(path: Path, *, damaged: bool = False) -> None:
    """A gallery as version 2 left it: version 1 migrated by two, with a backup remembered."""
    version_1(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, MIGRATIONS[:2], now="2025-02-01")
        row = (1, "/copies/c.db", "2025-02-02", 3, 4)
        db.execute("INSERT INTO backups VALUES (?, ?, ?, ?, ?, ?)", (*row, checksum(row) ^ damaged))


def test_gallery_of_version_2_is_migrated(tmp_path: Path):
    version_2(tmp_path / "g.db")
    store = SqliteStore.open(tmp_path / "g.db")
    assert store.check() == []
    assert [e.facts for e in store.audit()] == [
        {"from": version, "to": version + 1} for version in range(1, len(MIGRATIONS))
    ]
    store.reject("ann", [NewNegative(new("x").vector, digest("x"), "x.png")])
    assert store.unreject([digest("x")]).backups == ()  # it came after the copy
    assert store.erase(["ann"]).backups == ("/copies/c.db",)
    assert store.check() == []
    store.close()


def test_damaged_gallery_of_version_2_stays_so(tmp_path: Path):
    version_2(tmp_path / "g.db", damaged=True)
    with pytest.raises(GalleryError) as error:
        SqliteStore.open(tmp_path / "g.db")
    assert "row 1 of backups is damaged" in one_line(error)
    with closing(sqlite3.connect(tmp_path / "g.db")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        assert not [row for row in db.execute("PRAGMA table_info(backups)") if row[1] == "last_negative"]


def test_migration_4_keeps_the_newest_maxima_alone(tmp_path: Path):
    path = tmp_path / "g.db"
    version_2(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, MIGRATIONS[:3], now="2025-03-01")
        for number, target in enumerate((0.1, 0.01, 0.1, 0.1), 3):
            row = (number, target, 0.5, 0.0, 1, 4, 16, 3, 2, 3, "max", "then", "strangers", "cosine", None, 0.2)
            values = (*row, np.full(500, number, "<f8").tobytes())
            db.execute(f"INSERT INTO calibrations VALUES ({'?, ' * 17}?)", (*values, checksum(values)))
    with closing(SqliteStore.open(path)) as store:
        kept = store.calibrations()
        assert [(c.target_fpir, c.maxima[:1], len(c.maxima)) for c in kept] == [
            *((0.1, (), 0), (0.01, (), 0), (0.1, (), 0), (0.01, (4.0,), 500), (0.1, (), 0), (0.1, (6.0,), 500)),
        ]
        assert {c.upper_fpir for c in kept[2:]} == {0.2}
        assert store.check() == []


def test_identify_reads_one_calibration_of_many(tmp_path: Path):
    with closing(SqliteStore.create(tmp_path / "g.db", EMBEDDER)) as store:
        state = GalleryState(1, 1, 1)
        for number in range(200):
            store.save_calibration(
                Calibration(0.1, number, 0.0, True, 4, 16, state, "max", "then", maxima=tuple(range(1000)))
            )
        size = store._connection.execute("SELECT sum(length(maxima)) FROM calibrations").fetchone()[0]
        assert size == 8000  # of one of 200
        # A damaged row that is not asked for is not read: only the one that is decided by.
        store._connection.execute("UPDATE calibrations SET threshold = 7 WHERE id = 100")
        latest = store.calibration(0.1)
        assert latest is not None
        assert latest.threshold == 199
        assert [f.place for f in store.check()] == ["calibrations row 100"]


def test_migrated_and_new_galleries_have_one_schema(tmp_path: Path):
    version_1(tmp_path / "old.db")
    SqliteStore.open(tmp_path / "old.db").close()
    SqliteStore.create(tmp_path / "new.db", EMBEDDER).close()
    schemas = []
    for name in ("old.db", "new.db"):
        with closing(sqlite3.connect(tmp_path / name)) as db:
            schemas.append(set(db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")))
    assert schemas[0] == schemas[1]


def test_readonly_store_reads_and_refuses_to_write(tmp_path: Path):
    path = tmp_path / "g.db"
    store = SqliteStore.create(path, EMBEDDER)
    store.enrol("ann", [new("a")])
    reader = SqliteStore.open(path, readonly=True)
    store.enrol("bob", [new("b")])
    assert [p.name for p in reader.people()] == ["ann", "bob"]  # what others write is seen
    for write in (
        lambda: reader.enrol("cy", [new("c")]),
        lambda: reader.erase(["ann"]),
        lambda: reader.note("export", {}),
        lambda: reader.backup(tmp_path / "copy.db"),
    ):
        with pytest.raises(GalleryError) as error:
            write()
        assert "read-only" in one_line(error)
    assert store.state() == reader.state()
    assert reader.check() == []
    assert not list(tmp_path.glob("*copy*"))
    reader.close()
    store.close()


READER = """
import os, sys
from pathlib import Path
from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.store import SqliteStore
if os.geteuid() == 0:
    os.seteuid(65534)  # root may write anywhere
try:
    store = SqliteStore.open(Path(sys.argv[1]), readonly=sys.argv[2] == "read")
    print([p.name for p in store.people()], store.check())
    store.note("export", {})
except GalleryError as error:
    print(error)
"""


def as_nobody(path: Path, how: str) -> list[str]:
    command = [sys.executable, "-c", READER, str(path), how]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that another user can reach, which root becomes to have its limits."""
    folder = tmp_path_factory.mktemp("open")
    if os.geteuid() == 0:
        for closed in (each for each in (folder, *folder.parents) if not each.stat().st_mode & stat.S_IXOTH):
            closed.chmod(0o755)
    return folder


def test_gallery_in_a_read_only_folder_is_read(place: Path):
    path = place / "g.db"
    store = SqliteStore.create(path, EMBEDDER)
    store.enrol("ann", [new("a")])
    store.close()
    path.chmod(0o444)
    place.chmod(0o555)
    try:
        said = as_nobody(path, "read")
        assert said[0] == "['ann'] []"
        assert "read-only" in said[1]
        assert [line for line in as_nobody(path, "write") if "permissions" in line or "read-only" in line]
    finally:
        place.chmod(0o755)


def test_journal_that_a_read_only_folder_holds_is_not_passed_over(place: Path):
    path = place / "g.db"
    store = SqliteStore.create(path, EMBEDDER)
    store.enrol("ann", [new("a")])
    journal = Path(f"{path}-wal").read_bytes()  # as a killed process leaves it
    store.close()
    Path(f"{path}-wal").write_bytes(journal)
    path.chmod(0o444)
    place.chmod(0o555)
    try:
        [said] = as_nobody(path, "read")
        assert "g.db-wal holds changes" in said
    finally:
        place.chmod(0o755)
    with closing(SqliteStore.open(path)) as store:
        assert [p.name for p in store.people()] == ["ann"]


def test_full_disk_is_one_line_and_loses_nothing(tmp_path: Path):
    store = SqliteStore.create(tmp_path / "g.db", EMBEDDER)
    store.enrol("ann", [new("a")])
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(GalleryError) as error:
        for person in range(999):
            store.enrol(f"p{person}", [new(f"{person}/{photo}") for photo in range(20)])
    assert "disk is full" in one_line(error)
    people = len(store.people())
    assert store.state().templates == 1 + 20 * (people - 1)
    assert store.check() == []
    store.close()


def test_photo_is_found_by_its_index_and_not_by_reading_every_row(tmp_path: Path):
    with closing(SqliteStore.create(tmp_path / "g.db", EMBEDDER)) as store:
        queries: list[str] = []
        store._connection.set_trace_callback(queries.append)
        store.enrol("ann", [new("a")])
        store.owner(digest("a"))
        store.owners([digest("a"), digest("b")])
        store._connection.set_trace_callback(None)
        plans = [
            [row[3] for row in store._connection.execute(f"EXPLAIN QUERY PLAN {query}")]
            for query in queries
            if "substr" in query
        ]
    assert len(plans) == 3
    for plan in plans:
        assert any("templates USING INDEX templates_by_photo" in step for step in plan)
        assert not any("SCAN" in step and "wanted" not in step for step in plan)


def test_text_that_cannot_be_stored_is_one_line(tmp_path: Path):
    with closing(SqliteStore.create(tmp_path / "g.db", EMBEDDER)) as store:
        with pytest.raises(GalleryError) as error:
            store.enrol("bad\udcff", [new("a")])
        assert "surrogate" in one_line(error)
        assert store.people() == []


def test_encrypted_gallery_holds_no_plain_vector_and_opens_with_its_key_alone(tmp_path: Path, monkeypatch):
    path = tmp_path / "g.db"
    template = new("a")
    with closing(SqliteStore.create(path, EMBEDDER, key=KEY)) as store:
        store.enrol("ann", [template, NewTemplate(template.vector, digest("b"), "b.png")])
        store.backup(tmp_path / "copy.db")
    for name in ("g.db", "copy.db"):
        assert template.vector.tobytes() not in (tmp_path / name).read_bytes()
    with closing(sqlite3.connect(path)) as db:
        one, other = (row[0] for row in db.execute("SELECT vector FROM templates"))
        assert one[:12] != other[:12]  # a nonce of its own a vector
        assert len(one) == 12 + 16 + 16
    with closing(SqliteStore.open(tmp_path / "copy.db", key=KEY)) as copy:
        np.testing.assert_array_equal(copy.templates_of([1]).vectors, [template.vector] * 2)
    with pytest.raises(GalleryError) as error:
        SqliteStore.open(path)
    assert "encrypted; give its key" in one_line(error)
    with pytest.raises(GalleryError) as error:
        SqliteStore.open(path, key=Key(bytes(32), "other.key"))
    assert "another key than other.key" in one_line(error)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(GalleryError) as error:
        SqliteStore.open(path, key=KEY)
    assert "pip install 'facerec-oltr[encryption]'" in one_line(error)


def test_ciphertext_is_aes_256_gcm_as_said(tmp_path: Path):
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    path = tmp_path / "g.db"
    with closing(SqliteStore.create(path, EMBEDDER, key=KEY)) as store:
        store.enrol("ann", [new("a")])
    with closing(sqlite3.connect(path)) as db:
        [(blob,)] = db.execute("SELECT vector FROM templates")
        [(origin,)] = db.execute("SELECT origin FROM meta")
    bound = f"facerec-oltr gallery {origin} {digest('a')}".encode()
    assert AESGCM(KEY.secret).decrypt(blob[:12], blob[12:], bound) == new("a").vector.tobytes()


def test_key_from_a_file_is_refused_by_a_plain_gallery_but_not_one_from_the_environment(tmp_path: Path):
    SqliteStore.create(tmp_path / "g.db", EMBEDDER).close()
    with pytest.raises(GalleryError) as error:
        SqliteStore.open(tmp_path / "g.db", key=KEY)
    assert "not encrypted, yet a key was given" in one_line(error)
    SqliteStore.open(tmp_path / "g.db", key=Key(KEY.secret, KEY_VARIABLE)).close()


def test_keys_are_read_in_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = make_key(tmp_path / "made.key")
    assert stat.S_IMODE((tmp_path / "made.key").stat().st_mode) == 0o600
    assert read_key(tmp_path / "made.key").secret == made.secret
    assert made.secret.hex() not in repr(made)
    assert repr(made.secret) not in repr(made)
    with pytest.raises(GalleryError) as error:
        make_key(tmp_path / "made.key")
    assert "never replaced" in one_line(error)
    assert read_key(tmp_path / "made.key").secret == made.secret
    with pytest.raises(GalleryError):
        make_key(tmp_path / "none" / "made.key")
    secret = bytes(range(32))
    forms = (secret, b"000102030405060708090A0B0C0D0E0F101112131415161718191a1b1c1d1e1f\n")
    for raw in (*forms, b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"):
        (tmp_path / "k").write_bytes(raw)
        assert read_key(tmp_path / "k").secret == secret
    for raw in (b"", b"secret", b"00" * 31, secret + b"\0", b"zz" * 32, b"AAEC", b"x" * 5000):
        (tmp_path / "k").write_bytes(raw)
        with pytest.raises(GalleryError) as error:
            read_key(tmp_path / "k")
        assert "not a key" in one_line(error)
    with pytest.raises(GalleryError):
        read_key(tmp_path / "none")
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert key_from_environment() is None
    monkeypatch.setenv(KEY_VARIABLE, secret.hex())
    assert key_from_environment() == Key(secret, KEY_VARIABLE)
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    with pytest.raises(GalleryError) as error:
        key_from_environment()
    assert "secret" not in one_line(error)
