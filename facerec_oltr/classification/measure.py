"""One run measured as a classifier on the splits of its own data set: closed set, and open set under every rule.

A rule's threshold is chosen on the validation splits: the one that is best by the authors' F there, or, where the data
set has no strangers to choose by, the one that 95 % of the validation images of known classes reach. Beside it stands
the paper's: 0.1 on the maximum softmax. The test splits choose nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from facerec_oltr.data import DataSet, Split
from facerec_oltr.engine.finished import FinishedRun
from facerec_oltr.errors import DataError
from facerec_oltr.metrics.open_set import decide, detection, f_measures
from facerec_oltr.metrics.shots import shot_accuracies
from facerec_oltr.open_set import (
    EnergyConfig,
    FixedThreshold,
    Judgement,
    KnnConfig,
    KnownShareThreshold,
    MaxLogitConfig,
    MaxSoftmaxConfig,
    NearestCentroidConfig,
    OpenMaxConfig,
    OpenSetConfig,
    Outputs,
    PseudoOpenThreshold,
    ReachabilityConfig,
)

FORMAT, VERSION = "facerec classification", 1

RULES: Mapping[str, OpenSetConfig] = {
    "max_softmax": MaxSoftmaxConfig(),
    "max_logit": MaxLogitConfig(),
    "energy": EnergyConfig(),
    "reachability": ReachabilityConfig(centroids="class_means"),
    "memory": ReachabilityConfig(centroids="memory"),
    "nearest_centroid": NearestCentroidConfig(),
    "knn": KnnConfig(k=1),  # most classes of a long tail have no second image to be near to
    "openmax": OpenMaxConfig(),
}
"""Every rule by the name under which it appears; `memory` is reachability over the head's own centroids."""

Labels = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]


def measure_run(
    run: FinishedRun,
    rules: Mapping[str, OpenSetConfig] = RULES,
    on_progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Measure a run; what comes back is ready for JSON.

    Args:
        run: a finished run, whose data set has a test split.
        rules: the open-set rules; one that reads a memory is left out where the head keeps none.
        on_progress: called with (inputs done, inputs in all).

    Raises:
        DataError: the data set has no test split, or changed since the training.
    """
    judge = _Splits(run, on_progress)
    train = judge.outputs["train"]
    test, labels = judge.outputs["test"], judge.labels["test"]
    counts = np.bincount(judge.labels["train"], minlength=train.logits.shape[1])
    convention = run.experiment.shots
    result: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "method": run.experiment.method,
        "dataset": run.experiment.dataset,
        "seed": run.experiment.seed,
        "trained_on": run.trained_on,
        "weights": run.which,
        "shots": convention,
        "images": {split: len(rows) for split, rows in judge.labels.items()},
        "classes": len(counts),
        "closed": asdict(shot_accuracies(test.logits.argmax(axis=1), labels, counts, convention)),
        "open": {},
    }
    if "open_test" not in judge.outputs:
        return _plain(result)
    everything = np.concatenate([labels, judge.labels["open_test"]])
    result["never_reject"] = asdict(f_measures(judge.top("open_test", test), everything))
    memory = None if run.model.head.memory is None else run.model.head.memory.detach().cpu().numpy()
    for name, config in rules.items():
        if config.needs_memory and memory is None:
            continue
        rule = config.fit(train, judge.labels["train"], classes=len(counts), memory=memory)
        known, strangers = rule.judge(test), rule.judge(judge.outputs["open_test"])
        figures: dict[str, Any] = asdict(detection(known.scores, known.top == labels, strangers.scores))
        lines = {"validation": judge.threshold(rule.judge)}
        if name == "max_softmax":
            lines["paper"] = FixedThreshold().value
        for line, value in lines.items():
            decided = decide(*_joined(known, strangers), value)
            figures[line] = {
                "threshold": value,
                **asdict(f_measures(decided, everything)),
                "known": asdict(shot_accuracies(decided[: len(labels)], labels, counts, convention)),
                "strangers_rejected": float(np.mean(decided[len(labels) :] == -1)),
            }
        result["open"][name] = figures
    return _plain(result)


class _Splits:
    """The outputs of a run on every split that its data set has."""

    def __init__(self, run: FinishedRun, on_progress: Progress) -> None:
        found: dict[Split, DataSet] = {split: data for split in _SPLITS if (data := _open(run, split)) is not None}
        total, done = sum(map(len, found.values())), 0
        self.outputs: dict[Split, Outputs] = {}
        self.labels: dict[Split, Labels] = {}
        for split, data in found.items():
            before = done
            self.outputs[split] = Outputs(
                *run.outputs(data, lambda n, _, before=before: on_progress(before + n, total))
            )
            self.labels[split] = data.labels
            done += len(data)

    def top(self, strangers: Split, known: Outputs) -> Labels:
        """The top classes of knowns and strangers, with nobody rejected."""
        return np.concatenate([known.logits.argmax(axis=1), self.outputs[strangers].logits.argmax(axis=1)])

    def threshold(self, judge: Callable[[Outputs], Judgement]) -> float:
        """The threshold that validation chooses."""
        if "val" not in self.outputs:
            raise DataError("the data set has strangers to test by but no validation split to choose a threshold on")
        known, labels = judge(self.outputs["val"]), self.labels["val"]
        if "open_val" not in self.outputs:
            return KnownShareThreshold().choose(known, labels)
        both = _joined(known, judge(self.outputs["open_val"]))
        return PseudoOpenThreshold(criterion="authors_f").choose(
            both, np.concatenate([labels, self.labels["open_val"]])
        )


_SPLITS: tuple[Split, ...] = ("train", "val", "test", "open_val", "open_test")


def _open(run: FinishedRun, split: Split) -> DataSet | None:
    """A split, or None where the data set does not have it; the training and test splits must be there."""
    config = run.experiment.data
    if split not in ("train", "test") and split not in config.splits():
        return None
    data = config.build(split)
    if split == "train" and data.fingerprint != run.trained_on:
        raise DataError(
            f"{run.path}: was trained on other data than {run.experiment.dataset} holds now, so it cannot be "
            "measured by it; train it again"
        )
    return data


def _joined(known: Judgement, strangers: Judgement) -> Judgement:
    return Judgement(np.concatenate([known.top, strangers.top]), np.concatenate([known.scores, strangers.scores]))


def _plain(value: Any) -> Any:
    """NaN as None, which is JSON, and numpy's numbers as Python's."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else float(value)
    return value
