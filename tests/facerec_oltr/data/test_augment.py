"""Augmentation: what is switched off changes nothing, and each change is the one that its name says."""

import torch

from facerec_oltr.data import AugmentConfig, augment


def images(B: int = 64, S: int = 12) -> torch.Tensor:
    return torch.rand(B, 3, S, S, generator=torch.Generator().manual_seed(0)) * 2 - 1


def changed(choices: AugmentConfig, seed: int = 1) -> torch.Tensor:
    return augment(images(), choices, torch.Generator().manual_seed(seed))


def test_nothing_asked_nothing_done() -> None:
    assert torch.equal(changed(AugmentConfig(flip=0)), images())


def test_a_flip_mirrors_left_and_right() -> None:
    assert torch.equal(changed(AugmentConfig(flip=1)), images().flip(3))


def test_a_flip_of_half_the_images_leaves_the_others() -> None:
    out, before = changed(AugmentConfig(flip=0.5)), images()
    flipped = [torch.equal(o, b.flip(2)) for o, b in zip(out, before, strict=True)]
    kept = [torch.equal(o, b) for o, b in zip(out, before, strict=True)]
    assert all(f or k for f, k in zip(flipped, kept, strict=True))
    assert 20 < sum(flipped) < 44  # 64 coins: 12 heads off the mean has a chance of 0.3 %


def test_a_flip_is_the_same_whichever_way_the_pixels_lie_and_leaves_them_so() -> None:
    by_channel, by_pixel = images(), images().contiguous(memory_format=torch.channels_last)
    choices = AugmentConfig(flip=0.5)
    outs = [augment(x.clone(), choices, torch.Generator().manual_seed(3)) for x in (by_channel, by_pixel)]
    assert torch.equal(*outs)
    assert outs[1].is_contiguous(memory_format=torch.channels_last)


def test_what_is_switched_off_draws_its_chances_all_the_same() -> None:
    """So that the same images are flipped in this batch and the next, whatever else is switched on."""
    flipped = []
    for choices in (AugmentConfig(), AugmentConfig(cover=0.1, light=0.1)):
        generator = torch.Generator().manual_seed(4)
        ramp = torch.linspace(-1, 1, 12).expand(2, 64, 3, 12, 12)
        outs = [augment(batch.clone(), choices, generator) for batch in ramp]
        flipped.append(torch.cat(outs)[:, 0, 0, 0] > torch.cat(outs)[:, 0, 0, -1])
    assert torch.equal(*flipped)
    assert 0 < flipped[0].sum() < 128


def test_light_changes_every_pixel_of_an_image_by_one_line() -> None:
    out, before = changed(AugmentConfig(flip=0, light=0.5)), images()
    for o, b in zip(out, before, strict=True):
        slope = (o[0, 0, 0] - o[0, 5, 5]) / (b[0, 0, 0] - b[0, 5, 5])
        torch.testing.assert_close(o, slope * (b - b[0, 0, 0]) + o[0, 0, 0], atol=1e-4, rtol=1e-4)
        assert 0.5 - 1e-3 <= slope <= 1.5 + 1e-3


def test_cover_blanks_a_ninth_of_the_image() -> None:
    out = changed(AugmentConfig(flip=0, cover=1))
    assert ((out == 0).sum(dim=(1, 2, 3)) == 3 * 4 * 4).all()


