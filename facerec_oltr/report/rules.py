"""Score rules compared with the cosine: intervals by person, and which rule is worth its trouble."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facerec_oltr.evaluate.rules import REFERENCE
from facerec_oltr.metrics.intervals import Interval, rate_by_identity
from facerec_oltr.report.results import Evaluation

ENOUGH_PEOPLE = 30  # on each side; an interval of fewer is too narrow to recommend anything by

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RuleFigures:
    """One rule of one model at one target, over all draws of all splits.

    Attributes:
        model: its name.
        target: the wanted FPIR.
        rule: its name.
        fpir: the share of strangers' searches let in, 95 %.
        tpir: the share of mated searches found, 95 %.
        difference: of the TPIR to the cosine's on the same searches, paired by person; None for the cosine itself.
        equal_fpir: the same with thresholds that let in the same share of strangers, see
            ``facerec_oltr.evaluate.equal_fpir``. The 95 % of either hold for all rules of a model and target together.
        people: enrolled people and strangers that it rests on.
    """

    model: str
    target: float
    rule: str
    fpir: Interval
    tpir: Interval
    difference: Interval | None
    equal_fpir: Interval | None
    people: tuple[int, int]

    @property
    def enough(self) -> bool:
        """Whether there are people enough to recommend anything."""
        return min(self.people) >= ENOUGH_PEOPLE

    @property
    def recommended(self) -> bool:
        """Whether it finds more people than the cosine, beyond chance, and not because it lets more strangers in."""
        if self.difference is None or self.equal_fpir is None:
            return False
        return self.enough and self.difference.low > 0 and self.equal_fpir.low > 0


def compare_rules(results: Sequence[Evaluation]) -> list[RuleFigures]:
    """Every rule of every model at every target; empty where the cosine alone was evaluated."""
    if "rules" not in results[0]:
        return []
    people = np.unique([person for result in results for person in result["rules"]["people"]])
    mated, strangers = (_summed(results, people, (side,)) for side in ("mated", "strangers"))
    rows = []
    for place, target in enumerate(results[0]["targets"]):
        for model, of_rule in results[0]["rules"]["models"].items():
            counts = {
                rule: tuple(
                    _summed(results, people, ("models", model, rule, place, what)) for what in ("found", "let_in")
                )
                for rule in of_rule
            }
            for rule in counts:
                equal = [result["rules"]["models"][model][rule][place]["equal_fpir"] for result in results]
                rows.append(_figures(model, target, rule, counts, mated, strangers, equal))
    return rows


def rule_notes(figures: Sequence[RuleFigures]) -> list[str]:
    """How the table is to be read, and what it does not allow to say; empty without other rules than the cosine."""
    if not figures:
        return []
    enrolled, strangers = figures[0].people
    reading = (
        f"Rates in per cent over all draws, in brackets 95 % by drawing anew the {enrolled:,} people enrolled or the "
        f"{strangers:,} strangers; the draws' thresholds are chosen by other people and held. Differences are of the "
        "TPIR to the cosine's, paired on the same searches, their 95 % for all rules of a model and target together; "
        "*at equal FPIR* both thresholds are set on the test strangers, and again in every drawing anew, so that no "
        "rule gains by letting more of them in. A rule is *recommended* where both differences are above zero beyond "
        "chance."
    )
    notes = [reading]
    if not figures[0].enough:
        notes.append(
            f"With fewer than {ENOUGH_PEOPLE} people on each side the brackets are too narrow, and no rule is "
            "recommended whatever they say."
        )
    return notes


def _figures(
    model: str,
    target: float,
    rule: str,
    counts: dict[str, tuple[Counts, ...]],
    mated: Counts,
    strangers: Counts,
    equal: Sequence[dict[str, float]],
) -> RuleFigures:
    (found, let_in), (found_by_cosine, _) = counts[rule], counts[REFERENCE]
    surer = 1 - 0.05 / max(1, len(counts) - 1)
    differences = (None, None)
    if rule != REFERENCE:
        # Splits share people: the mean of their bounds takes them for one and the same evidence.
        estimate, low, high = (float(np.mean([one[name] for one in equal])) for name in ("estimate", "low", "high"))
        differences = (_rate(found - found_by_cosine, mated, surer), Interval(estimate, low, high, surer))
    return RuleFigures(
        model,
        target,
        rule,
        _rate(let_in, strangers),
        _rate(found, mated),
        *differences,
        (int(np.count_nonzero(mated)), int(np.count_nonzero(strangers))),
    )


def _rate(hits: Counts, searches: Counts, confidence: float = 0.95) -> Interval:
    return rate_by_identity(hits, searches, np.random.default_rng(0), confidence=confidence)  # the same draws for all


def _summed(results: Sequence[Evaluation], people: Counts, key: tuple[str | int, ...]) -> Counts:
    """A count by person, from its place in each split's rules; in each split other people were left out."""
    total = np.zeros(len(people), np.int64)
    for result in results:
        value: Any = result["rules"]
        for step in key:
            value = value[step]
        np.add.at(total, np.searchsorted(people, result["rules"]["people"]), value)
    return total
