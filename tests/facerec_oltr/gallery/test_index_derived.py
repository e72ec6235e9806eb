"""The index that follows a store, against brute force over one of dictionaries: change, damage, kills and crowds."""

import multiprocessing
import os
import random
import signal
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faiss
import numpy as np
import pytest

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.index import Derived
from facerec_oltr.gallery.index._columns import FileColumn
from facerec_oltr.gallery.index._head import Head
from facerec_oltr.gallery.records import Block, Delta, Fusion, GalleryState

D = 12


@dataclass
class FakeStore:
    """A store of dictionaries that remembers ``memory`` changes."""

    templates: dict[int, tuple[int, Any, float]] = field(default_factory=dict)
    log: list[tuple[int, str, int, int, int]] = field(default_factory=list)
    changes: int = 0
    last: int = 0
    memory: int = 10**9
    path: Path = Path("fake")

    def enrol(self, identity: int, vectors: Any, qualities: Any = None) -> list[int]:
        self.changes += 1
        for vector, quality in zip(vectors, np.ones(len(vectors)) if qualities is None else qualities, strict=True):
            self.last += 1
            self.templates[self.last] = (identity, np.asarray(vector, np.float32), float(quality))
        return list(range(self.last - len(vectors) + 1, self.last + 1))

    def erase(self, identity: int) -> Any:
        self.changes += 1
        gone = [t for t, row in self.templates.items() if row[0] == identity]
        self.log += [(self.changes, "removed", t, identity, 0) for t in gone]
        return np.array([self.templates.pop(t)[1] for t in gone])

    def merge(self, source: int, into: int) -> None:
        self.changes += 1
        for t, (identity, vector, quality) in self.templates.items():
            if identity == source:
                self.templates[t] = (into, vector, quality)
                self.log.append((self.changes, "moved", t, source, into))

    def state(self) -> GalleryState:
        return GalleryState(self.changes, len({row[0] for row in self.templates.values()}), len(self.templates))

    def people(self) -> list[Any]:
        return [SimpleNamespace(number=n) for n in sorted({row[0] for row in self.templates.values()})]

    def follow(self, changes: int, last_template: int) -> Delta | None:
        if changes > self.changes or (self.changes - changes > self.memory and changes):
            return None
        since = [entry for entry in self.log if entry[0] > changes]
        parts = []
        for what in ("removed", "moved"):
            # of a template that moved twice, only where it went in the end
            mine = {entry[2]: entry for entry in since if entry[1] == what}
            parts += [np.array([e[n] for e in mine.values()], np.int64) for n in (2, 3)]
        moved = {e[2]: e[4] for e in since if e[1] == "moved"}
        gone, gone_from, went, went_from = parts
        return Delta(
            self.state(), self.last, gone, gone_from, went, went_from, np.array(list(moved.values()), np.int64)
        )

    def blocks(self, after: int, up_to: int, *, rows: int = 65_536) -> Any:
        numbers = [t for t in sorted(self.templates) if after < t <= up_to]
        for start in range(0, len(numbers), 7):
            yield self._block(numbers[start : start + 7])

    def templates_of(self, identities: Any) -> Block:
        wanted = set(np.asarray(identities).tolist())
        return self._block([t for t in sorted(self.templates) if self.templates[t][0] in wanted])

    def _block(self, numbers: list[int]) -> Block:
        rows = [self.templates[t] for t in numbers]
        return Block(
            np.array(numbers, np.int64),
            np.array([r[0] for r in rows], np.int64),
            np.array([r[1] for r in rows], np.float32).reshape(-1, D),
            np.array([r[2] for r in rows]),
        )


def units(rng, n):
    vectors = rng.normal(size=(n, D))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def brute_force(store, fusion, probes, k):
    """Cosines of all templates in double precision, fused per identity by a loop."""
    answers = []
    for probe in probes:
        found = {}
        for template, (identity, vector, quality) in sorted(store.templates.items()):
            score = float((vector.astype(float) * probe.astype(float)).sum())
            found.setdefault(identity, []).append((score, quality, template))
        fused = []
        for identity, scores in found.items():
            if fusion is Fusion.MAX:
                best = max(scores, key=lambda s: (np.float32(s[0]), -s[2]))
                fused.append((-float(np.float32(best[0])), best[2], identity))
            else:
                weights = [q if fusion is Fusion.QUALITY else 1.0 for _, q, _ in scores]
                mean = sum(w * s for w, (s, _, _) in zip(weights, scores, strict=True)) / sum(weights)
                fused.append((-mean, identity, identity))
        answers.append([(-score, identity) for score, _, identity in sorted(fused)[:k]])
    return answers


