"""Weibull distributions of distances, by maximum likelihood.

`fit_weibull` takes values as they are, location 0. Its shape k is the root of the profile likelihood's derivative,
Σ y^k ln y / Σ y^k − 1/k − mean ln y, which rises; then λ^k = mean y^k.

`fit_tail` is libMR's ``fit_high`` (``MetaRecognition.cpp``, ``weibull.c``): it shifts the η largest distances of a
class so that the smallest of them becomes 1, fits those, and scores a distance by the shifted CDF:

    y = d − d_min + 1,    ω(d) = 1 − exp(−(y/λ)^k)  for y > 0, else 0

The shift of 1 is in the units of the distance, so the fit changes with them: OpenMax divides Euclidean distances by
200 first. libMR stops its search at 1e-6, ours goes on to the last digits.
"""

import math
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

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


def fit_weibull(values: Floats) -> tuple[float, float] | None:
    """Scale λ and shape k of positive values (n,); None where they are fewer than two or all equal."""
    x = np.log(np.sort(values))
    if len(x) < 2 or x[-1] - x[0] <= _DISTINCT:
        return None
    top, mean = x[-1], x.mean()

    def slope(shape: float) -> float:
        weights = np.exp(shape * (x - top))
        return float(weights @ x / weights.sum() - mean - 1 / shape)

    lower = 1 / (top - mean)  # where the slope is the weighted mean minus the top
    upper = 2 * lower
    while slope(upper) < 0:
        upper *= 2
    from scipy.optimize import brentq  # half a second, for who fits tails alone

    shape = cast(float, brentq(slope, lower, upper))
    return math.exp(top + math.log(np.exp(shape * (x - top)).mean()) / shape), shape


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
    fitted = fit_weibull(largest - largest[0] + _SHIFT)
    return None if fitted is None else Tail(float(largest[0]), *fitted)


def tail_scores(distances: Floats, smallest: Floats, scale: Floats, shape: Floats) -> Floats:
    """ω of distances, each with the tail of its own class; all of one shape."""
    y = distances - smallest + _SHIFT
    inside = y > 0
    power = shape * (np.log(np.where(inside, y, 1.0)) - np.log(scale))
    return np.where(inside, -np.expm1(-np.exp(np.minimum(power, 700.0))), 0.0)
