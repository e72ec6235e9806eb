"""Score rules side by side on the same searches, counted by person.

A rule that reads a cohort takes the people who choose the threshold, see ``facerec_oltr.scoring.cohort``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facerec_oltr.evaluate.equal_fpir import Ranked, differences
from facerec_oltr.metrics.identification import Searches, found, fuse_templates, let_in, threshold_at_fpir
from facerec_oltr.metrics.intervals import Interval
from facerec_oltr.protocols.draw import Dealt
from facerec_oltr.scoring import FittedRule, GalleryFaces, ScoreRule
from facerec_oltr.scoring.cohort import cohort_folds, cohort_of, try_out

Vectors = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

REFERENCE = "cosine"  # the rule that the others must beat
_BLOCK = 1 << 22  # scores at a time


@dataclass(frozen=True, eq=False)
class Judged:
    """The searches of one draw as one rule scores them.

    Attributes:
        searches: of the mated probes and then of the strangers, in their order.
        calibration_maxima: best score of each photo of the people who choose the threshold.
    """

    searches: Searches
    calibration_maxima: npt.NDArray[np.float64]


def judge(rule: ScoreRule, vectors: Vectors, people: Ints, dealt: Dealt) -> Judged:
    """Search the probes and the calibration photos of a draw, scored by a rule.

    Args:
        rule: fitted here, to the draw's gallery and, if it reads one, a cohort.
        vectors: (P, D) of unit length.
        people: (P,) whose photo each one is.
        dealt: positions in these.

    Raises:
        DataError: a rule that needs more people than there are.
    """
    gallery = GalleryFaces(vectors[dealt.gallery], people[dealt.gallery])
    chosen = dealt.calibration
    maxima = np.empty(len(chosen))
    for fold, rest in cohort_folds(rule, people[chosen]):
        fitted = rule.fit(gallery, cohort_of(rule, vectors[chosen[rest]], people[chosen[rest]]))
        searches = _search(fitted, gallery, vectors[chosen[fold]], np.full(np.count_nonzero(fold), -1))
        maxima[fold] = searches.nonmated_maxima
    fitted = rule.fit(gallery, cohort_of(rule, vectors[chosen], people[chosen]))
    probes = np.concatenate([dealt.mated, dealt.strangers])
    return Judged(_search(fitted, gallery, vectors[probes], people[probes]), maxima)


def check_rules(rules: Mapping[str, ScoreRule], people: Ints, dealt: Dealt) -> None:
    """Refuse rules that have too few people, ahead of any embedding: fitted to random vectors.

    Raises:
        DataError: as ``judge``.
    """
    try_out(rules.values(), people[dealt.gallery], people[dealt.calibration])


class RuleCounts:
    """How often each rule found whom it should and let a stranger in, by person, over all draws.

    Args:
        rules: by name.
        targets: wanted FPIRs.
        labels: (P,) whose photo each one is, of all draws.
    """

    def __init__(self, rules: Mapping[str, ScoreRule], targets: Sequence[float], labels: Ints) -> None:
        self._rules, self._targets = rules, targets
        self._people, self._who = np.unique(labels, return_inverse=True)
        self._labels = labels
        self._models: dict[str, npt.NDArray[np.int64]] = {}
        self._equal: dict[str, dict[str, list[Interval]]] = {}
        self._tried = np.zeros((2, len(self._people)), np.int64)

    def add(self, model: str, vectors: Vectors, draws: Sequence[Dealt]) -> None:
        """Judge all draws of a model."""
        shape = (len(self._rules), len(self._targets), 2, len(self._people))
        counts = self._models[model] = np.zeros(shape, np.int64)
        tried = np.zeros_like(self._tried)
        ranked: dict[str, list[Ranked]] = {name: [] for name in self._rules}
        for dealt in draws:
            mated, strangers = self._who[dealt.mated], self._who[dealt.strangers]
            np.add.at(tried[0], mated, 1)
            np.add.at(tried[1], strangers, 1)
            for place, (name, rule) in enumerate(self._rules.items()):
                judged = judge(rule, vectors, self._labels, dealt)
                ranked[name].append(Ranked.of(judged.searches, mated, strangers))
                for target, wanted in enumerate(self._targets):
                    T = threshold_at_fpir(judged.calibration_maxima, wanted).value
                    np.add.at(counts[place, target, 0], mated, found(judged.searches, T))
                    np.add.at(counts[place, target, 1], strangers, let_in(judged.searches, T))
        self._tried = tried  # the same for every model
        self._equal[model] = differences(ranked, REFERENCE, self._targets, tried[0], np.random.default_rng(0))

    def as_json(self) -> dict[str, Any]:
        """All counts, ready for JSON."""
        return {
            "configs": {name: rule.model_dump() for name, rule in self._rules.items()},
            "people": self._people.tolist(),
            "mated": self._tried[0].tolist(),
            "strangers": self._tried[1].tolist(),
            "models": {
                model: {
                    name: [
                        {"found": hits.tolist(), "let_in": alarms.tolist(), "equal_fpir": asdict(equal)}
                        for (hits, alarms), equal in zip(of_rule, self._equal[model][name], strict=True)
                    ]
                    for name, of_rule in zip(self._rules, counts, strict=True)
                }
                for model, counts in self._models.items()
            },
        }


def _search(fitted: FittedRule, gallery: GalleryFaces, probes: Vectors, people: Ints) -> Searches:
    """Every probe against everybody, a block of probes at a time."""
    step = max(1, _BLOCK // len(gallery.vectors))
    parts = []
    for start in range(0, len(probes), step):
        rows = slice(start, start + step)
        cosines, identities = fuse_templates(probes[rows] @ gallery.vectors.T, gallery.identities)
        scores = fitted.scores(probes[rows], identities, cosines)
        parts.append(Searches.from_scores(scores, identities, people[rows]))
    return Searches.join(parts)
