"""Impostor searches from a gallery alone: each template searched among all the other identities.

Where no strangers are at hand, the enrolled people are each other's. What is measured so is FPIR(N - 1): the person
whose template is searched is struck out of the gallery. It flatters where the gallery's photos were taken alike and a
stranger's are not, and nothing else about strangers can be learnt from it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import MetricError
from facerec_oltr.metrics._scores import checked_scores

Ids = npt.NDArray[np.int64]
Search = Callable[[npt.NDArray[np.floating]], tuple[npt.ArrayLike, npt.ArrayLike]]

_BLOCK = 1 << 22  # numbers of a block of products: 16 MB as float32


@dataclass(frozen=True, eq=False)
class ImpostorSearches:
    """Non-mated searches, as `calibration.calibrate_threshold` takes them.

    Attributes:
        maxima: (U,) highest score among the other identities; -inf where there was none.
        people: (U,) whose template was searched.
    """

    maxima: npt.NDArray[np.float64]
    people: Ids


def leave_one_out(
    vectors: npt.ArrayLike,
    identities: npt.ArrayLike,
    *,
    search: Search | None = None,
    most_people: int | None = None,
    rng: np.random.Generator,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ImpostorSearches:
    """Search each template among all identities but its own.

    Args:
        vectors: (T, D) the gallery's templates.
        identities: (T,) whose each one is.
        search: gives for (B, D) the scores of K >= 2 identities each, fused and by any rule, and their numbers, both
            (B, K): the best K of all, so that a best one is left when the own is struck out. If None, the best
            template is looked for by dot products, which takes O(T² D) time and little memory.
        most_people: search the templates of at most so many people, drawn by `rng`; among everybody all the same.
        rng: the source of that draw.
        on_progress: called with the templates searched, and of all.

    Raises:
        MetricError: sizes that do not fit, fewer than two people, a NaN score, a search that gives one identity.
    """
    vectors, owners = np.asarray(vectors), np.asarray(identities, np.int64)
    each = np.unique(owners)
    if vectors.ndim != 2 or owners.shape != (len(vectors),):
        raise MetricError(f"found templates of shape {vectors.shape} and owners of shape {owners.shape}")
    if len(each) < 2:
        raise MetricError(
            f"{len(each)} people are enrolled: nobody is left to search among without the person searched; "
            "enrol more, or calibrate with strangers"
        )
    if most_people is not None and most_people < len(each):
        each = np.sort(rng.permutation(each)[:most_people])
    searched = np.flatnonzero(np.isin(owners, each))
    best = np.empty(len(searched))
    found = _products(vectors, owners) if search is None else search
    step = max(1, _BLOCK // len(vectors))
    for start in range(0, len(searched), step):
        places = searched[start : start + step]
        scores, numbers = (np.asarray(values) for values in found(vectors[places]))
        if scores.shape != numbers.shape or scores.ndim != 2 or scores.shape[1] < 2:
            raise MetricError(f"a search gave scores of shape {scores.shape}, expected two identities or more")
        others = np.where(numbers == owners[places, None], -np.inf, checked_scores(scores))
        best[start : start + len(places)] = others.max(axis=1)
        on_progress(start + len(places), len(searched))
    return ImpostorSearches(best, owners[searched])


def pair_scores(one_each: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """(n (n - 1) / 2,) the scores of all pairs of different people; faces (n, D), one a person."""
    scores = one_each @ one_each.T
    return scores[np.triu_indices(len(scores), 1)]


def _products(vectors: npt.NDArray, owners: Ids) -> Search:
    """A search by dot products with every template, unfused: the best of others is the same."""
    return lambda probes: (probes @ vectors.T, np.broadcast_to(owners, (len(probes), len(owners))))
