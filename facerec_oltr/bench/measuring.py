"""One model in one protocol: every rule is searched in every arena, beside the cosine."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from facerec_oltr.bench.arena import Arena, Enrolled, Ints, arenas_of, enter
from facerec_oltr.bench.examples import worst_errors
from facerec_oltr.bench.features import Features, Progress
from facerec_oltr.bench.figures import Choices, Measure, Measured, SetRows, parts_of, search_result, shots_of
from facerec_oltr.bench.results import Example, SearchResult
from facerec_oltr.bench.searches import CANDIDATES, MOST_IDENTITIES, Outcome, Swept, search_by_rule, sweep_arena
from facerec_oltr.errors import DataError
from facerec_oltr.metrics.columns import Fusion
from facerec_oltr.protocols import Protocol
from facerec_oltr.protocols.shots import similar_counts
from facerec_oltr.scoring import CosineConfig, ScoreRule

_HELD_BYTES = 1 << 29  # of galleries' vectors kept from one rule to the next


@dataclass(eq=False)
class _Entered:
    """An arena with what the cosine found there, and the training images (P,) similar to each mated probe."""

    arena: Arena
    measure: Measure
    swept: list[Swept]
    similar: Ints | None
    cosine: dict[str, list[Measured]] = field(default_factory=dict)


class Measuring:
    """Measures rules. What the cosine finds is remembered, for all rules are held against it.

    Attributes:
        features: of the protocol's images.

    Args:
        protocol: with search sets.
        model: what results call it.
        features: as above.
        choices: what decides the figures.
        fusion: of an identity's templates.
        sizes: of galleries that were asked for.
        on_similar: told (training images compared with mated probes, of all); None leaves out the shot groups by
            similarity, which a protocol that does not list its training images has none of.
    """

    def __init__(
        self,
        protocol: Protocol,
        model: str,
        features: Features,
        choices: Choices,
        fusion: Fusion,
        sizes: Sequence[int],
        on_similar: Progress | None = None,
    ) -> None:
        self.features = features
        self._protocol, self._model, self._choices = protocol, model, choices
        self._fusion: Fusion = fusion
        self._sizes = sizes
        self._entered: dict[Enrolled, _Entered] = {}
        self._on_similar, self._similar = on_similar, dict[Enrolled, Ints]()

    def searched(
        self, name: str, rule: ScoreRule, depth: int, on_progress: Progress
    ) -> tuple[list[SearchResult], list[Example]]:
        """All search sets by a rule.

        Args:
            name: of the rule.
            rule: fitted here.
            depth: the most candidates that any rule looks at.
            on_progress: of the search by cosine.
        """
        results: dict[str, SearchResult] = {}
        examples: list[Example] = []
        for enrolled, sets in arenas_of(self._protocol).items():
            entered = self._enter(enrolled, sets, depth, on_progress)
            is_cosine = isinstance(rule, CosineConfig)
            calibration = entered.arena.part(enrolled.calibration)
            outcomes = [
                swept.outcome if is_cosine else search_by_rule(rule, entered.arena, swept, calibration, self._fusion)
                for swept in entered.swept
            ]
            for search_set in sets:
                rows = SetRows.of(self._protocol, search_set, entered.arena)
                result = self._result(search_set, name, entered, outcomes, rows, is_cosine)
                results[search_set] = result
                examples += worst_errors(result, entered.arena, outcomes[-1], rows)
        return [results[search_set] for search_set in self._protocol.searches], examples

    def _enter(self, enrolled: Enrolled, sets: Sequence[str], depth: int, on_progress: Progress) -> _Entered:
        if enrolled in self._entered:
            return self._entered[enrolled]
        if sum(one.arena.gallery.vectors.nbytes for one in self._entered.values()) > _HELD_BYTES:
            self._entered.clear()  # before the next one takes its memory
        arena = enter(self._protocol, enrolled, sets, self.features, self._choices.seed)
        if not arena.identities:
            raise DataError(
                f"{self._protocol.name}, {sets[0]}: {self._model} found no face in any image of the gallery; look at "
                "the images, or give another --detector"
            )
        sizes = self._sizes_of(arena, enrolled)
        deep = max(CANDIDATES, depth) if sizes[-1] > MOST_IDENTITIES else 1
        swept = sweep_arena(arena, sizes, self._fusion, min(deep, arena.identities), on_progress)
        similar = self._similar_to(arena, enrolled, sets)
        entered = _Entered(arena, Measure(arena, self._choices), swept, similar)
        for search_set in sets:
            rows = SetRows.of(self._protocol, search_set, arena)
            entered.cosine[search_set] = self._measured(entered, [one.outcome for one in swept], rows)
        self._entered[enrolled] = entered
        return entered

    def _similar_to(self, arena: Arena, enrolled: Enrolled, sets: Sequence[str]) -> Ints | None:
        """How many training images are similar to each probe; 0 of one that failed, or that nobody asks about."""
        trained_on = self._protocol.trained_on
        if self._on_similar is None or trained_on is None:
            return None
        if enrolled not in self._similar:  # it outlives the arena, for it takes longer than the search
            names = dict.fromkeys(name for one in sets for name in self._protocol.searches[one].mated)
            asked = arena.part(tuple(names))
            asked = asked[~arena.probes.failed[asked]]
            rows, has_face = self.features.find(trained_on.images)
            counts = np.zeros(len(arena.probes), np.int64)
            counts[asked] = similar_counts(
                arena.probes.vectors[asked],
                self.features.vectors(),
                np.sort(rows[has_face]),
                progress=self._on_similar,
            )
            self._similar[enrolled] = counts
        return self._similar[enrolled]

    def _sizes_of(self, arena: Arena, enrolled: Enrolled) -> list[int]:
        """Rising, the whole gallery last: those asked for; else, with distractors, from none of these on."""
        N, fewest = arena.identities, arena.looked_for
        if self._sizes:
            sizes = {size for size in self._sizes if size < N}
        elif enrolled.distractors:
            sizes = {fewest, *(size for size in (10**power for power in range(1, 9)) if fewest < size < N)}
        else:
            sizes = set()
        return sorted(size for size in sizes | {N} if size)

    def _measured(self, entered: _Entered, outcomes: Sequence[Outcome], rows: SetRows) -> list[Measured]:
        """In galleries of rising size; the last one with its shot groups."""
        arena, found = entered.arena, []
        people = [arena.probes.listed.people[row] for row in rows.mated.tolist()]
        for swept, outcome in zip(entered.swept, outcomes, strict=True):
            is_whole = swept.size == arena.identities
            some = rows if is_whole else rows.enrolled_in(arena, swept.size)
            similar = None if entered.similar is None else entered.similar[rows.mated]
            groups = shots_of(self._protocol, people, similar) if is_whole else {}
            found.append(entered.measure.measured(outcome, some, groups))
        return found

    def _result(
        self,
        search_set: str,
        name: str,
        entered: _Entered,
        outcomes: Sequence[Outcome],
        rows: SetRows,
        is_cosine: bool,
    ) -> SearchResult:
        cosine = entered.cosine[search_set]
        measured = cosine if is_cosine else self._measured(entered, outcomes, rows)
        reference: list[Measured | None] = [None] * len(cosine) if is_cosine else [*cosine]
        sizes = [swept.size for swept in entered.swept]
        return search_result(
            (self._protocol.name, search_set, self._model, name),
            parts_of(self._protocol, search_set, self._failed(search_set, entered.arena)),
            measured[-1],
            reference[-1],
            list(zip(sizes, measured, reference, strict=True)),
            entered.arena.identities,
            outcomes[-1].candidates,
        )

    def _failed(self, search_set: str, arena: Arena) -> dict[str, int]:
        """How many templates of each list of a set failed."""
        searches = self._protocol.searches[search_set]
        failed = {name: int(arena.probes.failed[rows].sum()) for name, rows in arena.rows.items()}
        start = 0
        for name in (*searches.gallery, *searches.distractors):
            end = start + len(self._protocol.lists[name])
            failed[name] = int(arena.gallery.failed[start:end].sum())
            start = end
        return failed