def assert_answers(index, store, fusion, rng, k=3):
    probes = units(rng, 4)
    scores, identities = index.search(probes, k)
    expected = brute_force(store, fusion, probes, k)
    assert identities.tolist() == [[i for _, i in row] for row in expected]
    tolerance = 0 if fusion is Fusion.MAX else 2e-7  # a mean vector is rounded to float32
    np.testing.assert_allclose(scores, [[s for s, _ in row] for row in expected], rtol=0, atol=tolerance)


def changed(store: Any, rng: np.random.Generator) -> None:
    """One random change."""
    people = [p.number for p in store.people()]
    what = rng.random()
    if what < 0.6 or len(people) < 3:
        n = int(rng.integers(1, 6))
        store.enrol(int(rng.integers(1, 40)), units(rng, n), rng.uniform(0.1, 1, n))
    elif what < 0.85:
        store.erase(int(rng.choice(people)))
    else:
        store.merge(*map(int, rng.choice(people, 2, replace=False)))


def filled(rng: np.random.Generator, changes: int = 30) -> Any:
    store = FakeStore()
    for _ in range(changes):
        changed(store, rng)
    return store


def derived(folder, fusion=Fusion.MAX, serial="a", kind=None):
    return Derived(serial, D, fusion, folder, kind)


@pytest.mark.parametrize("place", ["folder", "memory"])
@pytest.mark.parametrize("kind", [None, "compressed", "graph"])
@pytest.mark.parametrize("fusion", Fusion)
def test_follows_every_change(tmp_path, fusion, kind, place):
    rng = np.random.default_rng(list(Fusion).index(fusion))
    folder = tmp_path / "g.index" if place == "folder" else None
    store: Any = FakeStore()
    index, late = derived(folder, fusion, kind=kind), derived(folder, fusion, kind=kind)
    for step in range(60):
        changed(store, rng)
        index.refresh(store)
        assert_answers(index, store, fusion, rng)
        if step % 11 == 0:  # one that comes by now and then, and one that opens what is there
            for other in (late, derived(folder, fusion, kind=kind)):
                other.refresh(store)
                assert_answers(other, store, fusion, rng, k=50)
    assert index.check(store) == []
    assert index.notes == []
    some = [p.number for p in store.people()][:2]
    vectors, owners = index.vectors_of(some)
    assert set(owners.tolist()) == set(some)
    block = store.templates_of(some)
    if fusion is Fusion.MAX:
        assert sorted(map(bytes, vectors)) == sorted(map(bytes, block.vectors))
    else:
        assert len(vectors) == 2
        weights = block.qualities if fusion is Fusion.QUALITY else np.ones(len(block.qualities))
        mine = block.identities == owners[0]
        mean = (weights[mine, None] * block.vectors[mine]).sum(axis=0) / weights[mine].sum()
        np.testing.assert_allclose(vectors[0], mean, rtol=1e-6, atol=1e-7)


def test_equal_scores_go_by_the_first_template():
    store: Any = FakeStore()
    probe = np.eye(D, dtype=np.float32)[:1]
    for person in (9, 4, 7):
        store.enrol(person, probe)
    index, means = derived(None), derived(None, Fusion.MEAN)
    index.refresh(store)
    means.refresh(store)
    assert index.search(probe, 3)[1].tolist() == [[9, 4, 7]]
    assert means.search(probe, 3)[1].tolist() == [[4, 7, 9]]


def test_identities_behind_one_with_many_templates_are_found():
    rng = np.random.default_rng(1)
    store: Any = FakeStore()
    probe = units(rng, 1)
    crowd = probe + 0.01 * rng.normal(size=(300, D))
    store.enrol(1, crowd / np.linalg.norm(crowd, axis=1, keepdims=True))
    for person in range(2, 6):
        store.enrol(person, units(rng, 2))
    index = derived(None)
    index.refresh(store)
    assert_answers(index, store, Fusion.MAX, rng, k=3)
    assert index.search(probe, 2)[1][0, 0] == 1
    assert index.search(probe, 99)[0].shape == (1, 5)


def test_nobody_enrolled(tmp_path):
    store: Any = FakeStore()
    for folder in (tmp_path / "i", None):
        index = derived(folder)
        index.refresh(store)
        assert index.search(np.ones((2, D)), 3)[0].shape == (2, 0)
        assert index.vectors_of([3])[0].shape == (0, D)
        assert index.check(store) == []


