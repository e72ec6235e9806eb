"""How near a feature lies to the nearest class mean of the training features, by angle or by distance.

By ``euclidean`` it is reachability with class means; by ``cosine`` the lengths of the features, which grow with how
sure a network trained by dot products is, do not count.
"""

from dataclasses import dataclass
from typing import Literal

import numpy.typing as npt

from facerec_oltr.open_set._base import Floats, Judgement, Outputs, Rule, RuleConfig, checked_training
from facerec_oltr.open_set._centroids import class_means, nearest_distance, unit


@dataclass(frozen=True, eq=False)
class NearestCentroid(Rule):
    """The rule with the class means (at most C, D), of unit length for the cosine."""

    means: Floats
    cosine: bool

    @property
    def size(self) -> int:
        """D."""
        return self.means.shape[1]

    @property
    def width(self) -> int:
        """The similarities to all means, or the features where these are wider."""
        return max(self.classes, self.size)

    def _judge(self, features: Floats, logits: Floats) -> Judgement:
        top = logits.argmax(axis=1)
        if self.cosine:
            return Judgement(top, (unit(features) @ self.means.T).max(axis=1))
        return Judgement(top, -nearest_distance(features, self.means))


class NearestCentroidConfig(RuleConfig):
    """The choice of measure; a class without training images has no mean and is never the nearest."""

    kind: Literal["nearest_centroid"] = "nearest_centroid"
    measure: Literal["cosine", "euclidean"] = "cosine"

    def fit(
        self,
        outputs: Outputs | None,
        labels: npt.ArrayLike | None,
        *,
        classes: int,
        memory: npt.ArrayLike | None = None,
    ) -> NearestCentroid:
        """Compute the class means."""
        outputs, targets = checked_training(outputs, labels, classes, self.kind)
        means, counts = class_means(outputs.features, targets, classes)
        means, cosine = means[counts > 0], self.measure == "cosine"
        return NearestCentroid(classes, unit(means) if cosine else means, cosine)
