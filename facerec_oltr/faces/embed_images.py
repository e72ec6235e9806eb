"""Images → vectors in batches, with the embedder's promise checked."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from facerec_oltr.embedder import Embedder
from facerec_oltr.errors import DataError
from recordio_tools.images import Image, fit_square

_BATCH = 16  # small, so that a slow embedder still shows progress


def embed_images(
    embedder: Embedder,
    count: int,
    image: Callable[[int], Image],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Embed images 0 … count - 1.

    Args:
        embedder: the images are fitted to its size as enrolment does it.
        count: N.
        image: gives one of them, (height, width, 3) uint8 RGB; called once for each, in order.
        on_progress: called after each batch with (images done, images in all).

    Returns:
        Vectors (N, D) of unit length, and (N,) whether the embedder's detector found the face.

    Raises:
        DataError: the embedder broke its promise: wrong shape, or a vector that is not of unit length.
    """
    vectors = np.empty((count, embedder.dimensions), np.float32)
    found = np.ones(count, bool)
    for start in range(0, count, _BATCH):
        batch = slice(start, min(start + _BATCH, count))
        squares = np.stack([fit_square(image(place), embedder.size) for place in range(batch.start, batch.stop)])
        vectors[batch] = embed_squares(embedder, squares)
        found[batch] = getattr(embedder, "found", True)
        on_progress(batch.stop, count)
    return vectors, found


def embed_squares(embedder: Embedder, squares: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Embed faces (N, size, size, 3) uint8 RGB to (N, D), with the embedder's promise checked.

    Raises:
        DataError: the embedder broke it: wrong shape, or a vector that is not of unit length.
    """
    vectors = embedder.embed(squares)
    right = (len(squares), embedder.dimensions)
    if vectors.shape != right or not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3):
        raise DataError(
            f"{embedder.name}: gave vectors of shape {vectors.shape} that are not {len(squares)} vectors of length 1 "
            f"in {embedder.dimensions} dimensions; look for a damaged model or for images without content"
        )
    return vectors
