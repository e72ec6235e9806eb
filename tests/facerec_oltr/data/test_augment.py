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
