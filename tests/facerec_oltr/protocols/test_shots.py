"""Shot groups by hand, and the rule by similarity against a slow loop."""

from fractions import Fraction

import numpy as np
import pytest

from facerec_oltr.errors import DataError
from facerec_oltr.protocols.shots import GROUPS, shot_groups, similar_counts, true_counts


def test_groups_by_hand() -> None:
    groups = shot_groups([0, 1, 2, 4, 5, 80])
    assert {name: np.flatnonzero(mask).tolist() for name, mask in groups.items()} == {
        "many": [4, 5],
        "few": [2, 3],
        "one_shot": [1],
        "zero_shot": [0],
    }
    assert tuple(groups) == GROUPS


def test_who_was_not_trained_on_has_no_training_image() -> None:
    assert true_counts(["ann", "eve", "ann", "bob"], {"ann": 7, "bob": 1}).tolist() == [7, 0, 7, 1]


@pytest.mark.parametrize("block_bytes", [1, 100, 1 << 27])
def test_similar_images_against_a_slow_loop(block_bytes: int) -> None:
    rng = np.random.default_rng(0)
    probes, training = (rng.standard_normal((rows, 3)).astype(np.float32) for rows in (9, 50))
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    training /= np.linalg.norm(training, axis=1, keepdims=True)
    expected = [sum(float(p @ t) > 0.7 for t in training) for p in probes]
    seen: list[tuple[int, int]] = []
    found = similar_counts(probes, training, block_bytes=block_bytes, progress=lambda *step: seen.append(step))
    assert found.tolist() == expected
    assert len(set(expected)) > 3
    assert seen[-1] == (50, 50)


def test_a_similarity_of_the_limit_itself_is_not_above_it() -> None:
    axis = np.array([[1.0, 0, 0, 0]])
    half = np.full((1, 4), 0.5)
    assert similar_counts(axis, half, above=0.5).tolist() == [0]
    assert similar_counts(axis, half, above=0.49).tolist() == [1]


def test_a_similarity_near_the_limit_is_decided_exactly_whatever_the_block() -> None:
    """Cosines within the rounding of a float32 product of the limit, against Python's exact fractions."""
    rng = np.random.default_rng(1)
    probes = rng.standard_normal((6, 64))
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    aside = rng.standard_normal((80, 64))
    near = probes[np.arange(80) % 6]
    aside -= (aside * near).sum(1, keepdims=True) * near
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    cosines = 0.7 + rng.uniform(-4e-7, 4e-7, (80, 1))
    training = (cosines * near + np.sqrt(1 - cosines**2) * aside).astype(np.float32)
    probes = probes.astype(np.float32)

    def exact(p: np.ndarray, t: np.ndarray) -> float:
        products = (Fraction(float(a)) * Fraction(float(b)) for a, b in zip(p, t, strict=True))
        return float(np.float32(float(sum(products, Fraction(0)))))

    expected = [sum(exact(p, t) > 0.7 for t in training) for p in probes]
    assert 0 < sum(expected) < 80
    for block_bytes in (1, 5_000, 1 << 27):
        assert similar_counts(probes, training, block_bytes=block_bytes).tolist() == expected
    some = np.arange(0, 80, 3)
    assert similar_counts(probes, training, some).tolist() == similar_counts(probes, training[some]).tolist()


def test_vectors_that_do_not_fit_are_said() -> None:
    one = np.eye(3)
    with pytest.raises(DataError, match="embed both by one model"):
        similar_counts(one, np.eye(4))
    with pytest.raises(DataError, match="probe 1 has a vector of length 2"):
        similar_counts(np.diag([1.0, 2, 1]), one)
    with pytest.raises(DataError, match="training image 2 has a vector of length nan"):
        similar_counts(one, np.diag([1.0, 1, np.nan]), block_bytes=1)
