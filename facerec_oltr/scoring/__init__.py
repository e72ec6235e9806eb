"""Score rules: how cosines with enrolled people become the score that a threshold is put to.

    rule = NacConfig().fit(GalleryFaces(vectors, identities), CohortFaces(others, people))
    scores = rule.scores(probes, candidates, cosines)

What each promises: it is fitted to a gallery of N people as it is at that moment, and perhaps to a cohort of people who
are neither enrolled nor choose the threshold. From probes (B, D), the numbers of their candidates (B, K) and the
cosines (B, K), fused over each candidate's templates, it makes scores (B, K), higher = more likely that person. K may
be N, or what a search brought, at least `depth` of the best. The order of candidates may change, but never by the
order in which probes, candidates or templates came, nor by who else was searched. A stranger's best score should fall
against that of a person enrolled; whether it does so more than the cosine's is to be measured, by ``facerec
evaluate-faces --rules``.

A threshold belongs to the rule that made the scores it was chosen by. numpy and scipy only; rows go through in blocks.
"""

from typing import Annotated

from pydantic import Field

from facerec_oltr.scoring._base import CohortFaces, FittedRule, GalleryFaces, Negatives, ScoreRule, unit_means
from facerec_oltr.scoring.adaptive_snorm import AdaptiveSnorm, AdaptiveSnormConfig
from facerec_oltr.scoring.centroid import Centroid, CentroidConfig
from facerec_oltr.scoring.cosine import Cosine, CosineConfig
from facerec_oltr.scoring.extreme_value import ExtremeValue, ExtremeValueConfig
from facerec_oltr.scoring.nac import Nac, NacConfig
from facerec_oltr.scoring.negative_cohort import NegativeCohort, NegativeCohortConfig
from facerec_oltr.scoring.reachability import Reachability, ReachabilityConfig

ScoreConfig = Annotated[
    AdaptiveSnormConfig
    | CentroidConfig
    | CosineConfig
    | ExtremeValueConfig
    | NacConfig
    | NegativeCohortConfig
    | ReachabilityConfig,
    Field(discriminator="kind"),
]

__all__ = [
    "AdaptiveSnorm",
    "AdaptiveSnormConfig",
    "Centroid",
    "CentroidConfig",
    "CohortFaces",
    "Cosine",
    "CosineConfig",
    "ExtremeValue",
    "ExtremeValueConfig",
    "FittedRule",
    "GalleryFaces",
    "Nac",
    "NacConfig",
    "NegativeCohort",
    "NegativeCohortConfig",
    "Negatives",
    "Reachability",
    "ReachabilityConfig",
    "ScoreConfig",
    "ScoreRule",
    "unit_means",
]
