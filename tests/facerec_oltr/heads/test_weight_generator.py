"""The weight generator against the authors' code, a slow loop from the paper, and what its episodes promise.

`golden/fslwf_authors.json` holds what their module (gidariss/FewShotWithoutForgetting, commit 0efdc78) gave on a
processor in float64 for weights and inputs that are waves, as `wave` and `fill` make them here: the base weights are
those of classes 0, 1, 3 and 4; classes 2, 5 and 6 have two, four and three exemplars. Its `episode` lets their module
answer for one row after the other, from the other rows of the novel classes as exemplars.
"""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from facerec_oltr.heads import CosineConfig, Moment, WeightGenerator, WeightGeneratorConfig

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/fslwf_authors.json").read_text())
B, C, D = 9, 7, 5
THEIR_NAMES = {
    "attblock.queryLayer.bias": "phi_q.bias",
    "attblock.queryLayer.weight": "phi_q.weight",
    "attblock.scale_att": "gamma",
    "attblock.wkeys": "keys",
    "scale_cls": "classifier.scale",
    "weight_base": "classifier.weight",
    "wnLayerFavg.weight": "phi_avg",
    "wnLayerWatt.weight": "phi_att",
}
NOVEL = torch.tensor(GOLDEN["novel"])


def wave(*shape: int, step: float) -> Tensor:
    return torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) * step).view(*shape)


def head_of_waves() -> WeightGenerator:
    """Every weight a wave, whose phase is the place of the authors' name in alphabetical order; τ = 7, γ = 4."""
    head = WeightGeneratorConfig(scale=7, attention_scale=4).build(features=D, classes=C).double()
    own = dict(head.named_parameters())
    assert own.keys() == set(THEIR_NAMES.values())
    names = [name for name in THEIR_NAMES if name not in ("scale_cls", "attblock.scale_att")]
    for k, name in enumerate(sorted(names)):
        weight = own[THEIR_NAMES[name]].data
        weight.copy_(torch.sin(torch.arange(weight.numel(), dtype=torch.float64) * 0.7310 + k).view(weight.shape))
    return head


def dealt(head: WeightGenerator, exemplars: Tensor, labels: list[int], when: Moment = "stage ends") -> None:
    """Tell the head its few-shot classes and their training features; the other classes' are never asked for."""
    few_shot = torch.zeros(C, dtype=torch.bool)
    few_shot[NOVEL] = True
    head.divide(few_shot)
    rows = torch.tensor(labels)

    def class_means(of: Any = lambda features: features) -> Tensor:
        return torch.stack([of(exemplars)[rows == c].mean(dim=0) for c in range(C)])

    head.refresh(class_means, when)


def test_generated_weights_attention_and_logits_are_the_authors() -> None:
    head, exemplars = head_of_waves(), wave(B, D, step=1.3) * 3
    dealt(head, exemplars, GOLDEN["labels"])
    close(head.classifier.weight[NOVEL], GOLDEN["generated"])
    logits = head(wave(6, D, step=2.1) * 2)
    close(logits[:, GOLDEN["base"] + GOLDEN["novel"]], GOLDEN["logits"])
    head.phi_avg.data.zero_()
    head.phi_att.data.fill_(1)
    dealt(head, exemplars, GOLDEN["labels"])
    close(head.classifier.weight[NOVEL], GOLDEN["attended"])


def test_an_episode_has_the_authors_logits_loss_and_gradients() -> None:
    head, golden = head_of_waves(), GOLDEN["episode"]
    x, labels = (wave(B, D, step=1.7) * 3).requires_grad_(), torch.tensor(golden["labels"])
    logits = head.episode(x, labels, torch.arange(B), NOVEL)
    order = GOLDEN["base"] + GOLDEN["novel"]
    close(logits[:, order], golden["logits"])
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    assert loss.item() == pytest.approx(golden["loss"], rel=1e-9)
    assert x.grad is not None
    close(x.grad, golden["features"])
    for theirs, ours in THEIR_NAMES.items():
        grad = dict(head.named_parameters())[ours].grad
        assert grad is not None
        close(grad, torch.tensor(golden[theirs], dtype=torch.float64).view(grad.shape).tolist())