@pytest.mark.parametrize("kind", ["exact", "compressed"])
@pytest.mark.parametrize("fusion", [Fusion.MAX, Fusion.MEAN])
def test_what_is_erased_stands_in_no_file(tmp_path, kind, fusion, monkeypatch):
    monkeypatch.setattr("facerec_oltr.gallery.index.compressed.TRAINED_FROM", 100)
    rng = np.random.default_rng(2)
    store: Any = FakeStore()
    for person in range(1, 61):
        store.enrol(person, units(rng, 1 if fusion is Fusion.MEAN else 3))
    index = derived(tmp_path / "i", fusion, kind=kind)
    index.refresh(store)
    names = {path.name for path in (tmp_path / "i").iterdir()}
    assert ("halves" in names) == (kind == "exact")
    assert ("codes" in names) == (kind == "compressed" and fusion is Fusion.MAX)
    held = index.vectors_of([5])[0]
    assert index.traces(held) == len(held) * (2 if kind == "exact" else 1)
    gone = store.erase(5)
    index.refresh(store)
    assert index.traces(gone) == 0
    assert index.check(store) == []
    everything = [gone, *(store.erase(person) for person in range(20, 50))]  # so many that the rows are packed
    index.refresh(store)
    assert index.traces(np.concatenate(everything)) == 0
    assert index.traces(index.vectors_of([1])[0]) > 0
    assert index.check(store) == []
    if fusion is Fusion.MEAN:  # neither a mean that has become another
        before = index.vectors_of([1])[0]
        store.enrol(1, units(rng, 1))
        index.refresh(store)
        assert index.traces(before) == 0


@pytest.mark.parametrize("kind", ["exact", "compressed"])
def test_any_flipped_byte_is_found(tmp_path, kind, monkeypatch):
    monkeypatch.setattr("facerec_oltr.gallery.index.compressed.TRAINED_FROM", 50)
    rng = np.random.default_rng(3)
    store = filled(rng)
    store.enrol(77, units(rng, 60))
    folder = tmp_path / "i"
    index = derived(folder, kind=kind)
    index.refresh(store)
    store.erase(store.people()[0].number)
    index.refresh(store)
    names = sorted(path.name for path in folder.iterdir() if path.stat().st_size)
    assert len(names) == {"exact": 4, "compressed": 5}[kind]
    for name in names:
        path = folder / name
        whole = path.read_bytes()
        for place in random.Random(4).sample(range(len(whole)), 25):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
            assert derived(folder, kind=kind).check(store), (name, place)
            path.write_bytes(whole)
    assert derived(folder, kind=kind).check(store) == []


def shorten(folder):
    with (folder / "vectors").open("r+b") as file:
        file.truncate(100)


@pytest.mark.parametrize(
    "harm",
    [
        shorten,
        lambda folder: (folder / "halves").unlink(),
        lambda folder: (folder / "head").write_bytes(b"x" * 4096),
        lambda folder: (folder / "head").write_bytes(b""),
        lambda folder: [path.unlink() for path in folder.iterdir()],
    ],
)
def test_damage_is_mended_from_the_store(tmp_path, harm):
    rng = np.random.default_rng(5)
    store = filled(rng)
    index = derived(tmp_path / "i")
    index.refresh(store)
    harm(tmp_path / "i")
    again = derived(tmp_path / "i")
    again.refresh(store)
    assert_answers(again, store, Fusion.MAX, rng)
    assert again.check(store) == []
    index.refresh(store)  # the one that was open when it happened, too
    assert_answers(index, store, Fusion.MAX, rng)
    assert again.notes == index.notes == []


def test_another_gallery_or_fusion_or_kind_or_a_store_that_forgot(tmp_path):
    rng = np.random.default_rng(6)
    folder = tmp_path / "i"
    for serial, fusion, kind in (
        ("a", Fusion.MAX, None),
        ("b", Fusion.MAX, None),
        ("b", Fusion.MEAN, None),
        ("b", Fusion.MEAN, "compressed"),
    ):
        store = filled(rng)
        index = derived(folder, fusion, serial, kind)
        index.refresh(store)
        assert_answers(index, store, fusion, rng)
        assert index.kind == (kind or "exact")
    store.memory = 2
    for _ in range(5):
        changed(store, rng)
    assert store.follow(index._head.changes, index._head.last_template) is None
    index.refresh(store)
    assert_answers(index, store, Fusion.MEAN, rng)
    older = filled(np.random.default_rng(7), 10)  # as restored from a backup: fewer changes than the index has seen
    index.refresh(older)
    assert_answers(index, older, Fusion.MEAN, rng)
    older.changes = 40
    longer = filled(np.random.default_rng(8), 40)  # and one that has gone on differently since
    index.refresh(longer)
    assert_answers(index, longer, Fusion.MEAN, rng)