def test_a_shift_stays_below_its_bound() -> None:
    dot = torch.full((64, 3, 33, 33), -1.0)
    dot[:, :, 16, 16] = 1
    out = augment(dot, AugmentConfig(flip=0, shift=0.25), torch.Generator().manual_seed(0))
    place = out[:, 0].flatten(1).argmax(dim=1)
    offset = torch.stack([place // 33, place % 33]) - 16
    assert offset.abs().max() <= 9  # a quarter of 33 pixels, rounded up
    assert offset.abs().max() >= 6


def test_the_same_generator_gives_the_same_images() -> None:
    strong = AugmentConfig(shift=0.2, zoom=0.2, turn=20, light=0.5, cover=0.5)
    assert torch.equal(changed(strong), changed(strong))
    assert not torch.equal(changed(strong), changed(strong, seed=2))


def jittered(image: list[float], **choices: float) -> torch.Tensor:
    """One image of one pixel, RGB on [0, 1], as 4000 copies that were each changed otherwise; (4000, 3) on [0, 1]."""
    before = torch.tensor(image).view(1, 3, 1, 1).expand(4000, 3, 1, 1) * 2 - 1
    out = augment(before, AugmentConfig(flip=0, **choices), torch.Generator().manual_seed(0))  # pyright: ignore[reportArgumentType]
    return (out.flatten(1) + 1) / 2


def test_brightness_scales_from_black_evenly_within_its_bounds() -> None:
    out = jittered([0.5, 0.25, 0.1], brightness=0.4)
    factor = out[:, 0] / 0.5
    torch.testing.assert_close(out, factor.unsqueeze(1) * torch.tensor([0.5, 0.25, 0.1]))
    assert 0.6 <= factor.min() < 0.61
    assert 1.39 < factor.max() <= 1.4
    assert abs(factor.mean() - 1) < 0.02  # of 4000 even draws: four standard deviations are 0.015


def test_no_change_leaves_the_range_of_colours() -> None:
    assert jittered([0.9, 0.9, 0.1], brightness=0.4).max() == 1
    assert jittered([1.0, 0.0, 0.0], saturation=0.4, contrast=0.4).min() == 0


def test_saturation_moves_a_pixel_along_the_line_to_its_grey() -> None:
    out = jittered([0.6, 0.4, 0.2], saturation=0.4)
    grey = 0.299 * 0.6 + 0.587 * 0.4 + 0.114 * 0.2
    torch.testing.assert_close(out @ torch.tensor([0.299, 0.587, 0.114]), torch.full((4000,), grey))
    factor = (out[:, 0] - grey) / (0.6 - grey)
    torch.testing.assert_close(out[:, 2], grey + factor * (0.2 - grey))
    assert 0.6 - 1e-4 <= factor.min() < 0.61
    assert 1.39 < factor.max() <= 1.4 + 1e-4


def test_contrast_moves_all_pixels_from_the_mean_grey_of_their_image() -> None:
    before = torch.tensor([[0.2, 0.6], [0.4, 0.4]]).expand(64, 3, 2, 2) * 2 - 1  # grey, its mean is 0.4
    out = (augment(before, AugmentConfig(flip=0, contrast=0.5), torch.Generator().manual_seed(0)) + 1) / 2
    torch.testing.assert_close(out[:, :, 1], torch.full((64, 3, 2), 0.4))
    torch.testing.assert_close(out[:, :, 0, 0] + out[:, :, 0, 1], torch.full((64, 3), 0.8))
    assert (out[:, 0, 0, 1] - 0.4).min() < 0.12
    assert (out[:, 0, 0, 1] - 0.4).max() > 0.28


def test_the_three_come_in_an_order_of_each_images_own() -> None:
    """Against a slow loop, which gets the same draws."""
    choices = AugmentConfig(flip=0, brightness=0.4, contrast=0.4, saturation=0.4)
    images = torch.rand(48, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    out = (augment(images * 2 - 1, choices, torch.Generator().manual_seed(0)) + 1) / 2
    generator = torch.Generator().manual_seed(0)
    torch.rand(48 * 5, generator=generator)  # the draws of turn, zoom, flip and shift
    factors = 1 + 0.4 * (2 * torch.rand(48, 3, generator=generator) - 1)
    orders = torch.rand(48, 3, generator=generator).argsort(dim=1).tolist()
    assert len({tuple(order) for order in orders}) == 6
    for image, o, factor, order in zip(images, out, factors.tolist(), orders, strict=True):
        torch.testing.assert_close(o, _slow_jitter(image, factor, order), atol=1e-5, rtol=0)


def _slow_jitter(image: torch.Tensor, factors: list[float], order: list[int]) -> torch.Tensor:
    """One image (3, H, W) on [0, 1], as torchvision's ColorJitter is described."""
    for turn in order:
        grey = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
        pole = [torch.zeros(()), grey.mean(), grey][turn]
        image = (factors[turn] * image + (1 - factors[turn]) * pole).clamp(0, 1)
    return image
