"""The face networks against arcface_torch's own code: golden/arcface_backbones.json names the commit.

Counts, names and shapes of the published sizes; features of small ones, whose weights `fill` makes from the names.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from facerec_oltr.backbones import IResNetConfig, MobileFaceNetConfig, ModulatedAttentionConfig, VisionTransformerConfig
from facerec_oltr.backbones.vit import _Block
from facerec_oltr.config import load_experiment
from facerec_oltr.engine.model import build_model
from facerec_oltr.engine.pretrained import open_pretrained
from facerec_oltr.errors import CheckpointError, ConfigError

from ..conftest import fill, noise

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/arcface_backbones.json").read_text())
SIZES = {
    "r18": IResNetConfig(),
    "r34": IResNetConfig(layers=(3, 4, 6, 3)),
    "r50": IResNetConfig(layers=(3, 4, 14, 3)),
    "r100": IResNetConfig(layers=(3, 13, 30, 3)),
    "r200": IResNetConfig(layers=(6, 26, 60, 6)),
    "mbf": MobileFaceNetConfig(),
    "mbf_large": MobileFaceNetConfig(scale=4, blocks=(2, 8, 12, 4)),
    "vit_t": VisionTransformerConfig(),
    "vit_s": VisionTransformerConfig(dim=512),
    "vit_b": VisionTransformerConfig(dim=512, depth=24),
}
SMALL = {
    "iresnet": (IResNetConfig(layers=(1, 1, 1, 1), features=16), 16),
    "mbf": (MobileFaceNetConfig(blocks=(1, 1, 2, 1), scale=1, features=16), 112),
    "mbf_two_first": (MobileFaceNetConfig(blocks=(2, 1, 1, 1), scale=1, features=16), 112),
    "vit": (VisionTransformerConfig(dim=8, depth=2, heads=2, features=12), 27),
}


@pytest.mark.parametrize("name", SIZES)
def test_parameters_names_and_shapes(name: str) -> None:
    with torch.device("meta"):
        net = SIZES[name].build(shape=(112, 112, 3), attention=None)
    names = sorted(f"{key} {tuple(value.shape)}" for key, value in net.state_dict().items())
    assert {
        "parameters": sum(p.numel() for p in net.parameters()),
        "keys": len(names),
        "names_sha256": hashlib.sha256("\n".join(names).encode()).hexdigest(),
    } == GOLDEN["sizes"][name]


@pytest.mark.parametrize("name", SMALL)
def test_features(name: str) -> None:
    config, size = SMALL[name]
    net = config.build(shape=(size, size, 3), attention=None)
    fill(net.state_dict())
    images = noise(2 * 3 * size * size, 0).view(2, 3, size, size).double()
    features = net.eval().double()(images)
    expected = GOLDEN[name]
    torch.testing.assert_close(features[:, :8], torch.tensor(expected["features"]).double(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(features.norm(dim=1), torch.tensor(expected["norms"]).double(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["mbf", "vit"])
def test_fresh_attention_changes_nothing(name: str) -> None:
    config, size = SMALL[name]
    without = config.build(shape=(size, size, 3), attention=None).eval()
    attended = config.build(shape=(size, size, 3), attention=ModulatedAttentionConfig()).eval()
    missing = attended.load_state_dict(without.state_dict(), strict=False).missing_keys
    assert missing
    assert all(key.startswith("attention.") for key in missing)
    images = torch.randn(2, 3, size, size)
    torch.testing.assert_close(attended(images), without(images))


def test_the_transformer_hides_tokens_and_leaves_out_blocks_only_while_it_is_trained() -> None:
    torch.manual_seed(0)
    net = VisionTransformerConfig(patch=2, dim=8, depth=2, heads=2, features=4, hidden=0.25, drop=0.0).build(
        shape=(8, 8, 3), attention=None
    )
    x = torch.randn(3, 16, 8)
    kept, back = net._hide(x)
    assert kept.shape == (3, 12, 8)
    whole = torch.cat([kept, torch.zeros(3, 4, 8)], dim=1).gather(1, back.unsqueeze(2).expand(-1, -1, 8))
    stays = whole.abs().sum(dim=2) > 0
    assert (stays.sum(dim=1) == 12).all()
    torch.testing.assert_close(whole[stays], x[stays])  # each token back in its own place
    images = torch.randn(4, 3, 8, 8)
    assert not torch.equal(net.train()(images), net(images))
    assert torch.equal(net.eval()(images), net(images))


def test_stochastic_depth_keeps_the_mean() -> None:
    torch.manual_seed(0)
    block = _Block(4, 2, 0.3).train()
    dropped = block._drop(torch.ones(20_000, 1, 1))
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)


def test_what_a_transformer_cannot_be() -> None:
    with pytest.raises(ConfigError, match="was given images of 8 pixels, expected 9 or more"):
        VisionTransformerConfig().build(shape=(8, 8, 3), attention=None)
    with pytest.raises(ValueError, match="dim 10 and 4 heads were given, expected heads that divide dim"):
        VisionTransformerConfig(dim=10, heads=4)


def test_a_backbone_of_arcface_torch_is_where_a_run_starts(face_set: Path, tmp_path: Path) -> None:
    config, size = SMALL["iresnet"]
    state = config.build(shape=(size, size, 3), attention=None).state_dict()
    fill(state)
    torch.save(state, tmp_path / "backbone.pth")

    def started(*overrides: str) -> Any:
        few = [f"data.path={face_set}", f"data.size={size}", "backbone.layers=[1,1,1,1]", "backbone.width=64"]
        weights = f"backbone.weights={tmp_path / 'backbone.pth'}"
        experiment = load_experiment("arcface", "att_lt", overrides=[*few, "backbone.features=16", weights, *overrides])
        pretrained = open_pretrained(experiment, (size, size, 3))
        assert pretrained is not None
        model = build_model(experiment, experiment.stages[0], shape=(size, size, 3), classes=4, seed=0)
        assert pretrained.start(model) == []
        return model

    images = noise(2 * 3 * size * size, 0).view(2, 3, size, size).float()
    features = started().backbone.eval()(images)
    expected = torch.tensor(GOLDEN["iresnet"]["features"])
    torch.testing.assert_close(features[:, :8], expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(
        CheckpointError, match=r"backbone\.pth: .*; expected weights for a backbone 'iresnet' for 16 pixels"
    ):
        started("backbone.features=8")
