"""What ``protocols.Store`` promises, of every kind of store: SQLite, SQLite encrypted, and the slow reference."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.encryption import Key
from facerec_oltr.gallery.protocols import Store
from facerec_oltr.gallery.records import (
    Calibration,
    Cohort,
    Enrolment,
    Fusion,
    GalleryState,
    NewNegative,
    NewTemplate,
    Outcome,
    RecordedEmbedder,
)
from facerec_oltr.gallery.store import SqliteStore
from tests.facerec_oltr.gallery.reference_store import NOW, ReferenceStore

EMBEDDER = RecordedEmbedder("pixels", "ab" * 32, 6, 8, "pixels", "yunet", "cd" * 32)
KEY = Key(bytes(range(32)), "key.bin")
RNG = np.random.default_rng(6)


def clock() -> datetime:
    return datetime.fromisoformat(NOW)


@dataclass(frozen=True)
class Kind:
    create: Callable[[Path], Store]
    open: Callable[[Path], Store]


KINDS = {
    "sqlite": Kind(
        lambda path: SqliteStore.create(path, EMBEDDER, clock=clock),
        lambda path: SqliteStore.open(path, clock=clock),
    ),
    "encrypted": Kind(
        lambda path: SqliteStore.create(path, EMBEDDER, clock=clock, key=KEY),
        lambda path: SqliteStore.open(path, clock=clock, key=KEY),
    ),
    "reference": Kind(lambda path: ReferenceStore(path, EMBEDDER), lambda path: ReferenceStore.galleries[path]),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
def store(kind: Kind, tmp_path: Path) -> Iterator[Store]:
    store = kind.create(tmp_path / "g.db")
    yield store
    assert store.check() == []
    store.close()


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def new(photo: str, **others) -> NewTemplate:
    vector = RNG.normal(size=6).astype(np.float32)
    return NewTemplate(
        (vector / np.linalg.norm(vector)).astype(np.float32), digest(photo), f"photos/{photo}.png", **others
    )


def enrol(store: Store, name: str, *photos: str) -> list[NewTemplate]:
    templates = [new(photo) for photo in photos]
    store.enrol(name, templates)
    return templates


def sizes(store: Store) -> dict[str, int]:
    return {person.name: person.templates for person in store.people()}


def test_facts_stay(store: Store, kind: Kind, tmp_path: Path):
    facts = store.facts()
    assert (facts.embedder, facts.fusion, facts.created) == (EMBEDDER, Fusion.MAX, NOW)
    assert facts.encrypted == (kind is KINDS["encrypted"])
    enrol(store, "ann", "a")
    again = kind.open(store.path)
    assert again.facts() == facts
    again.close()
    other = kind.create(tmp_path / "other.db")
    assert other.facts().serial != facts.serial
    other.close()


def test_all_that_was_given_comes_back(store: Store):
    given = [new("a", quality=0.25, details={"blur": 1.5, "box": [1, 2, 3, 4], "who": None}), new("b")]
    store.enrol("Zoë 王", given, consent="form 17", expires="2030-12-31")
    person = store.person("Zoë 王")
    assert person is not None
    summary = person.summary
    assert (summary.number, summary.name, summary.templates, summary.created) == (1, "Zoë 王", 2, NOW)
    assert (summary.expires, summary.consent) == ("2030-12-31", "form 17")
    assert store.people() == [summary]
    for found, template in zip(person.templates, given, strict=True):
        np.testing.assert_array_equal(found.vector, template.vector)  # to the last bit
        assert (found.photo_sha256, found.photo_path) == (template.photo_sha256, template.photo_path)
        assert (found.quality, found.details, found.created) == (template.quality, template.details, NOW)
    assert store.person("nobody") is None


def test_photo_is_enrolled_once_and_stays_where_it_is(store: Store):
    enrol(store, "ann", "a", "b")
    before = store.state()
    assert before == GalleryState(1, 1, 2)
    assert store.enrol("ann", [new("a")]) == [Enrolment(Outcome.ALREADY, "ann")]
    assert store.enrol("bob", [new("a")]) == [Enrolment(Outcome.OTHER, "ann")]
    assert store.person("bob") is None  # all of whose photos stand elsewhere
    assert store.state() == before
    outcomes = store.enrol("bob", [new("c"), new("b"), new("c")])
    assert outcomes == [
        Enrolment(Outcome.ENROLLED, "bob"),
        Enrolment(Outcome.OTHER, "ann"),
        Enrolment(Outcome.ALREADY, "bob"),
    ]
    assert (store.owner(digest("c")), store.owner(digest("b")), store.owner(digest("x"))) == ("bob", "ann", None)
    assert store.enrol("carol", []) == []
    assert sizes(store) == {"ann": 2, "bob": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        replace(new("w"), photo_sha256="short"),
        replace(new("w"), quality=0.0),
        replace(new("w"), quality=1.5),
        replace(new("w"), quality=float("nan")),
        replace(new("w"), vector=np.ones(5, np.float32)),
        replace(new("w"), vector=np.full(6, np.nan, np.float32)),
    ],
    ids=["digest", "quality 0", "quality 1.5", "quality nan", "dimensions", "vector nan"],
)
def test_enrolment_is_all_or_nothing(store: Store, wrong: NewTemplate):
    enrol(store, "ann", "a")
    entries = len(store.audit())
    for name in ("ann", "bob"):
        with pytest.raises(GalleryError) as error:
            store.enrol(name, [new("x"), wrong], consent="c")
        assert "\n" not in str(error.value)
    assert (store.state(), sizes(store), len(store.audit())) == (GalleryState(1, 1, 1), {"ann": 1}, entries)
    assert store.people()[0].consent is None


def test_replacing_leaves_exactly_what_was_given(store: Store):
    enrol(store, "ann", "a", "b", "c")
    enrol(store, "bob", "d")
    given = [new("e"), new("b"), new("d")]
    outcomes = [enrolment.outcome for enrolment in store.enrol("ann", given, replace=True)]
    assert outcomes == [Outcome.ENROLLED, Outcome.ALREADY, Outcome.OTHER]
    person = store.person("ann")
    assert person is not None
    assert {template.photo_sha256 for template in person.templates} == {digest("b"), digest("e")}
    assert store.owner(digest("a")) is None
    assert store.state() == GalleryState(3, 2, 3)
    assert sizes(store) == {"ann": 2, "bob": 1}


def test_consent_and_expiry_are_kept_and_renewed(store: Store):
    store.enrol("ann", [new("a")], expires="2030-01-02")
    store.enrol("bob", [new("b")], consent="form 1", expires="2030-01-01")
    enrol(store, "carol", "c")
    before = store.state()
    assert store.expired("2029-12-31") == []
    assert store.expired("2030-01-01") == ["bob"]
    assert store.expired("2031-01-01") == ["ann", "bob"]
    store.enrol("bob", [new("b")], expires="20400101")  # ISO 8601 has this form too
    assert [(p.expires, p.consent) for p in store.people()] == [
        ("2030-01-02", None),
        ("2040-01-01", "form 1"),
        (None, None),
    ]
    assert store.state() == before  # neither templates nor names have changed
    for wrong in ("tomorrow", "2030-02-30", ""):
        with pytest.raises(GalleryError):
            store.enrol("ann", [new("x")], expires=wrong)
        with pytest.raises(GalleryError):
            store.expired(wrong)


def test_erasure_is_all_or_none_with_a_receipt(store: Store):
    enrol(store, "ann", "a", "b")
    enrol(store, "bob", "c")
    enrol(store, "carol", "d")
    before = store.state()
    with pytest.raises(GalleryError):
        store.erase(["ann", "nobody"])
    assert store.state() == before
    receipt = store.erase(["ann", "carol", "ann"])
    assert (receipt.identities, receipt.templates, receipt.before, receipt.after) == (2, 3, before, store.state())
    assert store.state() == GalleryState(4, 1, 1)
    assert receipt.traces
    assert not any(receipt.traces.values())
    assert receipt.backups == ()
    last = store.audit()[-1]
    assert (last.action, last.chained) == ("erase", receipt.audit)
    assert last.facts == {"identities": 2, "templates": 3, "negatives": 0}
    assert store.owner(digest("a")) is None
    assert store.person("ann") is None
    enrol(store, "ann", "a")
    assert [p.number for p in store.people()] == [2, 4]  # a number is never given twice


def test_rename(store: Store):
    enrol(store, "ann", "a")
    enrol(store, "bob", "b")
    for old, name in (("ann", "bob"), ("ann", "ann"), ("nobody", "x"), ("ann", "")):
        with pytest.raises(GalleryError):
            store.rename(old, name)
    store.rename("ann", "anna")
    assert (sizes(store), store.owner(digest("a")), store.state().changes) == ({"anna": 1, "bob": 1}, "anna", 3)
    assert store.names([1, 2, 3]) == {1: "anna", 2: "bob"}


def test_merge(store: Store):
    enrol(store, "ann", "a", "b")
    enrol(store, "bob", "c")
    for source, into in (("ann", "ann"), ("nobody", "bob"), ("ann", "nobody")):
        with pytest.raises(GalleryError):
            store.merge(source, into)
    assert store.merge("ann", "bob") == 2
    assert (sizes(store), store.owner(digest("a"))) == ({"bob": 3}, "bob")
    assert store.state() == GalleryState(3, 1, 3)
    assert store.templates_of([2]).templates.tolist() == [1, 2, 3]


def not_them(photo: str, face: int = 1) -> NewNegative:
    return NewNegative(new(photo).vector, digest(photo), f"photos/{photo}.png", face)


def held(store: Store) -> dict[str, list[tuple[str, int]]]:
    """Of whom it is said that they are not in which photos, by which face."""
    people = [store.person(p.name) for p in store.people()]
    return {
        p.summary.name: [(n.photo_path.split("/")[1].removesuffix(".png"), n.face) for n in p.negatives]
        for p in people
        if p is not None
    }


def test_what_is_said_not_to_be_somebody_is_kept(store: Store):
    enrol(store, "ann", "a")
    enrol(store, "bob", "b")
    before, templates = store.state(), store.follow(0, 0)
    assert (store.negative_changes(), store.negatives().vectors.shape) == (0, (0, 6))
    given = [not_them("x"), not_them("x", 2), not_them("b")]
    assert store.reject("ann", given) == [True, True, True]
    assert store.reject("ann", [not_them("x"), not_them("y"), not_them("y")]) == [False, True, False]
    assert store.reject("bob", [not_them("x")]) == [True]  # a photo may be several people's
    assert store.reject("bob", []) == []
    assert store.negative_changes() == 3
    assert [(p.name, p.templates, p.negatives) for p in store.people()] == [("ann", 1, 4), ("bob", 1, 1)]
    assert held(store) == {"ann": [("x", 1), ("x", 2), ("b", 1), ("y", 1)], "bob": [("x", 1)]}
    ann = store.person("ann")
    assert ann is not None
    for found, face in zip(ann.negatives, given, strict=False):
        np.testing.assert_array_equal(found.vector, face.vector)  # to the last bit
        assert (found.photo_sha256, found.photo_path, found.created) == (face.photo_sha256, face.photo_path, NOW)
    faces = store.negatives()
    assert faces.identities.tolist() == [1, 1, 1, 1, 2]
    np.testing.assert_array_equal(faces.vectors[:3], [face.vector for face in given])
    assert store.state() == before  # neither templates nor names have changed: thresholds stay what they were
    after = store.follow(0, 0)
    assert templates is not None
    assert after is not None
    assert after.state == templates.state
    assert [e.action for e in store.audit()][-3:] == ["reject"] * 3


def test_bad_rejections_change_nothing(store: Store):
    enrol(store, "ann", "a")
    wrong = NewNegative(np.ones(5, np.float32), digest("z"), "z.png")
    endless = NewNegative(np.full(6, np.nan, np.float32), digest("z"), "z.png")
    for negative in (wrong, endless, not_them("z", 0), not_them("a")):  # the last is what she is enrolled by
        with pytest.raises(GalleryError):
            store.reject("ann", [not_them("x"), negative])
    with pytest.raises(GalleryError):
        store.reject("nobody", [not_them("x")])
    assert (held(store), store.negative_changes()) == ({"ann": []}, 0)
    assert store.reject("ann", [not_them("a", 2)]) == [True]  # somebody else in the same photo
    store.reject("ann", [not_them("x")])
    assert store.enrol("ann", [new("x"), new("c")]) == [
        Enrolment(Outcome.NOT_THEM, None),
        Enrolment(Outcome.ENROLLED, "ann"),
    ]
    assert store.enrol("bob", [new("x")]) == [Enrolment(Outcome.ENROLLED, "bob")]


def test_rejections_are_taken_back_by_photo(store: Store, tmp_path: Path):
    enrol(store, "ann", "a")
    enrol(store, "bob", "b")
    store.reject("ann", [not_them("x"), not_them("x", 2), not_them("y")])
    store.reject("bob", [not_them("x"), not_them("z")])
    store.backup(tmp_path / "copy.db")
    store.reject("bob", [not_them("later")])
    before, changes = store.state(), store.negative_changes()
    for photos, name in (([digest("q")], None), ([digest("z")], "ann"), ([digest("x")], "nobody"), ([], None)):
        with pytest.raises(GalleryError):
            store.unreject(photos, name)
    assert store.negative_changes() == changes
    receipt = store.unreject([digest("x")], "ann")
    assert (receipt.identities, receipt.templates, receipt.negatives) == (0, 0, 2)
    assert (receipt.before, receipt.after) == (before, before)
    assert receipt.traces
    assert not any(receipt.traces.values())
    assert receipt.backups == (str((tmp_path / "copy.db").resolve()),)
    last = store.audit()[-1]
    assert (last.action, last.chained) == ("unreject", receipt.audit)
    assert last.facts == {"identities": 0, "templates": 0, "negatives": 2}
    assert store.unreject([digest("later")]).backups == ()
    assert held(store) == {"ann": [("y", 1)], "bob": [("x", 1), ("z", 1)]}
    store.reject("ann", [not_them("x")])
    assert store.unreject([digest("x"), digest("y")]).negatives == 3  # everybody's
    assert held(store) == {"ann": [], "bob": [("z", 1)]}


def test_erasure_takes_what_is_said_of_the_person_and_by_their_photos(store: Store):
    enrol(store, "ann", "a")
    enrol(store, "bob", "b", "c")
    enrol(store, "carol", "d")
    store.reject("ann", [not_them("x"), not_them("b"), not_them("c", 3)])
    store.reject("carol", [not_them("b"), not_them("x")])
    store.reject("bob", [not_them("a"), not_them("x")])
    receipt = store.erase(["bob"])  # who was in b and c, whatever was said by them
    assert (receipt.identities, receipt.templates, receipt.negatives) == (1, 2, 5)
    assert not any(receipt.traces.values())
    assert held(store) == {"ann": [("x", 1)], "carol": [("x", 1)]}
    assert store.erase(["ann"]).negatives == 1
    assert store.negatives().identities.tolist() == [3]


def test_merging_gives_them_over_but_for_what_it_contradicts(store: Store):
    enrol(store, "ann", "a")
    enrol(store, "bob", "b")
    store.reject("ann", [not_them("b"), not_them("x"), not_them("y"), not_them("b", 2)])
    store.reject("bob", [not_them("a"), not_them("x"), not_them("z")])
    store.merge("ann", "bob")
    assert held(store) == {"bob": [("y", 1), ("b", 2), ("x", 1), ("z", 1)]}
    assert store.negatives().identities.tolist() == [2] * 4


def test_backup_holds_them(store: Store, kind: Kind, tmp_path: Path):
    enrol(store, "ann", "a")
    store.reject("ann", [not_them("x")])
    store.backup(tmp_path / "copy.db")
    copy = kind.open(tmp_path / "copy.db")
    np.testing.assert_array_equal(copy.negatives().vectors, store.negatives().vectors)
    assert (held(copy), copy.check()) == ({"ann": [("x", 1)]}, [])
    copy.close()


def test_blocks_and_templates_of_many(store: Store):
    given = {}
    for person in range(23):
        for template in enrol(store, f"p{person}", *(f"{person}/{i}" for i in range(person % 4 + 1))):
            given[len(given) + 1] = (person + 1, template)
    store.erase(["p3", "p4"])
    left = {number: what for number, what in given.items() if what[0] not in (4, 5)}
    for after, up_to, rows in ((0, 99, 65_536), (0, 99, 5), (7, 30, 1), (5, 5, 9)):
        blocks = list(store.blocks(after, up_to, rows=rows))
        wanted = [number for number in left if after < number <= up_to]
        assert [number for block in blocks for number in block.templates.tolist()] == wanted
        assert all(0 < len(block.templates) <= rows for block in blocks)
        for block in blocks:
            assert block.identities.tolist() == [left[number][0] for number in block.templates.tolist()]
            for number, vector in zip(block.templates.tolist(), block.vectors, strict=True):
                np.testing.assert_array_equal(vector, left[number][1].vector)
    many = list(range(5000, 0, -1))  # more than SQLite takes as parameters of one query, if it had to
    block = store.templates_of(many)
    assert block.templates.tolist() == list(left)
    assert store.names(many) == {n + 1: f"p{n}" for n in range(23) if n not in (3, 4)}
    empty = store.templates_of([99])
    assert (empty.vectors.shape, empty.templates.dtype, empty.qualities.dtype) == ((0, 6), np.int64, np.float64)


def test_following(store: Store):
    enrol(store, "ann", "a", "b")
    enrol(store, "bob", "c")
    then = store.state().changes
    store.merge("ann", "bob")
    enrol(store, "carol", "d")
    store.enrol("bob", [new("b"), new("c")], replace=True)
    delta = store.follow(then, 3)
    assert delta is not None
    assert (delta.state, delta.last_template) == (store.state(), 4)
    assert (delta.removed.tolist(), delta.removed_from.tolist()) == ([1], [1])
    assert (delta.moved.tolist(), delta.moved_from.tolist(), delta.moved_to.tolist()) == ([2], [1], [2])
    beginning = store.follow(0, 0)
    assert beginning is not None
    assert (beginning.last_template, len(beginning.removed), len(beginning.moved)) == (4, 0, 0)
    for changes, last in ((99, 3), (then, 99), (-1, 0), (0, -1)):  # states that the store never had
        assert store.follow(changes, last) is None


def test_calibrations_come_back_to_the_last_bit(store: Store):
    common = {"policy": "max", "created": NOW, "state": GalleryState(7, 3, 9)}
    given = [
        Calibration(0.1, float(np.nextafter(0.5, 1)), 0.0625, True, 4, 16, **common),
        Calibration(0.01, 1, 0, False, 4, 16, source="gallery", rule="snorm", upper_fpir=0.3, **common),
        Calibration(0.01, float("inf"), 0.0, False, 4, 16, expected_fpir=0.015, **common),
    ]
    for calibration in given:
        store.save_calibration(calibration)
    assert store.calibrations() == given


def test_maxima_stay_with_the_latest_of_each_source_rule_and_target(store: Store):
    assert store.calibration() is None
    common = {"policy": "max", "created": NOW, "state": GalleryState(7, 3, 9)}
    given = []
    kinds: list[tuple[float, Literal["strangers", "gallery"], str]] = [
        (0.1, "strangers", "cosine"),
        (0.1, "gallery", "cosine"),
        (0.1, "strangers", "snorm"),
        (0.01, "strangers", "cosine"),
        (0.1, "strangers", "cosine"),
        (0.01, "strangers", "cosine"),
        (0.01, "strangers", "cosine"),
    ]
    for number, (target, source, rule) in enumerate(kinds):
        maxima = tuple(np.nextafter(number / 8, range(3)).tolist())
        one = Calibration(target, 0.5 + number, 0.0, True, 4, 16, source=source, rule=rule, maxima=maxima, **common)
        store.save_calibration(one)
        given.append(one)
        assert store.calibration() == one  # with its maxima
    kept = store.calibrations()
    assert [bool(c.maxima) for c in kept] == [False, True, True, False, True, False, True]
    assert [replace(c, maxima=()) for c in kept] == [replace(c, maxima=()) for c in given]
    assert store.calibration(0.1) == given[4]
    assert store.calibration(rule="snorm") == given[2]
    assert store.calibration(0.1, "cosine") == given[4]
    assert store.calibration(0.01, "snorm") is None
    assert store.calibration(0.2) is None


def test_owners_of_many_photos(store: Store):
    enrol(store, "ann", "a", "b")
    enrol(store, "bob", "c")
    many = [digest(f"nobody {n}") for n in range(40_000)]  # more than SQLite takes as parameters of one query
    near = f"{digest('a')[:8]}{digest('b')[8:]}"  # begins as a photo does, and is another
    wanted = [digest("c"), *many, digest("a"), near, digest("a")]
    assert store.owners(wanted) == {digest("a"): "ann", digest("c"): "bob"}
    assert store.owners([]) == {}


def test_cohort_is_replaced(store: Store):
    assert store.cohort() is None
    for count in (40, 3):
        vectors = RNG.normal(size=(count, 6)).astype(np.float32)
        hashes = tuple(digest(f"{count}/{i}") for i in range(count))
        store.save_cohort(Cohort(vectors, np.arange(count) // 2, hashes))
        found = store.cohort()
        assert found is not None
        np.testing.assert_array_equal(found.vectors, vectors)
        np.testing.assert_array_equal(found.people, np.arange(count) // 2)
        assert found.hashes == hashes
    with pytest.raises(GalleryError):
        store.save_cohort(Cohort(np.ones((2, 5), np.float32), np.arange(2), (digest("1"), digest("2"))))
    assert store.state().changes == 0


def test_audit_trail_is_chained_and_says_nothing_of_anybody(store: Store, tmp_path: Path):
    store.enrol("annabel", [new("photo-a"), new("photo-b")], consent="consent-7")
    store.rename("annabel", "belinda")
    enrol(store, "cornelia", "photo-c")
    store.merge("cornelia", "belinda")
    store.backup(tmp_path / "copy.db")
    store.save_cohort(Cohort(np.ones((1, 6), np.float32), np.zeros(1, np.int64), (digest("cohort"),)))
    store.erase(["belinda"])
    noted = store.note("export", {"identities": 2, "format": "json"})
    entries = store.audit()
    assert entries[-1] == noted
    assert [e.action for e in entries] == [
        *("create", "enrol", "rename", "enrol", "merge", "backup", "calibrate", "erase", "export"),
    ]
    before = "0" * 64
    for number, entry in enumerate(entries, 1):  # the digests by hand
        assert entry.number == number
        content = {"number": number, "when": entry.when, "action": entry.action, "facts": entry.facts}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        before = sha256((before + text).encode()).hexdigest()
        assert entry.chained == before
    told = " ".join(json.dumps(dict(e.facts)) for e in entries)
    for secret in ("annabel", "belinda", "cornelia", "photo", "consent-7", "copy.db", digest("photo-a")):
        assert secret not in told
    for wrong in ({"vector": np.ones(3)}, {"score": float("nan")}, {"raw": b"x"}):
        with pytest.raises(GalleryError):
            store.note("export", wrong)
    assert store.audit() == entries


def test_backup_opens_and_is_named_by_receipts(store: Store, kind: Kind, tmp_path: Path):
    [kept] = enrol(store, "ann", "a")
    store.backup(tmp_path / "copy.db")
    enrol(store, "bob", "b")
    copy = kind.open(tmp_path / "copy.db")
    assert (sizes(copy), copy.check(), copy.facts().embedder) == ({"ann": 1}, [], EMBEDDER)
    np.testing.assert_array_equal(copy.templates_of([1]).vectors, [kept.vector])
    copy.close()
    before = (tmp_path / "copy.db").read_bytes()
    with pytest.raises(GalleryError):
        store.backup(tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_bytes() == before
    assert store.erase(["bob"]).backups == ()  # who came later
    assert store.erase(["ann"]).backups == (str((tmp_path / "copy.db").resolve()),)


def test_what_one_writes_another_reads(store: Store, kind: Kind):
    other = kind.open(store.path)
    enrol(other, "ann", "a")
    assert (sizes(store), store.state()) == ({"ann": 1}, other.state())
    store.rename("ann", "bea")
    assert sizes(other) == {"bea": 1}
    other.close()


def test_times_are_the_clocks(tmp_path: Path):
    moments = iter(datetime(2020, 2, day, tzinfo=UTC) for day in range(1, 29))
    store = SqliteStore.create(tmp_path / "g.db", EMBEDDER, clock=lambda: next(moments))
    enrol(store, "ann", "a")
    when = [entry.when for entry in store.audit()]
    assert when == ["2020-02-01T00:00:00+00:00", "2020-02-03T00:00:00+00:00"]  # the second one opened it
    assert store.people()[0].created == when[1]
    store.close()
