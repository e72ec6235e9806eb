import random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from recordio_tools.errors import PlanError
from recordio_tools.longtail import LAWS, Law, Plan, Rule, exponential, pareto, plan, preset_named

MS1M_LIKE = np.clip(np.random.default_rng(1).lognormal(3.0, 0.8, 4000).astype(int), 1, 600)


def check(made: Plan, counts: np.ndarray, rule: Rule) -> None:
    """All that every plan promises."""
    assert (np.diff(made.identities) > 0).all()
    assert len(made.counts) == len(made.identities)
    assert made.counts.min() >= rule.minimum
    assert (made.counts <= counts[made.identities]).all()
    if rule.maximum is not None:
        assert made.counts.max() <= rule.maximum
    if rule.images is not None:
        assert made.counts.sum() == rule.images
    if rule.identities is not None:
        assert len(made.identities) == rule.identities
    for identity, size, kept in zip(made.identities, made.counts, made.images_of_each(), strict=True):
        assert len(kept) == size
        assert (np.diff(kept) > 0).all()
        assert 0 <= kept[0] <= kept[-1] < counts[identity]


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=12),
    st.sampled_from(LAWS),
    st.integers(1, 60),
    st.one_of(st.none(), st.integers(1, 12)),
    st.integers(1, 4),
    st.one_of(st.none(), st.integers(1, 12)),
    st.integers(0, 3),
)
def test_a_plan_meets_its_rule_or_says_why_not(
    sizes: list[int], law: Law, images: int, identities: int | None, minimum: int, maximum: int | None, seed: int
) -> None:
    counts = np.array(sizes)
    assume(maximum is None or maximum >= minimum)
    parameters = {"pareto": {"alpha": 1.5}, "exponential": {"imbalance": 10.0}}.get(law, {})
    rule = Rule(law, images, identities, minimum=minimum, maximum=maximum, **parameters)
    caps = np.minimum(counts, maximum or 10**9)[counts >= minimum]
    try:
        made = plan(counts, rule, np.random.default_rng(seed))
    except PlanError:
        if identities is None and minimum == 1:
            assert not len(caps) or images > caps.sum() or (law in ("pareto", "exponential") and images < len(caps))
        elif identities is not None:
            smallest = np.sort(caps)[:identities]
            assert len(caps) < identities or images < minimum * identities or images > smallest.sum()
        return
    check(made, counts, rule)
    again = plan(counts, rule, np.random.default_rng(seed))
    for name in ("identities", "counts", "images"):
        np.testing.assert_array_equal(getattr(made, name), getattr(again, name))


def test_another_seed_is_another_plan() -> None:
    rule = Rule("uniform_images", images=500)
    one, two = (plan(MS1M_LIKE, rule, np.random.default_rng(seed)) for seed in (0, 1))
    assert one.identities.tolist() != two.identities.tolist()


def kept_of(rule: Rule, counts: np.ndarray, draws: int) -> np.ndarray:
    """Images kept of every identity in each of `draws` plans."""
    table = np.zeros((draws, len(counts)))
    for seed in range(draws):
        made = plan(counts, rule, np.random.default_rng(seed))
        table[seed, made.identities] = made.counts
    return table


def test_uniform_images_keeps_each_image_with_the_same_chance() -> None:
    """Hypergeometric: E[m] = M n / N, Var[m] = M (n/N) (1 - n/N) (N - M) / (N - 1)."""
    counts = np.array([1, 2, 5, 10, 40, 142])
    N, M = 200, 60
    table = kept_of(Rule("uniform_images", images=M), counts, 1000)
    share = counts / N
    variance = M * share * (1 - share) * (N - M) / (N - 1)
    np.testing.assert_allclose(table.mean(0), M * share, atol=5 * np.sqrt(variance / 1000).max())
    np.testing.assert_allclose(table.var(0), variance, rtol=0.25)


