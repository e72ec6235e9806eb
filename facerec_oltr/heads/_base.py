"""What the trainer may ask of any head, with the answers of a head that keeps no memory."""

from collections.abc import Callable
from typing import ClassVar, Literal, Self

from torch import Tensor, nn

Moment = Literal["stage begins", "epoch begins", "stage ends"]

ClassMeans = Callable[..., Tensor]
"""Called with nothing: the mean training feature of every class, (C, D). Called with a function (B, D) → (B, D): the
mean of what it makes of the features."""


class Head(nn.Module):
    """Features (B, D) → logits (B, C).

    Attributes:
        embeddings: the names under which this head can turn features into a face embedding; ``direct`` is the
            features themselves.
        memory: one centroid a class, (C, D), or None for a head that keeps none.
    """

    embeddings: ClassVar[tuple[str, ...]] = ("direct",)
    memory: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("memory", None)

    def inherit(self, previous: Self) -> None:
        """Take over what the head of the stage before has learned; called once, before the stage begins."""

    def divide(self, few_shot: Tensor) -> None:
        """Hear which classes are few-shot, (C,) bool; called once, after `inherit` and before the first `refresh`."""

    def refresh(self, class_means: ClassMeans, when: Moment) -> None:
        """Renew the memory; called before a stage begins, between two epochs, and when a stage ends.

        It is called as soon as an epoch is over, so that what is measured and kept then has the memory of its own
        weights.

        Args:
            class_means: computes the mean training feature of every class, (C, D), or the mean of a function of it; it
                costs one pass over the training set, so a head that needs none does not call it.
            when: which of the three it is; `epoch begins` is each time between two epochs.
        """

    def training_logits(self, features: Tensor, labels: Tensor, images: Tensor) -> Tensor:
        """Map features (B, D) to the logits (B, C) that the loss sees, for a head that answers otherwise in training.

        Args:
            features: (B, D).
            labels: (B,).
            images: (B,) int64, the place in the training set of the image that each row shows.
        """
        return self(features)

    def observe(self, features: Tensor, labels: Tensor) -> None:
        """See a batch's features (B, D) and labels (B,) after the step that they made; for a memory that follows."""

    def embed(self, features: Tensor, embedding: str) -> Tensor:
        """Turn features (B, D) into the embedding of that name, (B, D), not normalised."""
        assert embedding == "direct", embedding
        return features
