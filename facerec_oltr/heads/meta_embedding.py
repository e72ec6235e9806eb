"""The OLTR memory: the dynamic meta-embedding over class centroids, read by a cosine classifier (CVPR 2019, 4.1).

    v_memory = Σ_c o_c m_c,  o = softmax(W_h v + b_h)          the hallucinator chooses centroids
    e        = tanh(W_e v + b_e)                               the concept selector gates them
    γ        = min_c ‖v − m_c‖                                 reachability: far from all centroids = unfamiliar
    v_meta   = (s/γ) (v + e ⊗ v_memory)
    logits   = squashed cosine of v_meta

The factor s = 10 is the authors' code's; it is not in the paper's equation. As in their code no gradient reaches M from
the logits. How M comes to be is a choice:

    recomputed       the exact class means, when the stage begins and at the end of each epoch
    moving_average   the exact class means when the stage begins; then each batch moves the centroids of its classes:
                     m ← μ m + (1 − μ) · mean of the batch's features of that class
    parameter        as the authors' ``DiscCentroidsLoss``: the class means when the stage begins, then a weight that
                     SGD moves by the gradient of the loss `disc_centroids_authors` and shrinks by weight decay; at the
                     end of training it lags far behind the class means

Distances take O(B·C) memory, the authors' O(B·C·D). γ has a floor; theirs divides by zero on a centroid.

What can be left out or put in another's place, one at a time, to see what each part is worth:

    hallucinator   inherited: W_h, b_h start as the classifier of the stage before; random: they start at random;
                   centroids: o = softmax(σ cos(v, m_c)) without weights, so that it needs no training and no class
                   can be forgotten
    selector       learned: e as above; from_zero: the same, but W_e and b_e start at 0, so that training begins
                   without memory and takes in what helps; none: e = 0, no memory is read; whole: e = 1
    reach          scale: s/γ as above; none: 1 in its place, and γ is left to an open-set rule of its own
    classifier     inherited: from a cosine classifier of the stage before, else at random; centroids: from the class
                   means, of length 1, so that training begins where the nearest class mean stands
    squashed       whether the classifier squashes v_meta or normalises it; normalised, no factor in front of it counts
    unit           whether v and the centroids are brought to length 1 before all this

With `top_k` the softmax goes over the k largest scores of the hallucinator alone. Four of the head's nine products of
the size B·C·D fall away, and v_memory is exact as far as those k held all of the softmax; where it is flat, it is not.
"""

from typing import Annotated, ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from facerec_oltr.components import Config
from facerec_oltr.heads._base import ClassMeans, Head, Moment
from facerec_oltr.heads._cosines import cosines
from facerec_oltr.heads.cosine import Cosine
from facerec_oltr.heads.dot_product import DotProduct
from facerec_oltr.nearest import nearest_centroids
from facerec_oltr.ranks import into_shards, largest_over_ranks, out_of_shards

MemoryKind = Literal["recomputed", "moving_average", "parameter"]
Hallucinator = Literal["inherited", "random", "centroids"]
Selector = Literal["learned", "from_zero", "none", "whole"]


def reachability(features: Tensor, memory: Tensor, floor: float = 1e-6, *, sharded: bool = False) -> Tensor:
    """γ, the distance of each feature (B, D) to its nearest centroid of (C, D), as (B,); at least `floor`.

    Products find which centroid is nearest, the difference to that one tells the distance: so γ keeps its digits on a
    centroid, where ‖v‖² − 2 v·m + ‖m‖² has none left. Of centroids that lie equally far, as far as such a sum can tell,
    one is taken, and γ follows that one alone, as the authors' sort does.
    """
    return (features - nearest_centroids(features, memory, sharded=sharded)).norm(dim=1).clamp_min(floor)


def from_memory(features: Tensor, hallucinator: nn.Linear, memory: Tensor, top_k: int | None = None) -> Tensor:
    """v_memory (B, D): the centroids (C, D), weighted by the softmax of the hallucinator's `top_k` largest scores.

    None takes all C, as a k of C or more does. The k rows that a feature chooses are copied: (B, k, D).
    """
    if top_k is None:
        return torch.softmax(hallucinator(features), dim=1) @ memory
    with torch.no_grad():
        scores = hallucinator(features)
        chosen = scores.topk(min(top_k, len(memory)), dim=1, sorted=False).indices
        del scores
    rows, bias = F.embedding(chosen, hallucinator.weight), hallucinator.bias[chosen]
    weights = torch.softmax((rows @ features.unsqueeze(2)).squeeze(2) + bias, dim=1)
    return (weights.unsqueeze(1) @ memory[chosen]).squeeze(1)


