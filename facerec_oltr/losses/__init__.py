"""Losses: a batch after the forward pass → a scalar with a finite gradient, the same for a permuted batch."""

from typing import Annotated

from pydantic import Field

from facerec_oltr.losses._base import Batch, Loss
from facerec_oltr.losses.adaface import AdaFace, AdaFaceConfig
from facerec_oltr.losses.balanced_softmax import BalancedSoftmaxConfig, balanced_softmax
from facerec_oltr.losses.cross_entropy import CrossEntropyConfig, cross_entropy
from facerec_oltr.losses.disc_centroids import DiscCentroids, DiscCentroidsConfig
from facerec_oltr.losses.disc_centroids_authors import DiscCentroidsAuthorsConfig, disc_centroids_authors
from facerec_oltr.losses.elastic import Elastic, ElasticConfig
from facerec_oltr.losses.focal import Focal, FocalConfig
from facerec_oltr.losses.ldam import Ldam, LdamConfig
from facerec_oltr.losses.lifted import Lifted, LiftedConfig
from facerec_oltr.losses.logit_adjusted import LogitAdjusted, LogitAdjustedConfig
from facerec_oltr.losses.magface import MagFace, MagFaceConfig
from facerec_oltr.losses.margin import Margin, MarginConfig
from facerec_oltr.losses.range import Range, RangeConfig

LossConfig = Annotated[
    AdaFaceConfig
    | BalancedSoftmaxConfig
    | CrossEntropyConfig
    | DiscCentroidsAuthorsConfig
    | DiscCentroidsConfig
    | ElasticConfig
    | FocalConfig
    | LdamConfig
    | LiftedConfig
    | LogitAdjustedConfig
    | MagFaceConfig
    | MarginConfig
    | RangeConfig,
    Field(discriminator="kind"),
]

__all__ = [
    "AdaFace",
    "AdaFaceConfig",
    "BalancedSoftmaxConfig",
    "Batch",
    "CrossEntropyConfig",
    "DiscCentroids",
    "DiscCentroidsAuthorsConfig",
    "DiscCentroidsConfig",
    "Elastic",
    "ElasticConfig",
    "Focal",
    "FocalConfig",
    "Ldam",
    "LdamConfig",
    "Lifted",
    "LiftedConfig",
    "LogitAdjusted",
    "LogitAdjustedConfig",
    "Loss",
    "LossConfig",
    "MagFace",
    "MagFaceConfig",
    "Margin",
    "MarginConfig",
    "Range",
    "RangeConfig",
    "balanced_softmax",
    "cross_entropy",
    "disc_centroids_authors",
]
