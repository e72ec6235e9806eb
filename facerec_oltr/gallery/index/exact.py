"""Exact search: every vector is compared, and nothing is lost.

One probe is compared in half precision, at half the memory traffic, several by a float32 matrix product. Either only
says who may be among the best: those within a proven slack of the k-th, whose scores are then taken to the last bit.
"""

from typing import Any

import faiss
import numpy as np

from facerec_oltr.gallery.index._kind import Kind
from facerec_oltr.gallery.index._product import near_by_product
from facerec_oltr.gallery.index._rows import GONE
from facerec_oltr.gallery.index._scores import HALF_LONGEST, best_of, half_slack, lengths, single_slack
from facerec_oltr.gallery.index._threads import side_by_side, threads
from facerec_oltr.gallery.records import Ids, Vectors

_FEW = 4  # so many probes are scanned one by one
_SPARE = 64  # rows that the scan gives beyond the k best, most of which lie below the slack
_DEEPEST = 2048  # a scan for more rows is slower than the product
_SMALL = 4096  # rows from which a scan is shared among threads


class ExactIndex(Kind):
    """Equal to brute force in double precision, whatever the batch."""

    kind = "exact"

    def prepared(self) -> bool:
        """See Kind."""
        return self.rows.halves is not None and self.rows.codes is None

    def prepare(self) -> None:
        """Halves are kept; codes are not needed."""
        self.rows.drop("codes")
        self.rows.keep_halves()

    def _found(self, probes: Vectors, k: int) -> list[tuple[Vectors, Ids]]:
        rows, long = self.rows, lengths(probes)
        slack = single_slack(self.dimensions, rows.longest, long)
        if len(probes) > _FEW:
            return found_by_product(self, probes, k, slack)
        answers = []
        for b, probe in enumerate(probes):
            near = self._near_by_halves(probe, k, float(half_slack(self.dimensions, rows.longest, long[b : b + 1])[0]))
            if near is None:
                answers += found_by_product(self, probes[b : b + 1], k, slack[b : b + 1])
            else:
                answers.append(best_of(near, rows.keys, rows.vectors, probe, k))
        return answers

    def _near_by_halves(self, probe: Vectors, k: int, slack: float) -> Ids | None:
        """All rows that may be among the k best; None where a scan cannot tell."""
        rows, deep = self.rows, k + _SPARE
        while rows.longest < HALF_LONGEST and deep <= _DEEPEST:
            rough, found, whole = self._scan(probe, deep)
            live = rows.keys[found] != GONE
            rough, found = rough[live], found[live]
            if len(rough) >= k:
                least = np.partition(rough, len(rough) - k)[len(rough) - k] - slack
                if whole < least:  # none of the rows that were not given reaches it
                    return found[rough >= least]
            deep *= 8
        return None

    def _scan(self, probe: Vectors, deep: int) -> tuple[Vectors, Ids, float]:
        """The best rows in half precision, and a score that no other row is above."""
        halves = self.rows.halves
        assert halves is not None, "the exact kind keeps halves"
        parts = threads() if len(halves) >= _SMALL else 1
        edges = [len(halves) * p // parts for p in range(parts + 1)]

        def best(part: int) -> tuple[Vectors, Ids, float]:
            start, end = edges[part], edges[part + 1]
            scores, found = _over(halves[start:end]).search(probe[None], min(deep, end - start))
            return scores[0], found[0] + start, float(scores[0, -1]) if deep < end - start else -np.inf

        bests = side_by_side(best, range(parts))
        scores, found, others = zip(*bests, strict=True)
        return np.concatenate(scores), np.concatenate(found), max(others)


def found_by_product(index: Kind, probes: Vectors, k: int, slack: np.ndarray) -> list[tuple[Vectors, Ids]]:
    """The exact answer by way of a float32 matrix product."""
    keys, vectors = index.rows.keys, index.rows.vectors
    nears = near_by_product(vectors, keys == GONE if index.rows.dead else None, probes, k, slack)
    return [best_of(near, keys, vectors, probe, k) for near, probe in zip(nears, probes, strict=True)]


def _over(halves: np.ndarray) -> faiss.IndexScalarQuantizer:
    """FAISS's half-precision scan over vectors that lie in our memory; to be dropped before they are."""
    index = faiss.IndexScalarQuantizer(halves.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    pointer: Any = faiss.swig_ptr(halves.view(np.uint8).reshape(-1))
    codes: Any = index.codes
    codes.is_owned, codes.view_data, codes.view_size = False, pointer, halves.nbytes
    codes.c_ptr, codes.c_size = pointer, halves.nbytes
    index.is_trained, index.ntotal = True, len(halves)
    return index
