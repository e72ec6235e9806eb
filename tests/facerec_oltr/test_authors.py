"""Our modules against the OLTR authors' code, on the same weights and inputs.

`golden/oltr_authors.json` holds what their repository (zhmiao/OpenLongTailRecognition-OLTR, commit f50e375) gave
on a processor in float64, with ``Tensor.cuda`` as the identity: outputs and input gradients for weights and inputs that
are waves, as `fill` and `wave` make them here. `sum`, `abs` and `first` are of the flattened output.
"""

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from facerec_oltr.backbones import ModulatedAttentionConfig, ResNetConfig
from facerec_oltr.engine.model import Model
from facerec_oltr.heads import Cosine, DotProduct, MetaEmbeddingConfig
from facerec_oltr.losses import Batch, disc_centroids_authors

GOLDEN = json.loads((Path(__file__).parent / "golden/oltr_authors.json").read_text())
B, C, D = 6, 7, 5
AS_THEIRS = ModulatedAttentionConfig(gate="linear", start="authors")


@pytest.fixture(autouse=True)
def in_float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def wave(*shape: int, step: float = 0.377) -> Tensor:
    return torch.sin(torch.arange(math.prod(shape)) * step).view(*shape)


@torch.no_grad()
def fill(state: dict[str, Tensor]) -> None:
    """Waves for weights: the k-th name in alphabetical order starts at phase k; batch norms stay near the identity."""
    for k, (name, tensor) in enumerate(sorted(state.items())):
        module = ("." + name).split(".")[-2]
        values = torch.sin(torch.arange(tensor.numel()) * 0.7310 + k).view(tensor.shape)
        scaling = name.endswith("weight") and tensor.ndim == 1 and ("bn" in module or module == "1")
        if tensor.dtype == torch.int64:
            continue
        if scaling or name.endswith("running_var"):
            tensor.copy_(1 + 0.1 * values)
        else:
            tensor.copy_(values * (math.sqrt(2 / tensor[0].numel()) if tensor.ndim > 1 else 0.1))


def close(found: Tensor, golden: dict[str, Any]) -> None:
    flat = found.detach().flatten()
    assert list(found.shape) == golden["shape"]
    torch.testing.assert_close(flat[:8], torch.tensor(golden["first"]), atol=1e-5, rtol=1e-9)
    for value, name in ((flat.sum(), "sum"), (flat.abs().sum(), "abs")):
        assert value.item() == pytest.approx(golden[name], rel=1e-7)


@pytest.mark.parametrize(
    ("name", "depth", "attention"),
    [
        ("resnet10", 10, None),
        ("resnet10_attention_fc", 10, AS_THEIRS),
        pytest.param("resnet152", 152, None, marks=pytest.mark.slow),
        pytest.param("resnet152_attention_fc", 152, AS_THEIRS, marks=pytest.mark.slow),
    ],
)
def test_features_names_and_sizes_of_the_networks(name: str, depth: Any, attention: Any) -> None:
    golden = GOLDEN[name]
    backbone = ResNetConfig(depth=depth).build(shape=(224, 224, 3), attention=attention)
    fc_add = nn.Linear(backbone.features_size, 512) if attention else None
    model = Model(backbone, DotProduct(1, 1), fc_add).eval()
    state = {
        name.removeprefix("backbone."): tensor
        for name, tensor in model.state_dict().items()
        if not name.startswith("head.")
    }
    names = "\n".join(sorted(f"{name}{tuple(tensor.shape)}" for name, tensor in state.items()))
    assert hashlib.sha256(names.encode()).hexdigest() == golden["key_hash"]
    assert (
        sum(p.numel() for p in backbone.parameters())
        + (0 if fc_add is None else sum(p.numel() for p in fc_add.parameters()))
        == golden["parameters"]
    )
    fill(state)
    with torch.no_grad():
        close(model.features(wave(2, 3, 224, 224)), golden)


def test_modulated_attention_and_its_input_gradient() -> None:
    block = AS_THEIRS.build(channels=8, sides=(7, 7))
    fill(block.state_dict())
    x = wave(2, 8, 7, 7).requires_grad_()
    out = block(x)
    (out * wave(2, 8, 7, 7, step=0.9)).sum().backward()
    close(out, GOLDEN["attention"]["out"])
    assert x.grad is not None
    close(x.grad, GOLDEN["attention"]["grad"])


@pytest.mark.parametrize("floor", [0.0, 1e-6])  # away from a centroid the floor changes nothing
def test_the_meta_embeddings_logits_and_input_gradient(floor: float) -> None:
    head = MetaEmbeddingConfig(memory="parameter", floor=floor).build(features=D, classes=C)
    fill({name: tensor for name, tensor in head.state_dict().items() if name != "memory"})
    head.memory.data.copy_(wave(C, D, step=2.1) * 2)
    check_head(head, GOLDEN["meta_embedding"])


def test_the_squashed_cosines_logits_and_input_gradient() -> None:
    head = Cosine(D, C, scale=16, squashed=True)
    fill(head.state_dict())
    check_head(head, GOLDEN["cosnorm"])


def check_head(head: nn.Module, golden: dict[str, Any]) -> None:
    x = (wave(B, D, step=1.3) * 3).requires_grad_()
    logits = head(x)
    (logits * wave(B, C, step=0.9)).sum().backward()
    torch.testing.assert_close(logits, torch.tensor(golden["logits"]), atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(x.grad, torch.tensor(golden["grad"]), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize(("branch", "scale"), [("inactive", 3.0), ("active", 0.1)])
def test_both_branches_of_the_centroid_loss_with_its_odd_gradients(branch: str, scale: float) -> None:
    golden = GOLDEN[f"disc_{branch}"]
    memory = (wave(C, D, step=2.1) * 2 * scale).requires_grad_()
    x = (wave(B, D, step=1.3) * 3 * scale).requires_grad_()
    labels = torch.tensor([0, 1, 1, 3, 6, 1])
    loss = disc_centroids_authors(Batch(x, x @ memory.T, labels, memory, torch.ones(C)))
    (0.01 * loss).backward()
    assert loss.item() == pytest.approx(golden["loss"], rel=1e-9)
    torch.testing.assert_close(x.grad, torch.tensor(golden["grad"]), atol=1e-12, rtol=1e-9)
    torch.testing.assert_close(memory.grad, torch.tensor(golden["memory"]), atol=1e-12, rtol=1e-9)
