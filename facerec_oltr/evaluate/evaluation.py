"""Embedders side by side on the people that a training split left out."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facerec_oltr.embedder import Embedder
from facerec_oltr.errors import DataError
from facerec_oltr.evaluate.examples import example_decisions
from facerec_oltr.evaluate.open_people import OpenPeople
from facerec_oltr.evaluate.rules import REFERENCE, RuleCounts, check_rules
from facerec_oltr.evaluate.searches import FPIR_GRID, measure, score
from facerec_oltr.faces.embed_set import embed_set
from facerec_oltr.metrics.identification import threshold_at_fpir
from facerec_oltr.protocols.draw import Dealt, OpenSetRule, deal_often
from facerec_oltr.protocols.templates import Int64s
from facerec_oltr.scoring import CosineConfig, ScoreRule
from recordio_tools import FaceSet
from recordio_tools.whole import write_whole

FORMAT = "facerec evaluation"
VERSION = 2
TARGETS = (0.1, 0.01)
TEMPLATES = (1, 2, 3, 5)  # photos of each enrolled person, cycled: few, as most people have

Progress = Callable[[str, int, int], None]  # called with an embedder's name, the photos done, and of all


def evaluate(
    embedders: Mapping[str, Embedder],
    faces: FaceSet,
    people: OpenPeople,
    rule: OpenSetRule,
    draws: int,
    *,
    floor: str | None = None,
    ceiling: str | None = None,
    targets: Sequence[float] = TARGETS,
    rules: Mapping[str, ScoreRule] | None = None,
    cache: Path | None = None,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure embedders on the people a split left out.

    Args:
        embedders: by the name under which they appear, in this order.
        faces: the set the split was cut from.
        people: whom it left out.
        rule: who plays which part.
        draws: how often the parts are dealt anew.
        floor: which of them needs no training, to be beaten.
        ceiling: which of them was trained on far more, to be approached.
        targets: wanted FPIRs, the first the one at which example decisions are shown.
        rules: score rules to compare with the cosine, by name; the cosine joins them.
        cache: a folder for embeddings, see ``embed_set``.
        on_progress: called after each batch of photos.

    Returns:
        Everything measured, ready for JSON, without any path of this machine.

    Raises:
        DataError: nobody to evaluate, a label the set does not have, too few people or photos, for a rule too.
    """
    if not embedders or not targets or not all(0 < target < 1 for target in targets):
        raise DataError(f"found {len(embedders)} embedders and targets {targets}; expected one or more, in (0, 1)")
    if draws < 1:
        raise DataError(f"draws: found {draws}, expected 1 or more")
    positions = _positions(faces, people.labels)
    labels = faces.labels[positions]
    all_dealt = list(deal_often(labels, rule, draws))  # ahead of the embedding: too few people shows at once
    compared = {REFERENCE: CosineConfig(), **(rules or {})}
    check_rules(compared, labels, all_dealt[0])
    counts = RuleCounts(compared, targets, labels)
    models: dict[str, Any] = {}
    figures: list[dict[str, Any]] = [{} for _ in all_dealt]
    examples: dict[str, Any] = {}
    for name, embedder in embedders.items():
        tell = None if on_progress is None else _named(on_progress, name)
        made = embed_set(embedder, faces, positions, cache=cache, on_progress=tell)
        scored = [score(made.vectors, labels, dealt) for dealt in all_dealt]
        for table, one in zip(figures, scored, strict=True):
            table[name] = measure(one, targets)
        thresholds = [threshold_at_fpir(one.calibration_maxima, targets[0]).value for one in scored]
        examples[name] = example_decisions(scored, thresholds, positions, labels)
        if len(compared) > 1:
            counts.add(name, made.vectors, all_dealt)
        role = "floor" if name == floor else "ceiling" if name == ceiling else "trained"
        models[name] = {
            "role": role,
            "fingerprint": embedder.fingerprint,
            "dimensions": embedder.dimensions,
            "size": embedder.size,
            "faces_not_found": int((~made.found).sum()),
        }
    result = {
        "format": FORMAT,
        "version": VERSION,
        "face_set": {"fingerprint": faces.fingerprint, "images": len(faces), "identities": faces.classes},
        "trained_on": {"identities": people.trained_identities, "images": people.trained_images},
        "open": _who(faces, labels),
        "protocol": asdict(rule) | {"draws": draws},
        "targets": list(targets),
        "fpir_grid": list(FPIR_GRID),
        "models": models,
        "draws": [
            {"draw": number, **_cast(faces, labels, dealt), "figures": table}
            for number, (dealt, table) in enumerate(zip(all_dealt, figures, strict=True))
        ],
        "examples": examples,
    }
    return result | ({"rules": counts.as_json()} if len(compared) > 1 else {})


def write_evaluation(result: Mapping[str, Any], path: Path) -> None:
    """Write what ``evaluate`` returned, whole or not at all; missing parent folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (json.dumps(result, ensure_ascii=False, allow_nan=False) + "\n").encode())


def _positions(faces: FaceSet, labels: Sequence[int]) -> Int64s:
    unknown = np.setdiff1d(labels, faces.labels)
    if len(unknown):
        raise DataError(f"{faces.path}: has no image of person {unknown[0]}, expected all {len(labels)} open people")
    return np.flatnonzero(np.isin(faces.labels, labels))


def _named(on_progress: Progress, name: str) -> Callable[[int, int], None]:
    return lambda done, total: on_progress(name, done, total)


def _name(faces: FaceSet, label: int) -> str:
    return (faces.names[label] if faces.names else "") or f"person {label}"


def _who(faces: FaceSet, labels: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
    each, counts = np.unique(labels, return_counts=True)
    return [
        {"label": label, "name": _name(faces, label), "images": images}
        for label, images in zip(each.tolist(), counts.tolist(), strict=True)
    ]


def _cast(faces: FaceSet, labels: npt.NDArray[np.int64], dealt: Dealt) -> dict[str, Any]:
    """Who played which part in a draw, and how many photos that were."""

    def names(positions: Int64s) -> list[str]:
        return [_name(faces, label) for label in np.unique(labels[positions]).tolist()]

    return {
        "enrolled": names(dealt.gallery),
        "calibration": names(dealt.calibration),
        "strangers": names(dealt.strangers),
        "photos": {part: len(positions) for part, positions in dealt._asdict().items()},
    }
