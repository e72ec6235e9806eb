"""Class-aware sampling is balanced whatever the tail, and takes an image's cycle in full before it repeats one."""

import numpy as np

from facerec_oltr.samplers import ClassAwareConfig, uniform


def test_every_class_comes_equally_often_within_one_draw() -> None:
    labels = np.repeat(np.arange(5), [40, 20, 10, 5, 1])
    order = ClassAwareConfig(images_per_class=4).build()(labels, np.random.default_rng(0))
    counts = np.bincount(labels[order], minlength=5)
    assert counts.sum() == 76
    assert counts.max() - counts.min() <= 4


def test_images_of_a_draw_belong_to_one_class_and_differ_where_there_are_enough() -> None:
    labels = np.repeat(np.arange(3), [8, 8, 8])
    draws = ClassAwareConfig(images_per_class=4).build()(labels, np.random.default_rng(1)).reshape(-1, 4)
    for draw in draws:
        assert len(set(labels[draw])) == 1
        assert len(set(draw)) == 4


def test_a_class_shows_all_its_images_before_one_comes_again() -> None:
    labels = np.repeat(np.arange(2), [6, 6])
    order = ClassAwareConfig(images_per_class=2).build()(labels, np.random.default_rng(2))
    for c in (0, 1):
        own = order[labels[order] == c]
        assert len(set(own[:6])) == len(own[:6])


def test_uniform_shows_every_image_once() -> None:
    labels = np.repeat(np.arange(3), [5, 2, 1])
    assert sorted(uniform(labels, np.random.default_rng(0))) == list(range(8))
