"""How much more one rule finds than another where both let in the same share of strangers.

A threshold that other people chose lets in more or fewer strangers than wanted, and another share by each rule: a rule
that lets in more also finds more. So the thresholds are set on the test strangers themselves, at the target for both.
What chance there is in that is part of the interval: strangers and people enrolled are drawn anew, each with all
searches of all draws, and every replicate chooses its thresholds again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facerec_oltr.metrics.identification import Searches
from facerec_oltr.metrics.intervals import Interval

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LEAST = 1e-9  # of a weight: sums of whole numbers times a target end in other digits


@dataclass(frozen=True, eq=False)
class Ranked:
    """The searches of one draw by one rule, falling by score.

    Attributes:
        found_scores: (F,) own scores of the mated searches with the own identity on top.
        found_people: (F,) whose these are.
        best_scores: (U,) of strangers.
        best_people: (U,) whose these are.
    """

    found_scores: Floats
    found_people: Ints
    best_scores: Floats
    best_people: Ints

    @classmethod
    def of(cls, searches: Searches, mated: Ints, strangers: Ints) -> "Ranked":
        """Order searches by people (M,) and (U,), who are numbered from 0."""
        top = np.flatnonzero((searches.ranks == 1) & (searches.true_scores > -np.inf))
        found = top[np.argsort(-searches.true_scores[top], kind="stable")]
        best = np.argsort(-searches.nonmated_maxima, kind="stable")
        return cls(searches.true_scores[found], mated[found], searches.nonmated_maxima[best], strangers[best])

    def found(self, targets: Sequence[float], enrolled: Ints, strangers: Ints) -> Floats:
        """(K,) how many mated searches are found at the lowest thresholds that let in the targets at most.

        Every person counts as often as `enrolled` (P,) and `strangers` (P,) say.
        """
        let_in = np.cumsum(strangers[self.best_people])
        total = np.append(0, np.cumsum(enrolled[self.found_people]))
        result = np.empty(len(targets))
        for place, target in enumerate(targets):
            # The best stranger who must stay out sets the limit; with ties, so must all who score like him.
            last = int(np.searchsorted(let_in, target * let_in[-1] + _LEAST, side="right"))
            limit = self.best_scores[last] if last < len(let_in) else -np.inf
            result[place] = total[np.searchsorted(-self.found_scores, -limit, side="left")]
        return result


def differences(
    draws: Mapping[str, Sequence[Ranked]],
    reference: str,
    targets: Sequence[float],
    mated: Ints,
    rng: np.random.Generator,
    *,
    replicates: int = 500,
) -> dict[str, list[Interval]]:
    """TPIR less the reference's at equal FPIR, for each rule and target; 95 % for all rules together (Bonferroni).

    Args:
        draws: of each rule, in the same order.
        reference: which rule the others are compared with.
        targets: K wanted FPIRs.
        mated: (P,) mated searches of each person over all draws.
        rng: the source of all draws.
        replicates: how often to draw.
    """
    rules, people = list(draws), len(mated)
    strangers = np.unique(np.concatenate([one.best_people for one in draws[reference]]))
    enrolled = np.flatnonzero(mated)
    rates = np.empty((replicates + 1, len(rules), len(targets)))
    for row in range(replicates + 1):
        weights = np.zeros((2, people), np.int64)
        for side, who in zip(weights, (enrolled, strangers), strict=True):
            side[who] = rng.multinomial(len(who), np.full(len(who), 1 / len(who))) if row else 1
        for place, rule in enumerate(rules):
            hits = sum(one.found(targets, *weights) for one in draws[rule])
            rates[row, place] = hits / (weights[0] @ mated)
    gains = rates - rates[:, [rules.index(reference)]]
    confidence = 1 - 0.05 / max(1, len(rules) - 1)
    low, high = np.quantile(gains[1:], [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return {
        rule: [
            Interval(float(gains[0, place, k]), float(low[place, k]), float(high[place, k]), confidence)
            for k in range(len(targets))
        ]
        for place, rule in enumerate(rules)
    }
