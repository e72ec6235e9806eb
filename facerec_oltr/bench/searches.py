"""An arena's probes searched: by cosine in one sweep, by other rules over all identities or the best candidates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from facerec_oltr.bench.arena import Arena, Ints
from facerec_oltr.metrics.columns import Columns, Fusion
from facerec_oltr.metrics.identification import Searches, fuse_templates
from facerec_oltr.metrics.sweep import GallerySearches, sweep
from facerec_oltr.scoring import FittedRule, GalleryFaces, ScoreRule
from facerec_oltr.scoring.cohort import cohort_folds, cohort_of

Floats = npt.NDArray[np.float64]
Progress = Callable[[int, int], None]

MOST_IDENTITIES = 20_000  # beyond, a rule looks at candidates only
CANDIDATES = 64
_BLOCK = 1 << 22  # scores held at once, 32 MiB


@dataclass(frozen=True, eq=False)
class Outcome:
    """P probes in a gallery of one size; a failed probe has found nothing.

    Attributes:
        own: (P,) score of the probe's own identity; -inf where it is not there, or nothing was compared.
        ranks: (P,) of it, pessimistic; of a missing one N, at least 1.
        best_others: (P,) best score among the other identities; -inf where there is none.
        best: (P,) number of the best identity, of equals the lowest; -1 where nothing was compared.
        candidates: how many of the best by cosine were looked at; None for all.
    """

    own: Floats
    ranks: Ints
    best_others: Floats
    best: Ints
    candidates: int | None = None

    def searches(self, mated: Ints, strangers: Ints) -> Searches:
        """For the metrics: these rows as mated searches, and those as searches of strangers."""
        best = np.maximum(self.own, self.best_others)
        return Searches(self.own[mated], self.ranks[mated], self.best_others[mated], best[strangers])


@dataclass(frozen=True, eq=False)
class Swept:
    """What the cosine finds in a gallery of one size.

    Attributes:
        size: N.
        outcome: by cosine.
        positions: (P, K) the best identities; -1 where nothing was compared.
        scores: (P, K) of them, -inf there.
    """

    size: int
    outcome: Outcome
    positions: Ints
    scores: npt.NDArray[np.float32]


def sweep_arena(
    arena: Arena, sizes: Sequence[int], fusion: Fusion, depth: int, on_progress: Progress = lambda done, total: None
) -> list[Swept]:
    """Search all probes by cosine in galleries of rising size, remembering the `depth` best of each."""
    alive = np.flatnonzero(~arena.probes.failed)
    place = np.full(len(arena.probes), -1)
    place[alive] = np.arange(len(alive))
    pairs = np.column_stack([place[arena.excluded[:, 0]], arena.excluded[:, 1]])
    found = sweep(
        arena.probes.vectors if len(alive) == len(place) else arena.probes.vectors[alive],
        arena.own[alive],
        arena.gallery.vectors,
        arena.owners,
        identities=np.arange(arena.identities),
        sizes=sizes,
        fusion=fusion,
        best=depth,
        excluded=pairs[pairs[:, 0] >= 0],
        on_progress=on_progress,
    )
    return [_swept(one, alive, len(place)) for one in found.galleries]


def _swept(found: GallerySearches, alive: Ints, count: int) -> Swept:
    mated, others = alive[found.mated], alive[~found.mated]
    outcome = _nothing(count, found.size)
    outcome.own[mated], outcome.ranks[mated] = found.searches.true_scores, found.searches.ranks
    outcome.best_others[mated], outcome.best_others[others] = found.searches.best_others, found.searches.nonmated_maxima
    outcome.best[alive] = found.best[:, 0]
    positions = np.full((count, found.best.shape[1]), -1)
    scores = np.full(positions.shape, -np.inf, np.float32)
    positions[alive], scores[alive] = found.best, found.best_scores
    return Swept(found.size, outcome, positions, scores)


def search_by_rule(rule: ScoreRule, arena: Arena, swept: Swept, calibration: Ints, fusion: Fusion) -> Outcome:
    """Search all probes by a rule, in the gallery of one size.

    The calibration probes are searched by a rule whose cohort does not have them, all others by one whose cohort is
    all of them, see ``facerec_oltr.scoring.cohort``.

    Args:
        rule: fitted here.
        arena: where.
        swept: what the cosine finds there.
        calibration: rows of the probes whose people choose the threshold.
        fusion: of an identity's templates.

    Raises:
        DataError: the rule needs more people than there are, or more candidates than were looked for.
    """
    search = _RuleSearch(arena, swept, fusion, max(CANDIDATES, rule.depth))
    alive = ~arena.probes.failed
    cohort = calibration[alive[calibration]]
    vectors, people = arena.probes.vectors, arena.people
    outcome = _nothing(len(arena.probes), swept.size)
    rows = np.flatnonzero(alive)
    if rule.needs_cohort:
        rows = np.setdiff1d(rows, cohort)
        for fold, rest in cohort_folds(rule, people[cohort]):
            others = cohort[rest]
            # Not kept by a name: of a large gallery two fitted rules would be held at once.
            search.run(rule.fit(search.faces, cohort_of(rule, vectors[others], people[others])), cohort[fold], outcome)
    if len(rows):
        search.run(rule.fit(search.faces, cohort_of(rule, vectors[cohort], people[cohort])), rows, outcome)
    return replace(outcome, candidates=search.candidates)


class _RuleSearch:
    """Fitted rules in the gallery of one size."""

    def __init__(self, arena: Arena, swept: Swept, fusion: Fusion, depth: int) -> None:
        enrolled = np.flatnonzero((arena.owners >= 0) & (arena.owners < swept.size))
        self._templates = enrolled[np.argsort(arena.owners[enrolled], kind="stable")]
        self._arena, self._swept = arena, swept
        self._fusion: Fusion = fusion
        self.faces = GalleryFaces(arena.gallery.vectors, arena.owners[self._templates], fusion, self._templates)
        self.candidates = None if swept.size <= MOST_IDENTITIES else min(depth, swept.positions.shape[1])

    def run(self, fitted: FittedRule, rows: Ints, outcome: Outcome) -> None:
        """Put what a rule finds for some probes into an outcome."""
        width = len(self._templates) if self.candidates is None else self.candidates
        step = max(1, _BLOCK // max(1, width))
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            if self.candidates is None:
                numbers = np.broadcast_to(np.arange(self._swept.size), (len(some), self._swept.size))
                cosines = self._cosines(some)
            else:
                best = slice(self.candidates)
                numbers, cosines = self._swept.positions[some, best], self._swept.scores[some, best]
            _put(outcome, some, numbers, fitted.scores(self._arena.probes.vectors[some], numbers, cosines), self._arena)

    @cached_property
    def _columns(self) -> Floats:
        """What a product compares with: all templates (D, T), or the mean of each identity's (D, N)."""
        vectors = self._arena.gallery.vectors[self._templates]
        if self._fusion == "mean":
            block = self._gallery.block(np.arange(self._swept.size))
            vectors = block.vectors[np.argsort(block.positions)]
        return np.ascontiguousarray(vectors.T, np.float64)

    @cached_property
    def _gallery(self) -> Columns:
        """The gallery as the sweep has it."""
        return Columns(self._arena.gallery.vectors, self._arena.owners, self._arena.identities, self._fusion)

    def _cosines(self, rows: Ints) -> npt.NDArray[np.float32]:
        """(b, N) as the sweep has them: products in double precision rounded to float32, fused over templates."""
        products = (self._arena.probes.vectors[rows].astype(np.float64) @ self._columns).astype(np.float32)
        fused = products if self._fusion == "mean" else fuse_templates(products, self.faces.identities)[0]
        excluded = self._arena.excluded
        for place in np.flatnonzero(np.isin(rows, excluded[:, 0])).tolist():
            gone = excluded[excluded[:, 0] == rows[place], 1]
            for number in np.unique(self._arena.owners[gone]).tolist():
                if 0 <= number < self._swept.size:
                    probe = self._arena.probes.vectors[rows[place]]
                    fused[place, number] = self._gallery.without(number, gone, probe)
        return fused


