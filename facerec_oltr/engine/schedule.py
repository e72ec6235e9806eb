"""The learning rate of a stage, step by step."""

import math

from facerec_oltr.experiment import Schedule


def rate_factor(schedule: Schedule, step: int, *, epochs: int, steps_per_epoch: int) -> float:
    """The learning rate's factor at `step`, from 0, of a stage: a linear rise over the warm-up, then the decay.

    ``thirds`` and ``step`` count from the stage's first epoch, the warm-up included; ``step`` is that of
    ``torch.optim.lr_scheduler.StepLR``, stepped once an epoch. The cosine and the line begin where the warm-up ends and
    would be at zero a step after the stage's last. The line is that of arcface_torch's ``PolynomialLRWarmup``, whose
    warm-up begins with one step at the full rate and is from there on a step behind ours.

    >>> half = Schedule(epochs=5, batch_size=2, warmup=0.2)
    >>> [round(rate_factor(half, s, epochs=5, steps_per_epoch=2), 3) for s in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.038]
    >>> by_ten = Schedule(epochs=5, batch_size=2, decay="step", step_epochs=2)
    >>> [round(rate_factor(by_ten, s, epochs=5, steps_per_epoch=2), 3) for s in (0, 3, 4, 7, 8)]
    [1.0, 1.0, 0.1, 0.1, 0.01]
    >>> line = Schedule(epochs=5, batch_size=2, warmup=0.2, decay="linear")
    >>> [round(rate_factor(line, s, epochs=5, steps_per_epoch=2), 3) for s in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.125]
    """
    steps = epochs * steps_per_epoch
    rising = math.ceil(schedule.warmup * steps)
    if step < rising:
        return (step + 1) / rising
    if schedule.decay == "thirds":
        return 0.1 ** (3 * step // steps)
    if schedule.decay == "step":
        assert schedule.step_epochs is not None, "the experiment's check asks for it"
        return schedule.gamma ** (step // steps_per_epoch // schedule.step_epochs)
    gone = (step - rising) / max(1, steps - rising)
    return 1 - gone if schedule.decay == "linear" else 0.5 * (1 + math.cos(math.pi * gone))