def likeness(features: Tensor, memory: Tensor, scale: float, *, sharded: bool = False) -> Tensor:
    """The scores (B, C) by which centroids (C, D) choose themselves: `scale` times the features' cosines to them."""
    directions = scale * F.normalize(features)
    return cosines(into_shards(directions) if sharded else directions, memory)


def from_split_memory(scores: Tensor, memory: Tensor) -> Tensor:
    """v_memory (B, D) where each rank holds the scores and centroids of its own classes: (B,) and (B, D) cross."""
    scores = scores.float()
    weights = (scores - largest_over_ranks(scores.detach().amax(dim=1)).unsqueeze(1)).exp()
    return out_of_shards(weights @ memory) / out_of_shards(weights.sum(dim=1, keepdim=True))


class MetaEmbedding(Head):
    """The dynamic meta-embedding.

    Args:
        features: D.
        classes: C.
        reach_scale: s.
        cosine_scale: σ of the cosine classifier.
        memory: how the centroids come to be; see the module's words.
        momentum: μ of the moving average.
        floor: the least γ; 0 as in the authors' code, which gives NaN on a centroid.
        top_k: how many centroids each feature reads; None for all, as in the paper.
        hallucinator: what chooses them; this and what follows: see the module's words.
        selector: what gates them.
        reach: whether 1/γ scales.
        classifier: where the cosine classifier starts.
        squashed: whether it squashes.
        unit: whether all vectors have length 1.
    """

    embeddings: ClassVar[tuple[str, ...]] = ("direct", "meta")
    by_class: tuple[str, ...] = ("memory", "classifier.weight", "hallucinator.weight", "hallucinator.bias")
    memory: Tensor  # pyright: ignore[reportIncompatibleVariableOverride]  # never None here

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        reach_scale: float,
        cosine_scale: float,
        memory: MemoryKind = "recomputed",
        momentum: float = 0.9,
        floor: float = 1e-6,
        top_k: int | None = None,
        hallucinator: Hallucinator = "inherited",
        selector: Selector = "learned",
        reach: bool = True,
        classifier: Literal["inherited", "centroids"] = "inherited",
        squashed: bool = True,
        unit: bool = False,
    ) -> None:
        super().__init__()
        self.reach_scale, self.momentum, self.floor, self.memory_kind = reach_scale, momentum, floor, memory
        self.top_k, self.cosine_scale, self.reach, self.unit = top_k, cosine_scale, reach, unit
        self.hallucinates_by, self.selects_by, self.classifies_from = hallucinator, selector, classifier
        centroids = torch.zeros(classes, features)
        if memory == "parameter":
            del self.memory  # the base's empty buffer of this name
            self.register_parameter("memory", nn.Parameter(centroids))
        else:
            self.register_buffer("memory", centroids)
        if hallucinator == "centroids":
            self.by_class = ("memory", "classifier.weight")
        else:
            self.hallucinator = nn.Linear(features, classes)
        if selector in ("learned", "from_zero"):
            self.selector = nn.Linear(features, features)
        if selector == "from_zero":
            nn.init.zeros_(self.selector.weight)
            nn.init.zeros_(self.selector.bias)
        self.classifier = Cosine(features, classes, scale=cosine_scale, squashed=squashed)

    def inherit(self, previous: Head) -> None:
        """Start from a classifier, which makes sense if the feature space is the same.

        A linear one is taken over by the hallucinator. The weights of a cosine one with a centre a class, as margins
        train it, become the hallucinator's and the cosine classifier's: of 75,000 people most have a few photos, too
        few to learn a classifier anew.
        """
        takes = self.hallucinates_by == "inherited"
        if isinstance(previous, DotProduct):
            if takes:
                self.hallucinator.load_state_dict(previous.fc.state_dict())
        elif isinstance(previous, Cosine) and previous.centres == 1:
            with torch.no_grad():
                if takes:
                    self.hallucinator.weight.copy_(previous.weight)
                    self.hallucinator.bias.zero_()
                self.classifier.weight.copy_(previous.weight)

    def split(self, classes: int) -> None:
        """Keep this rank's classes, of the classifier too."""
        super().split(classes)
        self.classifier.shard = self.shard

    def refresh(self, class_means: ClassMeans, when: Moment) -> None:
        """Set every centroid to the mean of its class's training features, at the moments that its kind asks for."""
        if self.memory_kind == "recomputed" or when == "stage begins":
            with torch.no_grad():
                means = class_means()
                self.memory.copy_(self.own_rows(means, len(means)))
                if self.classifies_from == "centroids" and when == "stage begins":
                    self.classifier.weight.copy_(F.normalize(self.memory))

    @torch.no_grad()
    def observe(self, features: Tensor, labels: Tensor) -> None:
        """Move the centroids of the batch's classes, where the memory is a moving average."""
        if self.memory_kind != "moving_average":
            return
        start = 0 if self.shard is None else self.shard.start
        here = (labels >= start) & (labels < start + len(self.memory))
        classes, row = (labels[here] - start).unique(return_inverse=True)
        sums = features.new_zeros(len(classes), features.shape[1]).index_add_(0, row, features.detach()[here])
        means = sums / row.bincount(minlength=len(classes)).unsqueeze(1)
        self.memory[classes] = self.momentum * self.memory[classes] + (1 - self.momentum) * means

    def embed(self, features: Tensor, embedding: str) -> Tensor:
        """Give the features (``direct``) or the meta-embedding (``meta``), both (B, D)."""
        if embedding == "direct":
            return features
        assert embedding == "meta", embedding
        memory, sharded = self.memory.detach(), self.shard is not None
        if self.unit:
            features, memory = F.normalize(features), F.normalize(memory)
        enriched = self._enriched(features, memory)
        if not self.reach:
            return enriched
        reach = reachability(features, memory, self.floor, sharded=sharded)
        return (self.reach_scale / reach).unsqueeze(1) * enriched

    def _enriched(self, features: Tensor, memory: Tensor) -> Tensor:
        """The features (B, D) with what the memory (C, D) adds to them."""
        if self.selects_by == "none":
            return features
        v_memory = self._from_memory(features, memory)
        return features + (v_memory if self.selects_by == "whole" else torch.tanh(self.selector(features)) * v_memory)

    def _from_memory(self, features: Tensor, memory: Tensor) -> Tensor:
        """v_memory (B, D)."""
        sharded, by_cosine = self.shard is not None, self.hallucinates_by == "centroids"
        if not sharded and not by_cosine:
            return from_memory(features, self.hallucinator, memory, self.top_k)
        if by_cosine:
            scores = likeness(features, memory, self.cosine_scale, sharded=sharded)
        else:
            scores = F.linear(into_shards(features), self.hallucinator.weight, self.hallucinator.bias)
        return from_split_memory(scores, memory) if sharded else torch.softmax(scores, dim=1) @ memory

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, D) to (B, C)."""
        return self.classifier(self.embed(features, "meta"))


class MetaEmbeddingConfig(Config):
    """Choices of the meta-embedding; the scales are the authors'."""

    keeps_memory: ClassVar[bool] = True
    kind: Literal["meta_embedding"] = "meta_embedding"
    reach_scale: Annotated[float, Field(gt=0)] = 10.0
    cosine_scale: Annotated[float, Field(gt=0)] = 16.0
    memory: MemoryKind = "recomputed"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    floor: Annotated[float, Field(ge=0)] = 1e-6
    top_k: Annotated[int, Field(ge=1)] | None = None
    hallucinator: Hallucinator = "inherited"
    selector: Selector = "learned"
    reach: bool = True
    classifier: Literal["inherited", "centroids"] = "inherited"
    squashed: bool = True
    unit: bool = False

    @model_validator(mode="after")
    def _centroids_are_read_whole(self) -> Self:
        if self.hallucinator == "centroids" and self.top_k is not None:
            raise ValueError(
                "top_k has no meaning with hallucinator = 'centroids', which reads all; remove one of both"
            )
        return self

    @property
    def splits_by_class(self) -> bool:
        """Not where SGD moves the memory by the authors' loss, nor where each feature reads a few centroids of all."""
        return self.memory != "parameter" and self.top_k is None

    def build(self, *, features: int, classes: int) -> MetaEmbedding:
        """Build the head for D features and C classes."""
        return MetaEmbedding(
            features,
            classes,
            reach_scale=self.reach_scale,
            cosine_scale=self.cosine_scale,
            memory=self.memory,
            momentum=self.momentum,
            floor=self.floor,
            top_k=self.top_k,
            hallucinator=self.hallucinator,
            selector=self.selector,
            reach=self.reach,
            classifier=self.classifier,
            squashed=self.squashed,
            unit=self.unit,
        )