def _put(outcome: Outcome, rows: Ints, numbers: Ints, scores: Floats, arena: Arena) -> None:
    """Reduce scores (b, K) of identities (b, K), -inf where there is none, to what an outcome keeps."""
    own = numbers == arena.own[rows][:, None]
    own &= scores > -np.inf
    true = np.where(own, scores, -np.inf).max(axis=1, initial=-np.inf)
    others = np.where(own, -np.inf, scores)
    has = own.any(axis=1)
    beaten = 1 + np.count_nonzero((others >= true[:, None]) & (others > -np.inf), axis=1)
    outcome.own[rows] = true
    outcome.ranks[rows] = np.where(has, beaten, outcome.ranks[rows])
    outcome.best_others[rows] = others.max(axis=1, initial=-np.inf)
    if scores.shape[1]:
        top = scores.max(axis=1, keepdims=True)
        lowest = np.where(scores == top, numbers, np.iinfo(np.int64).max).min(axis=1)
        outcome.best[rows] = np.where(top[:, 0] > -np.inf, lowest, -1)


def _nothing(count: int, size: int) -> Outcome:
    """What is known of probes of which nothing was compared."""
    return Outcome(np.full(count, -np.inf), np.full(count, max(1, size)), np.full(count, -np.inf), np.full(count, -1))
