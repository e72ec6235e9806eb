"""Who else looks like the photos of people who are enrolled together.

All of them are searched at once, because a search of the gallery first brings its index up to date, which costs as much
for one new template as for a hundred. Whoever is enrolled after that is kept beside the index with all their templates,
and compared by the same scores, so that each photo sees everybody who was enrolled before it. What other processes
enrol meanwhile is seen from the next search on.
"""

from collections.abc import Collection, Sequence

import numpy as np

from facerec_oltr.gallery.fusing import fused_rows
from facerec_oltr.gallery.gallery import Gallery
from facerec_oltr.gallery.records import Candidate, NegativeRecord, NewTemplate, TemplateRecord, Vectors
from facerec_oltr.metrics.exact import dot_scores


class Lookalikes:
    """The answers to some probes, searched together, and who was enrolled since.

    Args:
        gallery: whose people.
        probes: all that will be asked for.
        changing: names that may get or lose templates before the last of them is asked for.
    """

    def __init__(self, gallery: Gallery, probes: Sequence[NewTemplate], changing: Collection[str]) -> None:
        self._fusion = gallery.facts.fusion
        # So many that after leaving out the probe's own name and all whose templates have changed one is left.
        found = gallery.search([probe.vector for probe in probes], 2 + len(changing)) if probes else []
        self._found = {probe.photo_sha256: candidates for probe, candidates in zip(probes, found, strict=True)}
        self._rows: list[Vectors] = []
        self._names: list[str] = []
        self._negatives: dict[str, Vectors] = {}
        self._matrix: Vectors | None = None

    def enrolled(
        self, name: str, templates: Sequence[NewTemplate | TemplateRecord], negatives: Sequence[NegativeRecord] = ()
    ) -> None:
        """Somebody has exactly these templates since, and these faces are said not to be them."""
        kept = [(row, who) for row, who in zip(self._rows, self._names, strict=True) if who != name]
        vectors, qualities = np.array([t.vector for t in templates]), np.array([t.quality for t in templates])
        new = fused_rows(vectors, qualities, self._fusion) if templates else vectors
        self._rows = [*(row for row, _ in kept), *new]
        self._names = [*(who for _, who in kept), *[name] * len(new)]
        self._negatives[name] = np.array([n.vector for n in negatives], np.float32)
        self._matrix = None

    def best_other(self, probe: NewTemplate, name: str) -> Candidate | None:
        """Who is most like a probe, apart from this name and from those that a negative refuses; None for nobody."""
        found = (c for c in self._found[probe.photo_sha256] if not c.refused)
        others = [c for c in found if c.name != name and c.name not in self._negatives]
        best = others[0] if others else None
        for other, score in self._scores(probe.vector).items():
            if other == name or (best is not None and score <= best.score):
                continue
            against = self._negatives[other]
            if not len(against) or dot_scores(against, probe.vector).max() <= score:
                best = Candidate(other, score)
        return best

    def _scores(self, vector: Vectors) -> dict[str, float]:
        if not self._rows:
            return {}
        if self._matrix is None:
            self._matrix = np.array(self._rows)
        scores: dict[str, float] = {}
        for name, score in zip(self._names, dot_scores(self._matrix, vector).tolist(), strict=True):
            scores[name] = max(score, scores.get(name, -np.inf))
        return scores
