"""Random sequences of operations: SQLite does what the slow reference does, and whoever follows it stays right."""

import tempfile
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.protocols import Store
from facerec_oltr.gallery.records import NewNegative, NewTemplate, RecordedEmbedder
from facerec_oltr.gallery.store import SqliteStore, writing
from tests.facerec_oltr.gallery.reference_store import NOW, ReferenceStore

EMBEDDER = RecordedEmbedder("pixels", "ab" * 32, 3, 8, "pixels")

names = st.sampled_from(["ann", "bob", "carol", "dave"])
photos = st.lists(st.integers(0, 9), max_size=4)
operations = st.one_of(
    st.tuples(st.just("enrol"), names, photos, st.booleans()),
    st.tuples(st.just("enrol"), names, photos, st.just(False)),
    st.tuples(st.just("erase"), st.lists(names, min_size=1, max_size=2)),
    st.tuples(st.just("rename"), names, names),
    st.tuples(st.just("merge"), names, names),
    st.tuples(st.just("reject"), names, photos, st.integers(1, 2)),
    st.tuples(st.just("unreject"), photos, st.one_of(st.none(), names)),
    st.tuples(st.just("follow")),
)


def template(photo: int) -> NewTemplate:
    vector = np.array([photo, 1, -photo], np.float32)
    return NewTemplate(vector, sha256(str(photo).encode()).hexdigest(), f"{photo}.png", (photo + 1) / 10)


def negative(photo: int, face: int) -> NewNegative:
    one = template(photo)
    return NewNegative(one.vector, one.photo_sha256, one.photo_path, face)


def result(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except GalleryError:
        return GalleryError


def do(store: Store, operation: tuple) -> Any:
    match operation:
        case ("enrol", name, numbers, replacing):
            given_ones = [template(photo) for photo in numbers]
            return result(lambda: store.enrol(name, given_ones, replace=replacing))
        case ("erase", gone):
            receipt = result(lambda: store.erase(gone))
            return (
                receipt
                if receipt is GalleryError
                else (receipt.identities, receipt.templates, receipt.negatives, receipt.after)
            )
        case ("reject", name, numbers, face):
            return result(lambda: store.reject(name, [negative(photo, face) for photo in numbers]))
        case ("unreject", numbers, name):
            receipt = result(lambda: store.unreject([template(photo).photo_sha256 for photo in numbers], name))
            return receipt if receipt is GalleryError else (receipt.negatives, receipt.after)
        case ("rename", old, new):
            return result(lambda: store.rename(old, new))
        case ("merge", source, into):
            return result(lambda: store.merge(source, into))


class Follower:
    """What an index does: keep who has which template, told of changes alone."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.begin()

    def begin(self) -> None:
        self.owners: dict[int, int] = {}
        self.changes = self.last = 0

    def catch_up(self) -> None:
        delta = self.store.follow(self.changes, self.last)
        if delta is None:
            self.begin()
            delta = self.store.follow(0, 0)
        assert delta is not None
        for number, was in zip(delta.removed.tolist(), delta.removed_from.tolist(), strict=True):
            assert self.owners.pop(number) == was
        for number, was, became in zip(
            delta.moved.tolist(), delta.moved_from.tolist(), delta.moved_to.tolist(), strict=True
        ):
            assert self.owners[number] == was
            self.owners[number] = became
        for block in self.store.blocks(self.last, delta.last_template, rows=2):
            self.owners.update(zip(block.templates.tolist(), block.identities.tolist(), strict=True))
        self.changes, self.last = delta.state.changes, delta.last_template


@pytest.mark.parametrize("remembered", [100_000, 3])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sequence=st.lists(operations, min_size=5, max_size=25))
def test_sqlite_does_what_the_reference_does(monkeypatch: pytest.MonkeyPatch, remembered: int, sequence: list[tuple]):
    monkeypatch.setattr(writing, "REMEMBERED_MOVES", remembered)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "g.db"
        store = SqliteStore.create(path, EMBEDDER, clock=lambda: datetime.fromisoformat(NOW))
        reference = ReferenceStore(path, EMBEDDER)
        follower = Follower(store)
        for operation in sequence:
            if operation == ("follow",):
                follower.catch_up()
            assert do(store, operation) == do(reference, operation)
            assert store.state() == reference.state()
            assert store.people() == reference.people()
            assert store.negative_changes() == reference.negative_changes()
        everybody = [person.number for person in reference.people()]
        mine, its = store.templates_of(everybody), reference.templates_of(everybody)
        for attribute in ("templates", "identities", "vectors", "qualities"):
            np.testing.assert_array_equal(getattr(mine, attribute), getattr(its, attribute))
        mine, its = store.negatives(), reference.negatives()
        for attribute in ("vectors", "identities"):
            np.testing.assert_array_equal(getattr(mine, attribute), getattr(its, attribute))
        its = reference.templates_of(everybody)
        follower.catch_up()
        assert follower.owners == dict(zip(its.templates.tolist(), its.identities.tolist(), strict=True))
        assert [e.action for e in store.audit()] == [e.action for e in reference.audit()]
        assert store.check() == []
        store.close()


def test_forgotten_moves_make_a_follower_begin_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(writing, "REMEMBERED_MOVES", 3)
    store = SqliteStore.create(tmp_path / "g.db", EMBEDDER)
    for photo in range(10):
        store.enrol(f"p{photo}", [template(photo)])
    states = [store.state().changes]
    for photo in range(5):
        store.erase([f"p{photo}"])
        states.append(store.state().changes)
    followed = [store.follow(changes, 10) for changes in states]
    assert [delta is None for delta in followed] == [True, True, False, False, False, False]
    assert followed[2] is not None
    assert followed[2].removed.tolist() == [3, 4, 5]
    store.close()