def close(found: Tensor, golden: list[Any]) -> None:
    torch.testing.assert_close(found.detach(), torch.tensor(golden, dtype=torch.float64), atol=1e-9, rtol=1e-9)


def unit(v: list[float]) -> list[float]:
    return [a / math.hypot(*v) for a in v]


def dot(v: list[float], w: list[float]) -> float:
    return sum(a * b for a, b in zip(v, w, strict=True))


def slow_weight(head: WeightGenerator, exemplars: list[list[float]], base: list[int]) -> list[float]:
    """Section 3.2 of the paper for one class, in plain Python: averages and attention summed apart."""
    keys, weights, N = head.keys.tolist(), head.classifier.weight.tolist(), len(exemplars)
    average, attended = [0.0] * D, [0.0] * D
    for z in map(unit, exemplars):
        query = [dot(row, z) + b for row, b in zip(head.phi_q.weight.tolist(), head.phi_q.bias.tolist(), strict=True)]
        scores = {b: head.gamma.item() * dot(unit(query), unit(keys[b])) for b in base}
        total = sum(math.exp(s) for s in scores.values())
        for d in range(D):
            average[d] += z[d] / N
            attended[d] += sum(math.exp(s) / total * unit(weights[b])[d] for b, s in scores.items()) / N
    gates = zip(head.phi_avg.tolist(), average, head.phi_att.tolist(), attended, strict=True)
    return [p * a + q * t for p, a, q, t in gates]


def test_weights_and_logits_equal_the_slow_loop() -> None:
    torch.manual_seed(0)
    head = WeightGeneratorConfig().build(features=D, classes=C).double()
    head.phi_avg.data.normal_()
    head.phi_att.data.normal_()
    exemplars, labels = torch.randn(B, D, dtype=torch.float64), [2, 5, 6, 5, 5, 6, 2, 5, 6]
    slow = [
        slow_weight(head, exemplars[torch.tensor(labels) == c].tolist(), GOLDEN["base"]) if c in GOLDEN["novel"] else w
        for c, w in enumerate(head.classifier.weight.tolist())
    ]
    dealt(head, exemplars, labels)
    close(head.classifier.weight, slow)
    x = torch.randn(4, D, dtype=torch.float64)
    close(head(x), [[10 * dot(unit(v), unit(w)) for w in slow] for v in x.tolist()])


def test_the_gradient_is_that_of_the_function() -> None:
    head, labels = head_of_waves(), torch.tensor(GOLDEN["episode"]["labels"])
    names = [name for name, _ in head.named_parameters()]
    images = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 1])  # the last row is another view of the second's image
    assert labels[8] == labels[1]

    def episode(x: Tensor, *weights: Tensor) -> Tensor:
        state = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(Played(head, labels, images), {f"head.{n}": w for n, w in state.items()}, x)

    weights = [weight.detach().clone().requires_grad_() for _, weight in head.named_parameters()]
    assert torch.autograd.gradcheck(episode, ((wave(B, D, step=1.7) * 3).requires_grad_(), *weights))


class Played(torch.nn.Module):
    """A head whose forward is one episode."""

    def __init__(self, head: WeightGenerator, labels: Tensor, images: Tensor) -> None:
        super().__init__()
        self.head, self.labels, self.images = head, labels, images

    def forward(self, x: Tensor) -> Tensor:
        return self.head.episode(x, self.labels, self.images, NOVEL)