def start_again(monkeypatch, name):
    for module in ("_places", "derived"):
        monkeypatch.setattr(f"facerec_oltr.gallery.index.{module}.boot", lambda: name)


def test_an_index_of_before_a_power_cut_is_made_anew_unless_it_was_closed(tmp_path, monkeypatch):
    rng = np.random.default_rng(9)
    store: Any = FakeStore()
    index = derived(tmp_path / "i")
    index.refresh(store)
    store.enrol(1, units(rng, 3))
    index.refresh(store)  # added to, which is not waited for
    layout = index._head.layout
    start_again(monkeypatch, "another start of the machine")
    again = derived(tmp_path / "i")
    again.refresh(store)
    assert again._head.layout != layout
    store.enrol(2, units(rng, 3))
    again.refresh(store)
    again.close()
    layout = again._head.layout
    start_again(monkeypatch, "a third one")
    closed = derived(tmp_path / "i")
    closed.refresh(store)
    assert closed._head.layout == layout
    assert_answers(closed, store, Fusion.MAX, rng)


def test_grows_into_codes_and_back(tmp_path, monkeypatch):
    monkeypatch.setattr("facerec_oltr.gallery.index.kinds.COMPRESSED_FROM", 200)
    monkeypatch.setattr("facerec_oltr.gallery.index.compressed.TRAINED_FROM", 100)
    rng = np.random.default_rng(10)
    store: Any = FakeStore()
    index = derived(tmp_path / "i")
    for person in range(1, 90):
        store.enrol(person, units(rng, 3))
        index.refresh(store)
        assert index.kind == ("compressed" if 3 * person >= 200 else "exact")
    assert not (tmp_path / "i" / "halves").exists()
    other = derived(tmp_path / "i")
    other.refresh(store)
    assert other.kind == "compressed"
    assert other.check(store) == []
    for person in range(1, 70):
        store.erase(person)
        index.refresh(store)
    assert index.kind == "exact"
    assert not (tmp_path / "i" / "codes").exists()
    assert other.search(units(rng, 1), 1)[1].shape == (1, 1)  # takes up what the first has made
    assert index.check(store) == other.check(store) == []
    assert_answers(other, store, Fusion.MAX, rng)


def test_a_folder_that_cannot_be_is_said(tmp_path):
    rng = np.random.default_rng(11)
    store = filled(rng)
    (tmp_path / "i").write_text("a file where the folder should be")
    index = derived(tmp_path / "i")
    index.refresh(store)
    assert_answers(index, store, Fusion.MAX, rng)
    assert len(index.notes) == 1
    assert "kept in memory" in index.notes[0]
    assert "\n" not in index.notes[0]
    assert [finding.problem for finding in index.check(store)] == index.notes


@pytest.mark.parametrize("name", ["vectors", "owners", "halves"])
def test_a_full_disk_is_said_and_the_folder_mended_later(tmp_path, monkeypatch, name):
    rng = np.random.default_rng(12)
    store = filled(rng)
    index = derived(tmp_path / "i")
    index.refresh(store)
    whole = FileColumn.write

    def full(column, start, values):
        if column.path.name == name:
            raise OSError(28, "No space left on device")
        whole(column, start, values)

    with monkeypatch.context() as patch:
        patch.setattr(FileColumn, "write", full)
        late = store.enrol(77, units(rng, 3))
        index.refresh(store)
        assert_answers(index, store, Fusion.MAX, rng)
        assert "No space left on device" in index.notes[0]
    gone = np.stack([store.templates[t][1] for t in late])
    store.erase(77)
    again = derived(tmp_path / "i")  # what the broken-off one wrote behind the rows goes
    again.refresh(store)
    assert again.notes == []
    assert again.check(store) == []
    assert again.traces(gone) == 0


def test_read_only_folder_serves_while_it_is_up_to_date(tmp_path, monkeypatch):
    rng = np.random.default_rng(13)
    store = filled(rng)
    derived(tmp_path / "i").refresh(store)
    real = os.open

    def read_only(path, flags, *rest, **others):
        if flags & os.O_RDWR:
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *rest, **others)

    monkeypatch.setattr(os, "open", read_only)
    index = derived(tmp_path / "i")
    index.refresh(store)
    assert_answers(index, store, Fusion.MAX, rng)
    assert index.notes == []
    store.enrol(50, units(rng, 2))
    index.refresh(store)
    assert_answers(index, store, Fusion.MAX, rng)
    assert "out of date" in index.notes[0]


