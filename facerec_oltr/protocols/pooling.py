"""Images → one vector a template, as IJB-B and IJB-C are measured.

The frames of a video are alike, and a video with a thousand of them is still one sighting. So the images of a medium
are averaged first, and then the media are added with equal weights (Whitelam et al., CVPR Workshops 2017, give media
to that end; Crosswhite et al., "Template adaptation", FG 2017, pool so).
"""

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import DataError
from facerec_oltr.protocols.templates import TemplateList


def pool(
    templates: TemplateList, vectors: npt.NDArray[np.floating], weights: npt.ArrayLike | None = None
) -> npt.NDArray[np.float32]:
    """One vector of length 1 a template: the sum over its media of the mean over each one's images.

    A medium's mean is not brought to length 1 again, so that one whose frames disagree counts for less.

    Args:
        templates: T of them, with I images.
        vectors: (I, D), a row an image, in the list's order; mostly of length 1.
        weights: (I,) of each image before anything is averaged, such as a detector's score; 1 if not given.

    Returns:
        (T, D).

    Raises:
        DataError: sizes that do not fit, a number that is not finite, or a template whose vectors cancel out.
    """
    vectors = np.asarray(vectors, np.float64)
    if vectors.ndim != 2 or len(vectors) != len(templates.images):
        raise DataError(
            f"found vectors of shape {vectors.shape}, expected a row for each of {len(templates.images):,} images"
        )
    if weights is not None:
        given = np.asarray(weights, np.float64)
        if given.shape != (len(vectors),) or not (np.isfinite(given).all() and (given >= 0).all()):
            raise DataError(f"found weights of shape {given.shape}, expected {len(vectors):,} numbers of 0 or more")
        vectors = vectors * given[:, None]
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise DataError(f"image {templates.images[row]!r}: found NaN or inf in its vector; embed it again")
    owners = templates.owners
    first = np.ones(len(vectors), bool)
    first[1:] = (owners[1:] != owners[:-1]) | (templates.media[1:] != templates.media[:-1])
    media_starts = np.flatnonzero(first)
    if not len(media_starts):
        return np.empty((0, vectors.shape[1]), np.float32)
    sizes = np.diff(media_starts, append=len(vectors))
    media = np.add.reduceat(vectors, media_starts, axis=0) / sizes[:, None]
    of_template = owners[media_starts]
    pooled = np.add.reduceat(media, np.searchsorted(of_template, np.arange(len(templates))), axis=0)
    lengths = np.linalg.norm(pooled, axis=1)
    if not lengths.all():
        name = templates.names[int(np.flatnonzero(lengths == 0)[0])]
        raise DataError(f"template {name!r}: its images' vectors add up to 0; look at them, or leave it out")
    return (pooled / lengths[:, None]).astype(np.float32)
