"""Losses: a batch after the forward pass → a scalar with a finite gradient, the same for a permuted batch."""

from typing import Annotated

from pydantic import Field

from facerec_oltr.losses._base import Batch, Loss
from facerec_oltr.losses.cross_entropy import CrossEntropyConfig, cross_entropy
from facerec_oltr.losses.disc_centroids import DiscCentroids, DiscCentroidsConfig

LossConfig = Annotated[CrossEntropyConfig | DiscCentroidsConfig, Field(discriminator="kind")]

__all__ = [
    "Batch",
    "CrossEntropyConfig",
    "DiscCentroids",
    "DiscCentroidsConfig",
    "Loss",
    "LossConfig",
    "cross_entropy",
]
