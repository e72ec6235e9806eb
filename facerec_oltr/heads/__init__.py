"""Heads: features (B, D) → logits (B, C), with memory O(B·C + C·D), never O(B·C·D).

A head may keep a memory of class centroids, take over what an earlier stage's head has learned, answer otherwise in
training, and offer further face embeddings than the features themselves; `Head` says how the trainer asks for each.
"""

from typing import Annotated

from pydantic import Field

from facerec_oltr.heads._base import ClassMeans, Head, Moment
from facerec_oltr.heads.cosine import Cosine, CosineConfig
from facerec_oltr.heads.dot_product import DotProduct, DotProductConfig
from facerec_oltr.heads.lws import Lws, LwsConfig
from facerec_oltr.heads.meta_embedding import MetaEmbedding, MetaEmbeddingConfig
from facerec_oltr.heads.ncm import Ncm, NcmConfig
from facerec_oltr.heads.tau_norm import TauNorm, TauNormConfig
from facerec_oltr.heads.weight_generator import WeightGenerator, WeightGeneratorConfig

HeadConfig = Annotated[
    DotProductConfig
    | CosineConfig
    | LwsConfig
    | MetaEmbeddingConfig
    | NcmConfig
    | TauNormConfig
    | WeightGeneratorConfig,
    Field(discriminator="kind"),
]

__all__ = [
    "ClassMeans",
    "Cosine",
    "CosineConfig",
    "DotProduct",
    "DotProductConfig",
    "Head",
    "HeadConfig",
    "Lws",
    "LwsConfig",
    "MetaEmbedding",
    "MetaEmbeddingConfig",
    "Moment",
    "Ncm",
    "NcmConfig",
    "TauNorm",
    "TauNormConfig",
    "WeightGenerator",
    "WeightGeneratorConfig",
]
