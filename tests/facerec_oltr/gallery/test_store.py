"""The gallery's file: appears whole, migrates whole, refuses what it is not, loses nothing."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256

import numpy as np
import pytest

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.gallery import Gallery
from facerec_oltr.gallery.records import NewTemplate, RecordedEmbedder
from facerec_oltr.gallery.store.migrations import MIGRATIONS, migrate

EMBEDDER = RecordedEmbedder("pixels", "ab" * 32, 4, 8, "pixels")

# Enrols so many people, three photos each, and says so after each: what it said must be there later.
WRITER = """
import sys
from hashlib import sha256
import numpy as np
from facerec_oltr.gallery.gallery import Gallery
from facerec_oltr.gallery.records import NewTemplate, RecordedEmbedder

path, who, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
with Gallery.open_or_create(path, RecordedEmbedder("pixels", "ab" * 32, 4, 8, "pixels")) as gallery:
    for n in range(count):
        name = f"{who}{n}"
        hashes = [sha256(f"{name}/{i}".encode()).hexdigest() for i in range(3)]
        gallery.enrol(name, [NewTemplate(np.eye(4, dtype=np.float32)[0], photo, name) for photo in hashes])
        print(name, flush=True)
"""


def digest(text):
    return sha256(text.encode()).hexdigest()


def template(vector, photo):
    return NewTemplate(np.array(vector, np.float32), digest(photo), f"{photo}.png")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "gallery.db"
    with Gallery.create(path, EMBEDDER) as gallery:
        gallery.enrol("ann", [template([1, 0, 0, 0], "a")])
    return path


def writer(path, who, count):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), who, str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_processes_that_create_and_enrol_at_once_lose_nothing(tmp_path):
    path = tmp_path / "gallery.db"
    writers = [writer(path, who, 60) for who in "abc"]
    for process in writers:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err, len(out.split())) == (0, "", 60)
    with Gallery.open(path) as gallery:
        assert gallery.identities() == {f"{who}{n}": 3 for who in "abc" for n in range(60)}
        assert gallery.state().changes == 180
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gallery.db", "gallery.db.index"]


@pytest.mark.parametrize("said", [1, 4, 13])
def test_killed_enrolment_keeps_every_acknowledged_person_whole(tmp_path, said):
    path = tmp_path / "gallery.db"
    process = writer(path, "p", 10_000)
    assert process.stdout is not None
    with process:
        acknowledged = [process.stdout.readline().strip() for _ in range(said)]
        time.sleep(0.003 * said)  # some way into another transaction
        os.kill(process.pid, signal.SIGKILL)
        acknowledged += process.stdout.read().split()
    assert process.returncode == -signal.SIGKILL
    with Gallery.open(path) as gallery:
        enrolled = gallery.identities()
        assert set(acknowledged) <= set(enrolled)
        assert len(enrolled) <= len(acknowledged) + 1  # one may have been written and not yet said
        assert set(enrolled.values()) == {3}
        assert len(gallery.search([[1, 0, 0, 0]], k=5)[0]) == min(5, len(enrolled))


def test_migration_makes_a_gallery_of_version_0(tmp_path):
    with closing(sqlite3.connect(tmp_path / "empty.db", isolation_level=None)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (0,)
        migrate(db)
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert {"meta", "identities", "templates", "calibrations"} <= tables
        migrate(db)  # and again: nothing to do


def test_migration_keeps_what_is_enrolled(path):
    older = (*MIGRATIONS, ("ALTER TABLE identities ADD COLUMN note TEXT NOT NULL DEFAULT 'none'",))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, older)
        assert db.execute("SELECT name, note FROM identities").fetchall() == [("ann", "none")]
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)


def test_failed_migration_leaves_the_version_before_it(path):
    broken = (*MIGRATIONS, ("DROP TABLE calibrations", "CREATE TABLE identities (id)"))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            migrate(db, broken)
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert db.execute("SELECT count(*) FROM calibrations").fetchone() == (0,)
    with Gallery.open(path) as gallery:
        assert gallery.identities() == {"ann": 1}


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    return text


def test_newer_version_is_refused_and_left_alone(path):
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(GalleryError) as error:
        Gallery.open(path)
    assert "version 99" in one_line(error)
    assert "update facerec-oltr" in one_line(error)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"a photo, perhaps" * 100, b"", b"SQLite format 3\0" + b"\0" * 500])
def test_file_that_is_no_gallery_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "other.db"
    path.write_bytes(content)
    with pytest.raises(GalleryError) as error:
        Gallery.open(path)
    assert one_line(error).startswith(f"{path}: ")
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["other.db"]


def test_another_programs_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE cookies (id)")
    before = path.read_bytes()
    with pytest.raises(GalleryError) as error:
        Gallery.open(path)
    assert "not a gallery" in one_line(error)
    assert path.read_bytes() == before


def test_missing_file_and_missing_folder_are_named(tmp_path):
    with pytest.raises(GalleryError) as error:
        Gallery.open(tmp_path / "none.db")
    assert "no such gallery" in one_line(error)
    with pytest.raises(GalleryError) as error:
        Gallery.create(tmp_path / "none" / "gallery.db", EMBEDDER)
    assert "cannot create" in one_line(error)
    assert list(tmp_path.iterdir()) == []


def test_creating_over_a_file_is_refused(path):
    before = path.read_bytes()
    with pytest.raises(GalleryError) as error:
        Gallery.create(path, EMBEDDER)
    assert "there is a file already" in one_line(error)
    assert path.read_bytes() == before


def test_another_embedder_is_refused_by_name(path):
    other = RecordedEmbedder("arcface", "cd" * 32, 512, 112, "pixels")
    for reach in (Gallery.open, Gallery.open_or_create):
        with pytest.raises(GalleryError) as error:
            reach(path, other)
        assert "'pixels'" in one_line(error)
        assert "'arcface'" in one_line(error)
    retrained = RecordedEmbedder("pixels", "ef" * 32, 4, 8, "pixels")
    with pytest.raises(GalleryError, match="ef" * 6):
        Gallery.open(path, retrained)
    with Gallery.open(path, EMBEDDER) as gallery:
        assert gallery.embedder == EMBEDDER


def test_flipped_bit_in_a_template_is_found(path):
    with closing(sqlite3.connect(path)) as db, db:
        blob = bytearray(db.execute("SELECT vector FROM templates").fetchone()[0])
        blob[5] ^= 1
        db.execute("UPDATE templates SET vector = ?", (bytes(blob),))
    with Gallery.open(path) as gallery, pytest.raises(GalleryError) as error:
        gallery.search([[1, 0, 0, 0]])
    assert "row 1 of templates is damaged" in one_line(error)


def test_damaged_pages_give_one_line(path):
    content = bytearray(path.read_bytes())
    content[4096:] = np.random.default_rng(0).bytes(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(GalleryError) as error, Gallery.open(path) as gallery:
        gallery.identities()
    assert one_line(error).startswith(f"{path}: ")


def test_gallery_held_by_another_writer_says_so(path, monkeypatch):
    monkeypatch.setattr("facerec_oltr.gallery.store.connection._BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other, Gallery.open(path) as gallery:
        other.execute("BEGIN IMMEDIATE")
        assert gallery.identities() == {"ann": 1}  # reading goes on
        Gallery.open(path).close()  # and opening
        with pytest.raises(GalleryError) as error:
            gallery.enrol("bob", [template([0, 1, 0, 0], "b")])
        other.execute("ROLLBACK")
        assert "another process" in one_line(error)
        gallery.enrol("bob", [template([0, 1, 0, 0], "b")])
        assert list(gallery.identities()) == ["ann", "bob"]


def test_time_is_the_clocks(tmp_path):
    moment = datetime(2020, 2, 29, 12, 0, tzinfo=UTC)
    with Gallery.create(tmp_path / "g.db", EMBEDDER, clock=lambda: moment) as gallery:
        gallery.enrol("ann", [template([1, 0, 0, 0], "a")])
    with closing(sqlite3.connect(tmp_path / "g.db")) as db:
        for table in ("meta", "identities", "templates"):
            assert db.execute(f"SELECT created FROM {table}").fetchall() == [("2020-02-29T12:00:00+00:00",)]


def test_removed_face_is_not_left_in_the_file(tmp_path):
    path = tmp_path / "g.db"
    vector = np.array([0.1, 0.7, 0.1, 0.7], np.float32)
    with Gallery.create(path, EMBEDDER) as gallery:
        gallery.enrol("carol", [template(vector, "c")])
    assert vector.tobytes() in path.read_bytes()
    with Gallery.open(path) as gallery:
        gallery.erase("carol")
    for trace in (vector.tobytes(), b"carol", b"c.png"):
        assert trace not in path.read_bytes()
