"""Heads that build on a trained linear classifier or on class means, by their formulas and at their limits."""

import torch
import torch.nn.functional as F

from facerec_oltr.heads import CosineConfig, DotProduct, LwsConfig, NcmConfig, TauNormConfig

B, C, D = 4, 5, 6


def linear() -> DotProduct:
    torch.manual_seed(0)
    return DotProduct(D, C)


def test_lws_starts_as_the_classifier_before_it_and_learns_one_factor_a_class() -> None:
    head, previous, x = LwsConfig().build(features=D, classes=C), linear(), torch.randn(B, D)
    head.inherit(previous)
    torch.testing.assert_close(head(x), previous(x))
    assert [name for name, p in head.named_parameters() if p.requires_grad] == ["factors"]
    head.factors.data[2] = 3
    torch.testing.assert_close(head(x)[:, 2], 3 * previous(x)[:, 2])
    torch.testing.assert_close(head(x)[:, :2], previous(x)[:, :2])


def test_tau_0_is_the_classifier_without_its_bias_and_tau_1_ignores_the_weights_lengths() -> None:
    previous, x = linear(), torch.randn(B, D)
    heads = {tau: TauNormConfig(tau=tau).build(features=D, classes=C) for tau in (0.0, 0.5, 1.0)}
    for head in heads.values():
        head.inherit(previous)
        assert not any(p.requires_grad for p in head.parameters())
    W = previous.fc.weight.detach()
    torch.testing.assert_close(heads[0.0](x), x @ W.T)
    torch.testing.assert_close(heads[1.0](x), x @ F.normalize(W).T)
    slow = [[sum(a * b for a, b in zip(v, w, strict=True)) / sum(a * a for a in w) ** 0.25 for w in W.tolist()]
            for v in x.tolist()]  # fmt: skip
    torch.testing.assert_close(heads[0.5](x), torch.tensor(slow))


def test_ncm_decides_for_the_mean_at_the_smallest_angle() -> None:
    head = NcmConfig().build(features=2, classes=3)
    means = torch.tensor([[1.0, 0.0], [0.0, 5.0], [-1.0, -1.0]])
    head.refresh(lambda: means, "stage begins")
    logits = head(torch.tensor([[3.0, 1.0], [0.1, 2.0], [-4.0, -1.0]]))
    assert logits.argmax(dim=1).tolist() == [0, 1, 2]
    torch.testing.assert_close(logits[0, 0], torch.tensor(16 * 3 / 10**0.5))


def test_a_cosine_classifier_goes_on_from_another() -> None:
    torch.manual_seed(0)
    first, second = (CosineConfig().build(features=D, classes=C) for _ in range(2))
    assert not torch.equal(first.weight, second.weight)
    second.inherit(first)
    assert torch.equal(first.weight, second.weight)