def test_unknown_kind():
    with pytest.raises(GalleryError, match="no kind of index is called 'ivf'; choose from exact"):
        derived(None, kind="ivf")


def follow_and_die(folder, store, fusion, kind, writes):
    """Refresh, and be killed at a write."""
    faiss.omp_set_num_threads(1)  # as below
    left = [writes]
    whole_column, whole_head = FileColumn.write, Head.page

    def dying(column, start, values):
        left[0] -= 1
        if left[0] < 0:
            data = np.ascontiguousarray(values).tobytes()
            if column.rows() > start:  # half of what was to be written
                os.pwrite(column._file, data[: len(data) // 2], start * column._size)
            os.kill(os.getpid(), signal.SIGKILL)
        whole_column(column, start, values)

    def dying_head(head):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole_head(head)

    setattr(FileColumn, "write", dying)  # noqa: B010
    setattr(Head, "page", dying_head)  # noqa: B010
    derived(folder, fusion, kind=kind).refresh(store)
    os._exit(0)


@pytest.mark.parametrize("fusion", [Fusion.MAX, Fusion.MEAN])
def test_killed_at_any_write_it_is_whole_again(tmp_path, fusion, monkeypatch):
    monkeypatch.setattr("facerec_oltr.gallery.index.compressed.TRAINED_FROM", 60)
    rng = np.random.default_rng(14)
    fork = multiprocessing.get_context("fork")
    survived = killed = 0
    for attempt in range(24):
        kind = ("exact", "compressed")[attempt % 2]
        folder = tmp_path / f"{attempt}"
        store = filled(rng, 40)
        reader = derived(folder, fusion, kind=kind)
        reader.refresh(store)
        erased = [store.erase(p.number) for p in store.people()[:: 3 + attempt % 3]]
        for _ in range(4):
            changed(store, rng)
        child = fork.Process(target=follow_and_die, args=(folder, store, fusion, kind, attempt))
        child.start()
        child.join(60)
        assert child.exitcode in (0, -signal.SIGKILL)
        killed += child.exitcode != 0
        survived += child.exitcode == 0
        if attempt % 4 < 2:  # the next is one that was open, and asked before it is told of changes
            reader.search(units(rng, 1), 2)
        else:
            reader = derived(folder, fusion, kind=kind)
        reader.refresh(store)
        assert_answers(reader, store, fusion, rng)
        assert reader.check(store) == []
        assert reader.traces(np.concatenate(erased)) == 0
    assert killed > 10


def search_all_the_while(folder, store, stop, failures):
    """Whatever is asked while others change the rows, a score belongs to the person under whose name it is given."""
    faiss.omp_set_num_threads(1)  # the threads of OpenMP do not come along in a fork, and a child would wait for them
    rng = np.random.default_rng(os.getpid())
    index = derived(folder)
    index.refresh(store)
    while not stop.is_set():
        person = int(rng.integers(1, 400))
        scores, people = index.search(person_vector(person)[None], 2)
        for score, found in zip(scores[0], people[0], strict=True):
            true = (person_vector(int(found)).astype(float) * person_vector(person).astype(float)).sum()
            if np.float32(true) != score:
                failures.put((person, int(found), float(score), float(true)))
                return


def person_vector(person: int) -> Any:
    return units(np.random.default_rng(person), 1)[0]


def test_readers_never_see_a_row_that_is_being_changed(tmp_path):
    fork = multiprocessing.get_context("fork")
    stop, failures = fork.Event(), fork.Queue()
    store: Any = FakeStore()
    for person in range(1, 200):
        store.enrol(person, [person_vector(person)])
    readers = [
        fork.Process(target=search_all_the_while, args=(tmp_path / "i", store, stop, failures)) for _ in range(2)
    ]
    for reader in readers:
        reader.start()
    index = derived(tmp_path / "i")
    rng = np.random.default_rng(15)
    for step in range(150):
        people = [p.number for p in store.people()]
        for person in rng.choice(people, 8, replace=False).tolist():
            store.erase(person)
        for person in rng.choice(np.setdiff1d(np.arange(1, 400), people), 8, replace=False).tolist():
            store.enrol(person, [person_vector(person)])
        index.refresh(store)
        if step % 50 == 20:
            index.rebuild(store)
    stop.set()
    for reader in readers:
        reader.join(60)
        assert reader.exitcode == 0, "a reader failed, or hangs"
    assert failures.empty()
    assert index.check(store) == []
