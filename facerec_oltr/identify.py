"""Who is in a photo: for every face an enrolled identity, or somebody unknown.

A face is accepted if and only if the score of its best identity is >= the threshold. An identity to whom the face may
not be given, because it is nearer to a face that is said not to be them, is passed over (``gallery.refusing``). One
person appears once in a photo: where two faces would be the same identity, the answer is the best assignment of all
faces together.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from facerec_oltr.deciding import Searcher, acceptable, assign, false_alarm_rate
from facerec_oltr.faces.extractor import Extractor
from facerec_oltr.faces.photos import ExtractedPhoto, Progress, extract_photos
from facerec_oltr.gallery.gallery import Gallery
from facerec_oltr.gallery.records import Candidate
from facerec_oltr.threshold_rule import Rule, rule_for

__all__ = ["Decision", "Rule", "decide", "identify", "identify_each", "rule_for"]

_BATCH = 256  # photos whose faces are searched at once


@dataclass(frozen=True)
class Decision:
    """The answer to one face.

    Attributes:
        photo: where it was found.
        decision: ``accepted`` as the identity, ``unknown``, ``no face``, or ``unreadable``: no probe could be made.
        identity: the best identity, even if not good enough or refused; None where there is no probe or nobody is
            enrolled.
        score: its score.
        runner_up: the next identity; None where there is none.
        runner_up_score: its score.
        rule: by which it was decided.
        reason: why the photo is unreadable, or why a face is not whom it looks like most.
        face: its number in the photo, from 1, the largest first; None where there is no face.
        box: left, top, right, bottom in pixels.
        time: seconds into a video; None in a photo.
        candidates: the best identities, best first.
        false_alarm_rate: the expected share of strangers' searches with at least this score; None where the rule knows
            no strangers.
    """

    photo: Path
    decision: Literal["accepted", "unknown", "no face", "unreadable"]
    identity: str | None
    score: float | None
    runner_up: str | None
    runner_up_score: float | None
    rule: Rule
    reason: str | None = None
    face: int | None = None
    box: tuple[float, float, float, float] | None = None
    time: float | None = None
    candidates: tuple[Candidate, ...] = field(default=())
    false_alarm_rate: float | None = None

    @property
    def margin(self) -> float | None:
        """How far the identity is ahead of the runner-up; None where there is none."""
        if self.score is None or self.runner_up_score is None:
            return None
        return self.score - self.runner_up_score

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        return {
            "photo": str(self.photo),
            "time": self.time,
            "face": self.face,
            "box": None if self.box is None else list(self.box),
            "decision": self.decision,
            "identity": self.identity,
            "score": self.score,
            "runner_up": self.runner_up,
            "runner_up_score": self.runner_up_score,
            "margin": self.margin,
            "candidates": [c.to_json() for c in self.candidates],
            "false_alarm_rate": self.false_alarm_rate,
            "threshold": self.rule.threshold,
            "threshold_from": self.rule.origin,
            "target_fpir": self.rule.target_fpir,
            "stale_calibration": self.rule.stale,
            "reason": self.reason,
        }


def identify(
    gallery: Gallery,
    extractor: Extractor,
    paths: Sequence[str | Path],
    *,
    target_fpir: float | None = None,
    threshold: float | None = None,
    top: int = 2,
    once: bool = True,
    on_progress: Progress | None = None,
) -> list[Decision]:
    """Answer every face of every photo, in order.

    Args:
        gallery: who is known.
        extractor: the gallery's.
        paths: photos.
        target_fpir: decide by the latest calibration for this FPIR, instead of the latest of all.
        threshold: decide by this, instead of a calibration.
        top: how many candidates to tell of each face, at least 2, and those beside that are refused.
        once: whether one person appears once in a photo.
        on_progress: called with the number of photos done, and of all.

    Raises:
        GalleryError: the gallery is of another embedder, or there is nothing to decide by; see ``rule_for``.
    """
    gallery.check_embedder(extractor)
    rule = rule_for(gallery, target_fpir=target_fpir, threshold=threshold)
    photos = extract_photos(extractor, map(Path, paths))
    decisions: list[Decision] = []
    for done, own in enumerate(identify_each(gallery, photos, rule, top=top, once=once), 1):
        decisions += own
        if on_progress is not None:
            on_progress(done, len(paths))
    return decisions


def identify_each(
    gallery: Gallery, photos: Iterable[ExtractedPhoto], rule: Rule, *, top: int = 2, once: bool = True
) -> Iterator[list[Decision]]:
    """The decisions of each photo, in order, as photos come: a list a photo, never empty."""
    searcher, remaining = Searcher(gallery, rule.score), iter(photos)
    while batch := list(islice(remaining, _BATCH)):
        vectors = [face.vector for photo in batch for face in photo.faces]
        found = iter(searcher.search(np.array(vectors), max(2, top)) if vectors else ())
        for photo in batch:
            yield decide(photo, list(islice(found, len(photo.faces))), rule, once=once)


def decide(
    photo: ExtractedPhoto, faces: Sequence[Sequence[Candidate]], rule: Rule, *, once: bool = True
) -> list[Decision]:
    """The decisions of one photo: of each face, or one that says why there is none."""
    if photo.reason is not None:
        return [Decision(photo.path, "unreadable", None, None, None, None, rule, photo.reason, time=photo.time)]
    if not photo.faces:
        return [Decision(photo.path, "no face", None, None, None, None, rule, time=photo.time)]
    alone = [next((c for c in found if acceptable(c, rule.threshold)), None) for found in faces]
    chosen = assign(faces, rule.threshold) if once and len(faces) > 1 else alone
    decisions = []
    for number, (face, found, answer, first) in enumerate(zip(photo.faces, faces, chosen, alone, strict=True), 1):
        told = answer or (found[0] if found else None)
        others = [candidate for candidate in found if candidate is not told]
        second = others[0] if others else None
        ahead = found[: found.index(answer)] if answer else found
        reasons = [_why_refused(c) for c in ahead if c.negative is not None and c.score >= rule.threshold]
        if first is not None and answer is not first:
            reasons.append(f"{first.name!r} is another face of this photo")
        decisions.append(
            Decision(
                photo.path,
                "unknown" if answer is None else "accepted",
                told.name if told else None,
                told.score if told else None,
                second.name if second else None,
                second.score if second else None,
                rule,
                "; ".join(reasons) or None,
                number,
                face.found.box,
                photo.time,
                tuple(found),
                None if told is None or rule.maxima is None else false_alarm_rate(told.score, rule.maxima),
            )
        )
    return decisions


def _why_refused(candidate: Candidate) -> str:
    return (
        f"not {candidate.name!r}: nearer to a face that is said not to be them, by a cosine of {candidate.negative:.4f}"
    )
