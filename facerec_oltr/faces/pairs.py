"""An embedder measured on a verification pack: are both photos of the same person? LFW, CFP-FP, AgeDB-30.

The packs are balanced and long since solved by good networks: a figure near 99 % says that a model works, not that it
keeps strangers out of a gallery. That is ``facerec_oltr.evaluate``'s question.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facerec_oltr.embedder import Embedder
from facerec_oltr.faces.embed_images import embed_images
from facerec_oltr.metrics.verification import (
    FoldAccuracy,
    VerificationPoint,
    equal_error_rate,
    fold_accuracy,
    tar_at_far,
)
from recordio_tools.verification import VerificationPack

FOLDS = 10
FARS = (0.1, 0.01, 0.001)


@dataclass(frozen=True)
class PairFigures:
    """What an embedder does on a pack.

    Attributes:
        pairs: P.
        accuracy: by folds, see ``fold_accuracy``.
        eer: equal error rate.
        points: TAR at each of the FARs asked for.
    """

    pairs: int
    accuracy: FoldAccuracy
    eer: float
    points: tuple[VerificationPoint, ...]


def similarities(
    embedder: Embedder,
    pack: VerificationPack,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> npt.NDArray[np.float32]:
    """The cosine of each pair, (P,); every image is embedded once, however many pairs it stands in.

    Raises:
        SourceError: an image cannot be decoded.
        DataError: as ``embed_images``.
    """
    vectors, _ = embed_images(embedder, len(pack.images), pack.image, on_progress)
    return np.einsum("pd,pd->p", vectors[pack.pairs[:, 0]], vectors[pack.pairs[:, 1]])


def measure_pairs(
    scores: npt.ArrayLike, same: npt.NDArray[np.bool_], *, folds: int = FOLDS, fars: Sequence[float] = FARS
) -> PairFigures:
    """All figures of the scores (P,) of a pack's pairs.

    Raises:
        MetricError: the pairs cannot be dealt into the folds, or a score is NaN.
    """
    scores = np.asarray(scores, np.float64)
    genuine, impostor = scores[same], scores[~same]
    return PairFigures(
        len(scores),
        fold_accuracy(scores, same, folds),
        equal_error_rate(genuine, impostor)[0],
        tuple(tar_at_far(genuine, impostor, target) for target in fars),
    )
