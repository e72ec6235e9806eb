"""By which threshold a gallery decides, and where it comes from. Nothing is guessed: whatever stands in is named."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from facerec_oltr.calibrate import calibrate_by_gallery, cautions, derive
from facerec_oltr.deciding import COSINE, Maxima
from facerec_oltr.errors import GalleryError, MetricError
from facerec_oltr.gallery.gallery import Gallery
from facerec_oltr.gallery.records import Calibration

DEFAULT_FPIR = 0.01


@dataclass(frozen=True, eq=False)
class Rule:
    """The threshold that decides, and where it comes from.

    Attributes:
        threshold: accept if and only if score >= threshold.
        target_fpir: the FPIR it was calibrated to; None if it was given by hand.
        stale: whether the gallery has changed since the calibration, so that its FPIR is not known any more.
        cautions: what a user of the decisions ought to know, one line each.
        origin: ``given`` by hand, a ``calibration`` by strangers, or the ``gallery`` itself.
        score: the name of the score rule.
        maxima: the best scores of the strangers' searches, rising; None where none are known.
    """

    threshold: float
    target_fpir: float | None
    stale: bool
    cautions: tuple[str, ...]
    origin: Literal["given", "calibration", "gallery"] = "given"
    score: str = COSINE
    maxima: Maxima | None = None


def rule_for(gallery: Gallery, *, target_fpir: float | None = None, threshold: float | None = None) -> Rule:
    """The threshold to decide by: the one given, or the latest calibration, or the latest for a target.

    A calibration that the gallery has outgrown is derived anew where the strangers' vectors were kept, and stored. So
    is one for a target that there is none for yet. Without any calibration the enrolled people stand in for strangers,
    and a caution says so.

    Raises:
        GalleryError: both are given, the threshold is NaN, or there is nothing to decide by.
    """
    if threshold is not None:
        if target_fpir is not None or math.isnan(threshold):
            raise GalleryError("give either a threshold, a number, or a target FPIR")
        return Rule(threshold, None, stale=False, cautions=())
    calibration = gallery.calibration(target_fpir)
    if calibration is not None and not gallery.is_stale(calibration):
        return _rule(calibration, stale=False)
    wanted = calibration or gallery.calibration()
    target = target_fpir or (wanted.target_fpir if wanted else DEFAULT_FPIR)
    cohort = gallery.cohort()
    if cohort is not None and gallery.state().identities:
        try:
            fresh = derive(gallery, cohort, target, wanted.rule if wanted else COSINE)
        except MetricError as error:
            raise GalleryError(f"{gallery.path}: {error}; give more strangers, or a larger --fpir") from error
        if not gallery.readonly:
            gallery.save_calibration(fresh)
        return _rule(fresh, stale=False)
    if calibration is not None:
        return _rule(calibration, stale=True, more=(_outgrown(gallery, calibration),))
    try:
        stand_in = calibrate_by_gallery(gallery, target)
    except (MetricError, GalleryError) as error:
        raise _nothing_to_decide_by(gallery, target_fpir, str(error)) from error
    return _rule(
        stand_in, stale=False, more=(f"no calibration: accepted at {stand_in.threshold:.4f} or more, for now",)
    )


def _rule(calibration: Calibration, *, stale: bool, more: tuple[str, ...] = ()) -> Rule:
    return Rule(
        calibration.threshold,
        calibration.target_fpir,
        stale,
        (*more, *cautions(calibration)),
        "gallery" if calibration.source == "gallery" else "calibration",
        calibration.rule,
        np.array(calibration.maxima) if calibration.maxima else None,
    )


def _outgrown(gallery: Gallery, calibration: Calibration) -> str:
    then, now = calibration.state, gallery.state()
    return (
        f"calibrated with {then.identities} identities and {then.templates} templates, and the gallery "
        f"has changed since (now {now.identities} and {now.templates}): its FPIR is not known any more; "
        "run facerec calibrate again"
    )


def _nothing_to_decide_by(gallery: Gallery, target_fpir: float | None, why: str) -> GalleryError:
    stored = sorted({c.target_fpir for c in gallery.calibrations()})
    which = "" if target_fpir is None else f" for FPIR {target_fpir:g}"
    others = f" (there is one for {', '.join(f'{t:g}' for t in stored)})" if stored else ""
    return GalleryError(
        f"{gallery.path}: no calibration{which}{others}, and none by the gallery alone ({why}), so no threshold to "
        "decide by; run facerec calibrate or give --threshold"
    )
