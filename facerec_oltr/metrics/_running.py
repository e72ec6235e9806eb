"""What is kept of each probe while a gallery goes by: how many identities beat its own, and the best others."""

import numpy as np

from facerec_oltr.metrics._bins import Counts, bin_of, sure_counts
from facerec_oltr.metrics.columns import Block
from facerec_oltr.metrics.exact import Places, Vectors, above, below


class Settled:
    """Scores of some probes and columns of a block that are known beforehand, those with excluded templates.

    Args:
        probes: (m,) of the block of scores.
        columns: (m,) of the block of scores.
        scores: (m,), -inf where no template is left.
        width: n, the columns of the block.
    """

    def __init__(self, probes: Places, columns: Places, scores: Vectors, width: int) -> None:
        keys = probes * width + columns
        order = np.argsort(keys)
        self._keys, self._scores, self._width = keys[order], scores[order], width

    def fill(self, rough: Vectors) -> None:
        """Put what is settled into rough scores (b, n)."""
        rough[np.divmod(self._keys, self._width)] = self._scores

    def put(self, probes: Places, columns: Places, scores: Vectors) -> Vectors:
        """The scores, with what is settled in place of others."""
        if len(self._keys):
            keys = probes * self._width + columns
            place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
            scores = np.where(self._keys[place] == keys, self._scores[place], scores)
        return scores


class Running:
    """The state of B probes. Identities come in rising order of their positions, each once.

    Attributes:
        beaten_by: (B,) other identities so far with a score >= that of the probe's own.
        scores: (B, K) best scores of other identities so far, falling; -inf where there is none.
        positions: (B, K) of them, of equals the lowest first; -1 where there is none.
        counts: (bins,) scores of other identities so far, by bin; None where they are not counted.

    Args:
        own_scores: (B,) true score of the probe's own identity; NaN where it has none.
        best: K.
        slack: of the rough scores.
        bins: how many there are to count; None for none.
    """

    def __init__(self, own_scores: Vectors, best: int, slack: float, bins: int | None) -> None:
        B = len(own_scores)
        self._own = np.where(own_scores > -np.inf, own_scores, np.inf).astype(np.float32)  # nobody beats +inf
        self._low, self._high = below(self._own.astype(np.float64) - slack), above(self._own.astype(np.float64) + slack)
        self._slack, self._bins = slack, bins
        self.beaten_by = np.zeros(B, np.int64)
        self.scores = np.full((B, best), -np.inf, np.float32)
        self.positions = np.full((B, best), -1, np.int64)
        self.counts: Counts | None = None if bins is None else np.zeros(bins, np.int64)

    def take(self, rough: Vectors, probes: Vectors, rows: slice, block: Block, settled: Settled) -> Counts | None:
        """Take up the rough scores of some rows against a block of identities.

        Calls for different rows may run side by side.

        Args:
            rough: (b, n), -inf for the own identity and where nothing was compared.
            probes: (b, D) the rows' vectors.
            rows: which of the B probes they are.
            block: of n identities.
            settled: by row of ``rough``.

        Returns:
            Their scores by bin, to be added to ``counts`` by who calls.
        """

        def true(at: Places) -> tuple[Places, Places, Vectors]:
            b, c = np.divmod(at, len(block))
            return b, c, settled.put(b, c, block.exact(probes, b, c))

        least = self._least_of_interest(rough, self.scores[rows, -1], int(block.positions.min()))
        low, high, own = self._low[rows], self._high[rows], self._own[rows]
        at = np.flatnonzero(rough >= least[:, None])
        if (least == -np.inf).any():
            at = at[rough.reshape(-1)[at] > -np.inf]
        b, c, scores = true(at)
        # Where all scores near the own one are of interest anyway, they are among these; else all have to be looked at.
        are_seen = low >= least
        self.beaten_by[rows] += np.bincount(b[(scores >= own[b]) & are_seen[b]], minlength=len(rough))
        self._merge(b + rows.start, block.positions[c], scores)
        for row in np.flatnonzero(~are_seen):
            self.beaten_by[rows.start + row] += np.count_nonzero(rough[row] > high[row])
            near = np.flatnonzero((rough[row] >= low[row]) & (rough[row] <= high[row]))
            _, _, scores = true(row * len(block) + near)
            self.beaten_by[rows.start + row] += np.count_nonzero(scores >= own[row])
        if self._bins is None:
            return None
        counts, unsure = sure_counts(rough, self._bins, self._slack)
        return counts + np.bincount(bin_of(true(unsure)[2], self._bins), minlength=self._bins)

    def _least_of_interest(self, rough: Vectors, kth: Vectors, before: int) -> Vectors:
        """The lowest rough score that an identity among the K best so far can have, (b,).

        Args:
            rough: (b, n).
            kth: (b,) K-th best true score of the identities before.
            before: how many these are.
        """
        least = below(kth.astype(np.float64) - self._slack)
        n, K = rough.shape[1], self.scores.shape[1]
        if n > before and n >= K:  # the block itself says more than what came before it
            rough_kth = np.partition(rough, n - K, axis=1)[:, n - K]
            # Two slacks: one from a rough score to the K-th best true one, another back.
            least = np.maximum(least, below(rough_kth.astype(np.float64) - 2 * self._slack))
        return least

    def _merge(self, rows: Places, positions: Places, scores: Vectors) -> None:
        """Take up true scores of other identities into the best of each row; rows come rising."""
        K = self.scores.shape[1]
        better = scores > self.scores[rows, -1]
        # Of equals that come in one block the lower position must win, whichever came first.
        better |= (scores == self.scores[rows, -1]) & (positions < self.positions[rows, -1])
        rows, positions, scores = rows[better], positions[better], scores[better]
        changed = rows[np.diff(rows, prepend=-1) > 0]
        if not len(changed):
            return
        rows = np.concatenate([np.repeat(changed, K), rows])
        positions = np.concatenate([self.positions[changed].reshape(-1), positions])
        scores = np.concatenate([self.scores[changed].reshape(-1), scores])
        order = np.lexsort((positions, -scores, rows))
        starts = np.searchsorted(rows[order], changed)
        kept = order[starts[:, None] + np.arange(K)]
        self.scores[changed], self.positions[changed] = scores[kept], positions[kept]
