"""Cosine classifiers of several centres a class, against a loop over them."""

from pathlib import Path

import pytest
import torch

from facerec_oltr.config import load_experiment
from facerec_oltr.errors import ConfigError
from facerec_oltr.heads import CosineConfig


def test_the_nearest_of_a_classes_centres_decides() -> None:
    torch.manual_seed(0)
    head = CosineConfig(scale=10.0, centres=3).build(features=4, classes=5).double()
    assert head.weight.shape == (15, 4)
    x = torch.randn(6, 4, dtype=torch.float64)
    logits = head(x)
    for b in range(6):
        for c in range(5):
            nearest = max(torch.cosine_similarity(x[b], head.weight[3 * c + k], dim=0).item() for k in range(3))
            assert logits[b, c].item() == pytest.approx(10 * nearest)


def test_only_the_nearest_centre_is_pulled() -> None:
    head = CosineConfig(centres=2).build(features=2, classes=1)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 0.1], [-1.0, 0.1]]))
    head(torch.tensor([[1.0, 0.5]])).sum().backward()
    assert head.weight.grad is not None
    assert head.weight.grad[0].abs().sum() > 0
    assert head.weight.grad[1].abs().sum() == 0


def test_centres_cannot_change_between_stages(tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text(
        '[[stages]]\nname = "a"\nshare = 0.5\nhead = { kind = "cosine" }\n'
        'losses = [{ loss = { kind = "cross_entropy" } }]\nsampler = { kind = "uniform" }\n'
        '[[stages]]\nname = "b"\nshare = 0.5\nstart_from = "a"\nhead = { kind = "cosine", centres = 3 }\n'
        'losses = [{ loss = { kind = "cross_entropy" } }]\nsampler = { kind = "uniform" }\n'
    )
    with pytest.raises(ConfigError, match="'b' has a cosine classifier of other centres than 'a'"):
        load_experiment(str(tmp_path / "two.toml"), "lfw_features")
