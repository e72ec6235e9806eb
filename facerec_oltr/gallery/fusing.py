"""How the templates of an identity make one score: the best of their cosines with a probe, or a mean of them."""

import numpy as np
import numpy.typing as npt

from facerec_oltr.gallery.records import Fusion, Vectors
from facerec_oltr.metrics.exact import dot_scores


def mean_vectors(vectors: Vectors, of: npt.NDArray[np.integer], weights: npt.NDArray[np.float64]) -> Vectors:
    """The weighted mean (P, D) of the vectors (n, D) of each person, whose product with a probe is the cosines' mean.

    Args:
        vectors: templates, at least one a person.
        of: (n,) whose each one is, 0 to P - 1.
        weights: (n,) above 0.
    """
    totals = np.bincount(of, weights)
    sums = np.zeros((len(totals), vectors.shape[1]))
    np.add.at(sums, of, weights[:, None] * vectors)
    return (sums / totals[:, None]).astype(np.float32)


def fused_rows(vectors: Vectors, qualities: npt.NDArray[np.float64], fusion: Fusion) -> Vectors:
    """Rows (n, D) or (1, D) of one person's templates (n, D), whose best product with a probe is the score."""
    if fusion is Fusion.MAX:
        return vectors
    weights = qualities if fusion is Fusion.QUALITY else np.ones(len(vectors))
    return mean_vectors(vectors, np.zeros(len(vectors), np.int64), weights)


def fused_score(probe: Vectors, vectors: Vectors, qualities: npt.NDArray[np.float64], fusion: Fusion) -> float:
    """The score of a probe (D,) with one person's templates (n, D), to the last bit as a search gives it."""
    return float(dot_scores(fused_rows(vectors, qualities, fusion), probe).max())
