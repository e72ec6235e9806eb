"""Deep nearest neighbours (Sun et al., ICML 2022): minus the distance to the k-th nearest training feature.

Features are normalised to length 1 first, which the paper finds to be what makes it work. Its code gives the squared
distance, ours the distance: the order is the same. A feature of zeros has no direction; it stays at the origin, 1 away
from everything.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from facerec_oltr.errors import DataError
from facerec_oltr.open_set._base import Floats, Judgement, Outputs, Rule, RuleConfig, blocks, checked_training
from facerec_oltr.open_set._centroids import unit


@dataclass(frozen=True, eq=False)
class Knn(Rule):
    """The rule with its bank (M, D) of normalised training features, float32."""

    bank: npt.NDArray[np.float32]
    k: int

    @property
    def size(self) -> int:
        """D."""
        return self.bank.shape[1]

    @property
    def width(self) -> int:
        """The similarities to the whole bank, which are float32; a wide block is what makes the products fast."""
        return max(self.classes, self.size, len(self.bank) // 2)

    def _judge(self, features: Floats, logits: Floats) -> Judgement:
        # By float32 products the k-th neighbour is found; its distance is then taken from the difference itself.
        x = unit(features).astype(np.float32)
        similarities, at = x @ self.bank.T, len(self.bank) - self.k
        # A partition may take nearly as long as the product; the highest is found in a tenth of that.
        kth = similarities.argmax(axis=1) if self.k == 1 else np.argpartition(similarities, at, axis=1)[:, at]
        distances = np.linalg.norm(x.astype(np.float64) - self.bank[kth], axis=1)
        return Judgement(logits.argmax(axis=1), -distances)


class KnnConfig(RuleConfig):
    """The choice of k; the paper takes 50 for CIFAR-10, 200 for CIFAR-100 and 1000 for ImageNet."""

    kind: Literal["knn"] = "knn"
    k: Annotated[int, Field(gt=0)] = 50

    def fit(
        self,
        outputs: Outputs | None,
        labels: npt.ArrayLike | None,
        *,
        classes: int,
        memory: npt.ArrayLike | None = None,
    ) -> Knn:
        """Normalise and keep the training features."""
        outputs, _ = checked_training(outputs, labels, classes, self.kind)
        features = outputs.features
        if self.k > len(features):
            raise DataError(f"knn asks for neighbour {self.k:,} of {len(features):,} training features; lower k")
        bank = np.empty(features.shape, np.float32)
        for rows in blocks(*features.shape):
            bank[rows] = unit(features[rows].astype(np.float64))
        return Knn(classes, bank, self.k)
