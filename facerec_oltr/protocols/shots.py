"""How many training images a probe has behind it: many, few, one shot or none. Two rules, never to be mixed.

    by true counts     a trained person's own training images; a person who was not trained on has none
    by similarity      OLTR's rule for MegaFace, whose people are not MS1M's (Liu et al., CVPR 2019): the training
                       images whose features have a similarity above 0.7 to the probe's, whoever they show

By either number n a probe is many-shot at n >= 5, few-shot at 2 to 4, one-shot at 1 and zero-shot at 0. The rule by
similarity depends on the model: two models put the same probe into different groups.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import DataError
from facerec_oltr.metrics.exact import exact_scores, slack
from facerec_oltr.metrics.shots import shot_bins
from facerec_oltr.protocols.templates import Int64s

ShotRule = Literal["true_counts", "similarity"]
RULES: tuple[ShotRule, ...] = ("true_counts", "similarity")

GROUPS = ("many", "few", "one_shot", "zero_shot")
SIMILAR = 0.7
_BLOCK_BYTES = 1 << 27


def shot_groups(images: npt.ArrayLike) -> dict[str, npt.NDArray[np.bool_]]:
    """Which probes are in each of GROUPS, each as a (P,) mask.

    Args:
        images: (P,) number of training images behind each probe, by one of the two rules.
    """
    counts = np.asarray(images, np.int64)
    bins = shot_bins(counts, "faces")
    return {"many": bins["many"], "few": bins["medium"], "one_shot": bins["few"], "zero_shot": counts == 0}


def true_counts(people: Sequence[str], training_images: Mapping[str, int]) -> Int64s:
    """(P,) training images of each probe's own person: the first rule.

    Args:
        people: (P,) whom each probe shows.
        training_images: of each trained person, as ``Protocol.training_images`` has them.
    """
    return np.array([training_images.get(person, 0) for person in people], np.int64)


def similar_counts(
    probes: npt.NDArray[np.floating],
    training: npt.NDArray[np.floating],
    rows: Int64s | None = None,
    *,
    above: float = SIMILAR,
    block_bytes: int = _BLOCK_BYTES,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Int64s:
    """(P,) training images whose cosine with each probe is above a number: the second rule.

    A cosine is the exact score of ``metrics.exact``, so that no count depends on the size of a block. It takes P N D
    multiplications and two blocks of memory.

    Args:
        probes: (P, D) of length 1.
        training: (N, D) of length 1, of all training images; may be mapped from a file, and is read once.
        rows: those of them that count; None for all.
        above: the similarity that counts as alike.
        block_bytes: of scores, or of training vectors, held at once.
        progress: called with (training images compared, of all).

    Raises:
        DataError: sizes that do not fit, or vectors whose length is not 1.
    """
    if probes.ndim != 2 or training.ndim != 2 or probes.shape[1] != training.shape[1]:
        raise DataError(
            f"found probes of shape {probes.shape} and training vectors of shape {training.shape}, expected the same "
            "number of dimensions; embed both by one model"
        )
    _check_lengths(probes, "probe")
    counts = np.zeros(len(probes), np.int64)
    margin, total = slack(probes.shape[1]), len(training) if rows is None else len(rows)
    step = max(1, block_bytes // max(1, 4 * max(probes.shape)))
    for start in range(0, total, step):
        some = slice(start, start + step)
        block = np.asarray(training[some if rows is None else rows[some]])
        _check_lengths(block, "training image", start)
        rough = probes @ block.T
        which, other = np.divmod(np.flatnonzero(rough > above - margin), len(block))
        unsure = np.flatnonzero(rough[which, other] <= above + margin)
        scores = exact_scores(probes, which[unsure], block, other[unsure]).astype(np.float64)
        counts += np.bincount(which, minlength=len(probes))
        counts -= np.bincount(which[unsure[scores <= above]], minlength=len(probes))
        progress(start + len(block), total)
    return counts


def _check_lengths(vectors: npt.NDArray[np.floating], what: str, start: int = 0) -> None:
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    wrong = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))  # so that NaN is wrong too
    if len(wrong):
        raise DataError(
            f"{what} {start + wrong[0]:,} has a vector of length {lengths[wrong[0]]:.3g}, expected 1; normalise the "
            "vectors"
        )
