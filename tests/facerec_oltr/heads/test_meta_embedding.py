"""The meta-embedding against a slow loop over samples and classes, written from the paper's equations."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from facerec_oltr.heads import CosineConfig, DotProduct, MetaEmbedding, MetaEmbeddingConfig, Moment
from facerec_oltr.heads.cosine import squash
from facerec_oltr.heads.meta_embedding import reachability

B, C, D = 4, 5, 6


def head_with_memory() -> MetaEmbedding:
    torch.manual_seed(0)
    head = MetaEmbeddingConfig().build(features=D, classes=C).double()
    memory = torch.randn(C, D, dtype=torch.float64)
    head.refresh(lambda: memory, "stage begins")
    return head


def slow_logits(head: MetaEmbedding, x: list[float]) -> list[float]:
    """Equations 2 to 6 of the paper for one sample, in plain Python; the scale 10 and n/(1+n) as the authors' code."""
    memory, W = head.memory.tolist(), head.classifier.weight.tolist()
    hallucinate, select = head.hallucinator, head.selector
    scores = [
        sum(w * v for w, v in zip(row, x, strict=True)) + b
        for row, b in zip(hallucinate.weight.tolist(), hallucinate.bias.tolist(), strict=True)
    ]
    total = sum(math.exp(s) for s in scores)
    from_memory = [sum(math.exp(s) / total * m[d] for s, m in zip(scores, memory, strict=True)) for d in range(D)]
    selector = [
        math.tanh(sum(w * v for w, v in zip(row, x, strict=True)) + b)
        for row, b in zip(select.weight.tolist(), select.bias.tolist(), strict=True)
    ]
    reach = min(math.dist(x, m) for m in memory)
    meta = [10 / reach * (v + e * m) for v, e, m in zip(x, selector, from_memory, strict=True)]
    n = math.hypot(*meta)
    return [16 * (n / (1 + n)) * sum(v / n * w / math.hypot(*row) for v, w in zip(meta, row, strict=True)) for row in W]


def test_logits_equal_the_slow_loop() -> None:
    head = head_with_memory()
    x = torch.randn(B, D, dtype=torch.float64)
    expected = torch.tensor([slow_logits(head, row) for row in x.tolist()], dtype=torch.float64)
    torch.testing.assert_close(head(x), expected)


def test_the_gradient_is_that_of_the_function() -> None:
    head = head_with_memory()
    x = torch.randn(B, D, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(head, (x,))


def test_no_gradient_and_no_weight_decay_reaches_the_memory() -> None:
    head = head_with_memory()
    assert "memory" in dict(head.named_buffers())
    assert "memory" not in dict(head.named_parameters())


def test_a_feature_on_a_centroid_gives_finite_logits_where_the_authors_divide_by_zero() -> None:
    head = head_with_memory()
    x = head.memory[:1].clone().requires_grad_()
    logits = head(x)
    logits.sum().backward()
    assert torch.isfinite(logits).all()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_reachability_is_the_distance_to_the_nearest_centroid() -> None:
    memory = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    torch.testing.assert_close(reachability(torch.tensor([[3.0, 0.0], [3.0, 5.0]]), memory), torch.tensor([3.0, 1.0]))


def test_the_hallucinator_starts_from_the_linear_classifier_before_it() -> None:
    head, previous = head_with_memory(), DotProduct(D, C).double()
    head.inherit(previous)
    torch.testing.assert_close(head.hallucinator.weight, previous.fc.weight)
    torch.testing.assert_close(head.hallucinator.bias, previous.fc.bias)


def test_squash_keeps_the_direction_and_sends_zero_to_zero() -> None:
    v = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    out = squash(v)
    torch.testing.assert_close(out, torch.tensor([[3.0, 4.0], [0.0, 0.0]]) / 6)  # n = 5: v / (1 + 5)
    out.sum().backward()
    assert v.grad is not None
    assert torch.isfinite(v.grad).all()


def test_cosine_logits_ignore_the_length_of_weights_and_stay_below_the_scale() -> None:
    torch.manual_seed(0)
    for squashed in (False, True):
        head = CosineConfig(scale=16, squashed=squashed).build(features=D, classes=C)
        x = 100 * torch.randn(50, D)
        before = head(x)
        head.weight.data *= 7
        torch.testing.assert_close(head(x), before)
        assert before.abs().max() < 16


class LargestTensor(TorchDispatchMode):
    """Watches every operation, forward and backward, and keeps the size of the largest result."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


def test_no_tensor_is_larger_than_the_logits_or_the_weights() -> None:
    """The authors' (B, C, D) tensor would have 134 million elements here, 0.5 GB."""
    batch, classes, features = 64, 4096, 512
    head = MetaEmbedding(features, classes, reach_scale=10, cosine_scale=16)
    head.refresh(lambda: torch.randn(classes, features), "stage begins")
    x = torch.randn(batch, features, requires_grad=True)
    with LargestTensor() as watched:
        head(x).sum().backward()
    # cdist appends two columns to both sides of its matrix product
    assert watched.elements <= max(batch * classes, classes * (features + 2))


def refreshed(kind: str, moments: list[Moment]) -> Tensor:
    """The memory after class means of 1, 2, 3 … at these moments."""
    head = MetaEmbeddingConfig(memory=kind).build(features=D, classes=C)  # type: ignore[arg-type]
    for number, when in enumerate(moments, 1):
        head.refresh(lambda number=number: torch.full((C, D), float(number)), when)
    return head.memory.detach().unique()


def test_each_kind_of_memory_is_renewed_at_its_moments() -> None:
    moments: list[Moment] = ["stage begins", "epoch begins", "epoch begins", "stage ends"]
    assert refreshed("recomputed", moments).tolist() == [4]
    assert refreshed("moving_average", moments).tolist() == [1]
    assert refreshed("parameter", moments).tolist() == [1]


def test_a_moving_average_follows_the_means_of_the_batch_by_class() -> None:
    head = MetaEmbeddingConfig(memory="moving_average", momentum=0.75).build(features=2, classes=3)
    head.refresh(lambda: torch.ones(3, 2), "stage begins")
    head.observe(torch.tensor([[5.0, 1.0], [9.0, 9.0], [1.0, 1.0]]), torch.tensor([2, 0, 2]))
    # class 2: the batch's mean is (3, 1), so ¾ · 1 + ¼ · (3, 1); class 0: ¾ + ¼ · 9; class 1 was not seen
    torch.testing.assert_close(head.memory, torch.tensor([[3.0, 3.0], [1.0, 1.0], [1.5, 1.0]]))


def test_only_the_authors_memory_is_a_weight_and_the_logits_move_it_no_more_than_the_others() -> None:
    for kind in ("recomputed", "moving_average", "parameter"):
        head = MetaEmbeddingConfig(memory=kind).build(features=D, classes=C)
        assert ("memory" in dict(head.named_parameters())) == (kind == "parameter")
        head.refresh(lambda: torch.randn(C, D), "stage begins")
        head(torch.randn(B, D)).sum().backward()
        assert head.memory.grad is None
