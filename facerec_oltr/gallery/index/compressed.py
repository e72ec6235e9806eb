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
from facerec_oltr.gallery.index._threads import one_thread, side_by_side, threads
from facerec_oltr.gallery.index.exact import found_by_product
from facerec_oltr.gallery.records import Ids, Vectors

K_FACTOR = 32
LEAST = 768  # rows compared, however few are asked for: fewer lose hard mates, and 1,024 take the scan twice as long
TRAINED_FROM = 4096  # rows; below, all of them are compared
_AGAIN = 8  # centroids are trained anew when there are so many times more rows
_TAIL = 4096  # rows behind the packed ones that are compared exactly rather than packed each time
_SHARES = 2  # parts that one probe is scanned in, whatever the machine, so that it always finds the same
_AT_ONCE = 8  # probes that codes are read for at once

Share = tuple[faiss.IndexPQFastScan, Ids]  # with the row of each code
Near = tuple[Ids, Vectors]  # rows, and their scores as float32 sums them


class CompressedIndex(Kind):
    """Scores are exact; which rows are scored is decided by codes. From ``TRAINED_FROM`` rows on."""

    kind = "compressed"

    def __init__(self, dimensions: int, rows: Rows | None = None) -> None:
        super().__init__(dimensions, rows)
        self._layout = -1  # of the rows as they are packed
        self._end = 0  # packed are rows up to here
        self._shares: list[Share] = []

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
        if self.rows.coder is None or 4 * _SHARES * _candidates(k) > self.rows.count:
            return found_by_product(self, probes, k, slack)
        self._pack()
        asked = self.rows.coder.asked(probes)
        if len(probes) == 1:  # its shares side by side, else some probes beside others
            shares = side_by_side(lambda share: self._near(share, probes, asked, k), self._shares)
            return [self._best(probes[0], [share[0] for share in shares], k, float(slack[0]))]

        def some(group: Ids) -> list[tuple[Vectors, Ids]]:
            with one_thread():
                shares = [self._near(share, probes[group], asked[group], k) for share in self._shares]
            nears = zip(group.tolist(), *shares, strict=True)
            return [self._best(probes[b], near, k, float(slack[b])) for b, *near in nears]

        groups = -(-len(probes) // min(_AT_ONCE, -(-len(probes) // threads())))
        answers = side_by_side(some, np.array_split(np.arange(len(probes)), groups))
        return [answer for group in answers for answer in group]

    def _needs_training(self) -> bool:
        return self.rows.live >= max(TRAINED_FROM, _AGAIN * self.rows.trained_on)

    def _best(self, probe: Vectors, nears: list[Near], k: int, slack: float) -> tuple[Vectors, Ids]:
        """The k best of rows that are near, and of all that are not packed yet."""
        rows = self.rows
        tail = self._end + np.flatnonzero(rows.keys[self._end :] != GONE)
        near, rough = (np.concatenate(part) for part in zip(*nears, self._compared(tail, probe), strict=True))
        good = rough >= np.partition(rough, len(rough) - k)[len(rough) - k] - slack
        return best_of(near[good], rows.keys, rows.vectors, probe, k)

    def _near(self, share: Share, probes: Vectors, asked: Vectors, k: int) -> list[Near]:
        """The live rows of a share that are best by code, for each probe."""
        index, row = share
        keys, wanted = self.rows.keys, min(_candidates(k), len(row))
        nears = []
        for b, found in enumerate(index.search(asked, wanted)[1]):
            near, deep = row[found], wanted
            while True:
                near = near[keys[near] != GONE]  # erased since they were packed
                if len(near) >= wanted or deep == len(row):
                    break
                deep = min(2 * deep, len(row))
                near = row[index.search(asked[b : b + 1], deep)[1][0]]
            nears.append(self._compared(near, probes[b]))
        return nears

    def _compared(self, near: Ids, probe: Vectors) -> Near:
        # Not by BLAS, whose threads would wait for those of another probe.
        return near, np.einsum("nd,d->n", self.rows.vectors[near], probe)

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
