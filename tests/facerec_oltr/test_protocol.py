"""The protocol by its properties: nobody plays two parts, and the same seed deals the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerec_oltr.errors import DataError
from facerec_oltr.protocol import Protocol, Roles

PARTS = ("templates", "mated", "calibration", "strangers")


def people_of(counts: list[int], seed: int = 0) -> np.ndarray:
    """Each person's photos scattered among the others', under labels with gaps."""
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)) * 3 + 7, counts))


def same(one: Roles, other: Roles) -> bool:
    return all(np.array_equal(getattr(one, part), getattr(other, part)) for part in PARTS)


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 8), min_size=6, max_size=12),
    templates=st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple),
    sizes=st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 2)),
    seed=st.integers(0, 2**32 - 1),
)
def test_people_and_photos_play_one_part(
    counts: list[int], templates: tuple[int, ...], sizes: tuple[int, int, int], seed: int
) -> None:
    counts[:2] = [5, 5]  # two who can be enrolled
    people = people_of(counts)
    protocol = Protocol(*sizes, templates=templates, draws=1, seed=seed)
    roles = next(protocol.all_roles(people))

    photos = np.concatenate([getattr(roles, part) for part in PARTS])
    assert len(np.unique(photos)) == len(photos)
    enrolled, calibration, strangers = (
        set(people[getattr(roles, part)]) for part in ("templates", "calibration", "strangers")
    )
    assert set(people[roles.mated]) == enrolled
    assert not enrolled & calibration and not enrolled & strangers and not calibration & strangers
    assert (len(enrolled), len(calibration), len(strangers)) == sizes
    for part, members in (("calibration", calibration), ("strangers", strangers)):
        assert len(getattr(roles, part)) == np.isin(people, list(members)).sum()  # every photo of theirs
    assert len(roles.templates) + len(roles.mated) == np.isin(people, list(enrolled)).sum()


def test_the_demo_has_five_people_in_each_part_with_these_photos() -> None:
    people = np.repeat(np.arange(15), 10)
    for roles in Protocol(draws=5).all_roles(people):
        counts = np.sort(np.unique(people[roles.templates], return_counts=True)[1])
        assert counts.tolist() == [1, 1, 2, 3, 5]  # 1, 2, 3, 5 and 1 again
        assert [len(getattr(roles, part)) for part in PARTS] == [12, 38, 50, 50]


def test_the_same_seed_deals_the_same_whatever_the_number_of_draws() -> None:
    people = people_of([6] * 15)
    three, five = (list(Protocol(draws=draws, seed=4).all_roles(people)) for draws in (3, 5))
    assert all(map(same, three, five[:3]))
    assert not same(five[0], five[1])
    assert not same(five[0], next(Protocol(seed=5).all_roles(people)))


def test_people_with_few_photos_are_strangers_only() -> None:
    people = people_of([1, 1, 1, 4, 4])
    for roles in Protocol(2, 1, 2, templates=(3,), draws=20).all_roles(people):
        assert len(roles.mated) == 2
        assert len(roles.calibration) == 1
        assert len(roles.strangers) == 2


def test_over_many_draws_everybody_plays_every_part() -> None:
    people = people_of([6] * 15)
    draws = list(Protocol(draws=40).all_roles(people))
    for part in PARTS:
        assert set(np.concatenate([people[getattr(roles, part)] for roles in draws])) == set(people)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([10] * 14, "found 14 people who were not trained on, expected 15: 5 enrolled, 5 for calibration, 5 strangers"),
        ([10] * 4 + [5] * 11, "found 4 people with 6 photos or more, expected 5"),
    ],
)
def test_too_few_people_or_photos_is_said(counts: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        next(Protocol().all_roles(people_of(counts)))


@pytest.mark.parametrize("wrong", [{"enrolled": 0}, {"draws": 0}, {"templates": ()}, {"templates": (0,)}, {"seed": -1}])
def test_an_impossible_protocol_is_refused(wrong: dict) -> None:
    with pytest.raises(DataError, match="expected"):
        Protocol(**wrong)
