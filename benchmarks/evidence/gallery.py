"""The same figures from the bare vectors: the training photos are enrolled as they are, and nothing is trained.

A person's templates are all training photos, of which the nearest counts (``nearest/…``), or their mean alone
(``mean/…``). On either stands every score rule of facerec_oltr.scoring, and besides ``margin``, by how much the best
person is ahead of the second. The cohort are people who neither choose the threshold nor test it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.evidence.measure import Floats, Ints, Measured, measure
from facerec_oltr.metrics.identification import fuse_templates
from facerec_oltr.open_set import Judgement
from facerec_oltr.scoring import (
    AdaptiveSnormConfig,
    CohortFaces,
    CosineConfig,
    ExtremeValueConfig,
    GalleryFaces,
    NacConfig,
    NegativeCohortConfig,
    ReachabilityConfig,
    ScoreRule,
    unit_means,
)

RULES: dict[str, ScoreRule] = {
    "cosine": CosineConfig(),
    "snorm": AdaptiveSnormConfig(),
    "evm": ExtremeValueConfig(),
    "nac": NacConfig(),
    "cohort": NegativeCohortConfig(),
    "reachability": ReachabilityConfig(),
}
"""By short name; reachability makes its own means of the templates, so it stands on ``nearest/`` alone."""


def measure_gallery(data: Path) -> dict[str, dict[str, Measured]]:
    """Every rule on vectors that ``data.lfw`` has dealt: split → rule → figures, as ``measure_run``."""
    vectors, labels = {}, {}
    for split in ("train", "val", "test", "open_val", "open_test", "cohort"):
        with np.load(data / f"{split}.npz") as table:
            vectors[split] = table["features"] / np.linalg.norm(table["features"], axis=1, keepdims=True)
            labels[split] = table["labels"]
    counts = np.bincount(labels["train"])
    result: dict[str, dict[str, Measured]] = {"val": {}, "test": {}}
    cohort = CohortFaces(vectors["cohort"], np.arange(len(vectors["cohort"])))
    for name, judge in _judges(vectors["train"], labels["train"], cohort):
        judged = {split: judge(vectors[split]) for split in ("val", "test", "open_val", "open_test")}
        for split in ("val", "test"):
            strangers = judged[f"open_{split}"].scores
            result[split][name] = measure(judged[split], labels[split], strangers, judged["open_val"].scores, counts)
    return result


Judge = Callable[[npt.NDArray[np.float32]], Judgement]


def _judges(vectors: npt.NDArray[np.float32], labels: Ints, cohort: CohortFaces) -> Iterator[tuple[str, Judge]]:
    order = np.argsort(labels, kind="stable")
    vectors, labels = vectors[order], labels[order]
    means = unit_means(vectors, labels).astype(np.float32)
    for kind, gallery in (
        ("nearest", GalleryFaces(vectors, labels)),
        ("mean", GalleryFaces(means, np.arange(len(means)))),
    ):
        for name, config in RULES.items():
            if kind == "nearest" or name != "reachability":
                yield f"{kind}/{name}", _judge(gallery, config, cohort)
        yield f"{kind}/margin", _judge_by_margin(gallery)


def _cosines(gallery: GalleryFaces, probes: npt.NDArray[np.float32]) -> Floats:
    fused, _ = fuse_templates(probes @ gallery.vectors.T, gallery.identities, "max")
    return fused.astype(np.float64)


def _judge(gallery: GalleryFaces, config: ScoreRule, cohort: CohortFaces) -> Judge:
    rule = config.fit(gallery, cohort if config.needs_cohort else None)
    everybody = np.unique(gallery.identities)

    def judge(probes: npt.NDArray[np.float32]) -> Judgement:
        scores = rule.scores(probes, everybody, _cosines(gallery, probes))
        return Judgement(scores.argmax(axis=1), scores.max(axis=1))

    return judge


def _judge_by_margin(gallery: GalleryFaces) -> Judge:
    def judge(probes: npt.NDArray[np.float32]) -> Judgement:
        cosines = _cosines(gallery, probes)
        return Judgement(cosines.argmax(axis=1), ahead(cosines))

    return judge


def ahead(cosines: Floats) -> Floats:
    """By how much the highest of each row (B, N) is ahead of the second, (B,)."""
    second, first = np.partition(cosines, cosines.shape[1] - 2, axis=1)[:, -2:].T
    return first - second
