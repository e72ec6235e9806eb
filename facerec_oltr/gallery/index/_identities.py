"""From the best rows to the best identities."""

import numpy as np

from facerec_oltr.gallery.index._kind import Kind
from facerec_oltr.gallery.records import Fusion, Ids, Vectors

_DEPTH = 4  # templates asked for, times k; deeper for probes whose best ones belong to too few identities


def best_identities(index: Kind, probes: Vectors, k: int, identities: int, fusion: Fusion) -> tuple[Vectors, Ids]:
    """The k best identities of each probe, by their best row.

    Args:
        index: of rows that belong to identities.
        probes: (B, D).
        k: how many.
        identities: how many there are, or more.
        fusion: max for a row a template, others for a row an identity.

    Returns:
        Scores (B, k'), falling, and identities (B, k').
    """
    if fusion is not Fusion.MAX:
        return index.search(probes, k)
    wanted = min(k, identities)
    answers: list[tuple[Vectors, Ids]] = [(np.empty(0, np.float32), np.empty(0, np.int64))] * len(probes)
    pending, depth = list(range(len(probes))), _DEPTH * k
    while pending and wanted:
        scores, rows = index.search_rows(probes[pending], depth)
        owners = index.rows.owners[rows]
        for b, score, owner in zip(pending, scores, owners, strict=True):
            first = np.sort(np.unique(owner, return_index=True)[1])[:k]  # best first, so the first of each is its best
            answers[b] = score[first], owner[first]
        if depth >= len(index):
            break
        pending = [b for b in pending if len(answers[b][0]) < wanted]
        depth *= 4
    width = min((len(found) for _, found in answers), default=0)
    return (
        np.array([s[:width] for s, _ in answers], np.float32).reshape(len(probes), width),
        np.array([i[:width] for _, i in answers], np.int64).reshape(len(probes), width),
    )
