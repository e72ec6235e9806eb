"""What the trainer may ask of any head, with the answers of a head that keeps no memory."""

from collections.abc import Callable
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from facerec_oltr.ranks import own_part

Moment = Literal["stage begins", "epoch begins", "stage ends"]

ClassMeans = Callable[..., Tensor]
"""Called with nothing: the mean training feature of every class, (C, D). Called with a function (B, D) → (B, D): the
mean of what it makes of the features."""


class Head(nn.Module):
    """Features (B, D) → logits (B, C).

    Attributes:
        embeddings: the names under which this head can turn features into a face embedding; ``direct`` is the
            features themselves.
        by_class: names of the weights with a row, or as many rows each, for every class; only a head that names them,
            and computes from them as ranks.py says, can be split by class.
        memory: one centroid a class, (C, D), or None for a head that keeps none; of a split head its own classes'.
        shard: the classes that this rank holds, of a head that is split over ranks; None for one that is whole.
        columns: (C',) ascending, the classes that the columns of the last training logits were of; None for all.
    """

    embeddings: ClassVar[tuple[str, ...]] = ("direct",)
    by_class: tuple[str, ...] = ()
    memory: Tensor | None
    shard: range | None = None
    columns: Tensor | None = None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("memory", None)

    def inherit(self, previous: Self) -> None:
        """Take over what the head of the stage before has learned; called once, before the stage begins."""

    def split(self, classes: int) -> None:
        """Keep this rank's of C classes alone; called once, after `inherit`, on every rank.

        Rank r of W holds a contiguous range; no two ranges differ in length by more than one.
        """
        own = own_part(np.arange(classes))
        self.shard = range(int(own[0]), int(own[-1]) + 1)
        for name in self.by_class:
            weight = self.get_parameter(name) if name in dict(self.named_parameters()) else self.get_buffer(name)
            weight.data = self.own_rows(weight.data, classes).clone()
        self.columns = torch.arange(self.shard.start, self.shard.stop)

    def own_rows(self, rows: Tensor, classes: int) -> Tensor:
        """Those of a weight's `rows`, as many for each of C classes, that belong to this rank's classes."""
        if self.shard is None:
            return rows
        each = len(rows) // classes
        return rows[self.shard.start * each : self.shard.stop * each]

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

        A head that draws some of its classes gives (B, C') and says in `columns` which they are; a label's own class,
        where this rank holds it, is always among them.

        Args:
            features: (B, D).
            labels: (B,).
            images: (B,) int64, the place in the training set of the image that each row shows.
        """
        return self(features)

    def drawn(self) -> dict[str, tuple[Tensor, Tensor]]:
        """What the last training logits drew of a weight: name → which rows (R,), and the leaf (R, D) that they were.

        The optimiser then moves those rows, and leaves the others, with their momentum, as they are.
        """
        return {}

    def observe(self, features: Tensor, labels: Tensor) -> None:
        """See a batch's features (B, D) and labels (B,) after the step that they made; for a memory that follows."""

    def embed(self, features: Tensor, embedding: str) -> Tensor:
        """Turn features (B, D) into the embedding of that name, (B, D), not normalised."""
        assert embedding == "direct", embedding
        return features
