"""Adaptive symmetric score normalisation, AS-norm (Matějka et al. 2017): how far a cosine stands out.

    score(p, g) = ½ [ (s − μ_g) / σ_g  +  (s − μ_p) / σ_p ]

μ_g, σ_g are mean and standard deviation (divisor K − 1, as in speechbrain's verification recipe) of identity g's K
highest cosines with the cohort (the z side), μ_p, σ_p those of the probe (the t side). A person of the cohort counts
once, as the mean of his faces. Speaker verification takes K of 200 to 400 from cohorts of 1,000 to 5,000 people. With
100 photos of 10 people it cost a third of all finds on real faces, so a small cohort is refused. K is never lowered by
itself to the people there are: who chooses the threshold is searched with nine tenths of the cohort, and would then be
scored by another K than the test.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from facerec_oltr.errors import DataError
from facerec_oltr.scoring._base import (
    CohortFaces,
    FittedRule,
    Floats,
    GalleryFaces,
    Ids,
    Negatives,
    ScoreRule,
    checked_cohort,
    fused_blocks,
    ordered,
    unit_means,
)

_LEAST_SD = 1e-6  # of cosines; below it a cohort says nothing, and a probe of its kind is not to be divided by 0


@dataclass(frozen=True, eq=False)
class AdaptiveSnorm(FittedRule):
    """The rule with its cohort (G, D), a row a person, and each identity's μ_g, σ_g (N,)."""

    top: int
    cohort: Floats
    means: Floats
    deviations: Floats

    @property
    def width(self) -> int:
        """The cosines with the cohort."""
        return max(self.dimensions, len(self.cohort))

    def _scores(self, probes: Floats, columns: Ids, cosines: Floats) -> Floats:
        mean, deviation = highest(probes @ self.cohort.T, self.top)
        z = (cosines - self.means[columns]) / self.deviations[columns]
        return (z + (cosines - mean[:, None]) / deviation[:, None]) / 2


class AdaptiveSnormConfig(ScoreRule):
    """The choices.

    Attributes:
        top: K.
        least_people: in the cohort.
    """

    kind: Literal["adaptive_snorm"] = "adaptive_snorm"
    top: Annotated[int, Field(ge=2)] = 200
    least_people: Annotated[int, Field(ge=2)] = 1000

    @property
    def needs_cohort(self) -> bool:
        """Yes."""
        return True

    def fit(
        self, gallery: GalleryFaces, cohort: CohortFaces | None = None, negatives: Negatives | None = None
    ) -> AdaptiveSnorm:
        """Compare every identity with the cohort; negatives are not read."""
        enrolled = ordered(gallery)
        people = 0 if cohort is None else len(np.unique(cohort.people))
        if people < (least := max(self.top, self.least_people)):
            raise DataError(
                f"{self.kind}: found a cohort of {people:,} people, expected {least:,} or more (top = {self.top:,}, "
                f"least_people = {self.least_people:,}); bring more people who are not enrolled, or lower both: "
                f"{self.kind}:top={max(2, people // 2)}:least_people={max(2, people)}"
            )
        cohort = checked_cohort(cohort, enrolled, self.kind, self.least_people)
        others = unit_means(cohort.vectors, cohort.people)
        identities = enrolled.identities
        means, deviations = np.empty(len(identities)), np.empty(len(identities))
        for rows, cosines in fused_blocks(enrolled, others):
            means[rows], deviations[rows] = highest(cosines, self.top)
        return AdaptiveSnorm(identities, enrolled.dimensions, self.top, others, means, deviations)


def highest(cosines: np.ndarray, top: int) -> tuple[Floats, Floats]:
    """Mean and standard deviation (n,) of the `top` highest of each row of (n, G)."""
    best = np.partition(cosines, cosines.shape[1] - top, axis=1)[:, -top:].astype(np.float64)
    return best.mean(axis=1), best.std(axis=1, ddof=1).clip(min=_LEAST_SD)
