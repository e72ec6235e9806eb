"""SGD, AdamW and the limit on the gradient: held to loops in numpy, and resumed as if never stopped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from facerec_oltr.config import check_experiment, load_experiment
from facerec_oltr.engine.drawn import drawn_rows
from facerec_oltr.engine.optimizer import build_optimizer, clipping
from facerec_oltr.engine.precision import Arithmetic
from facerec_oltr.engine.run import train
from facerec_oltr.errors import ConfigError
from facerec_oltr.experiment import Experiment, Schedule

from ..conftest import TINY
from .conftest import StopAt, StopError, hours

CPU = torch.device("cpu")
ADAMW = ("schedule.optimizer=adamw", "schedule.clip=0.5", "schedule.decay=linear")
VIT = ('backbone={kind="vit", patch=4, dim=16, depth=2, heads=2, features=8}',)

Array = npt.NDArray[np.float64]


def adamw(w: Array, gradients: Array, rates: list[float], beta: float, decay: float) -> Array:
    """Algorithm 2 of Loshchilov and Hutter (ICLR 2019), step by step, with the decay times the rate as torch has it."""
    w, m, v = w.copy(), np.zeros_like(w), np.zeros_like(w)
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        m, v = beta * m + (1 - beta) * g, 0.999 * v + 0.001 * g**2
        w -= rate * (m / (1 - beta**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8) + decay * w)
    return w


def sgd(w: Array, gradients: Array, rates: list[float], momentum: float, decay: float) -> Array:
    w, b = w.copy(), np.zeros_like(w)
    for g, rate in zip(gradients, rates, strict=True):
        b = momentum * b + g + decay * w
        w -= rate * b
    return w


@pytest.mark.parametrize(("name", "loop"), [("adamw", adamw), ("sgd", sgd)])
def test_it_moves_the_weights_as_a_loop_in_numpy(name: Any, loop: Callable[..., Array]) -> None:
    """Two groups of other rates, which fall while it goes on."""
    rng = np.random.default_rng(0)
    starts, gradients = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 12, 3, 4))
    weights = [nn.Parameter(torch.from_numpy(start.copy())) for start in starts]
    groups = [{"params": [weight], "lr": rate} for weight, rate in zip(weights, (0.1, 0.03), strict=True)]
    schedule = Schedule(epochs=1, batch_size=2, optimizer=name, momentum=0.8, weight_decay=0.05)
    optimizer = build_optimizer(schedule, groups)
    for step in range(12):
        for group, rate in zip(optimizer.param_groups, (0.1, 0.03), strict=True):
            group["lr"] = rate * 0.9**step
        for weight, own in zip(weights, gradients, strict=True):
            weight.grad = torch.from_numpy(own[step].copy())
        optimizer.step()
    for weight, start, own, rate in zip(weights, starts, gradients, (0.1, 0.03), strict=True):
        wanted = loop(start, own, [rate * 0.9**step for step in range(12)], 0.8, 0.05)
        np.testing.assert_allclose(weight.detach().numpy(), wanted, rtol=1e-10)


class _Net(nn.Module):
    """Weights by name, before the head and in it, and a loss whose gradient is known."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.fc_add, self.head = (nn.Linear(3, 2, bias=False) for _ in range(3))
        for weight in self.parameters():
            nn.init.zeros_(weight)

    def loss(self, gradients: dict[str, Tensor]) -> Tensor:
        return torch.stack([(weight * gradients[name]).sum() for name, weight in self.named_parameters()]).sum()


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("limit", [5.0, 0.25, 1e6])
def test_the_gradient_before_the_head_is_shortened_at_its_own_size(precision: Any, limit: float) -> None:
    """With a rate of 1 the weights move by −g. The norm is over all of them together, by a loop; the head is let be."""
    rng = np.random.default_rng(0)
    net = _Net()
    gradients = {name: 4 * rng.normal(size=(2, 3)) for name, _ in net.named_parameters()}
    squares = 0.0
    for name in ("backbone.weight", "fc_add.weight"):
        for value in gradients[name].ravel():
            squares += value * value
    factor = min(1.0, limit / (squares**0.5 + 1e-6))
    assert (factor < 1) == (limit <= 5)
    schedule = Schedule(epochs=1, batch_size=2, learning_rate=1.0, momentum=0.0, weight_decay=0.0, clip=limit)
    optimizer = build_optimizer(schedule, [{"params": list(net.parameters())}])
    loss = net.loss({name: torch.from_numpy(own).float() for name, own in gradients.items()})
    assert Arithmetic(precision, CPU).step(loss, optimizer, clipping(schedule, net))
    for name, weight in net.named_parameters():
        wanted = -gradients[name] * (1.0 if name.startswith("head") else factor)
        np.testing.assert_allclose(weight.detach().numpy(), wanted, rtol=1e-5)


