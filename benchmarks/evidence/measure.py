"""What a classifier's scores are worth for people with few and with many training photos, strangers knocking.

All figures of identification count each person once, whether there are two photos of them or a hundred: the mean over
people of the share of their photos. AUROC, FPR95 and OSCR count photos. A photo of a known person is *found* where its
own class is on top and the score reaches the threshold; FNIR is the share that is not. The threshold is the lowest by
which 1 % of the calibration strangers get in (``fnir``, ``fpir``), or 10 % (``fnir10``, ``fpir10``), and the strangers
who are then tested are other people.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facerec_oltr.classification.measure import RULES
from facerec_oltr.data import DataSet
from facerec_oltr.engine.finished import FinishedRun
from facerec_oltr.metrics.identification import threshold_at_fpir
from facerec_oltr.metrics.open_set import detection
from facerec_oltr.metrics.shots import class_accuracies
from facerec_oltr.open_set import Judgement, Outputs

TARGETS = {"": 0.01, "10": 0.1}
"""FPIR by what is put behind the names of its figures."""

VERSION = 2
"""Of the figures: runs that were measured by an older one are measured again."""

Bins = Mapping[str, tuple[int, int]]
FACES: Bins = {"1": (1, 1), "2": (2, 2), "3-5": (3, 5), ">5": (6, 10**9)}
OBJECTS: Bins = {"<20": (1, 19), "20-100": (20, 100), ">100": (101, 10**9)}
"""People, or classes, by training images, from and to; the first has the fewest."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Measured(NamedTuple):
    """What one score of one run is worth.

    Attributes:
        figures: by name; shares, 0 to 1.
        right: (C,) share of each person's photos whose own class is on top; NaN for a person without any.
        found: (C,) the same, of those that are found at the threshold for 1 %.
        found10: (C,) for 10 %.
    """

    figures: dict[str, float]
    right: Floats
    found: Floats
    found10: Floats


def people_by_photos(counts: Ints, bins: Bins = FACES) -> dict[str, npt.NDArray[np.bool_]]:
    """Which people belong to each bin, by the (C,) training photos of each."""
    return {name: (counts >= low) & (counts <= high) for name, (low, high) in bins.items()}


def measure(
    known: Judgement, labels: Ints, strangers: Floats, calibration: Floats, counts: Ints, bins: Bins = FACES
) -> Measured:
    """Judge the knowns by a threshold that other strangers chose.

    Args:
        known: of K photos of people who were trained on.
        labels: (K,) in [0, C).
        strangers: (U,) scores of those who test.
        calibration: (V,) scores of those who choose the threshold.
        counts: (C,) training photos of each person.
        bins: of people by them.
    """
    top = known.top.astype(np.int64)
    right = class_accuracies(top, labels, len(counts))
    figures, found = by_bin("rank1", right, counts, bins), []
    for behind, target in TARGETS.items():
        threshold = threshold_at_fpir(calibration, target).value
        accepted = np.where(known.scores >= threshold, top, -1)
        found.append(class_accuracies(accepted, labels, len(counts)))
        shares = by_bin(f"fnir{behind}", found[-1], counts, bins)
        figures |= {name: 1 - value for name, value in shares.items()}
        figures[f"fpir{behind}"] = float(np.mean(strangers >= threshold))
    there = detection(known.scores, top == labels, strangers)
    figures |= {"auroc": there.auroc, "fpr95": there.fpr95, "oscr": there.oscr}
    return Measured(figures, right, *found)


def by_bin(name: str, of_person: Floats, counts: Ints, bins: Bins) -> dict[str, float]:
    """The mean over all people and over each bin's, of a value (C,) that is NaN where there is none."""
    masks = {"all": np.ones_like(counts, bool), **people_by_photos(counts, bins)}
    return {f"{name} {key}": _mean(of_person[mask]) for key, mask in masks.items()}


def _mean(values: Floats) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else float("nan")


def measure_run(
    run: FinishedRun, bins: Bins = FACES, rules: Mapping[str, Any] = RULES
) -> dict[str, dict[str, Measured]]:
    """Every score that a trained run has: split (``val``, ``test``) → rule → figures.

    ``val`` are the validation photos, with the calibration strangers in both parts: what is chosen is chosen by these.
    """
    splits: dict[str, DataSet] = {split: run.experiment.data.build(split) for split in _SPLITS}
    outputs = {split: Outputs(*run.outputs(data)) for split, data in splits.items()}
    labels = splits["train"].labels
    counts = np.bincount(labels, minlength=splits["train"].classes)
    memory = None if run.model.head.memory is None else run.model.head.memory.detach().cpu().numpy()
    result: dict[str, dict[str, Measured]] = {"val": {}, "test": {}}
    for name, config in rules.items():
        if config.needs_memory and memory is None:
            continue
        rule = config.fit(outputs["train"], labels, classes=len(counts), memory=memory)
        calibration = rule.score(outputs["open_val"])
        for split, strangers in (("val", calibration), ("test", rule.score(outputs["open_test"]))):
            known = rule.judge(outputs[split])
            result[split][name] = measure(known, splits[split].labels, strangers, calibration, counts, bins)
    return result


_SPLITS = ("train", "val", "test", "open_val", "open_test")
