"""The losses of the comparison against slow loops written from their papers, and what each is for."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from facerec_oltr.losses import (
    BalancedSoftmaxConfig,
    Batch,
    FocalConfig,
    LdamConfig,
    LiftedConfig,
    LogitAdjustedConfig,
    RangeConfig,
)
from facerec_oltr.losses.ldam import effective_number_weights, margins

LABELS = torch.tensor([0, 0, 0, 1, 1, 2, 3, 1])
COUNTS = torch.tensor([100, 50, 10, 2])


def batch(seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(8, 3, generator=generator, dtype=torch.float64)
    logits = torch.randn(8, 4, generator=generator, dtype=torch.float64)
    return Batch(x, logits, LABELS, None, COUNTS)


def slow_log_softmax(z: list[float]) -> list[float]:
    total = math.log(sum(math.exp(v) for v in z))
    return [v - total for v in z]


def slow_focal(b: Batch) -> float:
    total = 0.0
    for z, y in zip(b.logits.tolist(), b.labels.tolist(), strict=True):
        log_p = slow_log_softmax(z)[y]
        total -= (1 - math.exp(log_p)) ** 2 * log_p
    return total / 8


def slow_lifted(b: Batch) -> float:
    x, y = b.features.tolist(), b.labels.tolist()
    total, pairs = 0.0, 0
    for i in range(8):
        for j in range(i + 1, 8):
            if y[i] != y[j]:
                continue
            pairs += 1
            wrong = sum(math.exp(1 - math.dist(x[i], x[k])) for k in range(8) if y[k] != y[i])
            wrong += sum(math.exp(1 - math.dist(x[j], x[k])) for k in range(8) if y[k] != y[j])
            total += max(0.0, math.log(wrong) + math.dist(x[i], x[j])) ** 2
    return total / (2 * pairs)


def slow_range(b: Batch) -> float:
    x, y = b.features.tolist(), b.labels.tolist()
    intra, centres = 0.0, []
    for c in range(4):
        rows = [v for v, label in zip(x, y, strict=True) if label == c]
        centres.append([sum(column) / len(rows) for column in zip(*rows, strict=True)])
        ranges = sorted((math.dist(p, q) for i, p in enumerate(rows) for q in rows[i + 1 :]), reverse=True)[:2]
        if ranges:
            intra += len(ranges) / sum(1 / r for r in ranges)
    nearest = min(math.dist(p, q) for i, p in enumerate(centres) for q in centres[i + 1 :])
    return intra + max(0.0, 5 - nearest)


def slow_balanced(b: Batch) -> float:
    total = 0.0
    for z, y in zip(b.logits.tolist(), b.labels.tolist(), strict=True):
        weighted = [n * math.exp(v) for n, v in zip(COUNTS.tolist(), z, strict=True)]
        total -= math.log(weighted[y] / sum(weighted))
    return total / 8


def slow_ldam_drw(b: Batch) -> float:
    beta, n = 0.9999, COUNTS.tolist()
    delta = [0.5 * (min(n) / k) ** 0.25 for k in n]
    weight = [(1 - beta) / (1 - beta**k) for k in n]
    total = 0.0
    for z, y in zip(b.logits.tolist(), b.labels.tolist(), strict=True):
        shifted = [v - 30 * delta[y] * (c == y) for c, v in enumerate(z)]
        total -= weight[y] * slow_log_softmax(shifted)[y]
    return total / sum(weight[y] for y in b.labels.tolist())


SLOW: list[tuple[Any, Callable[[Batch], float]]] = [
    (FocalConfig(), slow_focal),
    (LiftedConfig(), slow_lifted),
    (RangeConfig(), slow_range),
    (BalancedSoftmaxConfig(), slow_balanced),
    (LdamConfig(reweight=True), slow_ldam_drw),
]


@pytest.mark.parametrize(("config", "slow"), SLOW, ids=[c.kind for c, _ in SLOW])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_value_equals_the_slow_loop_and_the_gradient_is_the_functions(
    config: Any, slow: Callable[[Batch], float], seed: int
) -> None:
    b, loss = batch(seed), config.build()
    torch.testing.assert_close(loss(b), torch.tensor(slow(b), dtype=torch.float64), rtol=1e-6, atol=1e-6)

    def of(x: Tensor, logits: Tensor) -> Tensor:
        return loss(b._replace(features=x, logits=logits))

    assert torch.autograd.gradcheck(of, (b.features.clone().requires_grad_(), b.logits.clone().requires_grad_()))


def test_focal_weighs_each_sample_where_a_copy_in_circulation_weighs_the_batch() -> None:
    logits = torch.tensor([[9.0, 0.0], [0.0, 3.0]])  # one easy, one hard
    b = Batch(logits, logits, torch.tensor([0, 0]), None, torch.ones(2))
    mean = torch.nn.functional.cross_entropy(logits, b.labels)
    of_the_batch = (1 - (-mean).exp()) ** 2 * mean
    assert FocalConfig().build()(b) > of_the_batch * 1.3
    torch.testing.assert_close(FocalConfig(gamma=0.0).build()(b), mean)


def test_logit_adjustment_at_tau_1_is_balanced_softmax_and_at_a_balanced_set_cross_entropy() -> None:
    b = batch()
    torch.testing.assert_close(LogitAdjustedConfig().build()(b), BalancedSoftmaxConfig().build()(b))
    even = b._replace(counts=torch.full((4,), 7))
    plain = torch.nn.functional.cross_entropy(b.logits, b.labels)
    torch.testing.assert_close(LogitAdjustedConfig(tau=2.0).build()(even), plain)


def test_ldam_gives_the_rarest_class_the_largest_margin_and_drw_the_largest_weight() -> None:
    torch.testing.assert_close(margins(torch.tensor([160, 10]), 0.5), torch.tensor([0.25, 0.5]))  # 16 ** -1/4 = 1/2
    weights = effective_number_weights(COUNTS, 0.9999)
    assert weights.tolist() == sorted(weights.tolist())
    assert weights.mean().item() == pytest.approx(1)


def test_range_takes_two_different_pairs_where_the_authors_file_takes_one_twice() -> None:
    x = torch.tensor([[0.0], [3.0], [4.0]], requires_grad=True)  # distances 3, 4, 1
    b = Batch(x, x, torch.zeros(3, dtype=torch.int64), None, torch.ones(1))
    value = RangeConfig().build()(b)
    value.backward()
    assert value.item() == pytest.approx(2 / (1 / 3 + 1 / 4))
    assert x.grad is not None
    assert torch.count_nonzero(x.grad) == 3


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]])
@pytest.mark.parametrize("config", [LiftedConfig(), RangeConfig()])
def test_batches_without_positive_or_negative_pairs_and_with_equal_images_are_finite(
    labels: list[int], config: Any
) -> None:
    x = torch.ones(3, 2, requires_grad=True)
    value = config.build()(Batch(x, x, torch.tensor(labels), None, torch.ones(3)))
    value.backward()
    assert torch.isfinite(value)
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
