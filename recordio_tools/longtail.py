"""Counts → Plan: which identities of a face set to keep, how many images of each, and which ones.

OLTR (Liu et al., CVPR 2019) cuts MS1M-LT out of MS1M-ArcFace: "we sample images for each identity with a
probability proportional to the image numbers of each identity". The sentence has two readings and no code was
released; both are here, with the two shapes by which long tails are otherwise made. n_i is the number of
images of identity i, m_i the number kept, M the number wanted, K the number of identities.

    uniform_images  identity drawn ∝ n_i, then one of its images: every image equally likely to be kept
    proportional    every image kept with a probability that is itself ∝ n_i
    pareto          m_k follows a Pareto law of power α over the identities
    exponential     m_k falls by a constant factor from one identity to the next

Pure and seeded: the same counts, rule and generator state give the same plan.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from recordio_tools.errors import PlanError

Int64s = NDArray[np.int64]
Floats = NDArray[np.float64]
Law = Literal["uniform_images", "proportional", "pareto", "exponential"]
LAWS: tuple[Law, ...] = get_args(Law)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a long tail shall look like.

    Attributes:
        law: One of LAWS.
        images: M, met exactly. The two readings need it; the two shapes without it give their largest class
            all the images that it has.
        identities: K; None leaves it to the draw (the readings) or keeps every identity (the shapes).
        alpha: Power α of the Pareto law, 0.05 to 10^6: smaller is more long-tailed.
        imbalance: Largest class over smallest in the exponential law, 1 to 10^9.
        minimum: Fewest images of a kept identity; identities with fewer in the source are never kept.
        maximum: Most images of a kept identity; None for no bound.
    """

    law: Law
    images: int | None = None
    identities: int | None = None
    alpha: float | None = None
    imbalance: float | None = None
    minimum: int = 1
    maximum: int | None = None


PRESETS = {"ms1m_lt": Rule("uniform_images", images=887_500, identities=74_500)}
"""Rules with a name: the size of the paper's MS1M-LT, out of the 5,822,653 images and 85,742 identities of MS1MV2."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to keep.

    Attributes:
        identities: The kept identities as positions in the counts, ascending, (K,).
        counts: Number of images kept of each, (K,).
        images: For each kept identity in turn, which of its images, as ascending positions among them, (M,).
    """

    identities: Int64s
    counts: Int64s
    images: Int64s

    def images_of_each(self) -> list[Int64s]:
        """The kept images, one array an identity."""
        return np.split(self.images, np.cumsum(self.counts)[:-1])


def plan(counts: Int64s, rule: Rule, rng: np.random.Generator) -> Plan:
    """A plan that meets `rule` exactly.

    Args:
        counts: n_i, images of each identity in the source.
        rule: What to keep.
        rng: Where all randomness comes from.

    Raises:
        PlanError: The rule is not a rule, or the source cannot give what it asks for; the message says what
            can be had.
    """
    _check_rule(rule)
    counts = np.asarray(counts, np.int64)
    most = counts if rule.maximum is None else np.minimum(counts, rule.maximum)
    eligible = np.flatnonzero(counts >= rule.minimum)
    if rule.identities is not None and rule.identities > len(eligible):
        raise PlanError(
            f"{rule.identities:,} identities are wanted but only {len(eligible):,} of {len(counts):,} have "
            f"{rule.minimum} image(s) or more"
        )
    if not len(eligible):
        raise PlanError(f"none of the {len(counts):,} identities has {rule.minimum} image(s) or more")
    cut = _by_shape if rule.law in ("pareto", "exponential") else _by_draw
    kept, sizes = cut(counts, most, eligible, rule, rng)
    order = np.argsort(kept)
    kept, sizes = kept[order], sizes[order]
    return Plan(kept, sizes, _choose_images(counts[kept], sizes, rng))


def preset_named(name: str) -> Rule:
    """One of `PRESETS`.

    Raises:
        PlanError: There is none of that name.
    """
    if name not in PRESETS:
        raise PlanError(f"the preset {name!r} is unknown, expected one of: {', '.join(PRESETS)}")
    return PRESETS[name]


def uniform_images(counts: Int64s) -> Floats:
    """Reading (a) of the paper's sentence: weight of one image of each identity, w_i = 1.

    An identity is drawn with probability ∝ n_i and then an image of it: M of the N images at random without
    replacement. E[m_i] = M n_i / N; an identity vanishes with probability about (1 - M/N)^n_i.
    """
    return np.ones(len(counts))


