"""Some probes, as many as are held at once, and their way through the gallery block by block."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from facerec_oltr.metrics._bins import Counts
from facerec_oltr.metrics._running import Running, Settled
from facerec_oltr.metrics._sweep_input import SweepInput
from facerec_oltr.metrics.columns import Block, Columns
from facerec_oltr.metrics.exact import Places, Vectors, fetched, slack

_PART = 1 << 19  # rough scores looked at in one go, 2 MiB: they stay in the cache


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What is known of B probes after the first N identities; see ``Running``, and ``own_scores`` (B,)."""

    own_scores: Vectors
    beaten_by: Places
    scores: Vectors
    positions: Places
    counts: Counts | None


class Group:
    """The probes of some rows.

    Args:
        given: all that is to be searched.
        columns: the gallery.
        rows: which probes.
        best: K.
        bins: in which to count; None for none.
    """

    def __init__(self, given: SweepInput, columns: Columns, rows: slice, best: int, bins: int | None) -> None:
        self._columns, self._sizes = columns, given.sizes
        self._vectors = fetched(given.probes, rows, "probe")
        self._own = given.own[rows]
        mine = (given.excluded[:, 0] >= rows.start) & (given.excluded[:, 0] < rows.stop)
        self._settle(given.excluded[mine] - [rows.start, 0], given.owners)
        self._own_scores = np.full(len(self._own), np.nan, np.float32)
        self._score_own()
        self._running = Running(self._own_scores, best, slack(self._vectors.shape[1]), bins)

    def snapshots(
        self, block: tuple[int, int], pool: Executor, on_progress: Callable[[int], None]
    ) -> Iterator[Snapshot]:
        """What is known at each size.

        Args:
            block: probes and templates multiplied at once.
            pool: where scores are looked at.
            on_progress: called with the scores seen.
        """
        buffer = np.empty(0, np.float32)
        end, blocks = 0, self._columns.blocks(self._sizes, block[1])
        for size in self._sizes:
            while end < size:
                some, end = next(blocks)
                wanted = min(block[0], len(self._own)) * len(some.vectors)
                buffer = buffer if buffer.size >= wanted else np.empty(wanted, np.float32)
                for start in range(0, len(self._own), block[0]):
                    self._take(some, slice(start, min(start + block[0], len(self._own))), buffer, pool)
                on_progress(len(self._own) * end)
            now = self._running
            counts = None if now.counts is None else now.counts.copy()
            yield Snapshot(self._own_scores, now.beaten_by.copy(), now.scores.copy(), now.positions.copy(), counts)

    def _take(self, block: Block, rows: slice, buffer: Vectors, pool: Executor) -> None:
        rough = block.rough(self._vectors[rows], buffer)
        step = max(1, _PART // rough.shape[1])

        def look(start: int) -> Counts | None:
            part = slice(rows.start + start, min(rows.start + start + step, rows.stop))
            scores = block.fuse(rough[start : start + step])
            settled = self._settled_in(part, block)
            settled.fill(scores)
            own = block.columns_of(self._own[part])
            mated = np.flatnonzero(own >= 0)
            scores[mated, own[mated]] = -np.inf
            return self._running.take(scores, self._vectors[part], part, block, settled)

        for counts in pool.map(look, range(0, len(rough), step)):
            if counts is not None:
                assert self._running.counts is not None
                self._running.counts += counts

    def _settle(self, excluded: Places, owners: Places) -> None:
        """Score the probes and identities of which a template is excluded, by what is left."""
        positions = owners[excluded[:, 1]]
        excluded, positions = excluded[positions >= 0], positions[positions >= 0]
        order = np.lexsort((positions, excluded[:, 0]))
        excluded, positions = excluded[order], positions[order]
        pairs = np.column_stack([excluded[:, 0], positions])
        self._pairs, starts = np.unique(pairs, axis=0, return_index=True)
        templates = np.split(excluded[:, 1], starts[1:]) if len(starts) else []
        self._pair_scores = np.array(
            [
                self._columns.without(position, gone, self._vectors[probe])
                for (probe, position), gone in zip(self._pairs.tolist(), templates, strict=True)
            ],
            np.float32,
        )

    def _settled_in(self, part: slice, block: Block) -> Settled:
        """Those of some probes and a block."""
        low, high = np.searchsorted(self._pairs[:, 0], [part.start, part.stop])
        columns = block.columns_of(self._pairs[low:high, 1])
        here = columns >= 0
        probes = self._pairs[low:high, 0] - part.start
        return Settled(probes[here], columns[here], self._pair_scores[low:high][here], len(block))

    def _score_own(self) -> None:
        """The true score of each probe's own identity."""
        mated = np.flatnonzero(self._own >= 0)
        mated = mated[np.argsort(self._own[mated], kind="stable")]
        start = 0
        while start < len(mated):
            templates = np.cumsum(self._columns.counts[self._own[mated[start:]]])
            end = start + max(1, int(np.searchsorted(templates, _PART // self._vectors.shape[1], side="right")))
            some, start = mated[start:end], end
            block = self._columns.block(np.unique(self._own[some]))
            self._own_scores[some] = block.exact(self._vectors, some, block.columns_of(self._own[some]))
        probes, positions = self._pairs.T
        own = self._own[probes] == positions
        self._own_scores[probes[own]] = self._pair_scores[own]
