"""The meta-embedding against a slow loop over samples and classes, written from the paper's equations."""

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from facerec_oltr.heads import CosineConfig, DotProduct, MetaEmbedding, MetaEmbeddingConfig, Moment, NcmConfig
from facerec_oltr.heads.cosine import squash
from facerec_oltr.heads.meta_embedding import from_memory, reachability

B, C, D = 4, 5, 6


def head_with_memory(top_k: int | None = None, **choices: Any) -> MetaEmbedding:
    torch.manual_seed(0)
    head = MetaEmbeddingConfig(top_k=top_k, **choices).build(features=D, classes=C).double()
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
    k = len(scores) if head.top_k is None else head.top_k
    kept = [(math.exp(s), m) for s, m in sorted(zip(scores, memory, strict=True), reverse=True)[:k]]
    total = sum(e for e, _ in kept)
    v_memory = [sum(e / total * m[d] for e, m in kept) for d in range(D)]
    selector = [
        math.tanh(sum(w * v for w, v in zip(row, x, strict=True)) + b)
        for row, b in zip(select.weight.tolist(), select.bias.tolist(), strict=True)
    ]
    reach = min(math.dist(x, m) for m in memory)
    meta = [10 / reach * (v + e * m) for v, e, m in zip(x, selector, v_memory, strict=True)]
    n = math.hypot(*meta)
    return [16 * (n / (1 + n)) * sum(v / n * w / math.hypot(*row) for v, w in zip(meta, row, strict=True)) for row in W]


@pytest.mark.parametrize("top_k", [None, 1, 2, C, C + 1])
def test_logits_equal_the_slow_loop(top_k: int | None) -> None:
    head = head_with_memory(top_k)
    x = torch.randn(B, D, dtype=torch.float64)
    expected = torch.tensor([slow_logits(head, row) for row in x.tolist()], dtype=torch.float64)
    torch.testing.assert_close(head(x), expected)


def length(v: list[float]) -> float:
    return math.hypot(*v)


def slow_logits_of_choices(head: MetaEmbedding, x: list[float], choices: dict[str, Any]) -> list[float]:
    """One sample by the words of the module on each choice, in plain Python."""
    memory = head.memory.tolist()
    if choices.get("unit"):
        x, memory = [v / length(x) for v in x], [[v / length(m) for v in m] for m in memory]
    if choices.get("hallucinator") == "centroids":
        cosines = [sum(a * b for a, b in zip(x, m, strict=True)) / (length(x) * length(m)) for m in memory]
        scores = [head.cosine_scale * cosine for cosine in cosines]
    else:
        scores = (head.hallucinator.weight @ torch.tensor(x, dtype=torch.float64) + head.hallucinator.bias).tolist()
    total = sum(map(math.exp, scores))
    v_memory = [sum(math.exp(s) / total * m[d] for s, m in zip(scores, memory, strict=True)) for d in range(D)]
    kind = choices.get("selector", "learned")
    if kind == "learned":
        e = torch.tanh(head.selector(torch.tensor(x, dtype=torch.float64))).tolist()
    else:
        e = [float(kind == "whole")] * D
    factor = 10 / min(math.dist(x, m) for m in memory) if choices.get("reach", True) else 1
    meta = [factor * (v + a * m) for v, a, m in zip(x, e, v_memory, strict=True)]
    n = length(meta)
    front = n / (1 + n) if choices.get("squashed", True) else 1
    W = head.classifier.weight.tolist()
    return [16 * front * sum(v / n * w for v, w in zip(meta, row, strict=True)) / length(row) for row in W]


CHOICES = (
    {"hallucinator": "centroids"},
    {"selector": "none"},
    {"selector": "whole"},
    {"reach": False},
    {"squashed": False},
    {"unit": True},
    {"classifier": "centroids"},
    {"hallucinator": "centroids", "selector": "whole", "classifier": "centroids", "unit": True, "reach": False},
)


@pytest.mark.parametrize("choices", CHOICES)
def test_each_choice_is_what_the_slow_loop_makes_of_it(choices: dict[str, Any]) -> None:
    head = head_with_memory(**choices)
    x = torch.randn(B, D, dtype=torch.float64)
    expected = torch.tensor([slow_logits_of_choices(head, row, choices) for row in x.tolist()], dtype=torch.float64)
    torch.testing.assert_close(head(x), expected)


