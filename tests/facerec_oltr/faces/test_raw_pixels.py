"""Raw pixels by hand: similarity is the correlation of the grey values."""

import numpy as np
import pytest

from facerec_oltr.faces.raw_pixels import RawPixels


def grey(*values: int) -> np.ndarray:
    return np.repeat(np.array(values, np.uint8).reshape(2, 2, 1), 3, axis=2)


def test_similarity_is_the_correlation() -> None:
    faces = np.stack([grey(10, 20, 30, 40), grey(40, 30, 20, 10), grey(110, 130, 150, 170), grey(10, 40, 40, 10)])
    vectors = RawPixels(2).embed(faces)
    # minus the mean: (-15, -5, 5, 15), its opposite, twice it, and (-15, 15, 15, -15): 225 - 75 + 75 - 225 = 0
    expected = [[1, -1, 1, 0], [-1, 1, -1, 0], [1, -1, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(vectors @ vectors.T, expected, atol=1e-6)
    assert vectors.dtype == np.float32


def test_colour_counts_as_its_mean() -> None:
    coloured = np.zeros((1, 2, 2, 3), np.uint8)
    coloured[0, :, :, 0] = [[30, 60], [90, 120]]
    np.testing.assert_allclose(RawPixels(2).embed(coloured), RawPixels(2).embed(grey(10, 20, 30, 40)[None]), atol=1e-6)


def test_a_face_of_one_grey_is_like_nobody() -> None:
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    faces[0] = 77
    vectors = RawPixels().embed(faces)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[0] @ vectors[1:].T, 0, atol=1e-5)


def test_no_face_gives_no_vector_and_the_size_is_in_the_fingerprint() -> None:
    assert RawPixels(4).embed(np.empty((0, 4, 4, 3), np.uint8)).shape == (0, 16)
    assert RawPixels(4).fingerprint != RawPixels(8).fingerprint
    assert RawPixels(4).fingerprint == RawPixels(4).fingerprint


@pytest.mark.parametrize("size", [2, 32])
def test_dimensions_are_as_promised(size: int) -> None:
    embedder = RawPixels(size)
    assert embedder.embed(np.zeros((1, size, size, 3), np.uint8)).shape == (1, embedder.dimensions)
