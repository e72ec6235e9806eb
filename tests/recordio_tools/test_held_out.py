import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from recordio_tools.errors import PlanError
from recordio_tools.held_out import OpenRoles, OpenSplit, deal, why_none


def parts(roles: OpenRoles) -> dict[str, set[int]]:
    return {name: set(getattr(roles, name).tolist()) for name in ("gallery", "probe", "stranger", "calibration")}


@given(
    st.lists(st.integers(0, 9), min_size=3, max_size=25),
    st.floats(0.02, 0.97),
    st.floats(0.02, 0.97),
    st.integers(1, 5),
    st.integers(0, 5),
)
def test_nobody_and_no_photo_plays_two_parts(
    sizes: list[int], enrolled: float, calibration: float, gallery: int, seed: int
) -> None:
    assume(enrolled + calibration < 0.99)
    counts = np.array(sizes)
    assume(why_none(counts) is None)
    split = OpenSplit(enrolled, calibration, gallery)
    roles = deal(counts, split, np.random.default_rng(seed))
    photos = parts(roles)
    owner = [person for person, size in enumerate(sizes) for _ in range(size)]
    people = {name: {owner[photo] for photo in each} for name, each in photos.items()}
    assert sum(map(len, photos.values())) == len(owner)
    assert set().union(*photos.values()) == set(range(len(owner)))
    assert people["gallery"] == people["probe"]
    assert all(people.values())
    for one, other in (("gallery", "stranger"), ("gallery", "calibration"), ("stranger", "calibration")):
        assert not people[one] & people[other]
    for person in people["gallery"]:
        inside = sum(owner[photo] == person for photo in photos["gallery"])
        assert inside == min(gallery, sizes[person] - 1)
    for name in photos:
        assert (np.diff(getattr(roles, name)) > 0).all()
    again = deal(counts, split, np.random.default_rng(seed))
    assert parts(again) == photos


def test_the_shares_by_hand() -> None:
    """100 people, 0.6 and 0.1: 60 enrolled, 10 calibrate, 30 strangers; 5 photos each, 2 in the gallery."""
    roles = deal(np.full(100, 5), OpenSplit(0.6, 0.1, 2), np.random.default_rng(0))
    assert {name: len(each) for name, each in parts(roles).items()} == {
        "gallery": 120,
        "probe": 180,
        "stranger": 150,
        "calibration": 50,
    }


def test_people_with_one_photo_are_never_enrolled_and_the_others_share_them() -> None:
    """10 of 100 can be enrolled; the other 90 are dealt 0.25 : 0.25."""
    counts = np.array([1] * 90 + [2] * 10)
    roles = deal(counts, OpenSplit(), np.random.default_rng(1))
    assert roles.gallery.min() >= 90
    assert (len(roles.gallery), len(roles.probe)) == (10, 10)
    assert (len(roles.stranger), len(roles.calibration)) == (45, 45)


def test_every_photo_of_a_person_has_the_same_chance_to_be_in_the_gallery() -> None:
    """3 of 4 photos: each is in the gallery in three quarters of the deals, by hand."""
    counts = np.array([4, 4, 4])
    table = np.zeros(12)
    for seed in range(900):
        table[deal(counts, OpenSplit(0.4, 0.3, 3), np.random.default_rng(seed)).gallery] += 1
    np.testing.assert_allclose(table, 900 / 3 * 3 / 4, rtol=0.2)


@pytest.mark.parametrize(
    ("sizes", "none"), [([], True), ([9, 9], True), ([1, 1, 1, 1], True), ([0, 2, 1], True), ([2, 1, 1], False)]
)
def test_too_few_people_get_a_reason(sizes: list[int], none: bool) -> None:
    reason = why_none(np.array(sizes, np.int64))
    assert (reason is not None) == none
    assert reason is None or reason.startswith(f"{np.count_nonzero(sizes)} people are left out")


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"enrolled": 0}, "share of enrolled people 0"),
        ({"calibration": 1.0}, "share of calibration people 1.0"),
        ({"enrolled": float("nan")}, "nan"),
        ({"enrolled": 0.7, "calibration": 0.3}, "leave no strangers"),
        ({"gallery_photos": 0}, "0 gallery photos"),
    ],
)
def test_choices_that_cannot_be(choices: dict[str, float], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        OpenSplit(**choices)  # type: ignore[arg-type]