def proportional(counts: Int64s) -> Floats:
    """Reading (b) of the paper's sentence: weight of one image of each identity, w_i = n_i.

    The probability to keep an image is itself proportional to the number of images of its identity:
    E[m_i] = n_i min(1, c n_i), with c such that the sum is M. The tail is longer than in reading (a).
    """
    return counts.astype(np.float64)


def pareto(K: int, alpha: float) -> Floats:
    """Relative class sizes, largest first: quantiles of the Pareto law of power α (type II, Lomax).

    x_k = ((k - ½) / K)^(-1/α) - 1,  k = 1 … K. It is the law of numpy's `Generator.pareto`. OLTR names a
    Pareto law with α = 6 for ImageNet-LT; with 115,846 images, 1,000 classes and 5 to 1,280 a class this
    gives its profile.
    """
    return ((np.arange(1, K + 1) - 0.5) / K) ** (-1 / alpha) - 1


def exponential(K: int, imbalance: float) -> Floats:
    """Relative class sizes, largest first: x_k = IF^(-(k - 1) / (K - 1)),  k = 1 … K, IF = largest / smallest.

    Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019 (long-tailed CIFAR).
    """
    return imbalance ** (-np.arange(K) / max(1, K - 1))


def _by_draw(
    counts: Int64s, most: Int64s, eligible: Int64s, rule: Rule, rng: np.random.Generator
) -> tuple[Int64s, Int64s]:
    """(identities, images of each) under one of the two readings."""
    weigh: Callable[[Int64s], Floats] = uniform_images if rule.law == "uniform_images" else proportional
    if rule.images is None:
        raise PlanError(f"the law {rule.law} needs a number of images")
    if rule.identities is not None:
        # the first K identities that draws by the same law would touch: exponential races at rates n_i w_i
        rates = counts[eligible] * weigh(counts[eligible])
        kept = eligible[np.argsort(rng.exponential(size=len(eligible)) / rates, kind="stable")[: rule.identities]]
    elif rule.minimum == 1:
        kept = eligible
    else:
        _check_images(rule.images, 1, int(most[eligible].sum()), len(eligible), rule)
        least = np.zeros(len(eligible), np.int64)
        first = _draw(counts[eligible], weigh(counts[eligible]), least, most[eligible], rule.images, rng)
        kept = eligible[first >= rule.minimum]
        if not len(kept):
            raise PlanError(
                f"{rule.images:,} images drawn from {len(eligible):,} identities leave none with {rule.minimum}; "
                "give a number of identities, more images or a lower minimum"
            )
    floor = 0 if rule.identities is None and rule.minimum == 1 else rule.minimum
    _check_images(rule.images, max(1, floor * len(kept)), int(most[kept].sum()), len(kept), rule)
    least = np.full(len(kept), floor, np.int64)
    sizes = _draw(counts[kept], weigh(counts[kept]), least, most[kept], rule.images, rng)
    return kept[sizes > 0], sizes[sizes > 0]


def _by_shape(
    counts: Int64s, most: Int64s, eligible: Int64s, rule: Rule, rng: np.random.Generator
) -> tuple[Int64s, Int64s]:
    """(identities, images of each) under a law of class sizes: the largest size goes to the largest identity."""
    K = len(eligible) if rule.identities is None else rule.identities
    kept = rng.permutation(eligible)[:K]  # at random, so that the people left out are like those kept
    kept = kept[np.argsort(-most[kept], kind="stable")]
    pareto_law = rule.law == "pareto"
    shape = pareto(K, _needed(rule, "alpha")) if pareto_law else exponential(K, _needed(rule, "imbalance"))
    caps = most[kept].astype(np.float64)
    least = np.full(K, float(rule.minimum))
    if rule.images is None:
        sizes = np.clip(shape * caps[0] / shape[0], least, caps)
        total = round(sizes.sum())
    else:
        total = rule.images
        _check_images(total, rule.minimum * K, int(caps.sum()), K, rule)
    return kept, _round_to(_fill(shape, least, caps, total), total)


def _draw(counts: Int64s, weights: Floats, least: Int64s, most: Int64s, total: int, rng: np.random.Generator) -> Int64s:
    """Images of each identity: `least` of each, then by weight until `total`, none above `most`."""
    sizes = least.copy()
    while (missing := total - int(sizes.sum())) > 0:
        open_ = np.flatnonzero(sizes < most)
        drawn = _sample(counts[open_] - sizes[open_], weights[open_], missing, rng)
        sizes[open_] = np.minimum(sizes[open_] + drawn, most[open_])  # what passes the cap is drawn again
    return sizes


