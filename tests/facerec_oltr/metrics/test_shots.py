"""Shot accuracies: the bins of each convention, and means counted by hand."""

import numpy as np
import pytest

from facerec_oltr.errors import MetricError
from facerec_oltr.metrics.shots import class_accuracies, shot_accuracies, shot_bins

COUNTS = [500, 101, 100, 99, 21, 20, 19, 5]


@pytest.mark.parametrize(
    ("convention", "many", "medium", "few"),
    [
        ("paper", [0, 1], [2, 3, 4], [6, 7]),  # 20 is nowhere
        ("decoupling", [0, 1], [2, 3, 4, 5], [6, 7]),
        ("authors_2019", [0, 1, 2], [3, 4], [5, 6, 7]),
    ],
)
def test_the_conventions_differ_at_their_edges(convention, many, medium, few) -> None:
    bins = shot_bins(COUNTS, convention)
    assert [np.flatnonzero(bins[name]).tolist() for name in ("many", "medium", "few")] == [many, medium, few]


def test_faces_are_binned_by_five_and_by_one() -> None:
    bins = shot_bins([9, 5, 4, 2, 1], "faces")
    assert [np.flatnonzero(bins[name]).tolist() for name in ("many", "medium", "few")] == [[0, 1], [2, 3], [4]]


def test_accuracies_counted_by_hand() -> None:
    labels = [0, 0, 0, 0, 1, 2, 2]
    decided = [0, 0, 0, 1, 1, -1, 2]  # of class 0 three of four, of 1 the only one, of 2 one of two
    found = shot_accuracies(decided, labels, [200, 50, 3], "decoupling")
    assert (found.many, found.medium, found.few) == (0.75, 1.0, 0.5)
    assert found.micro == pytest.approx(5 / 7)
    assert found.macro == pytest.approx(0.75)


def test_a_class_without_test_images_is_not_counted_and_an_empty_bin_is_nan() -> None:
    found = shot_accuracies([0], [0], [200, 150], "decoupling")
    assert (found.many, found.macro) == (1.0, 1.0)
    assert np.isnan([found.medium, found.few]).all()
    nothing = shot_accuracies([], [], [200], "paper")
    assert np.isnan([nothing.many, nothing.micro, nothing.macro]).all()


def test_strangers_sizes_and_unknown_conventions_are_refused() -> None:
    with pytest.raises(MetricError, match="found labels from -1 to 1, expected 0 to 1; leave strangers out"):
        class_accuracies([0, 1], [-1, 1], 2)
    with pytest.raises(MetricError, match="shape"):
        class_accuracies([0, 1], [1], 2)
    with pytest.raises(MetricError, match="unknown convention"):
        shot_bins([3], "mine")  # pyright: ignore[reportArgumentType]
