"""OpenMax (Bendale and Boult, CVPR 2016): part of the top logits goes to an unknown class, by how far the image lies.

Fitted once a class: μ_c, the mean logit vector of the training images of c that are classified rightly, and a Weibull
distribution of their η largest distances to μ_c (`facerec_oltr.weibull`). For an image with logits v, the α highest of
which are ranked r = 1 … α:

    v̂_c = v_c (1 − ω_c(d(v, μ_c)) (α + 1 − r_c)/α)  for the α classes, v̂_c = v_c for the others
    v̂_0 = Σ_c (v_c − v̂_c)                            the unknown class
    P    = softmax over (v̂_0, v̂_1 … v̂_C)

Known oddities, kept: adding a constant to all logits changes the result; a negative logit among the top α is raised and
lowers v̂_0; where no ω acts the unknown class still has the logit 0. Not kept from the code in circulation: a tail of 0
means all distances (`sorted(d)[-0:]`); OSDN fits ``euclidean`` tails on whole distances and then asks them about
distances divided by 200; classes that no training image is rightly classified into give their whole logit to v̂_0
(OLTR's run_openmax.py). Here such a class, and one with fewer than two distinct distances, moves nothing.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from facerec_oltr.errors import DataError
from facerec_oltr.open_set._base import Floats, Ints, Judgement, Outputs, Rule, RuleConfig, blocks, checked_training
from facerec_oltr.open_set._centroids import class_means
from facerec_oltr.open_set.energy import log_sum_exp
from facerec_oltr.weibull import fit_tail, tail_scores

Measure = Literal["eucos", "euclidean", "cosine"]


class Tails(NamedTuple):
    """The tails of all classes, each (C,); `fitted` says which there are, the rest of the others means nothing."""

    fitted: npt.NDArray[np.bool_]
    smallest: Floats
    scale: Floats
    shape: Floats


def distance(v: Floats, mean: Floats, measure: Measure, euclidean_weight: float) -> Floats:
    """The distance d of logits (B, C) to one mean each (B, C), as (B,).

    ``eucos`` is w ‖v − μ‖ + 1 − cos(v, μ), ``euclidean`` and ``cosine`` its halves. A vector of zeros has cosine 0.
    """
    result = np.zeros(len(v))
    if measure != "cosine":
        difference = v - mean
        result += euclidean_weight * np.sqrt(_dot(difference, difference))
    if measure != "euclidean":
        lengths = np.sqrt(_dot(v, v) * _dot(mean, mean))
        result += 1 - _dot(v, mean) / np.where(lengths > 0, lengths, 1)
    return result


@dataclass(frozen=True, eq=False)
class OpenMax(Rule):
    """The rule with what it was fitted on.

    Attributes:
        means: μ, (C, C); zeros for a class without a rightly classified image.
        tails: the fitted tails.
        choices: the config.
    """

    means: Floats
    tails: Tails
    choices: "OpenMaxConfig"

    @property
    def width(self) -> int:
        """The logits, what is left of them and what they become, one mean and the difference to it, and room."""
        return 8 * self.classes

    @property
    def without_tail(self) -> Ints:
        """The classes that move nothing, because no tail could be fitted."""
        return np.flatnonzero(~self.tails.fitted)

    def revise(self, logits: Floats) -> tuple[Floats, Floats]:
        """v̂ of the known classes (B, C) and v̂_0 (B,) of logits (B, C); equal logits rank by the lower class."""
        alpha = min(self.choices.alpha, self.classes)
        revised, unknown, images = logits.copy(), np.zeros(len(logits)), np.arange(len(logits))
        left = logits.copy()
        for place in range(alpha):
            classes = left.argmax(axis=1)
            left[images, classes] = -np.inf
            d = distance(logits, self.means[classes], self.choices.measure, self.choices.euclidean_weight)
            omega = tail_scores(d, *(values[classes] for values in self.tails[1:]))
            moved = logits[images, classes] * omega * self.tails.fitted[classes] * (alpha - place) / alpha
            revised[images, classes] -= moved
            unknown += moved
        return revised, unknown

    def _judge(self, features: Floats, logits: Floats) -> Judgement:
        revised, unknown = self.revise(logits)
        top = revised.argmax(axis=1)
        best = revised.max(axis=1)
        if self.choices.score == "margin":
            return Judgement(top, best - unknown)
        known = log_sum_exp(revised)
        if self.choices.score == "log_odds":
            return Judgement(top, known - unknown)
        total = np.logaddexp(known, unknown)
        return Judgement(top, np.where(best >= unknown, np.exp(best - total), -np.exp(unknown - total)))


class OpenMaxConfig(RuleConfig):
    """Choices of OpenMax; the defaults of the first four are those of its authors' code.

    Attributes:
        tail: η, how many of the largest distances a class's Weibull distribution is fitted on.
        alpha: α, how many of the top classes are revised; no more than there are.
        measure: the distance d.
        euclidean_weight: w, what a Euclidean distance is multiplied by.
        score: ``log_odds`` is log P(known)/P(unknown), which orders images as 1 − P(unknown) does and does not end
            at 1; ``margin`` is max v̂ − v̂_0, whose threshold 0 rejects just where the unknown class is on top;
            ``paper`` is P of the top known class, and −P(unknown) where the unknown class is on top: with a
            threshold ε >= 0 it is the paper's whole rule.
    """

    kind: Literal["openmax"] = "openmax"
    tail: Annotated[int, Field(gt=0)] = 20
    alpha: Annotated[int, Field(gt=0)] = 10
    measure: Measure = "eucos"
    euclidean_weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1 / 200
    score: Literal["log_odds", "margin", "paper"] = "log_odds"

    def fit(
        self,
        outputs: Outputs | None,
        labels: npt.ArrayLike | None,
        *,
        classes: int,
        memory: npt.ArrayLike | None = None,
    ) -> OpenMax:
        """Compute the means and fit the tails."""
        outputs, targets = checked_training(outputs, labels, classes, self.kind)
        logits = outputs.logits
        right = logits.argmax(axis=1) == targets
        if not right.any():
            raise DataError(
                f"openmax needs rightly classified training images; of {len(targets):,} none is: train the model first"
            )
        means, _ = class_means(logits, targets, classes, counted=right.astype(np.float64))
        distances = np.empty(len(logits))
        for rows in blocks(len(logits), 8 * classes):
            own = means[targets[rows]]
            distances[rows] = distance(logits[rows].astype(np.float64), own, self.measure, self.euclidean_weight)
        return OpenMax(classes, means, _fit_tails(distances[right], targets[right], classes, self.tail), self)


def _dot(a: Floats, b: Floats) -> Floats:
    return np.einsum("bc,bc->b", a, b)


def _fit_tails(distances: Floats, labels: Ints, classes: int, tail: int) -> Tails:
    order = np.argsort(labels, kind="stable")
    own = np.split(distances[order], np.searchsorted(labels[order], np.arange(1, classes)))
    tails = [fit_tail(of_class, tail) for of_class in own]
    fitted = np.array([t is not None for t in tails])
    smallest, scale, shape = np.array([t or (0.0, 1.0, 1.0) for t in tails]).T
    return Tails(fitted, smallest, scale, shape)
