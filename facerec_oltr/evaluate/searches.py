"""The searches of one draw by one embedder, and all figures of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facerec_oltr.metrics.identification import (
    Searches,
    det_curve,
    fuse_templates,
    operating_point,
    rank_k,
    threshold_at_fpir,
    tpir_at_fpir,
)
from facerec_oltr.metrics.ranking import auroc
from facerec_oltr.protocols.draw import Dealt

FPIR_GRID = tuple(np.geomspace(0.001, 1, 61).round(6).tolist())


@dataclass(frozen=True, eq=False)
class Scored:
    """The searches of one draw by one embedder.

    Attributes:
        probes: (P,) positions of the mated probes and then of the strangers'.
        best_templates: (P,) position of the most similar photo in the gallery.
        best_scores: (P,) its similarity: the score of the best identity.
        searches: the same probes as the metrics take them.
        calibration_maxima: best score of each photo of the people who choose the threshold.
    """

    probes: npt.NDArray[np.int64]
    best_templates: npt.NDArray[np.int64]
    best_scores: npt.NDArray[np.float64]
    searches: Searches
    calibration_maxima: npt.NDArray[np.float64]


def score(vectors: npt.NDArray[np.float32], people: npt.NDArray[np.int64], dealt: Dealt) -> Scored:
    """Search the probes and the calibration photos of a draw; an identity's score is that of its best template.

    Args:
        vectors: (P, D) of unit length.
        people: (P,) whose photo each one is.
        dealt: positions in these.
    """
    gallery, owners = vectors[dealt.gallery], people[dealt.gallery]
    probes = np.concatenate([dealt.mated, dealt.strangers])
    similarities = vectors[probes] @ gallery.T
    fused, identities = fuse_templates(similarities, owners)
    calibration, _ = fuse_templates(vectors[dealt.calibration] @ gallery.T, owners)
    return Scored(
        probes,
        dealt.gallery[similarities.argmax(axis=1)],
        fused.max(axis=1).astype(np.float64),
        Searches.from_scores(fused, identities, people[probes]),
        calibration.max(axis=1).astype(np.float64),
    )


def measure(scored: Scored, targets: Sequence[float]) -> dict[str, Any]:
    """All figures of one draw: ``own`` has thresholds set on the test strangers, ``calibrated`` on other people."""
    searches = scored.searches
    mated_maxima = np.maximum(searches.true_scores, searches.best_others)
    own = [tpir_at_fpir(searches, target) for target in targets]
    calibrated = [operating_point(searches, threshold_at_fpir(scored.calibration_maxima, target)) for target in targets]
    curve = det_curve(searches)
    at = np.searchsorted(curve.fpir, np.array(FPIR_GRID) + 1e-9, side="right") - 1
    return {
        "rank_1": rank_k(searches),
        "auroc": auroc(mated_maxima, searches.nonmated_maxima),
        "own": [
            {
                "target": point.threshold.target,
                "tpir": point.tpir,
                "fpir": point.fpir,
                "measurable": point.threshold.measurable,
            }
            for point in own
        ],
        "calibrated": [
            {
                "target": point.threshold.target,
                "threshold": point.threshold.value,
                "measurable": point.threshold.measurable,
                "fpir": point.fpir,
                "tpir": point.tpir,
                "fnir": point.fnir,
                "misidentification": point.misidentification,
            }
            for point in calibrated
        ],
        "det_fnir": curve.fnir[at].tolist(),
    }