def _sample(left: Int64s, weights: Floats, total: int, rng: np.random.Generator) -> Int64s:
    """How many of `total` images fall to each identity if each of its `left` images is kept with p ∝ its weight.

    Systematic sampling along a random order (Madow 1949): the total is exact and every image is kept with
    exactly its probability min(1, c w).
    """
    chance = np.minimum(1, _fill(weights, np.zeros(len(left)), np.ones(len(left)), total, left))
    sure = chance > 1 - 1e-9
    drawn = np.where(sure, left, 0)
    rest = total - int(drawn.sum())
    if rest > 0:
        unsure = np.flatnonzero(~sure)
        owners = rng.permutation(np.repeat(unsure, left[unsure]))
        steps = np.cumsum(chance[owners])
        marks = (np.arange(rest) + rng.random()) * (steps[-1] / rest)
        picks = np.minimum(np.searchsorted(steps, marks, side="right"), len(owners) - 1)
        drawn += np.bincount(owners[picks], minlength=len(left))
    return drawn


def _fill(shape: Floats, least: Floats, most: Floats, total: int, times: Int64s | int = 1) -> Floats:
    """clip(c · shape, least, most) with c such that its sum, each term taken `times`, is `total`; by bisection."""
    low, high = 0.0, 1.0
    while (times * np.clip(high * shape, least, most)).sum() < total and high < 1e300:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if (times * np.clip(middle * shape, least, most)).sum() < total:
            low = middle
        else:
            high = middle
    return np.clip(high * shape, least, most)


def _round_to(sizes: Floats, total: int) -> Int64s:
    """Whole numbers that sum to `total`, each `sizes` rounded down or up: the largest remainders go up."""
    whole = np.floor(sizes + 1e-9).astype(np.int64)
    order = np.argsort(-(sizes - whole), kind="stable")
    whole[order[: total - int(whole.sum())]] += 1
    return whole


def _choose_images(counts: Int64s, sizes: Int64s, rng: np.random.Generator) -> Int64s:
    """`sizes[i]` of `counts[i]` positions without replacement, ascending within each identity."""
    owners = np.repeat(np.arange(len(counts)), counts)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    places = np.arange(len(owners)) - starts
    # owners stay together, their images change order; one key, since sorting by two takes three times as long
    shuffled = np.argsort(owners + rng.random(len(owners)))
    chosen = np.sort(shuffled[places < np.repeat(sizes, counts)])
    return places[chosen]


def _check_rule(rule: Rule) -> None:
    for name, value, bound in (
        ("images", rule.images, 1),
        ("identities", rule.identities, 1),
        ("minimum", rule.minimum, 1),
        ("maximum", rule.maximum, rule.minimum),
    ):
        if value is not None and value < bound:
            raise PlanError(f"{name} {value} was given, expected {bound} or more")
    if rule.law not in LAWS:
        raise PlanError(f"the law {rule.law!r} is unknown, expected one of: {', '.join(LAWS)}")
    for name, law, value in (("alpha", "pareto", rule.alpha), ("imbalance", "exponential", rule.imbalance)):
        if value is not None and rule.law != law:
            raise PlanError(f"{name} belongs to the law {law}, but the law is {rule.law}")
    if rule.alpha is not None and not 0.05 <= rule.alpha <= 1e6:  # beyond, float64 cannot hold the sizes
        raise PlanError(f"alpha {rule.alpha} was given, expected 0.05 to 1,000,000")
    if rule.imbalance is not None and not 1 <= rule.imbalance <= 1e9:
        raise PlanError(f"imbalance {rule.imbalance} was given, expected 1 to 10^9: largest class over smallest")


def _needed(rule: Rule, name: str) -> float:
    value = getattr(rule, name)
    if value is None:
        raise PlanError(f"the law {rule.law} needs {name}")
    return value


def _check_images(images: int, least: int, most: int, K: int, rule: Rule) -> None:
    if least <= images <= most:
        return
    bounds = f"at least {rule.minimum}" + ("" if rule.maximum is None else f" and at most {rule.maximum}")
    raise PlanError(
        f"{images:,} images are wanted but {K:,} identities with {bounds} each give {least:,} to {most:,}; "
        "change the number of images, of identities, or the bounds"
    )