def test_nothing_is_shortened_unless_asked_and_a_frozen_backbone_has_nothing_to_shorten() -> None:
    assert clipping(Schedule(epochs=1, batch_size=2), _Net()) is None
    net, schedule = _Net(), Schedule(epochs=1, batch_size=2, clip=1.0)
    for part in (net.backbone, net.fc_add):
        part.requires_grad_(False)
    optimizer = build_optimizer(schedule, [{"params": list(net.head.parameters())}])
    loss = net.loss({name: torch.ones(2, 3) for name, _ in net.named_parameters()})
    assert Arithmetic("float32", CPU).step(loss, optimizer, clipping(schedule, net))
    assert (net.head.weight < 0).all()


def test_gradients_that_overflow_float16_are_left_out_before_they_are_shortened() -> None:
    net, schedule = _Net(), Schedule(epochs=1, batch_size=2, learning_rate=1.0, clip=1.0)
    optimizer = build_optimizer(schedule, [{"params": list(net.parameters())}])
    arithmetic = Arithmetic("float16", CPU)
    half = net.backbone.weight.to(torch.float16)  # the gradient passes through float16, scaled by 65,536
    assert arithmetic.step((half.float() * 2.0).sum(), optimizer, clipping(schedule, net))
    assert not net.backbone.weight.any()
    assert arithmetic.state_dict()["scale"] == 32768


def test_adamw_moves_drawn_rows_alone() -> None:
    """As the loop moves them, with a count of steps that all rows of a weight share; others keep weight and means."""
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(5, 3)), rng.normal(size=(4, 2, 3))
    weight = nn.Parameter(torch.from_numpy(start.copy()))
    schedule = Schedule(epochs=1, batch_size=2, optimizer="adamw", weight_decay=0.05)
    optimizer = build_optimizer(schedule, [{"params": [weight], "lr": 0.1}])
    index = torch.tensor([3, 1])
    for own in gradients:
        rows = nn.Parameter(weight.detach()[index].clone())
        rows.grad = torch.from_numpy(own.copy())
        with drawn_rows(optimizer, weight, index, rows):
            optimizer.step()
    wanted = start.copy()
    wanted[[3, 1]] = adamw(start[[3, 1]], gradients, [0.1] * 4, 0.9, 0.05)
    np.testing.assert_allclose(weight.detach().numpy(), wanted, rtol=1e-10)
    assert not optimizer.state[weight]["exp_avg"][[0, 2, 4]].any()
    assert list(optimizer.state) == [weight]


def faces(face_set: Path, *overrides: str, method: str = "oltr") -> Experiment:
    return load_experiment(method, "att_lt", overrides=[*TINY, f"data.path={face_set}", *overrides])


def test_a_stopped_run_of_adamw_ends_with_the_bytes_of_an_unbroken_one(face_set: Path, tmp_path: Path) -> None:
    experiment = faces(face_set, *ADAMW)
    unbroken = train(experiment, tmp_path / "unbroken")
    for stop in (StopAt(2), StopAt(steps=1), StopAt(1)):
        with pytest.raises(StopError):
            train(experiment, tmp_path / "run", reporter=stop, clock=hours)
    assert train(experiment, tmp_path / "run", clock=hours).read_bytes() == unbroken.read_bytes()
    without = train(faces(face_set, *ADAMW, "schedule.clip=1e9"), tmp_path / "without")
    assert without.read_bytes() != unbroken.read_bytes()  # the limit was met


def test_a_vision_transformer_learns_by_adamw(face_set: Path, tmp_path: Path) -> None:
    transformer = [line for line in TINY if not line.startswith("backbone")] + [*VIT, f"data.path={face_set}"]
    more = ("schedule.epochs=25", "schedule.optimizer=adamw", "schedule.learning_rate=0.01", "schedule.clip=5.0")
    listens = StopAt(99)
    experiment = load_experiment("arcface", "att_lt", overrides=[*transformer, *more, "augment={flip=0.5}"])
    train(experiment, tmp_path / "run", reporter=listens)
    first, last = listens.reports[0], listens.reports[-1]
    assert last.loss < first.loss / 2
    assert last.accuracy > 0.8


def test_adamw_has_a_rate_and_a_decay_of_its_own_unless_they_are_given() -> None:
    plain, other = (Schedule(epochs=1, batch_size=2, optimizer=name) for name in ("sgd", "adamw"))
    assert (plain.learning_rate, plain.weight_decay) == (0.1, 5e-4)
    assert (other.learning_rate, other.weight_decay) == (1e-3, 0.1)  # of arcface_torch's configs for vit
    given = load_experiment("plain", "att_lt", overrides=["schedule.optimizer=adamw", "schedule.learning_rate=1"])
    assert (given.schedule.learning_rate, given.schedule.weight_decay) == (1.0, 0.1)
    kept = given.model_dump(mode="json")
    assert kept["schedule"]["weight_decay"] == 0.1
    assert check_experiment(kept, "again") == given


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("schedule.optimizer=adam", r"schedule\.optimizer: found 'adam'"),
        ("schedule.clip=0.0", r"schedule\.clip: found 0\.0"),
        ("schedule.clip=much", r"schedule\.clip: found 'much'"),
        ("schedule.decay=line", r"schedule\.decay: found 'line'"),
    ],
)
def test_a_choice_that_makes_no_sense_is_one_line(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_experiment("plain", "att_lt", overrides=["schedule.optimizer=adamw", override])
    assert "\n" not in str(caught.value)
