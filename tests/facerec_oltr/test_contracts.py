"""What each family promises, tested for every member: the members are found by listing the family's folder."""

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from facerec_oltr import backbones, heads, losses, open_set, samplers, scoring
from facerec_oltr.components import Config
from facerec_oltr.errors import ConfigError, DataError
from facerec_oltr.losses import Batch
from facerec_oltr.metrics.open_set import UNKNOWN, decide, detection
from facerec_oltr.open_set import Judgement, KnownShareThreshold, Outputs, Rule
from facerec_oltr.open_set import _base as open_set_base

B, C, D, SIZE = 6, 5, 8, 24
FAMILIES = (backbones, heads, losses, open_set, samplers, scoring)


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
    assert {f.__name__.rpartition(".")[2]: len(members(f)) for f in FAMILIES} == {
        "backbones": 6,
        "heads": 7,
        "losses": 13,
        "open_set": 7,
        "samplers": 2,
        "scoring": 7,
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_every_member_stands_in_its_familys_init(family: ModuleType) -> None:
    for config in members(family):
        assert config.__name__ in family.__all__


SMALL = {
    "IResNetConfig": {"width": 4, "features": D, "layers": (1, 1)},
    "IdentityConfig": {},
    "MobileFaceNetConfig": {"width": 2, "features": D, "blocks": (1, 1, 1, 1)},
    "ResNetConfig": {"width": 1},
    "ResNetCifarConfig": {"width": 2, "depth": 8},
    "VisionTransformerConfig": {"dim": 4, "heads": 2, "depth": 2, "features": D},
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
def test_heads_give_finite_logits_and_gradients_in_training_too_for_the_same_image_twice(config: Any) -> None:
    head = config().build(features=D, classes=C)
    head.refresh(lambda: torch.eye(C, D), "stage begins")
    x = features()
    x[1] = 0
    x.requires_grad_()
    logits = head.training_logits(x, torch.tensor([0, 1, 1, 2, 2, 4]), torch.tensor([5, 8, 9, 2, 2, 0]))
    logits.square().sum().backward()
    assert logits.shape == (B, C)
    assert torch.isfinite(logits).all()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


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
    still: dict[str, Any] = (
        {"deviation": 0.0} if config is losses.ElasticConfig else {}
    )  # its margins are drawn, face by face
    memory = torch.randn(C, D, generator=torch.Generator().manual_seed(1))

    def value(order: torch.Tensor) -> torch.Tensor:
        x = features()[order].requires_grad_()
        loss = config(**still).build()  # anew: AdaFace remembers the batches
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


CENTRES = 10 * np.eye(C, D)  # the other axes are the strangers'


def known(images: int, seed: int) -> tuple[Outputs, np.ndarray]:
    """Images around the centres of the classes, in turn, and their labels."""
    labels = np.arange(images) % C
    x = CENTRES[labels] + np.random.default_rng(seed).normal(size=(images, D))
    return Outputs(x.astype(np.float32), (x @ CENTRES.T / 10).astype(np.float32)), labels


def strangers(images: int) -> Outputs:
    """Images away from all classes, whose logits are halfway up for all of them."""
    rng = np.random.default_rng(9)
    x = rng.normal(size=(images, D)) + 10 * (np.arange(D) >= C)
    return Outputs(x.astype(np.float32), rng.normal(4, 0.5, size=(images, C)).astype(np.float32))


def fitted(config: Any, order: np.ndarray | None = None) -> Rule:
    training, labels = known(300, seed=0)
    order = np.arange(300) if order is None else order
    return config().fit(Outputs(*(a[order] for a in training)), labels[order], classes=C, memory=CENTRES)


@pytest.mark.parametrize("config", members(open_set), ids=lambda c: c.__name__)
def test_open_set_rules_score_the_familiar_higher_and_decide_class_or_unknown(config: Any) -> None:
    rule, (near, labels), far = fitted(config), known(60, seed=1), strangers(40)
    (top, scores), of_strangers = rule.judge(near), rule.judge(far)
    assert scores.dtype == np.float64
    assert (top.shape, scores.shape) == ((60,), (60,))
    assert detection(scores, top == labels, of_strangers.scores).oscr > 0.95
    threshold = KnownShareThreshold().choose(Judgement(top, scores), labels)
    decided = decide(top, scores, threshold)
    assert np.mean(decided == labels) >= 0.95
    assert set(decided[decided != labels]) <= {UNKNOWN}
    assert np.mean(decide(*of_strangers, threshold) == UNKNOWN) > 0.95


@pytest.mark.parametrize("config", members(open_set), ids=lambda c: c.__name__)
def test_open_set_rules_do_not_care_for_order_or_blocks(config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    test, _ = known(60, seed=1)
    whole = fitted(config).judge(test)
    order = np.random.default_rng(2).permutation(60)
    shuffled = fitted(config, np.random.default_rng(3).permutation(300)).judge(Outputs(*(a[order] for a in test)))
    monkeypatch.setattr(open_set_base, "BLOCK", 30)
    in_blocks = fitted(config).judge(test)
    for top, scores, rows in ((*shuffled, order), (*in_blocks, np.arange(60))):
        np.testing.assert_array_equal(top, whole.top[rows])
        np.testing.assert_allclose(scores, whole.scores[rows], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("config", members(open_set), ids=lambda c: c.__name__)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_open_set_rules_refuse_nothing_and_damage_with_a_clear_error(config: Any, value: float) -> None:
    rule, (training, labels) = fitted(config), known(300, seed=0)
    with pytest.raises(DataError, match="no rows"):
        rule.score(Outputs(*(a[:0] for a in training)))
    for name in ("features", "logits"):
        damaged = getattr(training, name).copy()
        damaged[3, 1] = value
        broken = training._replace(**{name: damaged})
        with pytest.raises(DataError, match=f"1 of 300 rows of the {name} hold NaN or infinity, the first is row 3"):
            rule.classify(broken)
        if config().needs_training:
            with pytest.raises(DataError, match=name):
                config().fit(broken, labels, classes=C)
    if config().needs_training:
        with pytest.raises(DataError, match="no rows"):
            config().fit(Outputs(*(a[:0] for a in training)), labels[:0], classes=C)
