"""The highest logit (Hendrycks et al., ICML 2022): unlike a probability, it is not divided among similar classes."""

from typing import Literal

from facerec_oltr.open_set._base import Floats, Judgement, LogitRuleConfig, Rule


class MaxLogit(Rule):
    """The rule; it holds nothing."""

    def _judge(self, features: Floats, logits: Floats) -> Judgement:
        return Judgement(logits.argmax(axis=1), logits.max(axis=1))


class MaxLogitConfig(LogitRuleConfig):
    """There is nothing to choose."""

    kind: Literal["max_logit"] = "max_logit"

    def rule(self, classes: int) -> MaxLogit:
        """Give the rule for C classes."""
        return MaxLogit(classes)
