"""How many mates an index loses: those that come first where everything is compared, and not by it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facerec_oltr.gallery.index._kind import Kind
from facerec_oltr.gallery.index._rows import GONE
from facerec_oltr.gallery.index._scores import lengths, single_slack
from facerec_oltr.gallery.index.exact import found_by_product
from facerec_oltr.gallery.records import Vectors

COSINE, DEVIATION = 0.58, 0.12  # of a photo to another of the same person, normally distributed
_POOL = 512  # vectors that are mixed, each of them too little to be near
HARD = 0.45  # mates below this cosine are hard


@dataclass(frozen=True)
class LostMates:
    """What an index loses, measured.

    Attributes:
        lost: share of mates that it did not give first; NaN where there are none.
        probes: how many mates come first in an exact search.
        lost_hard: the same of mates at a cosine below ``HARD``; NaN where there are none.
        hard: how many these are.
    """

    lost: float
    probes: int
    lost_hard: float
    hard: int

    def __str__(self) -> str:
        hard = f", {self.lost_hard:.1%} of the {self.hard:,} hard ones" if self.hard else ""
        return f"loses {self.lost:.1%} of the mates{hard} ({self.probes:,} probes like held vectors)"


def lost_mates(index: Kind, rng: np.random.Generator, *, sample: int = 1000) -> LostMates:
    """Search vectors like held ones, and compare with the exact answer.

    Probes lie at cosines of N(0.58, 0.12) from held vectors, as another photo of the person would, in directions that
    mixtures of held vectors give, so that they are spread as faces are.

    Args:
        index: holds two vectors or more.
        rng: draws vectors, directions and cosines.
        sample: how many probes, or as many as there are vectors.
    """
    rows = index.rows
    kept = np.flatnonzero(rows.keys != GONE)
    chosen = rng.choice(kept, min(sample, len(kept)), replace=False)
    pool = rows.vectors[rng.choice(kept, min(_POOL, len(kept)), replace=False)]
    directions = rng.standard_normal((len(chosen), len(pool))).astype(np.float32) @ pool
    probes = mates_of(rows.vectors[chosen], directions, rng)
    slack = single_slack(index.dimensions, rows.longest, lengths(probes))
    scores, best = (np.concatenate(part) for part in zip(*found_by_product(index, probes, 1, slack), strict=True))
    mated = best == chosen
    lost = (index.search_rows(probes, 1)[1][:, 0] != best)[mated]
    hard = scores[mated] < HARD * np.linalg.norm(rows.vectors[chosen[mated]], axis=1)
    return LostMates(_share(lost), len(lost), _share(lost[hard]), int(hard.sum()))


def _share(lost: npt.NDArray[np.bool_]) -> float:
    return float(lost.mean()) if len(lost) else float("nan")


def mates_of(vectors: Vectors, directions: Vectors, rng: np.random.Generator) -> Vectors:
    """Vectors of length 1 at cosines of N(0.58, 0.12) from the given ones (n, D), turned towards directions (n, D)."""
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    aside = directions - (directions * units).sum(axis=1, keepdims=True) * units
    aside += 1e-6 * rng.standard_normal(aside.shape)  # where a direction is the vector itself
    aside -= (aside * units).sum(axis=1, keepdims=True) * units
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    cosines = np.clip(rng.normal(COSINE, DEVIATION, (len(units), 1)), -1, 1)
    return (cosines * units + np.sqrt(1 - cosines**2) * aside).astype(np.float32)