@pytest.mark.parametrize("choices", CHOICES)
def test_the_gradient_of_each_choice_is_that_of_the_function(choices: dict[str, Any]) -> None:
    head = head_with_memory(**choices)
    x = torch.randn(B, D, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(head, x)


def test_a_classifier_from_the_centroids_begins_as_the_nearest_class_mean_and_then_learns() -> None:
    """Without memory and reach it is the nearest class mean, whatever the classifier before it was."""
    head = head_with_memory(classifier="centroids", selector="none", reach=False, squashed=False)
    x = torch.randn(B, D, dtype=torch.float64)
    ncm = NcmConfig().build(features=D, classes=C).double()
    ncm.refresh(lambda: head.memory, "stage begins")
    torch.testing.assert_close(head(x), ncm(x))
    before = head.classifier.weight.clone()
    head.refresh(lambda: torch.randn(C, D, dtype=torch.float64), "epoch begins")
    torch.testing.assert_close(head.classifier.weight, before)  # only where the stage begins


def test_a_selector_from_zero_begins_without_memory_and_has_a_gradient_that_takes_it_in() -> None:
    """tanh(0) = 0 and tanh'(0) = 1: ∂L/∂W_e = (∂L/∂v_meta · s/γ ⊗ v_memory) vᵀ, by hand."""
    choices: dict[str, Any] = {"hallucinator": "centroids", "classifier": "centroids"}
    head, without = head_with_memory(selector="from_zero", **choices), head_with_memory(selector="none", **choices)
    without.load_state_dict(head.state_dict(), strict=False)  # all but the selector
    x = torch.randn(B, D, dtype=torch.float64)
    torch.testing.assert_close(head(x), without(x), rtol=0, atol=0)
    meta = head.embed(x, "meta").detach().requires_grad_()
    head.classifier(meta).square().sum().backward()
    head(x).square().sum().backward()
    assert meta.grad is not None and head.selector.weight.grad is not None
    v_memory = torch.softmax(16 * nn.functional.cosine_similarity(x[:, None], head.memory, dim=2), dim=1) @ head.memory
    to_e = meta.grad * 10 / reachability(x, head.memory).unsqueeze(1) * v_memory
    torch.testing.assert_close(head.selector.weight.grad, to_e.T @ x)
    torch.testing.assert_close(head.selector.bias.grad, to_e.sum(dim=0))
    nn.init.normal_(head.selector.weight)
    nn.init.normal_(head.selector.bias)
    expected = [slow_logits_of_choices(head, row, choices) for row in x.tolist()]
    torch.testing.assert_close(head(x), torch.tensor(expected, dtype=torch.float64))


def test_a_hallucinator_that_starts_at_random_takes_nothing_over() -> None:
    head, previous = head_with_memory(hallucinator="random"), DotProduct(D, C).double()
    before = head.hallucinator.weight.clone()
    head.inherit(previous)
    torch.testing.assert_close(head.hallucinator.weight, before)
    head.inherit(CosineConfig(scale=32).build(features=D, classes=C).double())
    torch.testing.assert_close(head.hallucinator.weight, before)


def test_parts_that_are_left_out_have_no_weights() -> None:
    names = dict(head_with_memory(hallucinator="centroids", selector="whole").named_parameters())
    assert names.keys() == {"classifier.weight"}


def test_centroids_that_choose_themselves_read_all() -> None:
    with pytest.raises(ValidationError, match="top_k has no meaning with hallucinator = 'centroids'"):
        MetaEmbeddingConfig(hallucinator="centroids", top_k=2)


@pytest.mark.parametrize("top_k", [None, 1, 2])
def test_the_gradient_is_that_of_the_function(top_k: int | None) -> None:
    head = head_with_memory(top_k)
    x = torch.randn(B, D, dtype=torch.float64, requires_grad=True)
    names, weights = zip(*head.named_parameters(), strict=True)
    copies = [weight.detach().clone().requires_grad_() for weight in weights]

    def logits(x: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(head, dict(zip(names, weights, strict=True)), (x,))

    assert torch.autograd.gradcheck(logits, (x, *copies))


def test_only_the_rows_that_the_batch_chose_move_when_the_hallucinator_reads_its_top_k() -> None:
    head = head_with_memory(2)
    x = torch.randn(2, D, dtype=torch.float64)
    head(x).square().sum().backward()
    chosen = head.hallucinator(x).topk(2).indices.unique()
    for gradient in (head.hallucinator.weight.grad, head.hallucinator.bias.grad):
        assert gradient is not None
        moved = gradient.reshape(C, -1).any(dim=1).nonzero().flatten()
        assert moved.tolist() == chosen.tolist()
        assert len(moved) < C


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


def by_all_differences(features: Tensor, memory: Tensor) -> Tensor:
    """γ as the authors' code forms it, without a floor."""
    return (features.unsqueeze(1) - memory).norm(dim=2).amin(dim=1)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
@pytest.mark.parametrize("away", [10.0, 1.0, 1e-3])
def test_reachability_and_its_gradient_are_those_of_all_differences_near_and_far(
    dtype: torch.dtype, tolerance: float, away: float
) -> None:
    """At a length of 23 and a distance of 0.02, ‖v‖² − 2 v·m + ‖m‖² in float32 would be off by a tenth and more."""
    torch.manual_seed(0)
    memory = torch.randn(200, 512, dtype=dtype)
    x = (memory[:50] + away * torch.randn(50, 512, dtype=dtype)).requires_grad_()
    mine, theirs = reachability(x, memory), by_all_differences(x, memory)
    torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=0)
    gradients = (torch.autograd.grad(gamma.sum(), x)[0] for gamma in (mine, theirs))
    torch.testing.assert_close(*gradients, rtol=0, atol=tolerance)


def test_reachability_finds_the_nearest_centroid_under_autocast_too() -> None:
    """Around (5, …, 5) products of 16 bits choose centroids that are farther by a tenth and more."""
    torch.manual_seed(0)
    memory, x = 5 + 0.3 * torch.randn(2000, 512), 5 + 0.3 * torch.randn(20, 512)
    with torch.autocast("cpu", torch.bfloat16):
        gamma = reachability(x, memory)
    torch.testing.assert_close(gamma, by_all_differences(x, memory), rtol=1e-4, atol=0)


def test_reachability_on_a_centroid_is_the_floor_and_has_no_gradient() -> None:
    torch.manual_seed(0)
    memory = torch.randn(200, 512)
    x = memory[7:9].clone().requires_grad_()
    gamma = reachability(x, memory, floor=1e-6)
    torch.testing.assert_close(gamma, torch.full((2,), 1e-6), rtol=0, atol=0)
    (gradient,) = torch.autograd.grad(gamma.sum(), x)
    assert not gradient.any()


def test_reachability_of_a_feature_between_two_centroids_follows_the_first() -> None:
    memory = torch.tensor([[9.0, 9.0], [0.0, 0.0], [2.0, 0.0], [0.0, 0.0]])
    x = torch.tensor([[1.0, 0.0]], requires_grad=True)
    gamma = reachability(x, memory)
    gamma.sum().backward()
    assert gamma.tolist() == [1.0]
    assert x.grad is not None
    assert x.grad.tolist() == [[1.0, 0.0]]  # away from (0, 0)


def test_the_top_k_are_all_of_the_softmax_where_its_weight_lies_on_them() -> None:
    torch.manual_seed(0)
    memory, x, hallucinator = torch.randn(C, D), torch.randn(B, D), nn.Linear(D, C)
    with torch.no_grad():
        hallucinator.bias[[1, 3]] += 40.0  # exp(−40) of the weight is elsewhere
    torch.testing.assert_close(from_memory(x, hallucinator, memory, 2), from_memory(x, hallucinator, memory))


def test_a_top_k_of_none_at_all_is_refused() -> None:
    with pytest.raises(ValidationError, match="top_k"):
        MetaEmbeddingConfig(top_k=0)


def test_the_hallucinator_starts_from_the_linear_classifier_before_it() -> None:
    head, previous = head_with_memory(), DotProduct(D, C).double()
    head.inherit(previous)
    torch.testing.assert_close(head.hallucinator.weight, previous.fc.weight)
    torch.testing.assert_close(head.hallucinator.bias, previous.fc.bias)


def test_hallucinator_and_classifier_start_from_the_cosine_classifier_before_it() -> None:
    head, previous = head_with_memory(), CosineConfig(scale=32).build(features=D, classes=C).double()
    head.inherit(previous)
    torch.testing.assert_close(head.hallucinator.weight, previous.weight)
    assert not head.hallucinator.bias.any()
    torch.testing.assert_close(head.classifier.weight, previous.weight)
    with torch.no_grad():  # copies: what the stage learns does not reach back
        head.classifier.weight.zero_()
        head.hallucinator.weight.zero_()
    assert previous.weight.all()


def test_nothing_is_taken_from_a_cosine_classifier_with_several_centres() -> None:
    head = head_with_memory()
    before = {name: value.clone() for name, value in head.state_dict().items()}
    head.inherit(CosineConfig(centres=2).build(features=D, classes=C).double())
    for name, value in head.state_dict().items():
        torch.testing.assert_close(value, before[name])


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


class LargeTensors(TorchDispatchMode):
    """Keeps every new tensor of `size` elements and more that an operation, forward or backward, makes."""

    def __init__(self, size: int, known: list[Tensor]) -> None:
        super().__init__()
        self.size, self.known, self.found = size, {t.untyped_storage().data_ptr() for t in known}, list[Tensor]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor) and tensor.untyped_storage().nbytes() >= self.size * tensor.element_size():
                self.found += [tensor] * (tensor.untyped_storage().data_ptr() not in self.known)
        return result

    @property
    def sizes(self) -> list[int]:
        """How many elements the memory of each holds; views of one count once."""
        storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() // 4 for t in self.found}
        return list(storages.values())


@pytest.mark.parametrize("top_k", [None, 3])
def test_nothing_of_the_weights_size_is_made_but_their_gradients(top_k: int | None) -> None:
    """The authors' (B, C, D) tensor would have 134 million elements here, 0.5 GB."""
    batch, classes, features = 64, 4096, 512
    head = MetaEmbeddingConfig(top_k=top_k).build(features=features, classes=classes)
    head.refresh(lambda: torch.randn(classes, features), "stage begins")
    x = torch.randn(batch, features, requires_grad=True)
    known = [head.memory, *head.parameters()]
    for weight in head.parameters():
        weight.grad = torch.zeros_like(
            weight
        )  # to add to: what is watched is held, so it could not become the gradient
        known.append(weight.grad)
    with LargeTensors(classes * features, known) as watched:
        logits = head(x)
        assert watched.sizes == []
        logits.sum().backward()
    assert watched.sizes == [classes * features] * 2  # of the hallucinator and of the classifier


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
