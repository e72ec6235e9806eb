"""The learning rate of a stage: held to torch's own schedulers, and to its shape."""

import pytest
import torch

from facerec_oltr.config import load_experiment
from facerec_oltr.engine.schedule import rate_factor
from facerec_oltr.errors import ConfigError
from facerec_oltr.experiment import Schedule


def factors(schedule: Schedule, epochs: int, steps_per_epoch: int) -> list[float]:
    return [
        rate_factor(schedule, step, epochs=epochs, steps_per_epoch=steps_per_epoch)
        for step in range(epochs * steps_per_epoch)
    ]


@pytest.mark.parametrize(("step_epochs", "gamma"), [(10, 0.1), (3, 0.5), (1, 0.9), (40, 0.1)])
def test_steps_are_those_of_torchs_step_lr(step_epochs: int, gamma: float) -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.3)
    torchs = torch.optim.lr_scheduler.StepLR(optimizer, step_epochs, gamma)
    wanted = []
    for _ in range(30):
        wanted += [optimizer.param_groups[0]["lr"] / 0.3] * 4
        optimizer.step()
        torchs.step()
    schedule = Schedule(epochs=30, batch_size=2, decay="step", step_epochs=step_epochs, gamma=gamma)
    assert factors(schedule, 30, 4) == pytest.approx(wanted, rel=1e-12)


def test_the_cosine_is_torchs_behind_a_linear_warm_up() -> None:
    schedule = Schedule(epochs=4, batch_size=2, warmup=0.25)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    torchs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=15)
    wanted = [0.2, 0.4, 0.6, 0.8, 1.0]
    for _ in range(15):
        wanted.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        torchs.step()
    assert factors(schedule, 4, 5) == pytest.approx(wanted, abs=1e-12)
    assert factors(Schedule(epochs=1, batch_size=2), 1, 1) == [1.0]


def test_the_line_is_that_of_arcface_torch_behind_the_warm_up() -> None:
    """By hand: five steps of rise, then 1 − k/15 for k = 0 … 14; torch's PolynomialLR of power 1 says the same."""
    schedule = Schedule(epochs=4, batch_size=2, warmup=0.25, decay="linear")
    by_hand = [0.2, 0.4, 0.6, 0.8, 1.0, *((15 - k) / 15 for k in range(15))]
    assert factors(schedule, 4, 5) == pytest.approx(by_hand, abs=1e-12)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    torchs, wanted = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=15, power=1.0), []
    for _ in range(15):
        wanted.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        torchs.step()
    assert factors(schedule, 4, 5)[5:] == pytest.approx(wanted, abs=1e-12)
    assert factors(Schedule(epochs=1, batch_size=2, decay="linear"), 1, 1) == [1.0]


def test_thirds_fall_by_ten_after_each_third() -> None:
    by_hand = [1.0] * 3 + [0.1] * 3 + [0.01] * 3
    assert factors(Schedule(epochs=3, batch_size=2, decay="thirds"), 3, 3) == pytest.approx(by_hand)


def test_steps_count_the_epochs_of_the_stage_from_its_start_though_it_warms_up() -> None:
    schedule = Schedule(epochs=9, batch_size=2, warmup=0.25, decay="step", step_epochs=1, gamma=0.5)
    assert factors(schedule, 2, 4) == pytest.approx([0.5, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["schedule.decay=step"], "schedule: decay = 'step' needs step_epochs"),
        (["schedule.step_epochs=3"], "schedule: step_epochs has no meaning with decay = 'cosine'"),
        (["schedule.decay=step", "schedule.step_epochs=0"], r"schedule\.step_epochs: found 0"),
        (["schedule.decay=step", "schedule.step_epochs=3", "schedule.gamma=0.0"], r"schedule\.gamma: found 0\.0"),
        (["schedule.precision=float8"], r"schedule\.precision: found 'float8'"),
        (["schedule.validate_every=-1"], r"schedule\.validate_every: found -1"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_experiment("plain", "att_lt", overrides=overrides)