def test_a_row_never_makes_the_weight_that_judges_its_own_image() -> None:
    head = head_of_waves()
    x, labels, images = wave(4, D, step=1.7), torch.tensor([2, 2, 0, 2]), torch.tensor([0, 1, 2, 0])
    novel = torch.tensor([2])
    before = head.episode(x, labels, images, novel)
    moved = x.clone()
    moved[3] = wave(1, D, step=0.3)  # another view of the image of row 0
    after = head.episode(moved, labels, images, novel)
    close(after[0], before[0].tolist())
    assert not torch.allclose(after[1], before[1])
    assert not torch.allclose(after[2, 2], before[2, 2])
    close(after[2, [0, 1, 3]], before[2, [0, 1, 3]].tolist())


def test_classes_that_play_few_shot_lend_nothing_to_the_others() -> None:
    head, labels = head_of_waves(), torch.tensor(GOLDEN["episode"]["labels"])
    x = wave(B, D, step=1.7)
    before = head.episode(x, labels, torch.arange(B), NOVEL)
    for weight in (head.classifier.weight, head.keys):
        weight.data[NOVEL] = wave(3, D, step=0.3)
    close(head.episode(x, labels, torch.arange(B), NOVEL), before.tolist())


def test_those_who_play_are_drawn_from_the_classes_with_two_images_and_never_all_base_classes() -> None:
    labels = torch.tensor([0, 0, 1, 2, 2, 2, 3, 3, 4, 4])
    images = torch.tensor([0, 1, 2, 3, 4, 3, 6, 6, 8, 9])  # class 3 shows one image twice
    few_shot = torch.zeros(5, dtype=torch.bool)
    seen = set()
    for share, number in ((0.01, 1), (0.5, 2), (1.0, 3)):
        head = WeightGeneratorConfig(novel_share=share).build(features=D, classes=5)
        head.divide(few_shot)
        for seed in range(10):
            torch.manual_seed(seed)
            drawn = head._drawn(labels, images)
            assert len(set(drawn.tolist())) == len(drawn) == number
            seen |= set(drawn.tolist())
    assert seen == {0, 2, 4}
    few_shot[[1, 3]] = True  # 0, 2 and 4 are left as base classes: one must stay one
    head.divide(few_shot)
    assert len(head._drawn(labels, images)) == 2
    assert not len(head._drawn(torch.tensor([0, 1]), torch.tensor([0, 1])))


def test_without_anyone_to_play_training_is_that_of_the_cosine_classifier() -> None:
    head, x = head_of_waves(), wave(3, D, step=1.1)
    close(head.training_logits(x, torch.tensor([0, 1, 3]), torch.arange(3)), head(x).tolist())


@pytest.mark.parametrize("when", ["stage begins", "epoch begins", "stage ends"])
def test_only_few_shot_rows_are_written_at_every_moment(when: Moment) -> None:
    head = head_of_waves()
    before = head.classifier.weight.detach().clone()
    dealt(head, wave(B, D, step=1.3), GOLDEN["labels"], when)
    changed = (head.classifier.weight != before).any(dim=1)
    assert int(changed.sum()) == 3
    assert not changed[GOLDEN["base"]].any()


def test_it_takes_over_a_cosine_classifier_with_its_scale_or_another_generator_whole() -> None:
    cosine = CosineConfig(learned_scale=True).build(features=D, classes=C)
    assert {name for name, _ in cosine.named_parameters()} == {"weight", "scale"}
    cosine.scale.data.fill_(13)  # type: ignore[union-attr]
    first, second = (WeightGeneratorConfig().build(features=D, classes=C) for _ in range(2))
    first.inherit(cosine)
    torch.testing.assert_close(first.classifier.weight, cosine.weight)
    assert first.classifier.scale.item() == 13  # type: ignore[union-attr]
    assert not torch.equal(first.keys, second.keys)
    second.inherit(first)
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())
    fixed = CosineConfig(scale=16).build(features=D, classes=C)
    fixed.inherit(cosine)
    assert (fixed.scale, torch.equal(fixed.weight, cosine.weight)) == (16, True)
