"""Where to draw the line: thresholds T for a rule's scores; an image is accepted where its score >= T.

They are chosen on validation images, never on the test set: fixed ahead (the paper's 0.1 on max softmax), by the share
of knowns to accept, or by how well knowns are told from classes that play strangers (`hold_out`).
"""

from abc import ABC, abstractmethod
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from facerec_oltr.components import Config
from facerec_oltr.errors import DataError
from facerec_oltr.metrics.open_set import UNKNOWN, threshold_at_tpr
from facerec_oltr.open_set._base import Floats, Judgement

PAPER_THRESHOLD = 0.1


class ThresholdRule(Config, ABC):
    """How a threshold is chosen; the choice goes by the key `by`, because `kind` is that of a rule."""

    @abstractmethod
    def choose(self, judgement: Judgement, labels: npt.ArrayLike) -> float:
        """Choose T on N validation images with labels (N,), where -1 stands for a stranger.

        Raises:
            DataError: the images that the choice needs are missing, or a score is NaN or +inf.
        """


class FixedThreshold(ThresholdRule):
    """A number that is known ahead; 0.1 is the OLTR paper's and authors', and is meant for `max_softmax`."""

    by: Literal["fixed"] = "fixed"
    value: Annotated[float, Field(allow_inf_nan=False)] = PAPER_THRESHOLD

    def choose(self, judgement: Judgement, labels: npt.ArrayLike) -> float:
        """Give the number; neither images nor labels are looked at."""
        return self.value


class KnownShareThreshold(ThresholdRule):
    """The highest T that at least a share of the knowns reaches; it needs no strangers and does not look at them."""

    by: Literal["known_share"] = "known_share"
    share: Annotated[float, Field(gt=0, le=1)] = 0.95

    def choose(self, judgement: Judgement, labels: npt.ArrayLike) -> float:
        """Choose by the images with a label other than -1."""
        scores, labels = _checked(judgement, labels)
        known = scores[labels != UNKNOWN]
        if not known.size:
            raise DataError("a threshold by the share of knowns needs known validation images; found none")
        return threshold_at_tpr(known, self.share)


class PseudoOpenThreshold(ThresholdRule):
    """The T that tells knowns from strangers best.

    Attributes:
        criterion: ``youden`` is the share of knowns accepted minus that of strangers; ``authors_f`` is the authors'
            F-measure (`metrics.open_set`), which also asks whether the accepted knowns are right, and depends on how
            many strangers there are for each known.
    """

    by: Literal["pseudo_open"] = "pseudo_open"
    criterion: Literal["youden", "authors_f"] = "youden"

    def choose(self, judgement: Judgement, labels: npt.ArrayLike) -> float:
        """Choose among the scores seen; of equally good ones the lowest, which rejects fewest."""
        scores, labels = _checked(judgement, labels)
        known = labels != UNKNOWN
        if known.all() or not known.any():
            raise DataError(
                f"found {np.count_nonzero(known):,} known and {np.count_nonzero(~known):,} unknown validation images; "
                "this threshold needs both: hold out some classes, or choose by known_share"
            )
        steps = np.unique(scores[scores > -np.inf])
        if not steps.size:
            raise DataError("every validation score is -inf: the rule accepts nobody whatever the threshold")
        right = known & (judgement.top == labels)
        accepted_known, accepted_right, accepted_unknown = (
            np.count_nonzero(group) - np.searchsorted(np.sort(scores[group]), steps, side="left")
            for group in (known, right, ~known)
        )
        if self.criterion == "youden":  # times both counts: whole numbers, so that equally good ones are equal
            worth = accepted_known * np.count_nonzero(~known) - accepted_unknown * np.count_nonzero(known)
        else:  # 2 TP / (2 TP + K_mis + K_rej + O_acc), where K_mis + K_rej are the knowns that are no TP
            worth = 2 * accepted_right / (accepted_right + np.count_nonzero(known) + accepted_unknown)
        return float(steps[np.argmax(worth)])


ThresholdConfig = Annotated[FixedThreshold | KnownShareThreshold | PseudoOpenThreshold, Field(discriminator="by")]


def _checked(judgement: Judgement, labels: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.int64]]:
    scores, labels = np.asarray(judgement.scores, np.float64), np.asarray(labels, np.int64)
    if labels.shape != scores.shape or scores.ndim != 1:
        raise DataError(f"found scores of shape {scores.shape} for labels of shape {labels.shape}")
    broken = np.count_nonzero(~(scores < np.inf))
    if broken:
        raise DataError(f"{broken:,} of {scores.size:,} validation scores are NaN or +inf; look for damaged vectors")
    return scores, labels
