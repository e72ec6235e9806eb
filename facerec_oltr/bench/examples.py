"""The worst errors of a search set, to be looked at: most are wrong labels, twins, or photos nobody could tell."""

import numpy as np

from facerec_oltr.bench.arena import Arena, Ints
from facerec_oltr.bench.figures import SetRows
from facerec_oltr.bench.results import Example, Kind, SearchResult
from facerec_oltr.bench.searches import Outcome
from facerec_oltr.bench.templates import Templates

OF_A_KIND = 5


def worst_errors(result: SearchResult, arena: Arena, outcome: Outcome, rows: SetRows) -> list[Example]:
    """The highest scores accepted wrongly and the lowest rejected wrongly, one of each person.

    They are of the first target, at the threshold that calibration people chose where there are any.

    Args:
        result: of the set, with its thresholds.
        arena: where it was searched.
        outcome: of its rule there.
        rows: of the set.
    """
    threshold = result.points[0].threshold
    if threshold is None:
        return []
    best = np.maximum(outcome.own, outcome.best_others)
    mated, strangers = rows.mated, rows.strangers
    accepted = strangers[best[strangers] >= threshold]
    wrong = mated[(outcome.ranks[mated] > 1) & (outcome.best_others[mated] >= threshold)]
    own = outcome.own[mated]
    rejected = mated[(own < threshold) & (own > -np.inf) & (best[mated] < threshold)]
    kinds: list[tuple[Kind, Ints, np.ndarray]] = [
        ("false_accept", accepted, best),
        ("wrong_name", wrong, outcome.best_others),
        ("false_reject", rejected, outcome.own),
    ]
    found: list[Example] = []
    for kind, probes, scores in kinds:
        order = probes[np.argsort(scores[probes] if kind == "false_reject" else -scores[probes], kind="stable")]
        _, firsts = np.unique(arena.people[order], return_index=True)
        worst = order[np.sort(firsts)[:OF_A_KIND]].tolist()
        found += [_example(result, kind, arena, outcome, probe, float(scores[probe]), threshold) for probe in worst]
    return found


def _example(
    result: SearchResult, kind: Kind, arena: Arena, outcome: Outcome, probe: int, score: float, threshold: float
) -> Example:
    own = int(arena.own[probe])
    return Example(
        result.protocol,
        result.search_set,
        result.model,
        result.rule,
        kind,
        arena.probes.first_image(probe),
        _nearest(arena.gallery, arena.templates_of(int(outcome.best[probe])), arena.probes.vectors[probe]),
        _nearest(arena.gallery, arena.templates_of(own), arena.probes.vectors[probe]) if own >= 0 else None,
        score,
        threshold,
    )


def _nearest(templates: Templates, rows: Ints, vector: np.ndarray) -> str:
    """The key of an image of the template that is most like a vector."""
    scores = templates.vectors[rows].astype(np.float64) @ vector.astype(np.float64)
    return templates.first_image(int(rows[scores.argmax()]))
