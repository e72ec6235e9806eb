"""The Weibull distribution of the largest distances of a class, as libMR's ``fit_high`` defines it.

libMR (``MetaRecognition.cpp``, ``weibull.c``) shifts the η largest distances so that the smallest of them becomes 1,
fits scale λ and shape k by maximum likelihood with the location at 0, and scores a distance by the shifted CDF:

    y = d − d_min + 1,    ω(d) = 1 − exp(−(y/λ)^k)  for y > 0, else 0

The shift of 1 is in the units of the distance, so the fit changes with them: OpenMax divides Euclidean distances by
200 first. k is the root of the profile likelihood's derivative, Σ y^k ln y / Σ y^k − 1/k − mean ln y, which rises; then
λ^k = mean y^k. libMR stops its search at 1e-6, ours goes on to the last digits.
"""

import math
from typing import NamedTuple, cast

import numpy as np
from scipy.optimize import brentq

from facerec_oltr.open_set._base import Floats

_SHIFT = 1.0
_DISTINCT = 1e-9  # of the largest distance or the shift; below it two distances differ by rounding only


class Tail(NamedTuple):
    """A fitted tail.

    Attributes:
        smallest: the smallest distance of the tail, which the shift moves to 1.
        scale: λ.
        shape: k.
    """

    smallest: float
    scale: float
    shape: float


def fit_tail(distances: Floats, tail: int) -> Tail | None:
    """Fit the `tail` largest of the distances (n,), or all where there are fewer.

    Returns:
        None where the largest ones are fewer than two or all equal: no distribution fits. (libMR reports -1 or -2
        then and scores every distance with -9999, which OSDN's code multiplies into the logits.)
    """
    assert tail > 0, tail
    largest = np.sort(distances)[-tail:]
    if len(largest) < 2 or largest[-1] - largest[0] <= _DISTINCT * max(largest[-1], _SHIFT):
        return None
    x = np.log(largest - largest[0] + _SHIFT)
    top, mean = x[-1], x.mean()

    def slope(shape: float) -> float:
        weights = np.exp(shape * (x - top))
        return float(weights @ x / weights.sum() - mean - 1 / shape)

    lower = 1 / (top - mean)  # where the slope is the weighted mean minus the top
    upper = 2 * lower
    while slope(upper) < 0:
        upper *= 2
    shape = cast(float, brentq(slope, lower, upper))
    return Tail(float(largest[0]), math.exp(top + math.log(np.exp(shape * (x - top)).mean()) / shape), shape)


def tail_scores(distances: Floats, smallest: Floats, scale: Floats, shape: Floats) -> Floats:
    """ω of distances, each with the tail of its own class; all of one shape."""
    y = distances - smallest + _SHIFT
    inside = y > 0
    power = shape * (np.log(np.where(inside, y, 1.0)) - np.log(scale))
    return np.where(inside, -np.expm1(-np.exp(np.minimum(power, 700.0))), 0.0)
