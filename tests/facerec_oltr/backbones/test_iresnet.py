"""iResNet against the counts that were taken from arcface_torch, and attention against a slow loop."""

import math

import pytest
import torch

from facerec_oltr.backbones import IResNetConfig, ModulatedAttentionConfig


@pytest.mark.parametrize(
    ("layers", "million", "keys"),  # counted on arcface_torch's r18, r34 and r50 at 112 pixels
    [((2, 2, 2, 2), 24.03, 187), ((3, 4, 6, 3), 34.14, 331), ((3, 4, 14, 3), 43.59, 475)],
)
def test_size_and_names_are_those_of_arcface_torch(layers: tuple[int, ...], million: float, keys: int) -> None:
    net = IResNetConfig(layers=layers).build(shape=(112, 112, 3), attention=None)
    state = net.state_dict()
    assert round(sum(p.numel() for p in net.parameters()) / 1e6, 2) == million
    assert len(state) == keys
    assert state["fc.weight"].shape == (512, 25088)
    assert {"conv1.weight", "prelu.weight", "layer1.0.downsample.0.weight", "layer4.1.bn3.bias"} <= state.keys()


def test_the_features_last_batch_norm_keeps_its_scale_at_one() -> None:
    net = IResNetConfig(layers=(1,), width=4, features=6).build(shape=(16, 16, 3), attention=None)
    assert not net.features.weight.requires_grad
    assert net.features.weight.tolist() == [1.0] * 6


def test_fresh_attention_changes_nothing_and_its_weights_get_gradients() -> None:
    config = IResNetConfig(layers=(1, 1), width=4, features=6)
    without = config.build(shape=(16, 16, 3), attention=None).eval()
    attended = config.build(shape=(16, 16, 3), attention=ModulatedAttentionConfig()).eval()
    result = attended.load_state_dict(without.state_dict(), strict=False)
    assert all(name.startswith("attention.") for name in result.missing_keys)
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(attended(x), without(x))
    attended(x).square().sum().backward()
    assert attended.attention is not None
    assert attended.attention.conv_mask.weight.grad is not None
    assert attended.attention.conv_mask.weight.grad.abs().sum() > 0


def test_attention_equals_the_papers_equation_position_by_position() -> None:
    torch.manual_seed(0)
    block = ModulatedAttentionConfig(reduction=2).build(channels=4, sides=(2, 3)).double()
    torch.nn.init.normal_(block.conv_mask.weight)
    f = torch.randn(1, 4, 2, 3, dtype=torch.float64)

    def conv(layer: torch.nn.Conv2d, vector: torch.Tensor) -> torch.Tensor:
        bias = 0 if layer.bias is None else layer.bias
        return layer.weight[:, :, 0, 0] @ vector + bias

    places = [f[0, :, h, w] for h in range(2) for w in range(3)]
    gates = [math.exp(conv(block.gate, p).item()) for p in places]
    expected = []
    for here, gate in zip(places, gates, strict=True):
        weights = [math.exp((conv(block.theta, here) @ conv(block.phi, there)).item()) for there in places]
        seen = sum(
            (w / sum(weights) * conv(block.g, there) for w, there in zip(weights, places, strict=True)),
            start=torch.zeros(2, dtype=torch.float64),
        )
        expected.append(here + gate / sum(gates) * conv(block.conv_mask, seen))
    torch.testing.assert_close(block(f)[0].reshape(4, 6), torch.stack(expected, dim=1))
