"""Product quantisation to 4 bits (Jégou et al., TPAMI 2011): each four numbers of a vector become one of 16 points."""

from typing import Any, Self

import faiss
import numpy as np
import numpy.typing as npt

from facerec_oltr.gallery.index._threads import one_thread
from facerec_oltr.gallery.records import Vectors

PART = 4  # numbers of a vector that share a centroid
CENTROIDS = 16  # of each part, 4 bits
SAMPLE = 16_384  # vectors that centroids are trained on at most; FAISS takes 256 a centroid of them


class Coder:
    """Codes of vectors, two parts a byte. D that is no multiple of 4 is filled up with zeros, which no product sees.

    Args:
        dimensions: D.
        quantizer: trained.
    """

    def __init__(self, dimensions: int, quantizer: faiss.ProductQuantizer) -> None:
        self.dimensions = dimensions
        self.quantizer = quantizer
        self.width = int(quantizer.code_size)

    @classmethod
    def train(cls, vectors: Vectors) -> Self:
        """Find centroids for vectors (n, D); the same ones for the same vectors."""
        quantizer = _quantizer(vectors.shape[1])
        with one_thread():  # so many small steps: on a busy machine threads wait for each other 20 times as long
            quantizer.train(_filled(vectors))
        return cls(vectors.shape[1], quantizer)

    @classmethod
    def of_centroids(cls, dimensions: int, centroids: npt.NDArray[np.float32]) -> Self:
        """The coder with these centroids, as ``centroids`` gave them."""
        quantizer = _quantizer(dimensions)
        faiss.copy_array_to_vector(centroids, quantizer.centroids)
        return cls(dimensions, quantizer)

    def centroids(self) -> npt.NDArray[np.float32]:
        """All numbers of all centroids."""
        return faiss.vector_to_array(self.quantizer.centroids)

    def encode(self, vectors: Vectors) -> npt.NDArray[np.uint8]:
        """Codes (n, width) of vectors (n, D)."""
        if not len(vectors):
            return np.empty((0, self.width), np.uint8)
        return self.quantizer.compute_codes(_filled(vectors))

    def packed(self, codes: npt.NDArray[np.uint8]) -> faiss.IndexPQFastScan:
        """FAISS's index that scans codes (n, width), 32 at a time; a copy of them."""
        parts = int(self.quantizer.M)
        plain: Any = faiss.IndexPQ(parts * PART, parts, 4, faiss.METRIC_INNER_PRODUCT)
        plain.pq, plain.is_trained, plain.ntotal = self.quantizer, True, len(codes)
        faiss.copy_array_to_vector(np.ascontiguousarray(codes).reshape(-1), plain.codes)
        return faiss.IndexPQFastScan(plain)

    def asked(self, probes: Vectors) -> Vectors:
        """Probes (B, D) as that index takes them, (B, D filled up)."""
        return _filled(probes)


def size(dimensions: int) -> int:
    """How many numbers the centroids are."""
    return _parts(dimensions) * PART * CENTROIDS


def _parts(dimensions: int) -> int:
    return -(-dimensions // PART)


def _quantizer(dimensions: int) -> faiss.ProductQuantizer:
    parts = _parts(dimensions)
    quantizer: Any = faiss.ProductQuantizer(parts * PART, parts, 4)
    quantizer.cp.min_points_per_centroid = 1  # below, FAISS prints a warning
    return quantizer


def _filled(vectors: Vectors) -> Vectors:
    missing = -vectors.shape[1] % PART
    if missing:
        vectors = np.pad(vectors, ((0, 0), (0, missing)))
    return np.ascontiguousarray(vectors, np.float32)
