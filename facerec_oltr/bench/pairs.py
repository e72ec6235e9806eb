"""Pair sets: is it the same person? By cosine of pooled templates."""

import numpy as np

from facerec_oltr.bench.features import Features
from facerec_oltr.bench.results import PairResult
from facerec_oltr.bench.templates import pooled
from facerec_oltr.metrics.exact import exact_scores
from facerec_oltr.metrics.verification import equal_error_rate, fold_accuracy, tar_at_far
from facerec_oltr.protocols import Protocol

FARS = (0.1, 0.01, 0.001, 0.0001)


def pair_result(protocol: Protocol, pair_set: str, model: str, features: Features) -> PairResult:
    """All figures of a pair set.

    Args:
        protocol: with the set.
        pair_set: its name.
        model: what the result calls the model.
        features: of the images.
    """
    pairs = protocol.pairs[pair_set]
    templates = pooled(protocol.joined(pairs.lists), features)
    failed = templates.failed[pairs.first] | templates.failed[pairs.second]
    scores = exact_scores(templates.vectors, pairs.first, templates.vectors, pairs.second).astype(np.float64)
    scores[failed] = -np.inf
    genuine, impostor = scores[pairs.same], scores[~pairs.same]
    folds = fold_accuracy(scores, pairs.same, pairs.folds) if pairs.folds.max() else None
    points = [(far, tar_at_far(genuine, impostor, far)) for far in FARS]
    return PairResult(
        protocol.name,
        pair_set,
        model,
        len(genuine),
        len(impostor),
        int(failed.sum()),
        None if folds is None else folds.mean,
        None if folds is None else folds.sd,
        equal_error_rate(genuine, impostor)[0],
        tuple((far, point.tar if point.threshold.measurable else None) for far, point in points),
    )
