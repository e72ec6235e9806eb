"""The cosine with the mean of a person's templates, of length 1, whatever the gallery fuses by.

    score(p, g) = cos(p, Σ_t v_t)    over the templates t of g

With one template a person it is the cosine. It is what `reachability` must be held against too: that rule compares with
such means, and on LFW its gain over the nearest of three templates was theirs (benchmarks/README.md).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from facerec_oltr.scoring._base import (
    CohortFaces,
    FittedRule,
    Floats,
    GalleryFaces,
    Ids,
    Negatives,
    ScoreRule,
    candidate_cosines,
    ordered,
)


@dataclass(frozen=True, eq=False)
class Centroid(FittedRule):
    """The rule with its means (N, D)."""

    means: npt.NDArray[np.float32]

    def _scores(self, probes: Floats, columns: Ids, cosines: Floats) -> Floats:
        return candidate_cosines(probes, self.means, columns)


class CentroidConfig(ScoreRule):
    """Nothing to choose."""

    kind: Literal["centroid"] = "centroid"

    def fit(
        self, gallery: GalleryFaces, cohort: CohortFaces | None = None, negatives: Negatives | None = None
    ) -> Centroid:
        """Take the means; cohort and negatives are not read."""
        enrolled = ordered(gallery)
        means = enrolled.unit_means()
        return Centroid(enrolled.identities, enrolled.dimensions, means)
