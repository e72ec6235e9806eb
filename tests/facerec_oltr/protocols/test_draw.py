"""Draws by their properties, and the few that can be counted by hand."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerec_oltr.errors import DataError
from facerec_oltr.protocols import PARTS, find_images, read_photos, read_protocol, write_protocol
from facerec_oltr.protocols.draw import OpenSetRule, deal, deal_often, draw_open_set
from facerec_oltr.protocols.photos import distinct
from facerec_oltr.protocols.summary import summarise
from recordio_tools.packing import pack_folder

from ..conftest import write_people


@settings(max_examples=80, deadline=None)
@given(
    counts=st.lists(st.integers(1, 8), min_size=8, max_size=14),
    sizes=st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 2), st.integers(0, 2)),
    templates=st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple),
    probes=st.none() | st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_people_and_photos_play_one_part(
    counts: list[int], sizes: tuple[int, int, int, int], templates: tuple[int, ...], probes: int | None, seed: int
) -> None:
    counts[:2] = [5, 5]  # two who can be enrolled
    owners = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)) * 3 + 7, counts))
    dealt = deal(owners, OpenSetRule(*sizes, templates=templates, probes=probes, seed=seed))
    photos = np.concatenate(dealt)
    assert len(np.unique(photos)) == len(photos)
    people = {part: set(owners[positions]) for part, positions in dealt._asdict().items()}
    assert people["gallery"] == people["mated"]
    apart = [people[part] for part in PARTS if part != "mated"]
    assert len(set.union(*apart)) == sum(map(len, apart))
    assert [len(people[part]) for part in ("gallery", "calibration", "strangers", "distractors")] == list(sizes)
    for part in ("calibration", "strangers", "distractors"):  # with every photo of theirs
        assert len(getattr(dealt, part)) == np.isin(owners, list(people[part])).sum()
    enrolled = sorted(np.unique(owners[dealt.gallery], return_counts=True)[1])
    assert enrolled == sorted((templates * 3)[: sizes[0]])
    for person in people["mated"]:
        own = (owners[dealt.mated] == person).sum()
        others = (owners == person).sum() - (owners[dealt.gallery] == person).sum()
        assert own == (others if probes is None else min(others, probes))


def test_the_same_seed_draws_the_same_and_over_many_everybody_plays_every_part() -> None:
    owners = np.repeat(np.arange(12), 5)
    rules = [OpenSetRule(2, 2, 2, 2, seed=seed) for seed in range(60)]
    dealt = [deal(owners, rule) for rule in rules]
    again = deal(owners, rules[7])
    assert all(np.array_equal(one, other) for one, other in zip(dealt[7], again, strict=True))
    for place in range(len(PARTS)):
        assert set(np.concatenate([owners[one[place]] for one in dealt])) == set(range(12))


def test_a_draw_is_the_same_whatever_the_number_of_draws() -> None:
    owners, rule = np.repeat(np.arange(12), 5), OpenSetRule(2, 2, 2, seed=4)
    three, five = (list(deal_often(owners, rule, draws)) for draws in (3, 5))
    equal = [
        all(map(np.array_equal, one, other)) for one, other in zip([*three, five[0]], [*five[:3], five[1]], strict=True)
    ]
    assert equal == [True, True, True, False]


def test_cycled_templates_can_be_counted_by_hand() -> None:
    """Five people of ten photos: 1, 2, 3, 5 and again 1 of them enrolled, 12; 38 are left as probes."""
    owners, rule = np.repeat(np.arange(15), 10), OpenSetRule(5, 5, 5, templates=(1, 2, 3, 5))
    for dealt in deal_often(owners, rule, 5):
        assert sorted(np.unique(owners[dealt.gallery], return_counts=True)[1]) == [1, 1, 2, 3, 5]
        assert list(map(len, dealt)) == [12, 38, 50, 50, 0]


@pytest.mark.parametrize(
    ("counts", "rule", "message"),
    [
        ([9] * 5, OpenSetRule(2, 2, 2), "found 5 people, expected 6: 2 enrolled, 2 for calibration, 2 strangers; ask"),
        ([9] * 6, OpenSetRule(2, 2, 2, 1), "found 6 people, expected 7: 2 enrolled, .* 2 strangers, 1 distractors"),
        ([9, 3, 3, 3], OpenSetRule(2, 1, 1), "found 1 people with 4 different photos or more, expected 2 to enrol"),
    ],
)
def test_too_few_people_or_photos_is_said(counts: list[int], rule: OpenSetRule, message: str) -> None:
    with pytest.raises(DataError, match=message):
        deal(np.repeat(np.arange(len(counts)), counts), rule)


@pytest.mark.parametrize(
    "wrong",
    [{"enrolled": 0}, {"strangers": 0}, {"distractors": -1}, {"templates": ()}, {"templates": (0,)}, {"probes": 0}],
)
def test_an_impossible_rule_is_refused(wrong: dict) -> None:
    right: dict[str, Any] = {"enrolled": 1, "calibration": 1, "strangers": 1}
    with pytest.raises(DataError, match="expected"):
        OpenSetRule(**(right | wrong))


def test_photos_of_the_same_bytes_are_told_apart_by_person() -> None:
    """By hand: b is twice of one person, so one stays; x is of two people, so none does; "" is not known."""
    kept, twice, several = distinct(["a", "b", "b", "x", "c", "x", "", ""], np.array([0, 0, 0, 0, 1, 1, 1, 0]))
    assert (kept.tolist(), twice, several) == ([0, 1, 4, 6, 7], 1, 2)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight people; one has a photo twice, and two share one."""
    folder = write_people(tmp_path_factory.mktemp("draw") / "people", dict.fromkeys("abcdefgh", 4))
    shutil.copy(folder / "a/0.png", folder / "a/copy.png")
    shutil.copy(folder / "b/0.png", folder / "c/of_b.png")
    return folder


