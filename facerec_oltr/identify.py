"""Who is in a photo: an enrolled identity, or somebody unknown.

A probe is accepted if and only if the score of its best identity is >= the threshold.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from facerec_oltr.calibrate import cautions
from facerec_oltr.embedder import Embedder
from facerec_oltr.errors import GalleryError
from facerec_oltr.faces.photos import EmbeddedPhoto, embed_photos
from facerec_oltr.gallery.gallery import Gallery
from facerec_oltr.gallery.records import Candidate


@dataclass(frozen=True)
class Rule:
    """The threshold that decides, and where it comes from.

    Attributes:
        threshold: accept if and only if score >= threshold.
        target_fpir: the FPIR it was calibrated to; None if it was given by hand.
        stale: whether the gallery has changed since the calibration, so that its FPIR is not known any more.
        cautions: what a user of the decisions ought to know, one line each.
    """

    threshold: float
    target_fpir: float | None
    stale: bool
    cautions: tuple[str, ...]


@dataclass(frozen=True)
class Decision:
    """The answer to one photo.

    Attributes:
        photo: the probe.
        decision: ``accepted`` as the identity, ``unknown``, or ``unreadable``: no probe could be made of it.
        identity: the best identity, even if not good enough; None if unreadable or nobody is enrolled.
        score: its score, the cosine of the best template.
        runner_up: the second identity; None where there is none.
        runner_up_score: its score.
        rule: by which it was decided.
        reason: why the photo is unreadable.
    """

    photo: Path
    decision: Literal["accepted", "unknown", "unreadable"]
    identity: str | None
    score: float | None
    runner_up: str | None
    runner_up_score: float | None
    rule: Rule
    reason: str | None = None

    @property
    def margin(self) -> float | None:
        """How far the best identity is ahead of the runner-up; None where there is none."""
        if self.score is None or self.runner_up_score is None:
            return None
        return self.score - self.runner_up_score

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        return {
            "photo": str(self.photo),
            "decision": self.decision,
            "identity": self.identity,
            "score": self.score,
            "runner_up": self.runner_up,
            "runner_up_score": self.runner_up_score,
            "margin": self.margin,
            "threshold": self.rule.threshold,
            "target_fpir": self.rule.target_fpir,
            "stale_calibration": self.rule.stale,
            "reason": self.reason,
        }


def identify(
    gallery: Gallery,
    embedder: Embedder,
    paths: Sequence[str | Path],
    *,
    target_fpir: float | None = None,
    threshold: float | None = None,
) -> list[Decision]:
    """Answer every photo, in order.

    Args:
        gallery: who is known.
        embedder: the gallery's.
        paths: photos, each an aligned crop of one face.
        target_fpir: decide by the latest calibration for this FPIR, instead of the latest of all.
        threshold: decide by this, instead of a calibration.

    Raises:
        GalleryError: the gallery is of another embedder, or there is nothing to decide by; see ``rule_for``.
    """
    gallery.check_embedder(embedder)
    rule = rule_for(gallery, target_fpir=target_fpir, threshold=threshold)
    photos = list(embed_photos(embedder, map(Path, paths)))
    vectors = [photo.vector for photo in photos if photo.vector is not None]
    found = iter(gallery.search(np.stack(vectors), k=2) if vectors else ())
    return [_decide(photo, [] if photo.vector is None else next(found), rule) for photo in photos]


def rule_for(gallery: Gallery, *, target_fpir: float | None = None, threshold: float | None = None) -> Rule:
    """The threshold to decide by: the one given, or the latest calibration, or the latest for a target.

    Raises:
        GalleryError: both are given, the threshold is NaN, or there is no such calibration.
    """
    if threshold is not None:
        if target_fpir is not None or math.isnan(threshold):
            raise GalleryError("give either a threshold, a number, or a target FPIR")
        return Rule(threshold, None, stale=False, cautions=())
    calibration = gallery.calibration(target_fpir)
    if calibration is None:
        stored = sorted({c.target_fpir for c in gallery.calibrations()})
        which = "" if target_fpir is None else f" for FPIR {target_fpir:g}"
        others = f" (there is one for {', '.join(f'{t:g}' for t in stored)})" if stored else ""
        raise GalleryError(
            f"{gallery.path}: no calibration{which}{others}, so no threshold to decide by; "
            "run facerec calibrate or give --threshold"
        )
    lines = list(cautions(calibration))
    stale = gallery.is_stale(calibration)
    if stale:
        then, now = calibration.state, gallery.state()
        lines.append(
            f"calibrated with {then.identities} identities and {then.templates} templates, and the gallery "
            f"has changed since (now {now.identities} and {now.templates}): its FPIR is not known any more; "
            "run facerec calibrate again"
        )
    return Rule(calibration.threshold, calibration.target_fpir, stale, tuple(lines))


def _decide(photo: EmbeddedPhoto, found: Sequence[Candidate], rule: Rule) -> Decision:
    best = found[0] if found else None
    second = found[1] if len(found) > 1 else None
    if photo.reason is not None:
        decision = "unreadable"
    else:
        decision = "accepted" if best is not None and best.score >= rule.threshold else "unknown"
    return Decision(
        photo.path,
        decision,
        best.name if best else None,
        best.score if best else None,
        second.name if second else None,
        second.score if second else None,
        rule,
        photo.reason,
    )
