"""Who is the cohort while the people who choose the threshold are searched.

A rule that reads a cohort takes the people who choose the threshold: no others are neither enrolled nor strangers. A
face finds itself in a cohort that it stands in, so their own searches are scored by a rule fitted to the rest of them,
a tenth being left out at a time; the test searches by a rule fitted to all. The threshold so rests on slightly smaller
cohorts than it is used with.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from facerec_oltr.scoring import CohortFaces, GalleryFaces, ScoreRule

_FOLDS = 10
_TRIED_DIMENSIONS = 8

Flags = npt.NDArray[np.bool_]


def cohort_folds(rule: ScoreRule, people: npt.NDArray[np.int64]) -> Iterator[tuple[Flags, Flags]]:
    """Who is searched, and who is the cohort meanwhile; in one fold where the rule reads none."""
    if not rule.needs_cohort:
        yield np.ones(len(people), bool), np.zeros(len(people), bool)
        return
    each, who = np.unique(people, return_inverse=True)
    for fold in range(min(_FOLDS, len(each))):
        searched = who % _FOLDS == fold
        yield searched, ~searched


def cohort_of(rule: ScoreRule, vectors: npt.NDArray[np.floating], people: npt.NDArray[np.int64]) -> CohortFaces | None:
    """The cohort that a rule is given; None where it reads none, or there is nobody."""
    return CohortFaces(vectors, people) if rule.needs_cohort and len(people) else None


def try_out(rules: Iterable[ScoreRule], enrolled: npt.NDArray[np.int64], choosing: npt.NDArray[np.int64]) -> None:
    """Fit rules to random vectors of so many people, so that one that has too few is refused ahead of any embedding.

    Args:
        rules: each is fitted to the first fold of its cohort.
        enrolled: (T,) whose each template in the gallery is.
        choosing: (M,) whose each face is of the people who choose the threshold.

    Raises:
        DataError: what a rule lacks.
    """
    vectors = np.random.default_rng(0).normal(size=(len(enrolled) + len(choosing), _TRIED_DIMENSIONS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    gallery, others = GalleryFaces(vectors[: len(enrolled)], enrolled), vectors[len(enrolled) :]
    for rule in rules:
        _, rest = next(cohort_folds(rule, choosing), (None, np.zeros(len(choosing), bool)))
        rule.fit(gallery, cohort_of(rule, others[rest], choosing[rest]))
