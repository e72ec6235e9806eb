"""What a rule is fitted on and asked, with the checks and the blocks that all of them share."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facerec_oltr.components import Config
from facerec_oltr.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Values = npt.NDArray[np.floating]

BLOCK = 1 << 22  # numbers of a block: 32 MB as float64


class Outputs(NamedTuple):
    """What a classifier gives for N images, in any float type.

    Attributes:
        features: (N, D), the direct features.
        logits: (N, C).
    """

    features: Values
    logits: Values


class Judgement(NamedTuple):
    """What a rule says of N images.

    Attributes:
        top: (N,) the class on top.
        scores: (N,) how familiar each image is; higher is more familiar.
    """

    top: Ints
    scores: Floats


@dataclass(frozen=True, eq=False)
class Rule(ABC):
    """A fitted rule; `metrics.open_set.decide` turns its judgement and a threshold into decisions.

    Attributes:
        classes: C.
    """

    classes: int

    def judge(self, outputs: Outputs) -> Judgement:
        """Top classes and scores in one pass, a block of rows at a time.

        Raises:
            DataError: no images, sizes that the rule was not fitted for, NaN or infinity.
        """
        outputs = checked_outputs(outputs, self.classes, self.size)
        top, scores = np.empty(len(outputs.logits), np.int64), np.empty(len(outputs.logits))
        for rows in blocks(len(top), self.width):
            features, logits = (values[rows].astype(np.float64) for values in outputs)
            top[rows], scores[rows] = self._judge(features, logits)
        return Judgement(top, scores)

    def score(self, outputs: Outputs) -> Floats:
        """How familiar each image is, (N,); higher is more familiar."""
        return self.judge(outputs).scores

    def classify(self, outputs: Outputs) -> Ints:
        """The class on top, (N,): that of the highest logit, or what the rule makes of the logits."""
        return self.judge(outputs).top

    @property
    def size(self) -> int | None:
        """D, or None for a rule that does not read the features."""
        return None

    @property
    def width(self) -> int:
        """How many numbers one image takes while it is judged; it sets the size of a block."""
        return self.classes

    @abstractmethod
    def _judge(self, features: Floats, logits: Floats) -> Judgement:
        """Judge one block of checked rows."""


class RuleConfig(Config, ABC):
    """The choices of a rule, and what it must be given before it can be asked."""

    @property
    def needs_training(self) -> bool:
        """Whether `fit` reads the training outputs; where it does not, they may be None."""
        return True

    @property
    def needs_memory(self) -> bool:
        """Whether `fit` reads the head's memory."""
        return False

    @abstractmethod
    def fit(
        self,
        outputs: Outputs | None,
        labels: npt.ArrayLike | None,
        *,
        classes: int,
        memory: npt.ArrayLike | None = None,
    ) -> Rule:
        """Fit the rule.

        Args:
            outputs: of N training images.
            labels: (N,) in [0, C).
            classes: C.
            memory: the head's centroids (C, D), or None for a head without memory.

        Raises:
            DataError: what the rule needs is missing, empty, of another size, or holds NaN or infinity.
        """


class LogitRuleConfig(RuleConfig):
    """The choices of a rule that reads an image's logits alone, so that there is nothing to fit."""

    @property
    def needs_training(self) -> bool:
        """No."""
        return False

    @abstractmethod
    def rule(self, classes: int) -> Rule:
        """Give the rule for C classes."""

    def fit(
        self,
        outputs: Outputs | None,
        labels: npt.ArrayLike | None,
        *,
        classes: int,
        memory: npt.ArrayLike | None = None,
    ) -> Rule:
        """Give the rule for C classes; nothing else is read."""
        return self.rule(classes)


def blocks(rows: int, width: int) -> Iterator[slice]:
    """Slices over `rows` rows of `width` numbers each, about `BLOCK` numbers at a time and never less than a row."""
    step = max(1, BLOCK // max(1, width))
    for start in range(0, rows, step):
        yield slice(start, start + step)


def checked_outputs(outputs: Outputs, classes: int, size: int | None = None) -> Outputs:
    """The outputs as arrays, if they are a finite (N, D) and (N, C) with N > 0 and the wanted C and D."""
    features, logits = np.asarray(outputs.features), np.asarray(outputs.logits)
    if features.ndim != 2 or logits.ndim != 2 or len(features) != len(logits):
        raise DataError(
            f"found features of shape {features.shape} and logits of shape {logits.shape}, not (N, D) and (N, C)"
        )
    if not logits.shape[1]:
        raise DataError(f"found logits of shape {logits.shape}: there is no class to judge by")
    if not len(logits):
        raise DataError("there is no image to fit a rule on or to judge: the features and logits have no rows")
    if logits.shape[1] != classes:
        raise DataError(f"found {logits.shape[1]:,} logits an image for {classes:,} classes")
    if size is not None and features.shape[1] != size:
        raise DataError(f"found features of size {features.shape[1]:,}; the rule was fitted on size {size:,}")
    checked_finite(features, "features")
    checked_finite(logits, "logits")
    return Outputs(features, logits)


def checked_finite(values: Values, name: str) -> None:
    """Refuse rows with NaN or infinity, and name the first."""
    broken = [
        int(row) + rows.start
        for rows in blocks(len(values), values.shape[1])
        for row in np.flatnonzero(~np.isfinite(values[rows]).all(axis=1))
    ]
    if broken:
        raise DataError(
            f"{len(broken):,} of {len(values):,} rows of the {name} hold NaN or infinity, the first is row "
            f"{broken[0]:,}; look for a diverged network or a damaged image"
        )


def checked_training(
    outputs: Outputs | None, labels: npt.ArrayLike | None, classes: int, rule: str
) -> tuple[Outputs, Ints]:
    """The training outputs and labels as arrays, if the one is whole and the others lie in [0, C)."""
    if outputs is None or labels is None:
        raise DataError(f"{rule} is fitted on training outputs and their labels; found none")
    outputs = checked_outputs(outputs, classes)
    labels = np.asarray(labels)
    if labels.shape != (len(outputs.logits),) or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"found labels of shape {labels.shape} and type {labels.dtype} for {len(outputs.logits):,} training images"
        )
    strange = np.flatnonzero((labels < 0) | (labels >= classes))
    if strange.size:
        raise DataError(
            f"training label {labels[strange[0]]} of row {strange[0]:,} is none of the classes 0 to {classes - 1:,}; "
            "a rule is fitted on known classes only"
        )
    return outputs, labels.astype(np.int64)


def checked_memory(memory: npt.ArrayLike | None, classes: int, rule: str) -> Floats:
    """The memory as float64, if it is a finite (C, D) that was ever filled."""
    if memory is None:
        raise DataError(f"{rule} reads the head's memory, and this head keeps none; take class_means instead")
    memory = np.asarray(memory, np.float64)
    if memory.ndim != 2 or len(memory) != classes or not memory.size:
        raise DataError(f"found a memory of shape {memory.shape} for {classes:,} classes, not (C, D)")
    checked_finite(memory, "memory")
    if not memory.any():
        raise DataError("the head's memory is all zeros: it was never filled; train the head first")
    return memory
