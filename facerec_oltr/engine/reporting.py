"""What training tells of itself: an epoch's figures, and who is told."""

import json
import math
from dataclasses import asdict
from typing import NamedTuple, Protocol

from facerec_oltr.experiment import Stage
from facerec_oltr.metrics.shots import ShotAccuracies


class EpochReport(NamedTuple):
    """What an epoch came to.

    Attributes:
        epoch: its number, from 1.
        loss: mean total loss over the images.
        parts: mean of each term of the loss, unweighted, by kind.
        accuracy: share of the (augmented) training images whose highest logit was their class.
        learning_rate: of the first parameter group, after the last step.
        images_per_second: over the epoch's steps; without validation, and without the pass for the memory.
        validation: accuracy on the validation split at the end of the epoch; None if it was not measured.
        verification: figures on verification packs at the end of the epoch, see engine/verifying.py; None if they were
            not measured.
    """

    epoch: int
    loss: float
    parts: dict[str, float]
    accuracy: float
    learning_rate: float
    images_per_second: float
    validation: ShotAccuracies | None = None
    verification: dict[str, float] | None = None

    def line(self, stage: str) -> str:
        """As a line of metrics.jsonl; a bin without validation images is null, as JSON has no NaN."""
        table = {"stage": stage, **self._asdict()}
        if self.validation is None:
            del table["validation"]
        else:
            figures = asdict(self.validation)
            table["validation"] = {name: None if math.isnan(value) else value for name, value in figures.items()}
        if self.verification is None:
            del table["verification"]
        return json.dumps(table)


class Reporter(Protocol):
    """Who is told how training goes."""

    def stage_begins(self, stage: Stage, epochs: int, epochs_done: int) -> None: ...  # noqa: D102
    def epoch_ends(self, stage: Stage, report: EpochReport) -> None: ...  # noqa: D102


class Silent:
    """Tells nobody."""

    def stage_begins(self, stage: Stage, epochs: int, epochs_done: int) -> None:
        """Do nothing."""

    def epoch_ends(self, stage: Stage, report: EpochReport) -> None:
        """Do nothing."""
