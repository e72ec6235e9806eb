"""The cosine itself: the default, because on real faces no other rule has been shown to beat it."""

from dataclasses import dataclass
from typing import Literal

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
class Cosine(FittedRule):
    """The rule."""

    def _scores(self, probes: Floats, columns: Ids, cosines: Floats) -> Floats:
        return cosines


class CosineConfig(ScoreRule):
    """Nothing to choose."""

    kind: Literal["cosine"] = "cosine"

    def fit(
        self, gallery: GalleryFaces, cohort: CohortFaces | None = None, negatives: Negatives | None = None
    ) -> Cosine:
        """Remember who is enrolled; cohort and negatives are not read."""
        enrolled = ordered(gallery)
        return Cosine(enrolled.identities, enrolled.dimensions)
