"""The negative free energy (Liu et al., NeurIPS 2020): −E(x) = T log Σ_c exp(z_c / T)."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from facerec_oltr.open_set._base import Floats, Judgement, LogitRuleConfig, Rule


def log_sum_exp(logits: Floats) -> Floats:
    """The log of Σ_c exp(z_c) of finite logits (B, C), as (B,), without overflow; scipy's takes twice as long."""
    top = logits.max(axis=1)
    return top + np.log(np.exp(logits - top[:, None]).sum(axis=1))


def negative_energy(logits: Floats, temperature: float) -> Floats:
    """−E of logits (B, C), as (B,)."""
    return temperature * log_sum_exp(logits / temperature)


@dataclass(frozen=True, eq=False)
class Energy(Rule):
    """The rule with its temperature T."""

    temperature: float

    def _judge(self, features: Floats, logits: Floats) -> Judgement:
        return Judgement(logits.argmax(axis=1), negative_energy(logits, self.temperature))


class EnergyConfig(LogitRuleConfig):
    """The choice of T; 1 is the paper's. Towards 0 the score becomes the highest logit."""

    kind: Literal["energy"] = "energy"
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0

    def rule(self, classes: int) -> Energy:
        """Give the rule for C classes."""
        return Energy(classes, self.temperature)
