"""The highest logit (Hendrycks et al., ICML 2022): unlike a probability, it is not divided among similar classes."""

from typing import Literal

import numpy.typing as npt

from facerec_oltr.open_set._base import Floats, Judgement, Outputs, Rule, RuleConfig


class MaxLogit(Rule):
    """The rule; it holds nothing."""

    def _judge(self, features: Floats, logits: Floats) -> Judgement:
        return Judgement(logits.argmax(axis=1), logits.max(axis=1))


class MaxLogitConfig(RuleConfig):
    """There is nothing to choose."""

    kind: Literal["max_logit"] = "max_logit"

    @property
    def needs_training(self) -> bool:
        """No."""
        return False

    def fit(
        self,
        outputs: Outputs | None,
        labels: npt.ArrayLike | None,
        *,
        classes: int,
        memory: npt.ArrayLike | None = None,
    ) -> MaxLogit:
        """Give the rule for C classes."""
        return MaxLogit(classes)
