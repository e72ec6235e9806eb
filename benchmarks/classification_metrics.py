"""Classification and open-set figures of 68,000 images and 1,000 classes, side by side with scikit-learn.

python benchmarks/classification_metrics.py [--rounds 5]

The size of ImageNet-LT's test: 50 images each of 1,000 known classes, and 18,000 strangers; logits are drawn, so no
data is needed. From the same logits both sides take the class on top, the maximum softmax as the score, and the same
figures where scikit-learn has them; rounds take turns. What only we have (accuracy by shots, the authors' F, OSCR, a
thousand resamples, neighbours) is timed beside it.
"""

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score, roc_curve
from sklearn.neighbors import NearestNeighbors

from facerec_oltr.metrics.open_set import average_precision, decide, detection, f_measures, fpr_at_tpr
from facerec_oltr.metrics.ranking import auroc
from facerec_oltr.metrics.resampled import DetectionFigures, FFigures, Resamples, ShotFigures, replicate
from facerec_oltr.metrics.shots import shot_accuracies
from facerec_oltr.open_set import KnnConfig, MaxSoftmaxConfig, Outputs

KNOWN, STRANGERS, CLASSES, THRESHOLD = 50_000, 18_000, 1_000, 0.1


class Case:
    """Drawn logits, and what both sides make of them."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.labels = np.concatenate([np.repeat(np.arange(CLASSES), KNOWN // CLASSES), np.full(STRANGERS, -1)])
        self.logits = rng.normal(size=(KNOWN + STRANGERS, CLASSES)).astype(np.float32)
        self.logits[np.arange(KNOWN), self.labels[:KNOWN]] += rng.normal(4, 1, KNOWN).astype(np.float32)
        self.counts = np.maximum(5, 1280 * np.arange(1, CLASSES + 1, dtype=float) ** -0.6).astype(int)
        self.known = self.labels >= 0
        self.ours_judged()

    def ours_judged(self) -> None:
        """Keep the class on top and the maximum softmax."""
        outputs = Outputs(np.zeros((len(self.logits), 1), np.float32), self.logits)
        self.top, self.scores = MaxSoftmaxConfig().fit(None, None, classes=CLASSES).judge(outputs)

    def sklearn_judged(self) -> tuple[Any, Any]:
        """The same by scipy's softmax; scikit-learn has none."""
        probabilities = softmax(self.logits.astype(np.float64), axis=1)
        return probabilities.argmax(axis=1), probabilities.max(axis=1)

    def ours(self) -> list[float]:
        """AUROC, AUPR both ways, FPR at 95 % TPR, micro and macro F1."""
        known, strangers = self.scores[self.known], self.scores[~self.known]
        f = f_measures(decide(self.top, self.scores, THRESHOLD), self.labels)
        return [
            auroc(known, strangers),
            average_precision(known, strangers),
            average_precision(-strangers, -known),
            fpr_at_tpr(known, strangers, 0.95),
            f.micro,
            f.macro,
        ]

    def sklearn(self) -> list[float]:
        """The same."""
        decided = np.where(self.scores >= THRESHOLD, self.top, -1)
        fpr, tpr, _ = roc_curve(self.known, self.scores, drop_intermediate=False)
        return [
            float(roc_auc_score(self.known, self.scores)),
            float(average_precision_score(self.known, self.scores)),
            float(average_precision_score(~self.known, -self.scores)),
            float(fpr[np.flatnonzero(tpr >= 0.95)[0]]),
            float(f1_score(self.labels, decided, labels=range(CLASSES), average="micro")),
            float(f1_score(self.labels, decided, labels=range(CLASSES), average="macro")),
        ]

    def everything(self) -> None:
        """Every figure that facerec evaluate takes from one rule, from the logits on."""
        self.ours_judged()
        decided, right = decide(self.top, self.scores, THRESHOLD), self.top == self.labels
        detection(self.scores[self.known], right[self.known], self.scores[~self.known])
        for choice in (self.top, decided):
            f_measures(choice, self.labels)
            shot_accuracies(choice[self.known], self.labels[self.known], self.counts, "decoupling")

    def resampled(self) -> None:
        """The intervals of all of them, a thousand resamples."""
        decided, right = decide(self.top, self.scores, THRESHOLD), self.top == self.labels
        figures = [
            DetectionFigures(self.scores, right, self.labels),
            FFigures(decided, self.labels, CLASSES),
            ShotFigures(decided, self.labels, self.counts, "decoupling"),
        ]
        replicate(Resamples(self.labels, self.counts, "decoupling", replicates=1000), figures)


class Neighbours:
    """20,000 vectors of 512 numbers to be near to, 8,000 to ask for."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        bank, self.asked = (rng.normal(size=(n, 512)).astype(np.float32) for n in (20_000, 8_000))
        empty = np.zeros((20_000, 2), np.float32)
        self.rule = KnnConfig(k=1).fit(Outputs(bank, empty), np.arange(20_000) % 2, classes=2)
        self.brute = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(_unit(bank))

    def ours(self) -> Any:
        """Distances to the nearest."""
        return -self.rule.score(Outputs(self.asked, np.zeros((8_000, 2), np.float32)))

    def sklearn(self) -> Any:
        """The same."""
        return self.brute.kneighbors(_unit(self.asked))[0][:, 0]


def main() -> None:
    """Check that both sides agree, take turns, print the medians."""
    rounds = int(sys.argv[sys.argv.index("--rounds") + 1]) if "--rounds" in sys.argv else 5
    case, neighbours = Case(), Neighbours()
    np.testing.assert_allclose(case.ours(), case.sklearn(), rtol=1e-9)
    np.testing.assert_array_equal(case.top, case.sklearn_judged()[0])
    np.testing.assert_allclose(case.scores, case.sklearn_judged()[1], rtol=1e-9)
    np.testing.assert_allclose(neighbours.ours(), neighbours.sklearn(), atol=1e-5)
    rows: list[tuple[str, Callable[[], Any], Callable[[], Any] | None]] = [
        ("class on top and maximum softmax, from the logits", case.ours_judged, case.sklearn_judged),
        ("AUROC, AUPR both ways, FPR at 95 % TPR, F1 micro and macro", case.ours, case.sklearn),
        ("nearest of 20,000 vectors, 8,000 times", neighbours.ours, neighbours.sklearn),
        ("every figure of one rule, from the logits", case.everything, None),
        ("their intervals, 1,000 resamples", case.resampled, None),
    ]
    print("| what | scikit-learn, scipy | ours |\n|---|---|---|")
    for name, ours, theirs in rows:
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            for run, seconds in zip((theirs, ours), times, strict=True):
                if run is not None:
                    started = time.perf_counter()
                    run()
                    seconds.append(time.perf_counter() - started)
        print(f"| {name} | " + " | ".join(map(_shown, times)) + " |", flush=True)


def _shown(seconds: list[float]) -> str:
    if not seconds:
        return "–"
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


def _unit(x: Any) -> Any:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
