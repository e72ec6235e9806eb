"""The OLTR memory: the dynamic meta-embedding over class centroids, read by a cosine classifier (CVPR 2019, 4.1).

    v_memory = Σ_c o_c m_c,  o = softmax(W_h v + b_h)          the hallucinator chooses centroids
    e        = tanh(W_e v + b_e)                               the concept selector gates them
    γ        = min_c ‖v − m_c‖                                 reachability: far from all centroids = unfamiliar
    v_meta   = (s/γ) (v + e ⊗ v_memory)
    logits   = squashed cosine of v_meta

Where this differs from the authors' ``MetaEmbeddingClassifier``: the memory M is a buffer, recomputed exactly at the
start of each epoch, where theirs is a parameter that weight decay shrinks and SGD hardly moves; distances take
O(B·C) memory, theirs O(B·C·D); γ has a floor, theirs divides by zero on a centroid. Kept as theirs: no gradient
reaches M from the logits; the factor s = 10, which is not in the paper's equation.
"""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from facerec_oltr.components import Config
from facerec_oltr.heads._base import Head
from facerec_oltr.heads.cosine import Cosine
from facerec_oltr.heads.dot_product import DotProduct

_SMALLEST_DISTANCE = 1e-6


def reachability(features: Tensor, memory: Tensor) -> Tensor:
    """γ, the distance of each feature (B, D) to its nearest centroid of (C, D), as (B,); at least 1e-6."""
    return torch.cdist(features, memory).amin(dim=1).clamp_min(_SMALLEST_DISTANCE)


class MetaEmbedding(Head):
    """The dynamic meta-embedding.

    Args:
        features: D.
        classes: C.
        reach_scale: s.
        cosine_scale: σ of the cosine classifier.
    """

    embeddings: ClassVar[tuple[str, ...]] = ("direct", "meta")
    memory: Tensor  # pyright: ignore[reportIncompatibleVariableOverride]  # never None here

    def __init__(self, features: int, classes: int, *, reach_scale: float, cosine_scale: float) -> None:
        super().__init__()
        self.reach_scale = reach_scale
        self.register_buffer("memory", torch.zeros(classes, features))
        self.hallucinator = nn.Linear(features, classes)
        self.selector = nn.Linear(features, features)
        self.classifier = Cosine(features, classes, scale=cosine_scale, squashed=True)

    def inherit(self, previous: Head) -> None:
        """Start the hallucinator from a linear classifier that was trained on the same feature space."""
        if isinstance(previous, DotProduct):
            self.hallucinator.load_state_dict(previous.fc.state_dict())

    def refresh(self, class_means: Callable[[], Tensor]) -> None:
        """Set every centroid to the mean of its class's training features."""
        self.memory.copy_(class_means())

    def embed(self, features: Tensor, embedding: str) -> Tensor:
        """Give the features (``direct``) or the meta-embedding (``meta``), both (B, D)."""
        if embedding == "direct":
            return features
        assert embedding == "meta", embedding
        chosen = torch.softmax(self.hallucinator(features), dim=1) @ self.memory
        enriched = features + torch.tanh(self.selector(features)) * chosen
        return (self.reach_scale / reachability(features, self.memory)).unsqueeze(1) * enriched

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, D) to (B, C)."""
        return self.classifier(self.embed(features, "meta"))


class MetaEmbeddingConfig(Config):
    """Choices of the meta-embedding; the defaults are the authors'."""

    keeps_memory: ClassVar[bool] = True
    kind: Literal["meta_embedding"] = "meta_embedding"
    reach_scale: Annotated[float, Field(gt=0)] = 10.0
    cosine_scale: Annotated[float, Field(gt=0)] = 16.0

    def build(self, *, features: int, classes: int) -> MetaEmbedding:
        """Build the head for D features and C classes."""
        return MetaEmbedding(features, classes, reach_scale=self.reach_scale, cosine_scale=self.cosine_scale)
