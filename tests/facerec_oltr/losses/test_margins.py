"""The margin losses against their authors' code: golden/margins.json names the repositories and commits."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from facerec_oltr.experiment import Stage
from facerec_oltr.losses import AdaFaceConfig, Batch, ElasticConfig, MagFaceConfig, MarginConfig
from facerec_oltr.losses._margins import falling_cosine
from facerec_oltr.losses.elastic import elastic_margins
from facerec_oltr.losses.margin import combined_margin

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/margins.json").read_text())
SCALE = 64.0


def tensor(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


X, W, LABELS = tensor(GOLDEN["features"]), tensor(GOLDEN["weights"]), torch.tensor(GOLDEN["labels"])


def batch(cosine: torch.Tensor | None = None) -> Batch:
    if cosine is None:
        cosine = F.normalize(X) @ F.normalize(W).T
    return Batch(X, SCALE * cosine, LABELS, None, torch.tensor([50, 20, 5, 2, 1]))


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("arcface", MarginConfig(gradient="straight_through")),
        ("cosface", MarginConfig(m2=0, m3=0.4)),
        ("cosface_filtered", MarginConfig(m2=0, m3=0.4, filter_above=0.4)),
    ],
)
def test_arcface_torch(name: str, loss: MarginConfig) -> None:
    """Logits, loss and gradient; its ArcFace is a straight-through estimator, which ours is by name only."""
    expected = GOLDEN[name]
    cosine = (F.normalize(X) @ F.normalize(W).T).requires_grad_()
    built = loss.build()
    torch.testing.assert_close(built.logits(batch(cosine)), tensor(expected["logits"]), rtol=1e-5, atol=1e-5)
    value = built(batch(cosine))
    value.backward()
    assert value.item() == pytest.approx(expected["loss"], rel=1e-5)
    torch.testing.assert_close(cosine.grad, tensor(expected["cosine_gradient"]), rtol=1e-5, atol=1e-6)


def test_the_exact_gradient_is_that_of_the_formula() -> None:
    """The dossier's two values: 2.43 at θ = 0.3 and 0.66 at θ = 2.0 for m = 0.5; and autograd's own check."""
    cosine = torch.cos(tensor([0.3, 2.0])).requires_grad_()
    combined_margin(cosine, 1.0, 0.5, 0.0).sum().backward()
    torch.testing.assert_close(cosine.grad, tensor([2.43, 0.66]), rtol=0, atol=0.005)
    for m1, m2, m3 in ((1.0, 0.5, 0.0), (1.0, 0.3, 0.2), (1.35, 0.0, 0.0), (1.0, 0.0, 0.4)):
        points = tensor([-0.99, -0.5, 0.1, 0.9]).requires_grad_()
        assert torch.autograd.gradcheck(lambda c, m=(m1, m2, m3): combined_margin(c, *m), points)


def test_a_margin_never_rewards_a_face_for_being_further_away() -> None:
    """arcface_torch gives −0.967 at θ = 2.9, above cos 2.9 = −0.971."""
    angles = torch.linspace(0, math.pi, 1001, dtype=torch.float64)
    values = falling_cosine(angles + 0.5)
    assert (values.diff() < 0).all()
    assert (values < torch.cos(angles)).all()
    torch.testing.assert_close(values[:800], torch.cos(angles + 0.5)[:800])
    assert combined_margin(tensor([math.cos(2.9)]), 1, 0.5, 0).item() == pytest.approx(-2 - math.cos(3.4))


@pytest.mark.parametrize(
    "config", [MarginConfig(), ElasticConfig(), MagFaceConfig(), AdaFaceConfig()], ids=lambda c: c.kind
)
def test_gradients_are_finite_where_a_face_lies_on_its_centre_or_opposite_to_it(config: Any) -> None:
    logits = torch.tensor([[SCALE, 0.0], [-SCALE, 0.0], [SCALE * (1 + 1e-6), 1.0]], requires_grad=True)
    x = torch.tensor([[20.0, 0], [0, 30], [5, 5]], requires_grad=True)
    value = config.build()(Batch(x, logits, torch.tensor([0, 0, 0]), None, torch.tensor([2, 1])))
    value.backward()
    assert logits.grad is not None
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


def test_adaface() -> None:
    loss = AdaFaceConfig().build().double()
    for step in GOLDEN["adaface"]:
        torch.testing.assert_close(loss.logits(batch()), tensor(step["logits"]), rtol=1e-5, atol=1e-5)
        assert loss.mean.item() == pytest.approx(step["mean"])
        assert loss.deviation.item() == pytest.approx(step["deviation"])


@pytest.mark.parametrize(("name", "easy"), [("magface_easy", True), ("magface", False)])
def test_magface(name: str, easy: bool) -> None:
    """Both guards differ beyond π only, where none of these faces is."""
    expected = GOLDEN[name]
    loss = MagFaceConfig(easy=easy).build()
    torch.testing.assert_close(loss.logits(batch()), tensor(expected["logits"]), rtol=1e-5, atol=1e-5)
    assert loss(batch()).item() == pytest.approx(expected["loss"] + 35 * expected["g"], rel=1e-6)


def test_a_longer_feature_has_a_larger_margin_and_g_pulls_towards_the_longest() -> None:
    loss = MagFaceConfig().build()
    torch.testing.assert_close(loss.margins(tensor([10, 60, 110])), tensor([0.45, 0.625, 0.8]))
    lengths = loss.lengths(torch.diag(tensor([1, 50, 500])))
    torch.testing.assert_close(lengths, tensor([10, 50, 110]))


def test_elastic_without_deviation_is_arcface_and_cosface() -> None:
    torch.testing.assert_close(
        ElasticConfig(deviation=0).build().logits(batch()),
        tensor(GOLDEN["elastic_arc_without_deviation"]),
        rtol=1e-5,
        atol=1e-4,
    )
    cosface = MarginConfig(m2=0, m3=0.35).build().logits(batch())
    torch.testing.assert_close(ElasticConfig(form="cos", margin=0.35, deviation=0).build().logits(batch()), cosface)


def test_elastic_margins_are_drawn_from_their_law_and_plus_gives_the_largest_to_the_furthest() -> None:
    cosine = torch.linspace(-1, 1, 20_000)[torch.randperm(20_000)]
    drawn = elastic_margins(cosine, 0.5, 0.05, plus=False)
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.002)
    assert drawn.std().item() == pytest.approx(0.05, abs=0.002)
    assert abs(torch.corrcoef(torch.stack([drawn, cosine]))[0, 1]) < 0.05
    sorted_by_cosine = elastic_margins(cosine, 0.5, 0.05, plus=True)[cosine.argsort()]
    assert (sorted_by_cosine.diff() <= 0).all()


def test_logit_adjustment_makes_the_margin_of_a_rare_person_larger() -> None:
    plain, adjusted = (MarginConfig(tau=tau).build().logits(batch()) for tau in (0, 2))
    share = tensor([50, 20, 5, 2, 1]) / 78
    torch.testing.assert_close(adjusted - plain, (2 * share.log()).expand(6, 5), rtol=1e-5, atol=1e-5)


def test_a_margin_needs_cosines_of_the_same_scale() -> None:
    stage = {"name": "a", "losses": ({"loss": {"kind": "margin"}},), "sampler": {"kind": "uniform"}}
    Stage.model_validate(stage | {"head": {"kind": "cosine", "scale": 64.0}})
    for head in ({"kind": "cosine"}, {"kind": "dot_product"}, {"kind": "cosine", "scale": 64.0, "squashed": True}):
        with pytest.raises(
            ValueError, match="the loss 'margin' with scale 64 needs the head 'cosine' with the same scale"
        ):
            Stage.model_validate(stage | {"head": head})