def test_a_folder_and_the_set_packed_from_it_draw_the_same_photos(people: Path, tmp_path: Path) -> None:
    pack_folder(people, tmp_path / "set", size=32, image_format="png", as_is=True)
    rule = OpenSetRule(3, 2, 2, 1, templates=(2,), seed=5)
    folder, face_set = (draw_open_set(read_photos(path), rule) for path in (people, tmp_path / "set"))
    assert folder.choices["same_person_twice"] == 1
    assert folder.choices["several_people"] == 2
    assert (folder.source.kind, face_set.source.kind) == ("folder", "face_set")
    for part in PARTS:
        one, other = folder.part("open", part), face_set.part("open", part)
        assert (one.people, one.sha256) == (other.people, other.sha256)
    everything = [image for templates in folder.lists.values() for image in templates.images]
    assert not {"a/copy.png", "c/of_b.png", "b/0.png"} & set(everything)
    assert sum(len(templates) for templates in folder.lists.values()) == 8 * 4 - 1
    assert summarise(folder)["search_sets"]["open"]["gallery"] == {"people": 3, "templates": 6, "images": 6}
    write_protocol(face_set, tmp_path / "p")
    for made, path in ((folder, people), (read_protocol(tmp_path / "p"), tmp_path / "set")):
        seen = []
        find_images(made, path, contents=True, progress=lambda done, total, seen=seen: seen.append((done, total)))
        assert seen[-1] == (31, 31)


def test_images_that_are_missing_or_changed_are_said(people: Path, tmp_path: Path) -> None:
    shutil.copytree(people, tmp_path / "people")
    made = draw_open_set(read_photos(tmp_path / "people"), OpenSetRule(2, 1, 1), name="drawn")
    image = made.part("open", "strangers").images[0]
    (tmp_path / "people" / image).write_bytes(b"another")
    find_images(made, tmp_path / "people")
    with pytest.raises(DataError, match=f"image '{image}' has other contents than when drawn was drawn"):
        find_images(made, tmp_path / "people", contents=True)
    (tmp_path / "people" / image).unlink()
    with pytest.raises(DataError, match=f"{image}: not there, but drawn names it"):
        find_images(made, tmp_path / "people")
    pack_folder(people, tmp_path / "set", size=32, image_format="png")
    pack_folder(write_people(tmp_path / "others", dict.fromkeys("xy", 4)), tmp_path / "other", size=32)
    with pytest.raises(DataError, match="set: is a face set, but drawn was drawn from a folder"):
        find_images(made, tmp_path / "set")
    from_set = draw_open_set(read_photos(tmp_path / "set"), OpenSetRule(2, 1, 1), name="drawn")
    with pytest.raises(DataError, match="is no face set, but drawn was drawn from one"):
        find_images(from_set, people)
    with pytest.raises(DataError, match="other: is another set"):
        find_images(from_set, tmp_path / "other")
