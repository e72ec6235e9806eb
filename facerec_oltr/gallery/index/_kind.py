"""What the kinds of index have in common: rows that come and go, and what may be asked."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.index._rows import GONE, Rows
from facerec_oltr.gallery.records import Ids, Vectors


class Kind(ABC):
    """An index over rows, its own or given ones.

    Args:
        dimensions: D.
        rows: what to search; somebody else may add to them and erase, then ``prepare``, before a search.
    """

    kind: ClassVar[str]

    def __init__(self, dimensions: int, rows: Rows | None = None) -> None:
        self.dimensions = dimensions
        self.rows = Rows(dimensions) if rows is None else rows

    def __len__(self) -> int:
        return self.rows.live

    @property
    def ids(self) -> Ids:
        """All ids, in no order to rely on."""
        keys = self.rows.keys
        return keys[keys != GONE]

    def add(self, vectors: npt.ArrayLike, ids: npt.ArrayLike) -> None:
        """Add vectors (n, D) under new ids (n,), from 0 on.

        Raises:
            GalleryError: another size, as many ids as not, a number below 0, or an id that is there already.
        """
        vectors, ids = self._checked(vectors), np.asarray(ids, np.int64).reshape(-1)
        if len(ids) != len(vectors):
            raise GalleryError(f"{len(vectors)} vectors cannot be added under {len(ids)} ids")
        if ids.min(initial=0) < 0:
            raise GalleryError(f"an id is {ids.min()}, expected 0 or above")
        if len(np.unique(ids)) != len(ids) or len(self.rows.positions(ids)):
            raise GalleryError("an id is given twice or held by the index already")
        self.rows.append(ids, ids, vectors)
        self.prepare()

    def remove(self, ids: npt.ArrayLike) -> None:
        """Remove vectors; an id that is not there is an error."""
        ids = np.asarray(ids, np.int64).reshape(-1)
        missing = np.setdiff1d(ids, self.ids)
        if len(missing):
            raise GalleryError(f"the index holds no vector {missing[0]}")
        self.rows.erase(self.rows.positions(ids))
        if 4 * self.rows.dead > self.rows.count:
            self.rows.pack()
        self.prepare()

    def search(self, vectors: npt.ArrayLike, k: int) -> tuple[Vectors, Ids]:
        """The k best of each probe.

        Args:
            vectors: (B, D).
            k: how many, at least 1; of fewer, all.

        Returns:
            Scores (B, min(k, N)) float32, falling, and ids of the same shape; equal scores by lowest id.
        """
        scores, found = self.search_rows(vectors, k)
        return scores, self.rows.keys[found]

    def search_rows(self, vectors: npt.ArrayLike, k: int) -> tuple[Vectors, Ids]:
        """The same with the positions of rows in place of ids."""
        vectors, k = self._checked(vectors), min(k, len(self))
        scores, found = np.empty((len(vectors), k), np.float32), np.empty((len(vectors), k), np.int64)
        if k and len(vectors):
            for b, (of_probe, rows) in enumerate(self._found(vectors, k)):
                scores[b], found[b] = of_probe, rows
        return scores, found

    @abstractmethod
    def prepared(self) -> bool:
        """Whether ``prepare`` would find nothing to do."""

    @abstractmethod
    def prepare(self) -> None:
        """Bring what the kind keeps with the rows up to date; called after every change, by who may write."""

    @abstractmethod
    def _found(self, probes: Vectors, k: int) -> list[tuple[Vectors, Ids]]:
        """Scores and positions of the k best of each probe; k is at most the number of live rows."""

    def _checked(self, vectors: npt.ArrayLike) -> Vectors:
        vectors = np.ascontiguousarray(vectors, np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != self.dimensions:
            raise GalleryError(f"vectors have shape {vectors.shape}, expected (n, {self.dimensions})")
        if not np.isfinite(vectors).all():
            raise GalleryError("a vector holds NaN or infinity; the embedder or its input is damaged")
        return vectors
