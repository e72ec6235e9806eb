"""How improbable it is that a face so near is an impostor: a Weibull distribution of each identity's nearest ones.

After the Extreme Value Machine (Rudd et al., TPAMI 2018): to the τ smallest margins m · d of an identity's distances to
other people's faces, d = 1 − cosine, a Weibull distribution is fitted by maximum likelihood, and

    Ψ(p, g) = exp(−(d / λ)^κ),    score = −log(−log Ψ) = κ (log λ − log d)

says how probably the probe lies nearer than half-way (m = ½) to them. The score orders as Ψ does and does not end in
ties at 0 and 1. It differs from the paper in this: one distribution an identity instead of one a template, of the fused
cosines, which is all that a search has; so no templates are dropped ("extreme vectors") either. Public implementations
fit by libMR's ``fit_low``, which shifts the distances by 1; the paper's equation does not, nor does this.

Impostors are the other identities' templates and, where there is one, the cohort. Fitting takes O((T + M) T D) time.
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
)
from facerec_oltr.weibull import fit_weibull

_NEAREST = 1e-6  # a distance; a copy of a template would lie at 0, which has no logarithm


@dataclass(frozen=True, eq=False)
class ExtremeValue(FittedRule):
    """The rule with each identity's λ and κ (N,)."""

    scale: Floats
    shape: Floats

    def _scores(self, probes: Floats, columns: Ids, cosines: Floats) -> Floats:
        distances = np.where(np.isfinite(cosines), 1 - cosines, 1).clip(min=_NEAREST)
        return self.shape[columns] * (np.log(self.scale[columns]) - np.log(distances))


class ExtremeValueConfig(ScoreRule):
    """The choices.

    Attributes:
        tail: τ.
        margin: m.
    """

    kind: Literal["extreme_value"] = "extreme_value"
    tail: Annotated[int, Field(ge=5)] = 20
    margin: Annotated[float, Field(gt=0, le=1)] = 0.5

    @property
    def needs_cohort(self) -> bool:
        """It reads one."""
        return True

    def fit(
        self, gallery: GalleryFaces, cohort: CohortFaces | None = None, negatives: Negatives | None = None
    ) -> ExtremeValue:
        """Fit every identity; negatives are not read."""
        enrolled = ordered(gallery)
        faces, owners = enrolled.vectors[enrolled.rows], enrolled.numbers
        outside = np.empty(0, np.int64)
        if cohort is not None:
            others = checked_cohort(cohort, enrolled, self.kind, 1).vectors
            faces, outside = np.concatenate([faces, others]), np.zeros(len(others), np.int64)
        identities, counts = np.unique(owners, return_counts=True)
        if len(faces) - counts.max() < self.tail:
            raise DataError(
                f"{self.kind}: found {len(faces) - counts.max()} faces of others for an identity, expected its nearest "
                f"{self.tail}; enrol more people, give a cohort, or lower tail"
            )
        scale, shape = np.empty(len(identities)), np.empty(len(identities))
        columns = np.searchsorted(identities, owners)
        for rows, cosines in fused_blocks(enrolled, faces):
            for column, row in zip(range(rows.start, rows.stop), cosines.astype(np.float64), strict=True):
                own = np.concatenate([columns == column, outside == 1])
                scale[column], shape[column] = self._fit(row[~own], identities[column])
        return ExtremeValue(identities, enrolled.dimensions, scale, shape)

    def _fit(self, cosines: Floats, identity: int) -> tuple[float, float]:
        nearest = 1 - np.partition(cosines, len(cosines) - self.tail)[-self.tail :]
        fitted = fit_weibull(self.margin * nearest.clip(min=_NEAREST))
        if fitted is None:
            raise DataError(
                f"{self.kind}: the {self.tail} faces nearest to identity {identity} are all equally near, so nothing "
                "can be fitted; look for one photo under many names"
            )
        return fitted
