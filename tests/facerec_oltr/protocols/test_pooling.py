"""Pooling against a slow loop, and by hand."""

import numpy as np
import pytest

from facerec_oltr.errors import DataError
from facerec_oltr.protocols import TemplateList, pool

MEDIA = [[1, 2], [1], [3, 1, 1], [2, 2]]  # images of each medium of each template


def templates(media: list[list[int]]) -> TemplateList:
    numbers = [number for one in media for number, frames in enumerate(one) for _ in range(frames)]
    images = tuple(map(str, range(len(numbers))))
    starts = np.cumsum([0, *map(sum, media)])
    names = tuple(f"t{place}" for place in range(len(media)))
    return TemplateList(names, names, images, ("",) * len(images), np.array(numbers), starts)


def slow(media: list[list[int]], vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Image by image, as the IJB benchmarks' descriptions have it: mean of a medium, sum of media, length 1."""
    rows, place = [], 0
    for one in media:
        total = np.zeros(vectors.shape[1])
        for frames in one:
            mean = np.zeros(vectors.shape[1])
            for _ in range(frames):
                mean += weights[place] * vectors[place] / frames
                place += 1
            total += mean
        rows.append(total / np.sqrt((total**2).sum()))
    return np.array(rows)


def test_against_a_slow_loop() -> None:
    rng = np.random.default_rng(0)
    vectors, weights = rng.standard_normal((13, 6)), rng.uniform(0.1, 1, 13)
    assert sum(map(sum, MEDIA)) == 13
    np.testing.assert_allclose(pool(templates(MEDIA), vectors), slow(MEDIA, vectors, np.ones(13)), atol=1e-6)
    np.testing.assert_allclose(pool(templates(MEDIA), vectors, weights), slow(MEDIA, vectors, weights), atol=1e-6)


def test_by_hand_a_video_counts_as_one_photo() -> None:
    vectors = np.array([[1.0, 0]] + [[0.0, 1]] * 3)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(pool(templates([[1, 3]]), vectors), [[half, half]], atol=1e-7)
    np.testing.assert_allclose(
        pool(templates([[1, 1, 1, 1]]), vectors), [[1 / np.sqrt(10), 3 / np.sqrt(10)]], atol=1e-7
    )


def test_wrong_vectors_are_said() -> None:
    one = templates([[1, 1]])
    with pytest.raises(DataError, match=r"found vectors of shape \(3, 2\), expected a row for each of 2 images"):
        pool(one, np.ones((3, 2)))
    with pytest.raises(DataError, match="image '1': found NaN or inf"):
        pool(one, np.array([[1, 0], [np.nan, 0]]))
    with pytest.raises(DataError, match="template 't0': its images' vectors add up to 0"):
        pool(one, np.array([[1.0, 0], [-1, 0]]))
    with pytest.raises(DataError, match="expected 2 numbers of 0 or more"):
        pool(one, np.ones((2, 2)), [1, -1])