def test_proportional_keeps_each_image_with_a_chance_proportional_to_its_identity() -> None:
    """E[m_i] = c n_i², c = M / Σ n²: 30 / (1 + 4 + 25 + 100 + 400) by hand."""
    counts = np.array([1, 2, 5, 10, 20])
    table = kept_of(Rule("proportional", images=10), counts, 1000)
    expected = 10 * counts**2 / 530
    np.testing.assert_allclose(table.mean(0), expected, atol=0.2)


def test_proportional_keeps_all_of_an_identity_whose_chance_passes_1() -> None:
    counts = np.array([1, 2, 3, 100])
    table = kept_of(Rule("proportional", images=102), counts, 500)
    assert (table[:, 3] == 100).all()
    # of the other two images: E = c n², c = 2 / (1 + 4 + 9)
    np.testing.assert_allclose(table[:, :3].mean(0), 2 * np.array([1, 4, 9]) / 14, atol=0.15)


def test_the_two_readings_differ_in_their_tails() -> None:
    """The same number of images leaves fewer identities when large ones are favoured twice."""
    total = int(0.152 * MS1M_LIKE.sum())
    kept = {
        law: len(plan(MS1M_LIKE, Rule(law, images=total), np.random.default_rng(0)).identities)
        for law in ("uniform_images", "proportional")
    }
    # reading (a) by hand: an identity survives with 1 - (1 - 0.152)^n
    assert kept["uniform_images"] == pytest.approx((1 - 0.848**MS1M_LIKE).sum(), rel=0.01)
    assert kept["proportional"] < 0.8 * kept["uniform_images"]


def test_a_chosen_number_of_identities_favours_the_large() -> None:
    counts = np.array([1] * 50 + [50] * 50)
    picked = np.zeros(100)
    for seed in range(200):
        picked[plan(counts, Rule("uniform_images", 60, 30), np.random.default_rng(seed)).identities] += 1
    assert picked[50:].sum() > 10 * picked[:50].sum()


@pytest.mark.parametrize("law", ["uniform_images", "proportional"])
def test_chosen_identities_are_those_that_draws_would_touch_first(law: Law) -> None:
    """Against a slow loop: images are drawn one by one, each with its law's weight, until 3 identities are touched."""
    counts = [1, 2, 3, 5, 8, 13]
    owners = [identity for identity, count in enumerate(counts) for _ in range(count)]
    weights = [1 if law == "uniform_images" else counts[owner] for owner in owners]
    chance = random.Random(0)
    slow = np.zeros(6)
    for _ in range(4000):
        touched: set[int] = set()
        while len(touched) < 3:
            touched.add(chance.choices(owners, weights)[0])
        slow[list(touched)] += 1 / 4000
    drawn = (kept_of(Rule(law, images=3, identities=3), np.array(counts), 1200) > 0).mean(0)
    np.testing.assert_allclose(drawn, slow, atol=0.06)  # four deviations of 1,200 draws


def test_pareto_has_the_profile_of_imagenet_lt() -> None:
    """The published lists: 115,846 images, 1,000 classes, 5 to 1,280 a class, α = 6; 385 classes above 100 images."""
    counts = np.full(1000, 1300)
    rule = Rule("pareto", 115_846, alpha=6, minimum=5, maximum=1280)
    made = plan(counts, rule, np.random.default_rng(0))
    assert (made.counts.min(), made.counts.max(), made.counts.sum()) == (5, 1280, 115_846)
    assert (made.counts > 100).sum() == pytest.approx(385, rel=0.02)


def test_pareto_quantiles_are_those_of_numpys_law() -> None:
    drawn = np.sort(np.random.default_rng(0).pareto(3.0, 200_000))[::-1]
    middle = slice(20_000, 180_000, 20_000)
    np.testing.assert_allclose(pareto(200_000, 3.0)[middle], drawn[middle], rtol=0.03)


