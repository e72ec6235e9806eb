"""Crops: the bounds that their words promise, the middle by hand, and the same crop wherever and whenever it is cut."""

import math

import numpy as np
import pytest
from pydantic import ValidationError

from facerec_oltr.data import AugmentConfig, RandomCrop
from facerec_oltr.data.crop import Box, centre_view

AUTHORS = AugmentConfig(crop_scale=(0.08, 1.0))


def boxes(height: int, width: int, choices: AugmentConfig = AUTHORS, number: int = 2000) -> list[Box]:
    crop = choices.crop((7, 1))
    assert crop is not None
    return [crop.box(place, height, width) for place in range(number)]


def test_crops_lie_inside_with_the_areas_and_ratios_asked_for() -> None:
    areas, ratios = [], []
    for box in boxes(300, 400):
        assert min(box) >= 0
        assert box.top + box.height <= 300
        assert box.left + box.width <= 400
        areas.append(box.height * box.width / (300 * 400))
        ratios.append(box.width / box.height)
    # whole pixels: the smallest crop is 85 × 112 or so, and half a pixel is a 170th of that
    assert 0.079 < min(areas) < 0.09
    assert 0.97 < max(areas) <= 1
    assert 0.75 / 1.015 < min(ratios) < 0.76
    assert 1.32 < max(ratios) < 4 / 3 * 1.015


def test_small_crops_are_drawn_evenly_in_area_and_in_the_logarithm_of_the_ratio() -> None:
    """Where every draw fits: area even in [0.1, 0.3], so its mean 0.2 ± 4 · 0.0577 / √2000; the ratio's log, mean 0."""
    drawn = boxes(1000, 1000, AugmentConfig(crop_scale=(0.1, 0.3)))
    assert abs(np.mean([b.height * b.width for b in drawn]) / 1e6 - 0.2) < 0.0055
    assert abs(np.mean([math.log(b.width / b.height) for b in drawn])) < 0.016


def test_where_nothing_fits_it_is_the_middle() -> None:
    """A strip of 10 × 1000 has no part of 80 % with a ratio below 4/3: the middle of 10 × 13 is shown."""
    assert set(boxes(10, 1000, AugmentConfig(crop_scale=(0.8, 1.0)), 5)) == {Box(0, 493, 10, 13)}
    assert set(boxes(1000, 10, AugmentConfig(crop_scale=(0.8, 1.0)), 5)) == {Box(493, 0, 13, 10)}


def test_a_crop_follows_from_the_seed_and_the_place_alone() -> None:
    assert boxes(300, 400, number=20) == boxes(300, 400, number=20)
    other = RandomCrop((0.08, 1.0), (3 / 4, 4 / 3), (7, 2))
    assert [other.box(place, 300, 400) for place in range(20)] != boxes(300, 400, number=20)


def test_a_whole_crop_of_the_right_size_is_the_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    whole = RandomCrop((1.0, 1.0), (1.0, 1.0), (0,))
    np.testing.assert_array_equal(whole.view(image, 0, 16), image)
    half = RandomCrop((0.25, 0.25), (1.0, 1.0), (0,))
    top, left, *_ = half.box(3, 16, 16)
    np.testing.assert_array_equal(half.view(image, 3, 8), image[top : top + 8, left : left + 8])


@pytest.mark.parametrize(("height", "width"), [(256, 256), (256, 341), (500, 256)])
def test_the_middle_of_an_image_with_a_short_side_of_256_is_cut_unresized(height: int, width: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    top, left = round((height - 224) / 2), round((width - 224) / 2)  # torchvision's CenterCrop
    np.testing.assert_array_equal(centre_view(image, 224, 0.875), image[top : top + 224, left : left + 224])


def test_odd_shapes_give_a_square_all_the_same() -> None:
    for shape in ((1, 1), (1, 300), (300, 2), (17, 19)):
        assert centre_view(np.zeros((*shape, 3), np.uint8), 32, 0.875).shape == (32, 32, 3)
        crop = AUTHORS.crop((0,))
        assert crop is not None
        assert crop.view(np.zeros((*shape, 3), np.uint8), 0, 32).shape == (32, 32, 3)


@pytest.mark.parametrize(
    "choices",
    [{"crop_scale": (0.0, 1.0)}, {"crop_scale": (0.5, 0.1)}, {"crop_scale": (0.5, 1.1)}, {"crop_ratio": (2.0, 1.0)}],
)
def test_bounds_that_are_none(choices: dict[str, tuple[float, float]]) -> None:
    with pytest.raises(ValidationError):
        AugmentConfig(**choices)  # pyright: ignore[reportArgumentType]
