"""Cosine classifiers: the angle to a class's weight decides, so a class with many photos gains nothing by its norm.

    logit_k = σ · f(v) · w_k / ‖w_k‖,   f(v) = v / ‖v‖  or, squashed as OLTR does it,  f(v) = v / (1 + ‖v‖)

With K centres a class has K weights and its cosine is that to the nearest: a person's odd photos, or somebody else's
under the same name, gather around a centre of their own (sub-centre ArcFace, Deng et al., ECCV 2020).

With `sample` below 1 each step compares the batch with that share of the classes alone: the batch's own, and others
drawn at random (PartialFC, An et al., CVPR 2022). A step then costs that share of the products, the gradient and the
optimiser's work. Classes that were not drawn rest: unlike in arcface_torch's second PartialFC, neither their momentum
nor weight decay moves them. What a whole step gains depends on the backbone; docs/scaling.md has it measured.

The squashed form is the authors' ``CosNorm``: n/(1+n) · v/n with n = ‖v‖, written without the division by n that
gives NaN at v = 0. (Their paper's equation 6 has n²/(1+n²); the authors call that a misprint.)
"""

import math
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from facerec_oltr.components import Config
from facerec_oltr.heads._base import Head
from facerec_oltr.heads._cosines import cosines
from facerec_oltr.ranks import into_shards


def squash(v: Tensor) -> Tensor:
    """Shrink vectors (B, D) to a length below 1: n ↦ n/(1+n), direction kept, 0 ↦ 0."""
    return v / (1 + v.norm(dim=1, keepdim=True))


class Cosine(Head):
    """A cosine classifier.

    Args:
        features: D.
        classes: C.
        scale: σ; every |logit| stays below it.
        learned_scale: learn σ too, from `scale`.
        squashed: shrink the feature by n/(1+n) instead of normalising it, so that a weak feature is a weak vote.
        centres: K; the weights of a class stand one after another.
        sample: share of the classes, of a split head of each rank's own, that a training step compares with.
    """

    by_class: tuple[str, ...] = ("weight",)

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        scale: float,
        squashed: bool,
        centres: int = 1,
        learned_scale: bool = False,
        sample: float = 1.0,
    ) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale)) if learned_scale else scale
        self.squashed, self.centres, self.sample = squashed, centres, sample
        self._drawn: tuple[Tensor, Tensor] | None = None
        self.weight = nn.Parameter(torch.empty(classes * centres, features))
        bound = 1 / math.sqrt(features)
        nn.init.uniform_(self.weight, -bound, bound)

    def inherit(self, previous: Head) -> None:
        """Go on from a cosine classifier: from its weights, and a scale that is learned goes on from its scale."""
        if isinstance(previous, Cosine):
            self.weight.data.copy_(previous.weight.data)
            if isinstance(self.scale, nn.Parameter):
                self.scale.data.copy_(torch.as_tensor(previous.scale).detach())

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, D) to (B, C)."""
        return self.against(features, self.weight)

    def training_logits(self, features: Tensor, labels: Tensor, images: Tensor) -> Tensor:
        """Map (B, D) to (B, C), or to (B, C') where classes are drawn, by torch's generator."""
        if self.sample == 1:
            return self(features)
        start, held = (0 if self.shard is None else self.shard.start), len(self.weight) // self.centres
        own = labels[(labels >= start) & (labels < start + held)] - start
        classes = _drawn(own, held, round(self.sample * held))
        each = torch.arange(self.centres, device=labels.device)
        index = (classes.unsqueeze(1) * self.centres + each).flatten()
        rows = self.weight.detach()[index].requires_grad_()
        self.columns, self._drawn = classes + start, (index, rows)
        return self.against(features, rows)

    def drawn(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Which rows the last training logits drew; see ``Head.drawn``."""
        return {} if self._drawn is None else {"weight": self._drawn}

    def against(self, features: Tensor, weight: Tensor) -> Tensor:
        """Compare (B, D) with other weights (K, D): (B, K)."""
        direction = self.scale * (squash(features) if self.squashed else F.normalize(features))
        logits = cosines(direction if self.shard is None else into_shards(direction), weight)
        return logits if self.centres == 1 else logits.unflatten(1, (-1, self.centres)).amax(dim=2)


def _drawn(own: Tensor, classes: int, number: int) -> Tensor:
    """The classes `own`, and as many others of [0, C) as make `number` of them, ascending."""
    chances = torch.rand(classes).to(own.device)
    chances[own] = 2.0  # above all that is drawn
    return chances.topk(max(number, len(own.unique()))).indices.sort().values


class CosineConfig(Config):
    """Choices of a cosine classifier; σ = 16 is OLTR's."""

    splits_by_class: ClassVar[bool] = True

    keeps_memory: ClassVar[bool] = False
    kind: Literal["cosine"] = "cosine"
    scale: Annotated[float, Field(gt=0)] = 16.0
    squashed: bool = False
    centres: Annotated[int, Field(ge=1)] = 1
    learned_scale: bool = False
    sample: Annotated[float, Field(gt=0, le=1)] = 1.0

    def build(self, *, features: int, classes: int) -> Cosine:
        """Build the head for D features and C classes."""
        return Cosine(
            features,
            classes,
            scale=self.scale,
            squashed=self.squashed,
            centres=self.centres,
            learned_scale=self.learned_scale,
            sample=self.sample,
        )
