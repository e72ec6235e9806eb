"""How many training images a probe has behind it: many, few, one shot or none. Two rules, never to be mixed.

    by true counts     a trained person's own training images; a person who was not trained on has none
    by similarity      OLTR's rule for MegaFace, whose people are not MS1M's (Liu et al., CVPR 2019): the training
                       images whose features have a similarity above 0.7 to the probe's, whoever they show

By either number n a probe is many-shot at n >= 5, few-shot at 2 to 4, one-shot at 1 and zero-shot at 0. The rule by
similarity depends on the model: two models put the same probe into different groups.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import DataError
from facerec_oltr.metrics.shots import shot_bins
from facerec_oltr.protocols.templates import Int64s

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
    *,
    above: float = SIMILAR,
    block_bytes: int = _BLOCK_BYTES,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Int64s:
    """(P,) training images whose cosine with each probe is above a number: the second rule.

    Args:
        probes: (P, D) of length 1.
        training: (N, D) of length 1, of all training images; may be mapped from a file, and is read once.
        above: the similarity that counts as alike.
        block_bytes: of scores held at once.
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
    rows = max(1, block_bytes // max(1, 4 * len(probes)))
    for start in range(0, len(training), rows):
        block = np.asarray(training[start : start + rows])
        _check_lengths(block, "training image", start)
        counts += np.count_nonzero(probes @ block.T > above, axis=1)
        progress(start + len(block), len(training))
    return counts


def _check_lengths(vectors: npt.NDArray[np.floating], what: str, start: int = 0) -> None:
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    wrong = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))  # so that NaN is wrong too
    if len(wrong):
        raise DataError(
            f"{what} {start + wrong[0]:,} has a vector of length {lengths[wrong[0]]:.3g}, expected 1; normalise the "
            "vectors"
        )
