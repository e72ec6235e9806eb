"""Faces that a probe must not look like: how much more it looks like a candidate than like people of no interest.

    score(p, g) = s(p, g) − w · max_c cos(p, c) − max(0, max_q cos(p, q) − s(p, g))

with c over the cohort, the same for all candidates, and q over the negatives of g: faces of which somebody said "this
is not g", such as a twin's or one that was accepted wrongly before. A negative costs nothing as long as the candidate
is nearer; beyond that it costs by how much it is nearer, so that a photo of the twin falls and a photo of g does not.
On AT&T with dlib's network the margin to the cohort (w = 1) rejected worse than the cosine alone, with 10 people in it.
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
    checked_faces,
    ordered,
)


@dataclass(frozen=True, eq=False)
class NegativeCohort(FittedRule):
    """The rule with its cohort (M, D), and the negatives (Q, D) with the places (Q,) of whom they are not."""

    weight: float
    cohort: Floats
    negatives: Floats
    columns: Ids

    @property
    def width(self) -> int:
        """The cosines with cohort and negatives."""
        return max(self.dimensions, len(self.cohort) + len(self.negatives))

    def _scores(self, probes: Floats, columns: Ids, cosines: Floats) -> Floats:
        scores = cosines
        if len(self.cohort):
            scores = scores - self.weight * (probes @ self.cohort.T).max(axis=1, keepdims=True)
        if len(self.negatives):
            found, starts = np.unique(self.columns, return_index=True)
            nearest = np.maximum.reduceat(probes @ self.negatives.T, starts, axis=1)
            place = np.minimum(np.searchsorted(found, columns), len(found) - 1)
            has = found[place] == columns
            nearer = np.take_along_axis(nearest, place, axis=1) - cosines
            scores = scores - np.where(has & np.isfinite(cosines), nearer.clip(min=0), 0)
        return scores


class NegativeCohortConfig(ScoreRule):
    """The choices.

    Attributes:
        weight: w; 0 leaves the negatives alone, and needs no cohort.
        least_people: in the cohort.
    """

    kind: Literal["negative_cohort"] = "negative_cohort"
    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    least_people: Annotated[int, Field(ge=1)] = 2

    @property
    def needs_cohort(self) -> bool:
        """With a weight."""
        return self.weight > 0

    def fit(
        self, gallery: GalleryFaces, cohort: CohortFaces | None = None, negatives: Negatives | None = None
    ) -> NegativeCohort:
        """Keep the faces; a negative of somebody who is not enrolled is an error."""
        enrolled = ordered(gallery)
        identities, D = enrolled.identities, enrolled.dimensions
        others = np.empty((0, D))
        if self.needs_cohort:
            others = checked_cohort(cohort, enrolled, self.kind, self.least_people).vectors.astype(np.float64)
        elif negatives is None:
            raise DataError(f"{self.kind}: found neither negatives nor a weight for a cohort; give one of them")
        if negatives is None:
            return NegativeCohort(identities, D, self.weight, others, np.empty((0, D)), np.empty(0, np.int64))
        negatives = checked_faces(negatives, "negatives")
        unknown = np.setdiff1d(negatives.identities, identities)
        if unknown.size or negatives.vectors.shape[1] != D:
            raise DataError(
                f"found negatives of {negatives.vectors.shape[1]} dimensions for identities {unknown[:3].tolist()} "
                f"beside the {len(identities):,} of the gallery, expected {D} dimensions and nobody else"
            )
        columns = np.searchsorted(identities, negatives.identities)
        return NegativeCohort(identities, D, self.weight, others, negatives.vectors.astype(np.float64), columns)
