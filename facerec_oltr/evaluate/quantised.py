"""What rounding to int8 costs: the same photos embedded by both files.

Cosines between the two vectors of a photo say how far it moves; the equal error rates of both on the same pairs say
whether that matters. On a verification pack there is the accuracy by folds too. Without one it is measured on images
of the training set, where both look better than they are.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facerec_oltr.embedder import Embedder
from facerec_oltr.engine.finished import FinishedRun
from facerec_oltr.errors import DataError, FaceRecError
from facerec_oltr.faces.embed_images import embed_images
from facerec_oltr.faces.pairs import FOLDS
from facerec_oltr.metrics.verification import equal_error_rate, fold_accuracy
from recordio_tools.errors import RecordIOError
from recordio_tools.images import Image
from recordio_tools.verification import VerificationPack

_IMAGES, _OF_ONE_CLASS = 400, 4


@dataclass(frozen=True, eq=False)
class Photos:
    """Images, and pairs of them.

    Attributes:
        what: they are, for a person.
        count: N.
        image: gives one of them, (height, width, 3) uint8 RGB.
        pairs: (P, 2), numbers of images.
        same: (P,) bool, whether both show the same person.
        folds: into which the pairs can be dealt; None where they have no order.
    """

    what: str
    count: int
    image: Callable[[int], Image]
    pairs: npt.NDArray[np.int64]
    same: npt.NDArray[np.bool_]
    folds: int | None


@dataclass(frozen=True)
class Cost:
    """Figures of the original and of the rounded embedder, in this order.

    Attributes:
        cosines: the mean and the least cosine between both vectors of an image.
        eer: equal error rates; NaN where the pairs are all genuine or all not.
        accuracy: by folds; None where there are none.
    """

    cosines: tuple[float, float]
    eer: tuple[float, float]
    accuracy: tuple[float, float] | None


def photos_of_pack(pack: VerificationPack) -> Photos:
    """The images and pairs of a verification pack; in folds where it has pairs enough for ten equal ones."""
    folds = None if len(pack) % FOLDS else FOLDS
    return Photos(str(pack.path), len(pack.images), pack.image, pack.pairs, pack.same, folds)


def photos_of_training(run: FinishedRun) -> Photos:
    """Up to four images each of some of the classes that the run was trained on, drawn at random, and all their pairs.

    Raises:
        DataError: the training set is not there, or is another one by now.
    """
    advice = "give a verification pack with --pairs"
    try:
        data = run.experiment.data.build("train")
    except (FaceRecError, RecordIOError, OSError) as error:
        raise DataError(
            f"{run.path}: what int8 costs is measured on its training set, which cannot be opened ({error}); {advice}"
        ) from None
    if data.fingerprint != run.trained_on:
        raise DataError(f"{run.path}: its training set has changed since; {advice}, or bring back the set")
    by_class = np.argsort(data.labels, kind="stable")
    starts = np.searchsorted(data.labels[by_class], np.arange(data.classes + 1))
    chosen: list[int] = []
    for k in np.random.default_rng(0).permutation(data.classes):
        if len(chosen) >= _IMAGES:
            break
        chosen += by_class[starts[k] : min(starts[k + 1], starts[k] + _OF_ONE_CLASS)].tolist()
    positions = np.array(chosen)
    pairs = np.stack(np.triu_indices(len(positions), 1), axis=1)
    labels = data.labels[positions]
    same = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    what = f"{len(positions)} images of the training set"
    return Photos(what, len(positions), lambda place: data.batch(positions[place : place + 1])[0], pairs, same, None)


def cost(
    original: Embedder,
    rounded: Embedder,
    photos: Photos,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Cost:
    """Embed all photos by both and compare.

    Raises:
        DataError: as ``embed_images``.
        RecordIOError: an image cannot be decoded.
    """
    vectors = [
        embed_images(
            embedder,
            photos.count,
            photos.image,
            lambda done, total, before=before: on_progress(before * total + done, 2 * total),
        )[0]
        for before, embedder in enumerate((original, rounded))
    ]
    cosines = np.einsum("nd,nd->n", *vectors)
    scores = [np.einsum("pd,pd->p", v[photos.pairs[:, 0]], v[photos.pairs[:, 1]]) for v in vectors]
    eers = [equal_error_rate(s[photos.same], s[~photos.same])[0] for s in scores]
    accuracies = [] if photos.folds is None else [fold_accuracy(s, photos.same, photos.folds).mean for s in scores]
    return Cost(
        (float(cosines.mean()), float(cosines.min())),
        (eers[0], eers[1]),
        (accuracies[0], accuracies[1]) if accuracies else None,
    )
