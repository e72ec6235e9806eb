"""Faces of which somebody said "this is not that person", as a search of a gallery respects them.

A probe is not given a person's name where it is nearer to a face that is said not to be them than to the person:

    max_q cos(p, q) > s(p, g)

with q over the negatives of g and s the cosine fused over g's templates. That is where the penalty of the score rule
``negative_cohort`` begins; here it refuses outright, so that it holds whatever rule makes the scores. The next
candidate is looked at instead.

Refusing takes accepted searches away and adds none: where the next candidate reaches the threshold, so did the one that
was refused. So the share of strangers who are accepted never rises by a negative, and a threshold is chosen without
them: its FPIR is an upper bound whichever come and go. (Chosen with them it would fall short where strangers that it is
chosen by are negatives themselves: those are as near to themselves as can be, and no other stranger is.)

A mated search is refused where the probe is nearer to the negative than to all templates of its own person. The more
a negative is like the person, the more photos of them are so; ``facerec_oltr.reject`` counts this where one is added.
"""

from collections.abc import Callable

import numpy as np

from facerec_oltr.gallery.records import Ids, NegativeFaces, Vectors
from facerec_oltr.metrics.exact import dot_scores

Search = Callable[[Vectors, int], tuple[Vectors, Vectors, Ids]]
"""Of probes (B, D) and k the scores (B, k'), falling, the cosines (B, k') and the identities (B, k')."""

Found = list[tuple[int, float, float | None]]
"""Of one probe: identity, score, and the cosine with a nearer negative, if there is one; best first."""


def nearest_negatives(probes: Vectors, identities: Ids, negatives: NegativeFaces) -> Vectors:
    """The cosine of each probe (B, D) with the nearest negative of each of its candidates (B, K); -inf without any."""
    nearest = np.full(identities.shape, -np.inf, np.float32)
    for identity in np.unique(identities[np.isin(identities, negatives.identities)]).tolist():
        own = negatives.vectors[negatives.identities == identity]
        for row, column in np.argwhere(identities == identity).tolist():
            nearest[row, column] = dot_scores(own, probes[row]).max()
    return nearest


def search_respecting(search: Search, probes: Vectors, k: int, negatives: NegativeFaces) -> list[Found]:
    """The best of each probe, until k are found that no negative refuses, or everybody was looked at.

    Those that are refused stay in their places, so there may be more than k. Only probes whose best are refused are
    searched again, deeper.
    """
    answers: list[Found] = [[] for _ in probes]
    pending, depth = np.arange(len(probes)), k
    while len(pending):
        scores, cosines, identities = search(probes[pending], depth)
        nearest = nearest_negatives(probes[pending], identities, negatives)
        refused = nearest > cosines
        kept = np.cumsum(~refused, axis=1)
        enough = kept[:, -1] >= k if identities.shape[1] else np.ones(len(pending), bool)
        if identities.shape[1] < depth:
            enough[:] = True
        for b in np.flatnonzero(enough).tolist():
            last = int(np.argmax(kept[b] >= k)) + 1 if kept.shape[1] and kept[b, -1] >= k else kept.shape[1]
            against = [n if r else None for n, r in zip(nearest[b].tolist(), refused[b].tolist(), strict=True)]
            found = zip(identities[b].tolist(), scores[b].tolist(), against, strict=True)
            answers[int(pending[b])] = list(found)[:last]
        pending, depth = pending[~enough], 2 * depth + int(refused.sum(axis=1).max(initial=0))
    return answers
