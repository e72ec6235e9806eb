"""A gallery's identities as columns of scores, some at a time, their templates fused before anything is ranked."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from facerec_oltr.metrics.exact import Places, Vectors, exact_scores, fetched

Fusion = Literal["max", "mean"]


@dataclass(frozen=True, eq=False)
class Block:
    """Some identities, those with most templates first, so that their next templates are columns side by side.

    Attributes:
        positions: (n,) of the identities, in the gallery's order.
        vectors: (t, D) first templates of all n, then second ones of the first m identities, and so on.
        starts: where the first, second … templates begin, and t.
    """

    positions: Places
    vectors: Vectors
    starts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def _sorter(self) -> Places:
        return np.argsort(self.positions)

    def columns_of(self, positions: Places) -> Places:
        """The column of each identity; -1 for one that is not in this block."""
        place = np.searchsorted(self.positions, positions, sorter=self._sorter)
        columns = self._sorter[np.minimum(place, len(self) - 1)]
        return np.where(self.positions[columns] == positions, columns, -1)

    def rough(self, probes: Vectors, out: npt.NDArray[np.float32]) -> Vectors:
        """Scores (B, n) of a float32 product, no further from the true ones than ``slack``."""
        scores = out[: len(probes) * len(self.vectors)].reshape(len(probes), len(self.vectors))
        np.matmul(probes, self.vectors.T, out=scores)
        return scores

    def fuse(self, scores: Vectors) -> Vectors:
        """Of (B, t) the best of each identity, (B, n), written over the first ones."""
        for start, end in self._later():
            best = scores[:, : end - start]
            np.maximum(best, scores[:, start:end], out=best)
        return scores[:, : len(self)]

    def exact(self, probes: Vectors, which: Places, columns: Places) -> Vectors:
        """True scores (m,) of the probes ``which`` against the identities in ``columns``, pair by pair."""
        scores = exact_scores(probes, which, self.vectors, columns)
        for start, end in self._later():
            more = np.flatnonzero(columns < end - start)
            if not len(more):
                break
            later = exact_scores(probes, which[more], self.vectors, start + columns[more])
            scores[more] = np.maximum(scores[more], later)
        return scores

    def _later(self) -> Iterator[tuple[int, int]]:
        return zip(self.starts[1:-1], self.starts[2:], strict=True)


class Columns:
    """N identities in their order, and the templates of each.

    Fused by ``max``, the score of an identity is that of its best template. Fused by ``mean``, it is the score of the
    mean vector of its templates, rounded to float32: the mean of its scores, as the gallery's index has it.

    Args:
        features: (T, D), unit length; it may lie in a file.
        owners: (T,) position of each template's identity; -1 leaves the template out.
        identities: N, each with a template or more.
        fusion: of an identity's templates.
    """

    def __init__(self, features: npt.NDArray[np.float32], owners: Places, identities: int, fusion: Fusion) -> None:
        self.features, self.fusion = features, fusion
        order = np.argsort(owners, kind="stable")
        self._order = order[np.searchsorted(owners, 0, sorter=order) :]
        self.counts = np.bincount(owners[self._order], minlength=identities)
        self.ends = np.cumsum(self.counts)

    def templates_of(self, position: int) -> Places:
        """Which templates an identity has, in the order of the features."""
        return self._order[self.ends[position] - self.counts[position] : self.ends[position]]

    def blocks(self, sizes: tuple[int, ...], templates: int) -> Iterator[tuple[Block, int]]:
        """All identities before the last size in blocks, none across a size, each with the position after it.

        Args:
            sizes: rising, each at most N.
            templates: of a block, where no single identity has more.
        """
        start = 0
        for size in sizes:
            while start < size:
                read = self.ends[start - 1] if start else 0
                end = int(np.searchsorted(self.ends, read + templates, side="right"))
                end = min(max(end, start + 1), size)
                yield self.block(np.arange(start, end)), end
                start = end

    def block(self, positions: Places) -> Block:
        """The identities at some positions."""
        counts = self.counts[positions]
        most_first = np.argsort(-counts, kind="stable")
        positions, counts = positions[most_first], counts[most_first]
        firsts = self.ends[positions] - counts
        widths = np.searchsorted(-counts, -np.arange(1, counts.max(initial=1) + 1), side="right")
        if self.fusion == "mean":
            return Block(positions, self._means(firsts, counts, widths), (0, len(positions)))
        rows = np.concatenate([firsts[:width] + level for level, width in enumerate(widths)])
        return Block(positions, self._fetch(rows), (0, *np.cumsum(widths).tolist()))

    def without(self, position: int, excluded: Places, probe: Vectors) -> np.float32:
        """The true score of one identity and a probe (D,) when some templates do not count; -inf for all of them."""
        left = np.setdiff1d(self.templates_of(position), excluded)
        if not len(left):
            return np.float32(-np.inf)
        vectors = fetched(self.features, left, "gallery vector")
        if self.fusion == "mean":
            vectors = _mean(vectors.cumsum(axis=0, dtype=np.float64)[-1:], np.array([len(left)]))
        nought = np.zeros(len(vectors), np.int64)
        return exact_scores(probe[None], nought, vectors, np.arange(len(vectors))).max()

    def _means(self, firsts: Places, counts: Places, widths: Places) -> Vectors:
        sums = self._fetch(firsts).astype(np.float64)
        for level, width in enumerate(widths[1:], 1):
            sums[:width] += self._fetch(firsts[:width] + level)
        return _mean(sums, counts)

    def _fetch(self, places: Places) -> Vectors:
        rows = self._order[places]
        if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
            return fetched(self.features, slice(int(rows[0]), int(rows[-1]) + 1), "gallery vector")
        return fetched(self.features, rows, "gallery vector")


def _mean(sums: npt.NDArray[np.float64], counts: Places) -> Vectors:
    return (sums / counts[:, None]).astype(np.float32)
