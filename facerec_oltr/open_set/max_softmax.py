"""The highest softmax probability (Hendrycks and Gimpel, ICLR 2017); the OLTR authors reject below 0.1.

It depends on the number of classes and on the scale of the logits, so that 0.1 means another thing for each model.
"""

from typing import Literal

import numpy as np

from facerec_oltr.open_set._base import Floats, Judgement, LogitRuleConfig, Rule


def max_softmax(logits: Floats) -> Floats:
    """max_c softmax(z)_c of logits (B, C), as (B,): 1 / Σ_c exp(z_c − max z), which cannot overflow."""
    return 1 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)


class MaxSoftmax(Rule):
    """The rule; it holds nothing."""

    def _judge(self, features: Floats, logits: Floats) -> Judgement:
        return Judgement(logits.argmax(axis=1), max_softmax(logits))


class MaxSoftmaxConfig(LogitRuleConfig):
    """There is nothing to choose."""

    kind: Literal["max_softmax"] = "max_softmax"

    def rule(self, classes: int) -> MaxSoftmax:
        """Give the rule for C classes."""
        return MaxSoftmax(classes)
