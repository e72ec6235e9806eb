"""Search by 4-bit codes (FAISS's PQ fast scan), and the best of it compared exactly.

The scan reads a thirty-second of the vectors' bytes. Who is among the ``K_FACTOR`` k best by code, ``LEAST`` or more,
is then scored to the last bit. A mate stands far above the errors of the codes and is not lost; the runner-up of a
stranger now and then is.
"""

import faiss
import numpy as np

from facerec_oltr.gallery.index._coder import SAMPLE, Coder
from facerec_oltr.gallery.index._kind import Kind
from facerec_oltr.gallery.index._rows import GONE, Rows
from facerec_oltr.gallery.index._scores import best_of, lengths, single_slack
from facerec_oltr.gallery.index._threads import side_by_side, threads
from facerec_oltr.gallery.index.exact import found_by_product
from facerec_oltr.gallery.records import Ids, Vectors

K_FACTOR = 32
LEAST = 768  # rows compared, however few are asked for: fewer lose hard mates, and 1,024 take the scan twice as long
TRAINED_FROM = 4096  # rows; below, all of them are compared
_AGAIN = 8  # centroids are trained anew when there are so many times more rows
_TAIL = 4096  # rows behind the packed ones that are compared exactly rather than packed each time
_SHARES = 2  # parts that one probe is scanned in, whatever the machine, so that it always finds the same


class CompressedIndex(Kind):
    """Scores are exact; which rows are scored is decided by codes. From ``TRAINED_FROM`` rows on."""

    kind = "compressed"

    def __init__(self, dimensions: int, rows: Rows | None = None) -> None:
        super().__init__(dimensions, rows)
        self._layout = -1  # of the rows as they are packed
        self._end = 0  # packed are rows up to here
        self._shares: list[tuple[faiss.IndexPQFastScan, Ids]] = []  # with the row of each code

    def prepared(self) -> bool:
        """See Kind."""
        return self.rows.halves is None and not self._needs_training()

    def prepare(self) -> None:
        """Codes are kept, by a coder trained on rows enough; halves are not needed."""
        self.rows.drop("halves")
        if self._needs_training():
            kept = np.flatnonzero(self.rows.keys != GONE)
            some = kept[np.linspace(0, len(kept) - 1, min(SAMPLE, len(kept))).astype(np.int64)]
            self.rows.keep_codes(Coder.train(self.rows.vectors[some]), trained_on=len(kept))

    def _found(self, probes: Vectors, k: int) -> list[tuple[Vectors, Ids]]:
        slack = single_slack(self.dimensions, self.rows.longest, lengths(probes))
        if self.rows.codes is None or 4 * _SHARES * _candidates(k) > self.rows.count:
            return found_by_product(self, probes, k, slack)
        self._pack()
        one = len(probes) == 1
        parts = np.array_split(np.arange(len(probes)), min(len(probes), threads()))

        def some(part: Ids) -> list[tuple[Vectors, Ids]]:
            return [self._best(probes[b], k, float(slack[b]), one) for b in part.tolist()]

        return [answer for answers in side_by_side(some, parts) for answer in answers]

    def _needs_training(self) -> bool:
        return self.rows.live >= max(TRAINED_FROM, _AGAIN * self.rows.trained_on)

    def _best(self, probe: Vectors, k: int, slack: float, alone: bool) -> tuple[Vectors, Ids]:
        rows, near = self.rows, self._near(probe, k, alone)
        vectors = rows.vectors[near]
        rough = vectors @ probe
        good = rough >= np.partition(rough, len(rough) - k)[len(rough) - k] - slack
        scores, which = best_of(np.flatnonzero(good), rows.keys[near], vectors, probe, k)
        return scores, near[which]

    def _near(self, probe: Vectors, k: int, alone: bool) -> Ids:
        """The live rows that are best by code in each share, and all that are not packed yet."""
        coder, keys = self.rows.coder, self.rows.keys
        assert coder is not None, "codes are made by a coder"
        asked = coder.asked(probe)

        def of(share: tuple[faiss.IndexPQFastScan, Ids]) -> Ids:
            index, row = share
            deep = _candidates(k)
            while True:
                deep = min(deep, len(row))
                near = row[index.search(asked, deep)[1][0]]
                near = near[keys[near] != GONE]  # erased since they were packed
                if len(near) >= _candidates(k) or deep == len(row):
                    return near
                deep *= 2

        near = side_by_side(of, self._shares) if alone else [of(share) for share in self._shares]
        tail = self._end + np.flatnonzero(keys[self._end :] != GONE)
        return np.concatenate([*near, tail])

    def _pack(self) -> None:
        """The codes as the scan wants them, made anew when rows have moved or many have come."""
        rows = self.rows
        if self._layout == rows.layout and rows.count - self._end <= _TAIL:
            return
        assert rows.codes is not None and rows.coder is not None, "there is something to pack"
        kept = np.flatnonzero(rows.keys != GONE)
        self._shares = [(rows.coder.packed(rows.codes[some]), some) for some in np.array_split(kept, _SHARES)]
        self._layout, self._end = rows.layout, rows.count


def _candidates(k: int) -> int:
    """How many rows of each share are compared."""
    return -(-max(K_FACTOR * k, LEAST) // _SHARES)
