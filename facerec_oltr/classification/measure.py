"""One run measured as a classifier on the splits of its own data set: closed set, and open set under every rule.

A rule's threshold is chosen on the validation splits: the one that is best by the authors' F there, or, where the data
set has no strangers to choose by, the one that 95 % of the validation images of known classes reach. Beside it stands
the paper's: 0.1 on the maximum softmax. The test splits choose nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from facerec_oltr.data import DataSet, Split
from facerec_oltr.engine.finished import FinishedRun
from facerec_oltr.errors import DataError
from facerec_oltr.metrics.open_set import decide, detection, f_measures
from facerec_oltr.metrics.resampled import (
    DetectionFigures,
    FFigures,
    Figures,
    Resamples,
    ShotFigures,
    StrangersRejected,
)
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


@dataclass(frozen=True)
class Measured:
    """What was measured, and what it takes to say how sure it is (`replicates.py`).

    Attributes:
        table: every figure, ready for JSON.
        test_labels: (N,) of the test images, then -1 for each stranger.
        train_counts: (C,) training images of each class.
        figures: those of the table that come from test images, for any resample of them; by their place in it.
    """

    table: dict[str, Any]
    test_labels: Labels
    train_counts: Labels
    figures: dict[str, Sequence[Figures]] = field(default_factory=dict)

    def resamples(self, replicates: int, seed: int = 0) -> Resamples:
        """Resamples of the test images: the same for all runs on a data set with the same convention of shots."""
        return Resamples(self.test_labels, self.train_counts, self.table["shots"], replicates=replicates, seed=seed)


def measure_run(
    run: FinishedRun,
    rules: Mapping[str, OpenSetConfig] = RULES,
    on_progress: Progress = lambda done, total: None,
) -> Measured:
    """Measure a run.

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
    table: dict[str, Any] = {
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
    figures: dict[str, Sequence[Figures]] = {
        "closed": [ShotFigures(test.logits.argmax(axis=1), labels, counts, convention)]
    }
    if "open_test" not in judge.outputs:
        return Measured(_plain(table), labels, counts, figures)
    everything = np.concatenate([labels, judge.labels["open_test"]])
    strangers = judge.outputs["open_test"]
    top = np.concatenate([test.logits.argmax(axis=1), strangers.logits.argmax(axis=1)])
    table["never_reject"] = asdict(f_measures(top, everything))
    figures["closed"] = [ShotFigures(top, everything, counts, convention)]
    figures["never_reject"] = [FFigures(top, everything, len(counts))]
    memory = None if run.model.head.memory is None else run.model.head.memory.detach().cpu().numpy()
    for name, config in rules.items():
        if config.needs_memory and memory is None:
            continue
        rule = config.fit(train, judge.labels["train"], classes=len(counts), memory=memory)
        known, far = rule.judge(test), rule.judge(strangers)
        both = _joined(known, far)
        table["open"][name] = of_rule = asdict(detection(known.scores, known.top == labels, far.scores))
        figures[f"open.{name}"] = [DetectionFigures(both.scores, both.top == everything, everything)]
        lines = {"validation": judge.threshold(rule.judge)}
        if name == "max_softmax":
            lines["paper"] = FixedThreshold().value
        for line, value in lines.items():
            decided = decide(*both, value)
            of_rule[line] = {
                "threshold": value,
                **asdict(f_measures(decided, everything)),
                "known": asdict(shot_accuracies(decided[: len(labels)], labels, counts, convention)),
                "strangers_rejected": float(np.mean(decided[len(labels) :] == -1)),
            }
            figures[f"open.{name}.{line}"] = [
                FFigures(decided, everything, len(counts)),
                StrangersRejected(decided, everything),
            ]
            figures[f"open.{name}.{line}.known"] = [ShotFigures(decided, everything, counts, convention)]
    return Measured(_plain(table), everything, counts, figures)


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
