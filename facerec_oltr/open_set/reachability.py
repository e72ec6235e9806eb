"""OLTR's reachability as a score of its own: −γ, γ = min_c ‖v − m_c‖ over class centroids (CVPR 2019, 4.1).

In the authors' system γ only scales the meta-embedding, where it hardly moves the softmax that they put a threshold
to; taken by itself it says how far an image lies from all that was learned.
"""

from dataclasses import dataclass
from typing import Literal

import numpy.typing as npt

from facerec_oltr.open_set._base import Floats, Judgement, Outputs, Rule, RuleConfig, checked_memory, checked_training
from facerec_oltr.open_set._centroids import class_means, nearest_distance


@dataclass(frozen=True, eq=False)
class Reachability(Rule):
    """The rule with its centroids (at most C, D)."""

    centroids: Floats

    @property
    def size(self) -> int:
        """D."""
        return self.centroids.shape[1]

    @property
    def width(self) -> int:
        """The distances to all centroids, or the features where these are wider."""
        return max(self.classes, self.size)

    def _judge(self, features: Floats, logits: Floats) -> Judgement:
        return Judgement(logits.argmax(axis=1), -nearest_distance(features, self.centroids))


class ReachabilityConfig(RuleConfig):
    """The choice of centroids.

    Attributes:
        centroids: ``memory``, those that the head keeps; or ``class_means``, the mean training feature of each class,
            for heads that keep none. A class without training images has no centroid then.
    """

    kind: Literal["reachability"] = "reachability"
    centroids: Literal["memory", "class_means"] = "memory"

    @property
    def needs_training(self) -> bool:
        """For class means."""
        return self.centroids == "class_means"

    @property
    def needs_memory(self) -> bool:
        """For the memory's centroids."""
        return self.centroids == "memory"

    def fit(
        self,
        outputs: Outputs | None,
        labels: npt.ArrayLike | None,
        *,
        classes: int,
        memory: npt.ArrayLike | None = None,
    ) -> Reachability:
        """Take the centroids from the memory, or compute them."""
        if self.centroids == "memory":
            return Reachability(classes, checked_memory(memory, classes, self.kind))
        outputs, targets = checked_training(outputs, labels, classes, self.kind)
        means, counts = class_means(outputs.features, targets, classes)
        return Reachability(classes, means[counts > 0])
