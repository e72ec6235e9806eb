"""From scores to decisions: a gallery searched by a score rule, false-alarm rates, one person once in a photo."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import ConfigError, DataError, GalleryError
from facerec_oltr.gallery.gallery import Gallery
from facerec_oltr.gallery.records import Candidate, Cohort, Fusion, Ids, Vectors
from facerec_oltr.scoring import CohortFaces, FittedRule, GalleryFaces
from facerec_oltr.scoring.named import read_rules

Maxima = npt.NDArray[np.float64]

COSINE = "cosine"

_SHORTLIST = 50  # identities that another rule than the cosine may put in another order


class Searcher:
    """A gallery searched by a score rule, see ``facerec_oltr.scoring``; as it stands when this is made.

    The gallery's negatives refuse candidates by their cosines, whatever the rule, see ``gallery.refusing``; they are
    not part of the scores.

    Args:
        gallery: who is known.
        rule: its name, with its options if any: ``nac:k=8``.
        cohort: what the rule compares with if it needs a cohort; by default that half of the gallery's own cohort which
            chooses no threshold.

    Raises:
        ConfigError: there is no such rule.
        GalleryError: the rule needs a larger cohort than there is.
    """

    def __init__(self, gallery: Gallery, rule: str = COSINE, cohort: Cohort | None = None) -> None:
        self.gallery, self.rule = gallery, rule
        self._fitted = None if rule == COSINE else self._fit(cohort)

    def search(self, vectors: npt.NDArray[np.float32], k: int) -> list[list[Candidate]]:
        """The k best identities of each probe (B, D), best first; equal scores in order of enrolment.

        Those that a negative refuses stand among them, marked, and do not count as one of the k. Other rules than the
        cosine see the best 50 by cosine at least.
        """
        return self.gallery.search_by(self._search, vectors, k)

    def maxima(self, vectors: npt.NDArray[np.float32]) -> Maxima:
        """The best score of each probe (B, D), refused or not; -inf where nobody is enrolled.

        Thresholds are chosen by these. What is accepted is a part of what they say, so the FPIR is at most theirs.
        """
        if not len(vectors):
            return np.empty(0)
        scores, _, _ = self._search(vectors, 1)
        return scores.max(axis=1, initial=-np.inf).astype(np.float64)

    def _search(self, vectors: npt.NDArray[np.float32], k: int) -> tuple[Vectors, Vectors, Ids]:
        """Scores (B, k'), falling, with the cosines and the identities that they are of."""
        if self._fitted is None:
            cosines, identities = self.gallery.search_numbers(vectors, k)
            return cosines, cosines, identities
        cosines, identities = self.gallery.search_numbers(vectors, max(k, _SHORTLIST, self._fitted.depth))
        scores = self._fitted.scores(vectors, identities, cosines)
        order = np.lexsort((identities, -scores), axis=1)[:, :k]
        best = np.take_along_axis
        return best(scores, order, 1).astype(np.float32), best(cosines, order, 1), best(identities, order, 1)

    def _fit(self, cohort: Cohort | None) -> FittedRule:
        [rule] = read_rules(self.rule).values()
        block = self.gallery.store.templates_of([person.number for person in self.gallery.people()])
        if cohort is None and (kept := self.gallery.cohort()) is not None:
            cohort, _ = split_cohort(kept)
        faces = None if cohort is None else CohortFaces(cohort.vectors, cohort.people)
        fusion = "max" if self.gallery.facts.fusion is Fusion.MAX else "mean"
        try:
            return rule.fit(GalleryFaces(block.vectors, block.identities, fusion), faces)
        except DataError as error:
            raise GalleryError(f"{self.gallery.path}: {error}") from error


def needs_cohort(rule: str) -> bool:
    """Whether a rule compares with a cohort, whose people then cannot choose its threshold.

    Raises:
        ConfigError: there is no such rule, or several are named.
    """
    rules = list(read_rules(rule).values())
    if len(rules) != 1:
        raise ConfigError(f"found {len(rules)} rules in {rule!r}, expected one")
    return rules[0].needs_cohort


def split_cohort(cohort: Cohort) -> tuple[Cohort, Cohort]:
    """Every second person for a rule to compare with, and the others to choose its threshold."""
    _, order = np.unique(cohort.people, return_inverse=True)
    parts = []
    for half in (0, 1):
        chosen = order % 2 == half
        hashes = tuple(h for h, mine in zip(cohort.hashes, chosen.tolist(), strict=True) if mine)
        parts.append(Cohort(cohort.vectors[chosen], cohort.people[chosen], hashes))
    return parts[0], parts[1]


def false_alarm_rate(score: float, maxima: Maxima) -> float:
    """The expected share of strangers' searches that reach this score, (1 + #{maxima >= score}) / (U + 1).

    The one that is added is the search itself: were it a stranger's, its rank among the U others would be uniform
    (a conformal p-value), so the figure is never 0 and holds on average over calibrations.
    """
    return float((1 + np.count_nonzero(maxima >= score)) / (len(maxima) + 1))


def acceptable(candidate: Candidate, threshold: float) -> bool:
    """Whether a face may be given this name."""
    return candidate.score >= threshold and not candidate.refused


def assign(faces: Sequence[Sequence[Candidate]], threshold: float) -> list[Candidate | None]:
    """For each face of one photo its identity, such that nobody appears twice.

    Of all such answers the one with the highest sum of (score - threshold) over the accepted faces, so that a face
    whose best identity is somebody else's in the photo may be its second best, or nobody.

    Args:
        faces: the candidates of each face, best first.
        threshold: only candidates with a score >= it take part, and none that a negative refuses.

    Returns:
        A candidate a face; None where none is left.
    """
    names = sorted({c.name for face in faces for c in face if acceptable(c, threshold)})
    answers: list[Candidate | None] = [None] * len(faces)
    if not names:
        return answers
    gains = np.zeros((len(faces), len(names)))
    candidates = {}
    place = {name: column for column, name in enumerate(names)}
    for row, face in enumerate(faces):
        for candidate in face:
            if acceptable(candidate, threshold):
                # A face at the threshold itself is accepted too, and worth more than one that is not.
                gains[row, place[candidate.name]] = max(candidate.score - threshold, np.finfo(np.float32).eps)
                candidates[row, place[candidate.name]] = candidate
    from scipy.optimize import linear_sum_assignment  # half a second, for who asks for it alone

    for row, column in zip(*linear_sum_assignment(gains, maximize=True), strict=True):
        answers[row] = candidates.get((row, column))
    return answers
