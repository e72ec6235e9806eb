"""Balanced softmax (Ren et al., NeurIPS 2020): train as if the test set were balanced.

    L = mean_b −log ( n_y e^{z_y} / Σ_c n_c e^{z_c} ),   n_c the training images of class c

It equals the logit-adjusted loss at τ = 1: dividing all n_c by their sum changes nothing.
"""

from typing import ClassVar, Literal

from torch import Tensor

from facerec_oltr.components import Config
from facerec_oltr.losses._base import Batch, Loss


def balanced_softmax(batch: Batch) -> Tensor:
    """Scalar loss of a batch."""
    return batch.cross_entropy(batch.logits + batch.counts.log())


class BalancedSoftmaxConfig(Config):
    """Balanced softmax has no choices."""

    kind: Literal["balanced_softmax"] = "balanced_softmax"
    needs_memory: ClassVar[bool] = False
    splits_by_class: ClassVar[bool] = True

    def build(self) -> Loss:
        """Give the loss."""
        return balanced_softmax
