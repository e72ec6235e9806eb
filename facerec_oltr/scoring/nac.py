"""Neighbourhood-aware cosine, NAC (Cho et al., ICPR 2022): how far a candidate is ahead of the others.

    score(p, g) = exp(t s(p, g)) / Σ_{j among the k best} exp(t s(p, j))

A softmax over the k highest cosines, the authors' k = 16 and t = 1; a probe that is somewhat like everybody falls. In a
gallery of fewer people all of them are taken. Candidates beyond the k best get their share by the same sum.
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
    ordered,
)


@dataclass(frozen=True, eq=False)
class Nac(FittedRule):
    """The rule."""

    k: int
    scale: float

    @property
    def depth(self) -> int:
        """The k."""
        return self.k

    def _scores(self, probes: Floats, columns: Ids, cosines: Floats) -> Floats:
        k = min(self.k, cosines.shape[1])
        if not k:
            return cosines
        best = np.partition(cosines, cosines.shape[1] - k, axis=1)[:, -k:]
        top = best.max(axis=1, keepdims=True)
        top = np.where(np.isfinite(top), top, 0)
        with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 where a row holds no cosine, which stays -inf
            return np.exp(self.scale * (cosines - top)) / np.exp(self.scale * (best - top)).sum(axis=1, keepdims=True)


class NacConfig(ScoreRule):
    """The choices.

    Attributes:
        k: how many of the best candidates compete.
        scale: t.
    """

    kind: Literal["nac"] = "nac"
    k: Annotated[int, Field(ge=2)] = 16
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0

    @property
    def depth(self) -> int:
        """The k."""
        return self.k

    def fit(self, gallery: GalleryFaces, cohort: CohortFaces | None = None, negatives: Negatives | None = None) -> Nac:
        """Remember who is enrolled; cohort and negatives are not read."""
        enrolled = ordered(gallery)
        identities = enrolled.identities
        if len(identities) < 2:
            raise DataError(f"{self.kind}: 1 person is enrolled, so nobody competes and every score is 1; enrol more")
        return Nac(identities, enrolled.dimensions, self.k, self.scale)
