"""Alignment against insightface's own functions, a slow loop and hand calculations."""

import warnings

import numpy as np
import pytest

from facerec_oltr.faces.align import TEMPLATE, alignment, box_square, cut, inside, similarity, template
from facerec_oltr.faces.found import FoundFace

RNG = np.random.default_rng(0)


def some_points() -> np.ndarray:
    """Five points of a face that leans, somewhere in a large picture."""
    angle, scale = RNG.uniform(-np.pi, np.pi), RNG.uniform(0.3, 6)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = TEMPLATE @ turn.T + RNG.uniform(-500, 500, 2) + RNG.normal(0, 4, (5, 2))
    return points.astype(np.float32)


def insightfaces(points: np.ndarray, size: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-image's, of a name that it will drop
        from insightface.utils.face_align import estimate_norm

        return estimate_norm(points, size)


@pytest.mark.parametrize("size", [112, 128, 224, 256])
def test_the_transform_is_insightfaces(size: int) -> None:
    for _ in range(50):
        points = some_points()
        expected = insightfaces(points, size)
        made = similarity(points, template(size))
        assert made is not None
        corners = np.array([[0, 0, 1], [1000, 0, 1], [0, 1000, 1]]).T
        np.testing.assert_allclose(made[:, :2], expected[:, :2], atol=1e-5)
        np.testing.assert_allclose(made @ corners, expected @ corners, atol=2e-2)  # of up to 8,000; theirs is by SVD
        np.testing.assert_allclose(
            points @ made[:, :2].T + made[:, 2], points @ expected[:, :2].T + expected[:, 2], atol=1e-3
        )


@pytest.mark.parametrize("size", [112, 128, 224])
def test_the_square_is_insightfaces(size: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from insightface.utils.face_align import norm_crop

        picture = RNG.integers(0, 256, (300, 400, 3), dtype=np.uint8)
        points = (TEMPLATE * 1.3 + [120, 60]).astype(np.float32)
        expected = norm_crop(picture, points, size)
    face = FoundFace((0, 0, 1, 1), 1, points)
    np.testing.assert_allclose(cut(picture, alignment(face, size), size).astype(int), expected, atol=1)


def test_nothing_better_is_near() -> None:
    """Least squares: any other scale, angle or shift fits worse."""
    points = some_points()
    best = similarity(points, TEMPLATE)
    assert best is not None

    def error(m: np.ndarray) -> float:
        return float(np.sum((points @ m[:, :2].T + m[:, 2] - TEMPLATE) ** 2))

    for _ in range(50):
        a, b = RNG.normal(0, 1e-3, 2)
        other = best + np.array([[a, -b, 0], [b, a, 0]]) + [[0, 0, x] for x in RNG.normal(0, 0.1, 2)]
        assert error(other) > error(best)


def test_other_sizes_are_in_proportion() -> None:
    np.testing.assert_allclose(template(32), TEMPLATE * 32 / 112)
    np.testing.assert_allclose(template(160), TEMPLATE * 160 / 112)
    np.testing.assert_allclose(template(128)[0], [38.2946 + 8, 51.6963], atol=1e-4)
    np.testing.assert_allclose(template(896), TEMPLATE * 8)  # a multiple of both is one of 112


def test_points_in_one_place_fall_back_on_the_box() -> None:
    points = np.full((5, 2), 7, np.float32)
    assert similarity(points, TEMPLATE) is None
    face = FoundFace((10, 20, 30, 60), 0.9, points)
    np.testing.assert_array_equal(alignment(face, 80), box_square(face, 80))


def test_a_square_around_a_box() -> None:
    """The box 10 … 30 × 20 … 60 has its middle at (20, 40); 40 pixels become 80, or 40 with a margin of as much."""
    face = FoundFace((10, 20, 30, 60), 0.9, None)
    np.testing.assert_allclose(box_square(face, 80) @ [20, 40, 1], [40, 40])
    np.testing.assert_allclose(box_square(face, 80) @ [0, 20, 1], [0, 0])
    np.testing.assert_allclose(box_square(face, 80, 2.0) @ [20, 60, 1], [40, 60])


def test_large_faces_are_shrunk_by_areas() -> None:
    """A chequerboard of single pixels is grey from afar; read at single places it would be black or white."""
    picture = (np.indices((1200, 1200)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
    made = cut(picture, box_square(FoundFace((100, 100, 1100, 1100), 1, None), 112), 112)
    assert abs(made.astype(int) - 127).max() <= 2


@pytest.mark.parametrize("step", [1.0, 2.5, 7.3])
def test_shrinking_moves_nothing(step: float) -> None:
    """A slope stays where it was, whatever it is shrunk by: each pixel shows its own place in the picture."""
    y, x = np.indices((1000, 1000))
    picture = np.stack([x, y, x], axis=2).astype(np.float32) / 4
    side = 100 * step
    face = FoundFace((150, 110, 150 + side, 110 + side), 1, None)
    made = cut(picture.astype(np.uint8), box_square(face, 100), 100).astype(float)
    for row, column in ((20, 20), (50, 70), (90, 10)):
        np.testing.assert_allclose(made[row, column, :2] * 4, [150 + column * step, 110 + row * step], atol=4 + step)


def test_what_lies_outside_is_black_and_counted() -> None:
    face = FoundFace((-50, 0, 50, 100), 1, None)
    matrix = box_square(face, 100)
    made = cut(np.full((100, 100, 3), 200, np.uint8), matrix, 100)
    assert (made[:, :49] == 0).all() and (made[1:99, 51:] == 200).all()
    repeated = cut(np.full((100, 100, 3), 200, np.uint8), matrix, 100, repeat=True)
    assert (repeated == 200).all()
    assert inside((100, 100, 3), face) == 0.5
    assert inside((100, 100, 3), FoundFace((0, 0, 100, 100), 1, None)) == 1.0
    assert inside((100, 100), FoundFace((500, 0, 600, 100), 1, None)) == 0.0
    points = TEMPLATE.astype(np.float32)  # their square is the picture
    assert inside((112, 112), FoundFace((0, 0, 1, 1), 1, points)) == 1.0
    assert inside((112, 112), FoundFace((0, 0, 1, 1), 1, points - np.array([28, 0], np.float32))) == pytest.approx(0.75)
