"""Cross-entropy over the logits."""

from typing import ClassVar, Literal

from torch import Tensor

from facerec_oltr.components import Config
from facerec_oltr.losses._base import Batch, Loss


def cross_entropy(batch: Batch) -> Tensor:
    """Mean over the batch of −log softmax(logits)[label]."""
    return batch.cross_entropy()


class CrossEntropyConfig(Config):
    """Cross-entropy has no choices."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    needs_memory: ClassVar[bool] = False
    splits_by_class: ClassVar[bool] = True

    def build(self) -> Loss:
        """Give the loss."""
        return cross_entropy
