"""Exact search: every vector is compared, and nothing is lost."""

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import GalleryError

Vectors = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

_BLOCK = 1 << 26  # scores held at once, 256 MiB


class FlatIndex:
    """Vectors under integer ids, in memory, searched one and all.

    A score is the dot product in double precision, rounded to float32. It depends on the two vectors alone:
    not on the batch, the other vectors or the linear algebra library. So a threshold chosen by a batch of
    searches holds to the last bit for a single one, and equal vectors tie.

    Args:
        dimensions: D.
    """

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self._vectors = np.empty((0, dimensions), np.float32)  # grows by doubling; the first len(self) are used
        self._ids = np.empty(0, np.int64)
        self._longest = 0.0  # no vector that was ever added is longer

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> Ids:
        """All ids, in no order to rely on."""
        return self._ids

    def add(self, vectors: npt.ArrayLike, ids: npt.ArrayLike) -> None:
        """Add vectors (n, D) under new ids (n,).

        Raises:
            GalleryError: another size, as many ids as not, or an id that is there already.
        """
        vectors, ids = self._checked(vectors), np.asarray(ids, np.int64)
        if len(ids) != len(vectors):
            raise GalleryError(f"{len(vectors)} vectors cannot be added under {len(ids)} ids")
        if len(np.unique(ids)) != len(ids) or np.isin(ids, self._ids).any():
            raise GalleryError("an id is given twice or held by the index already")
        n = len(self)
        if n + len(ids) > len(self._vectors):
            grown = np.empty((max(2 * n, n + len(ids)), self.dimensions), np.float32)
            grown[:n] = self._vectors[:n]
            self._vectors = grown
        self._vectors[n : n + len(ids)] = vectors
        self._ids = np.concatenate([self._ids, ids])
        self._longest = max(self._longest, _lengths(vectors).max(initial=0.0))

    def remove(self, ids: npt.ArrayLike) -> None:
        """Remove vectors; an id that is not there is an error."""
        ids = np.asarray(ids, np.int64)
        missing = np.setdiff1d(ids, self._ids)
        if len(missing):
            raise GalleryError(f"the index holds no vector {missing[0]}")
        kept = ~np.isin(self._ids, ids)
        self._vectors = self._vectors[: len(self)][kept]
        self._ids = self._ids[kept]

    def search(self, vectors: npt.ArrayLike, k: int) -> tuple[Vectors, Ids]:
        """The k best of each probe.

        Args:
            vectors: (B, D).
            k: how many, at least 1; of fewer, all.

        Returns:
            Scores (B, min(k, N)) float32, falling, and ids of the same shape; equal scores by lowest id.
        """
        vectors = self._checked(vectors)
        k = min(k, len(self))
        scores, found = np.empty((len(vectors), k), np.float32), np.empty((len(vectors), k), np.int64)
        if k == 0:
            return scores, found
        held = self._vectors[: len(self)]
        # How far two float32 products can be from the true ones together (Higham 2002, section 3.1), so that
        # no vector of the true best k is missed by taking candidates from a fast, inexact product.
        slack = (self.dimensions + 4) * np.finfo(np.float32).eps * self._longest * _lengths(vectors)
        step = max(1, _BLOCK // len(self))
        for start in range(0, len(vectors), step):
            for b, rough in enumerate(vectors[start : start + step] @ held.T, start):
                kth = np.partition(rough, len(rough) - k)[len(rough) - k]
                near = np.flatnonzero(rough >= kth - slack[b])
                exact = _exact_scores(held[near], vectors[b])
                best = np.lexsort((self._ids[near], -exact))[:k]
                scores[b], found[b] = exact[best], self._ids[near[best]]
        return scores, found

    def _checked(self, vectors: npt.ArrayLike) -> Vectors:
        vectors = np.asarray(vectors, np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != self.dimensions:
            raise GalleryError(f"vectors have shape {vectors.shape}, expected (n, {self.dimensions})")
        if not np.isfinite(vectors).all():
            raise GalleryError("a vector holds NaN or infinity; the embedder or its input is damaged")
        return vectors


def _exact_scores(held: Vectors, probe: Vectors) -> Vectors:
    # Multiply and sum, not a matrix product: the order of summation is then the same for every row.
    return (held.astype(np.float64) * probe.astype(np.float64)).sum(axis=1).astype(np.float32)


def _lengths(vectors: Vectors) -> npt.NDArray[np.float64]:
    return np.linalg.norm(vectors.astype(np.float64), axis=1)
