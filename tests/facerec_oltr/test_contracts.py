"""What each family promises, tested for every member: the members are found by listing the family's folder."""

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from facerec_oltr import backbones, heads, losses, samplers
from facerec_oltr.components import Config
from facerec_oltr.errors import ConfigError
from facerec_oltr.losses import Batch

B, C, D, SIZE = 6, 5, 8, 24


def members(family: ModuleType) -> list[type[Any]]:
    """Every Config with a ``kind`` that a module of the family's folder defines."""
    found = []
    for info in pkgutil.iter_modules(family.__path__):
        module = importlib.import_module(f"{family.__name__}.{info.name}")
        found += [
            value
            for _, value in inspect.getmembers(module, inspect.isclass)
            if issubclass(value, Config) and "kind" in value.model_fields and value.__module__ == module.__name__
        ]
    return found


def features() -> torch.Tensor:
    return torch.randn(B, D, generator=torch.Generator().manual_seed(0))


LABELS = torch.tensor([0, 1, 1, 2, 3, 4])


def test_the_families_have_as_many_members_as_their_tables_of_contents() -> None:
    assert {f.__name__.rpartition(".")[2]: len(members(f)) for f in (backbones, heads, losses, samplers)} == {
        "backbones": 4,
        "heads": 6,
        "losses": 9,
        "samplers": 2,
    }


@pytest.mark.parametrize("family", [backbones, heads, losses, samplers])
def test_every_member_stands_in_its_familys_init(family: ModuleType) -> None:
    for config in members(family):
        assert config.__name__ in family.__all__


SMALL = {
    "IResNetConfig": {"width": 4, "features": D, "layers": (1, 1)},
    "IdentityConfig": {},
    "ResNetConfig": {"width": 1},
    "ResNetCifarConfig": {"width": 2, "depth": 8},
}


@pytest.mark.parametrize("config", members(backbones), ids=lambda c: c.__name__)
@pytest.mark.parametrize("shape", [(24, 24, 3), (33, 33, 3), (D,)], ids=str)
def test_backbones_take_any_size_of_what_they_are_for(config: Any, shape: tuple[int, ...]) -> None:
    if (len(shape) == 1) != (config is backbones.IdentityConfig):
        with pytest.raises(ConfigError, match="was given inputs of shape"):
            config(**SMALL[config.__name__]).build(shape=shape, attention=None)
        return
    net = config(**SMALL[config.__name__]).build(shape=shape, attention=None).eval()
    inputs = torch.zeros(2, *(shape if len(shape) == 1 else (3, *shape[:2])))
    assert net(inputs).shape == (2, D) == (2, net.features_size)


@pytest.mark.parametrize("config", members(heads), ids=lambda c: c.__name__)
def test_heads_give_finite_logits_and_gradients_even_for_a_zero_feature(config: Any) -> None:
    head = config().build(features=D, classes=C)
    head.refresh(lambda: torch.eye(C, D), "stage begins")
    x = features()
    x[0] = 0
    x.requires_grad_()
    logits = head(x)
    logits.square().sum().backward()
    assert logits.shape == (B, C)
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert config.keeps_memory == (head.memory is not None)


@pytest.mark.parametrize("config", members(heads), ids=lambda c: c.__name__)
def test_heads_offer_the_embeddings_they_name(config: Any) -> None:
    head = config().build(features=D, classes=C)
    head.refresh(lambda: torch.eye(C, D), "stage begins")
    assert head.embeddings[0] == "direct"
    torch.testing.assert_close(head.embed(features(), "direct"), features())
    for name in head.embeddings:
        assert head.embed(features(), name).shape == (B, D)


@pytest.mark.parametrize("config", members(losses), ids=lambda c: c.__name__)
def test_losses_are_finite_scalars_that_do_not_care_for_the_order_of_the_batch(config: Any) -> None:
    loss = config().build()
    memory = torch.randn(C, D, generator=torch.Generator().manual_seed(1))

    def value(order: torch.Tensor) -> torch.Tensor:
        x = features()[order].requires_grad_()
        result = loss(Batch(x, x @ memory.T, LABELS[order], memory, torch.arange(1, C + 1)))
        result.backward()
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()
        return result.detach()

    assert value(torch.arange(B)).shape == ()
    torch.testing.assert_close(value(torch.arange(B)), value(torch.tensor([3, 0, 5, 1, 4, 2])))


@pytest.mark.parametrize("config", members(samplers), ids=lambda c: c.__name__)
def test_samplers_give_the_same_order_for_the_same_generator(config: Any) -> None:
    labels = np.repeat(np.arange(4), [10, 5, 2, 1])
    sampler = config().build()
    first, again, other = (sampler(labels, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == labels.shape
    assert first.min() >= 0
    assert first.max() < len(labels)
