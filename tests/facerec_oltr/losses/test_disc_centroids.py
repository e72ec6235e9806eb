"""The margin loss against a slow loop, and against the authors' form, whose repelling term is inert."""

import math

import torch

from facerec_oltr.losses import Batch, DiscCentroidsConfig


def slow(features: list[list[float]], labels: list[int], memory: list[list[float]], margin: float) -> float:
    attraction = repulsion = 0.0
    for x, y in zip(features, labels, strict=True):
        own = math.dist(x, memory[y])
        nearest = min(math.dist(x, m) for c, m in enumerate(memory) if c != y)
        attraction += own**2 / 2
        repulsion += max(0.0, margin + own - nearest)
    return (attraction + 3 * repulsion) / len(features)


def batch(features: torch.Tensor, labels: torch.Tensor, memory: torch.Tensor) -> Batch:
    return Batch(features, features @ memory.T, labels, memory, torch.ones(len(memory)))


def test_value_equals_the_slow_loop_and_gradient_that_of_the_function() -> None:
    torch.manual_seed(0)
    x, memory = torch.randn(7, 4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 3, 4, 0, 2])
    loss = DiscCentroidsConfig(margin=0.7, repel=3.0).build()
    expected = slow(x.tolist(), labels.tolist(), memory.tolist(), 0.7)
    torch.testing.assert_close(loss(batch(x, labels, memory)), torch.tensor(expected, dtype=torch.float64))
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda v: loss(batch(v, labels, memory)), (x,))


def test_a_sample_far_from_the_others_is_only_attracted() -> None:
    memory = torch.tensor([[0.0, 0.0], [100.0, 0.0]])
    x = torch.tensor([[1.0, 0.0]])
    value = DiscCentroidsConfig(margin=10).build()(batch(x, torch.tensor([0]), memory))
    torch.testing.assert_close(value, torch.tensor(0.5))  # ½·1², and 10 + 1 − 99 < 0


def test_in_float32_a_distance_keeps_its_digits_close_to_a_centroid() -> None:
    """‖v − m‖ is 0.02 at a length of 23: formed as √(‖v‖² − 2 v·m + ‖m‖²) it would be off by a tenth and more."""
    torch.manual_seed(0)
    memory = torch.randn(100, 512)
    x = memory[:8] + 1e-3 * torch.randn(8, 512)
    value = DiscCentroidsConfig(attract=0, repel=3, margin=40).build()(batch(x, torch.arange(8), memory))
    expected = slow(x.tolist(), list(range(8)), memory.tolist(), 40) - (x - memory[:8]).square().sum(dim=1).mean() / 2
    torch.testing.assert_close(value, expected.to(value.dtype), rtol=3e-6, atol=0)


def test_it_repels_at_real_feature_sizes_where_the_authors_hinge_has_no_gradient() -> None:
    """At ‖x − m‖ ≈ 10 the mean of squared distances is far above the authors' margin of 10, so their clamp is 0."""
    torch.manual_seed(0)
    memory = 7 * torch.randn(20, 64) / 8
    labels = torch.arange(20)
    x = (memory + 10 * torch.randn(20, 64) / 8).requires_grad_()
    authors = torch.clamp(10.0 - torch.cdist(x, memory).square().mean(), 0, 1e6)
    assert authors.item() == 0
    ours = DiscCentroidsConfig(attract=0, repel=1, margin=10).build()(batch(x, labels, memory))
    ours.backward()
    assert ours.item() > 0
    assert x.grad is not None
    assert x.grad.norm() > 0