def test_exponential_is_that_of_long_tailed_cifar() -> None:
    """CIFAR-10-LT, imbalance 100, as in Cui et al.'s code: int(5000 · 0.01^(k/9))."""
    published = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    made = plan(np.full(10, 5000), Rule("exponential", imbalance=100), np.random.default_rng(0))
    np.testing.assert_allclose(np.sort(made.counts)[::-1], published, atol=1)
    np.testing.assert_allclose(exponential(10, 100), 100 ** (-np.arange(10) / 9))
    assert exponential(1, 100).tolist() == [1.0]


def test_a_shape_gives_the_largest_size_to_the_largest_identity() -> None:
    counts = np.array([3, 30, 8, 20])
    made = plan(counts, Rule("exponential", images=30, imbalance=10), np.random.default_rng(0))
    assert np.argsort(made.counts).tolist() == np.argsort(counts).tolist()


def test_a_minimum_holds_where_the_draw_decides_who_stays() -> None:
    rule = Rule("uniform_images", images=12_000, minimum=4, maximum=9)
    check(plan(MS1M_LIKE, rule, np.random.default_rng(0)), MS1M_LIKE, rule)


COUNTS = np.full(10, 10)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Rule("uniform_images", 101), "101 images are wanted but 10 identities with at least 1 each give 1 to 100"),
        (Rule("pareto", 9, alpha=1), "9 images are wanted but 10 identities .* give 10 to 100"),
        (Rule("pareto", 60, alpha=1, maximum=5), "at least 1 and at most 5 each give 10 to 50"),
        (Rule("uniform_images", 4, 5), "5 identities with at least 1 each give 5 to 50"),
        (Rule("proportional", 50, 11), "11 identities are wanted but only 10 of 10 have 1"),
        (Rule("proportional", 50, minimum=11), "none of the 10 identities has 11"),
        (Rule("uniform_images", 5, minimum=9), "leave none with 9"),
        (Rule("uniform_images", 101, minimum=2), "101 images"),
        (Rule("uniform_images"), "uniform_images needs a number of images"),
        (Rule("pareto"), "pareto needs alpha"),
        (Rule("exponential"), "exponential needs imbalance"),
        (Rule("pareto", alpha=0), "alpha 0"),
        (Rule("pareto", alpha=float("nan")), "alpha nan"),
        (Rule("exponential", imbalance=0.5), "imbalance 0.5"),
        (Rule("exponential", imbalance=2, alpha=1), "alpha belongs to the law pareto"),
        (Rule("uniform_images", 0), "images 0 was given"),
        (Rule("uniform_images", 10, 0), "identities 0 was given"),
        (Rule("uniform_images", 10, minimum=0), "minimum 0 was given"),
        (Rule("uniform_images", 10, minimum=3, maximum=2), "maximum 2 was given, expected 3 or more"),
        (Rule("zipf", 10), "'zipf' is unknown, expected one of: uniform_images"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_had(rule: Rule, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        plan(COUNTS, rule, np.random.default_rng(0))
    with pytest.raises(PlanError):
        plan(np.array([], np.int64), rule, np.random.default_rng(0))


def test_the_preset_is_the_size_that_the_paper_gives() -> None:
    assert preset_named("ms1m_lt") == Rule("uniform_images", 887_500, 74_500)
    with pytest.raises(PlanError, match="the preset 'x' is unknown, expected one of: ms1m_lt"):
        preset_named("x")


def test_everything_and_the_least() -> None:
    for law in ("uniform_images", "proportional"):
        assert plan(COUNTS, Rule(law, 100), np.random.default_rng(0)).counts.tolist() == [10] * 10
        assert plan(COUNTS, Rule(law, 1), np.random.default_rng(0)).counts.tolist() == [1]
    assert plan(COUNTS, Rule("pareto", 10, alpha=0.05), np.random.default_rng(0)).counts.tolist() == [1] * 10
    assert plan(COUNTS, Rule("pareto", 100, alpha=1e6), np.random.default_rng(0)).counts.tolist() == [10] * 10
