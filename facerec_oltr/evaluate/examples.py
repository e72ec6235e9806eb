"""Decisions to look at: the first of each kind as they come, so that nobody has picked them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from facerec_oltr.evaluate.searches import Scored

KINDS = ("correct_accept", "correct_reject", "false_accept", "false_reject", "wrong_name")
_EACH = 4  # of each kind


def example_decisions(
    draws: Sequence[Scored],
    thresholds: Sequence[float],
    positions: npt.NDArray[np.int64],
    people: npt.NDArray[np.int64],
) -> dict[str, list[dict[str, Any]]]:
    """The first few decisions of each kind, of each person at most one.

    Args:
        draws: one embedder's searches.
        thresholds: of each draw.
        positions: (P,) where the photos that the draws number stand in the face set.
        people: (P,) whose they are.
    """
    chosen: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    seen: set[tuple[str, int]] = set()
    for number, (scored, threshold) in enumerate(zip(draws, thresholds, strict=True)):
        for place, kind in enumerate(_kinds(scored, threshold, people)):
            probe, best = int(scored.probes[place]), int(scored.best_templates[place])
            if (kind, int(people[probe])) in seen or len(chosen[kind]) == _EACH:
                continue
            seen.add((kind, int(people[probe])))
            chosen[kind].append(
                {
                    "draw": number,
                    "probe": int(positions[probe]),
                    "best": int(positions[best]),
                    "score": float(scored.best_scores[place]),
                    "threshold": threshold,
                }
            )
    return chosen


def _kinds(scored: Scored, threshold: float, people: npt.NDArray[np.int64]) -> Iterator[str]:
    """What the threshold makes of each probe."""
    mated = len(scored.searches.true_scores)  # the strangers' probes follow
    right = people[scored.probes] == people[scored.best_templates]
    for place, accepted in enumerate(scored.best_scores >= threshold):
        if place >= mated:
            yield "false_accept" if accepted else "correct_reject"
        elif not accepted:
            yield "false_reject"
        else:
            yield "correct_accept" if right[place] else "wrong_name"
