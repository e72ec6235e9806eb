"""OLTR's dynamic meta-embedding over the people enrolled, so that the memory knows those it was never trained on.

The paper (Liu et al., CVPR 2019, 4.1), with the gallery's centroids as the memory M = {m_c}, one an identity, the mean
of its templates, of length 1 as all vectors here are:

    o        = softmax(t · cos(v, m_c))     in place of softmax(W_h v + b_h)
    v_memory = Σ_c o_c m_c
    γ        = min_c ‖v − m_c‖
    v_meta   = (r/γ) (v + e ⊗ v_memory)
    score(p, g) = n / (1 + n) · cos(v_meta, m_g),   n = ‖v_meta‖

r = 1 is the paper's equation, r = 10 the authors' code's. The last line is the authors' cosine classifier (their
``CosNorm``) with the centroids as its weights and without its scale 16, which orders nothing. Far from everybody γ is
large, n small, and the score falls: what only scales the logits in OLTR is here what rejects.

Left out are the parts that are trained on a closed set of classes, for there are none that fit people enrolled later:
the hallucinator's weights W_h, replaced by the centroids themselves; and the concept selector e = tanh(W_e v + b_e),
replaced by a number for all features. Modulated attention and the losses belong to the network that made v.
Compare it with `centroid`, not with the cosine alone: on LFW with three templates a person it found more than the
cosine with the nearest of them, and that was owed to the mean template: over `centroid` it gains a tenth of a point at
most (benchmarks/README.md).
`heads/meta_embedding.py` has the trained form, `open_set/reachability.py` the bare −γ.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from facerec_oltr.scoring._base import (
    CohortFaces,
    FittedRule,
    Floats,
    GalleryFaces,
    Ids,
    Negatives,
    ScoreRule,
    blocks,
    candidate_cosines,
    ordered,
)

_FLOOR = 1e-6  # the least γ, as the head has it; the authors' code divides by zero on a centroid


@dataclass(frozen=True, eq=False)
class Reachability(FittedRule):
    """The rule with the memory (N, D)."""

    memory: npt.NDArray[np.float32]
    selector: float
    temperature: float
    reach_scale: float

    def _scores(self, probes: Floats, columns: Ids, cosines: Floats) -> Floats:
        nearest, recalled = self._recalled(probes)
        gamma = np.linalg.norm(probes - self.memory[nearest], axis=1, keepdims=True).clip(min=_FLOOR)
        meta = self.reach_scale / gamma * (probes + self.selector * recalled)
        # n / (1 + n) · (meta · m) / n, without the division by n that fails at 0
        return candidate_cosines(meta, self.memory, columns) / (1 + np.linalg.norm(meta, axis=1, keepdims=True))

    def _recalled(self, probes: Floats) -> tuple[Ids, Floats]:
        """The nearest centroid (b,) of each probe, and its v_memory (b, D), some of the memory at a time.

        Of centroids of length 1 the nearest is the most similar. The softmax is summed from the highest similarity so
        far, and what was summed before shrinks when a higher one comes.
        """
        nearest, top = np.zeros(len(probes), np.int64), np.full(len(probes), -np.inf)
        weights, recalled = np.zeros(len(probes)), np.zeros_like(probes)
        for some in blocks(len(self.memory), max(self.dimensions, len(probes))):
            memory = self.memory[some].astype(np.float64)
            similarities = probes @ memory.T
            best = similarities.argmax(axis=1)
            highest = np.take_along_axis(similarities, best[:, None], axis=1)[:, 0]
            nearest = np.where(highest > top, some.start + best, nearest)
            highest = np.maximum(highest, top)
            shrunk = np.exp(self.temperature * (top - highest))
            shares = np.exp(self.temperature * (similarities - highest[:, None]))
            weights = weights * shrunk + shares.sum(axis=1)
            recalled = recalled * shrunk[:, None] + shares @ memory
            top = highest
        return nearest, recalled / weights[:, None]


class ReachabilityConfig(ScoreRule):
    """The choices.

    Attributes:
        selector: e, from 0 (the memory only measures how far a probe is) to 1, the bounds of the paper's tanh.
        temperature: t, how sharply the nearest centroids are chosen.
        reach_scale: r.
    """

    kind: Literal["reachability"] = "reachability"
    selector: Annotated[float, Field(ge=-1, le=1)] = 0.5
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 16.0
    reach_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0

    def fit(
        self, gallery: GalleryFaces, cohort: CohortFaces | None = None, negatives: Negatives | None = None
    ) -> Reachability:
        """Take the centroids; cohort and negatives are not read."""
        enrolled = ordered(gallery)
        memory = enrolled.unit_means()
        identities = enrolled.identities
        return Reachability(identities, enrolled.dimensions, memory, self.selector, self.temperature, self.reach_scale)
