"""Each score rule against a slow loop written from its definition, and against numbers of public code."""

import math

import numpy as np
import pytest
from scipy.stats import weibull_min

from facerec_oltr.errors import ConfigError, DataError
from facerec_oltr.metrics.identification import fuse_templates
from facerec_oltr.scoring import (
    AdaptiveSnormConfig,
    CentroidConfig,
    CohortFaces,
    CosineConfig,
    ExtremeValueConfig,
    GalleryFaces,
    NacConfig,
    NegativeCohortConfig,
    Negatives,
    ReachabilityConfig,
    ScoreRule,
)
from facerec_oltr.scoring.named import read_rules

D = 6


def units(n: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, D))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


GALLERY = GalleryFaces(units(14, 0), np.array([5, 5, 2, 9, 9, 9, 4, 4, 7, 1, 1, 8, 3, 3]))
COHORT = CohortFaces(units(20, 1), np.arange(20) // 2)
PROBES = units(10, 2)
IDENTITIES = np.unique(GALLERY.identities)
COSINES = fuse_templates(PROBES @ GALLERY.vectors.T, GALLERY.identities)[0]


def templates(identity: int) -> np.ndarray:
    return GALLERY.vectors[GALLERY.identities == identity]


def scores(
    config: ScoreRule,
    negatives: Negatives | None = None,
    gallery: GalleryFaces = GALLERY,
    cohort: CohortFaces | None = COHORT,
) -> np.ndarray:
    return config.fit(gallery, cohort, negatives).scores(PROBES, IDENTITIES, COSINES)


def test_cosine_is_the_cosine() -> None:
    np.testing.assert_array_equal(scores(CosineConfig()), COSINES.astype(np.float32))


def test_centroid_by_a_slow_loop() -> None:
    found = scores(CentroidConfig())
    for place, identity in enumerate(IDENTITIES):
        mean = sum(templates(identity))
        for b, probe in enumerate(PROBES):
            assert found[b, place] == pytest.approx(float(probe @ mean) / float(np.linalg.norm(mean)), abs=1e-6)


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_negative_cohort_by_a_slow_loop(weight: float) -> None:
    negatives = Negatives(np.concatenate([units(6, 3), PROBES[:1]]), np.array([9, 9, 5, 2, 2, 2, 5]))
    found = scores(NegativeCohortConfig(weight=weight), negatives)
    for b, probe in enumerate(PROBES):
        for place, identity in enumerate(IDENTITIES):
            score = float(max(templates(identity) @ probe))
            value = score - weight * max(float(probe @ face) for face in COHORT.vectors)
            against = [float(probe @ n) for n, who in zip(*negatives, strict=True) if who == identity]
            value -= max(0.0, max(against) - score) if against else 0.0
            assert found[b, place] == pytest.approx(value, abs=1e-6)


def test_a_negative_lowers_whom_it_resembles_more_than_the_person_and_nobody_else() -> None:
    twin = Negatives(PROBES[:1], np.array([5]))
    config = NegativeCohortConfig(weight=0.0)
    without, found = COSINES.astype(np.float32), config.fit(GALLERY, None, twin).scores(PROBES, IDENTITIES, COSINES)
    five = IDENTITIES == 5
    np.testing.assert_array_equal(found[:, ~five], without[:, ~five])
    assert found[0, five] == pytest.approx(2 * COSINES[0, five] - 1, abs=1e-6)  # s − (1 − s)
    untouched = (PROBES @ PROBES[0]) <= COSINES[:, five].ravel()
    np.testing.assert_array_equal(found[untouched][:, five], without[untouched][:, five])
    with pytest.raises(DataError, match="neither negatives nor a weight"):
        config.fit(GALLERY)
    with pytest.raises(DataError, match=r"identities \[6\]"):
        config.fit(GALLERY, None, Negatives(PROBES[:1], np.array([6])))


def test_adaptive_snorm_by_a_slow_loop() -> None:
    found = scores(AdaptiveSnormConfig(top=4, least_people=10))
    people = []
    for person in range(10):
        mean = COHORT.vectors[COHORT.people == person].mean(axis=0)
        people.append(mean / np.linalg.norm(mean))

    def top(values: list[float]) -> tuple[float, float]:
        best = sorted(values)[-4:]
        mean = sum(best) / 4
        return mean, math.sqrt(sum((value - mean) ** 2 for value in best) / 3)

    for b, probe in enumerate(PROBES):
        mu_p, sd_p = top([float(probe @ face) for face in people])
        for place, identity in enumerate(IDENTITIES):
            mu_g, sd_g = top([float(max(templates(identity) @ face)) for face in people])
            s = float(COSINES[b, place])
            assert found[b, place] == pytest.approx(((s - mu_g) / sd_g + (s - mu_p) / sd_p) / 2, rel=1e-5)


def test_a_cohort_that_is_too_small_is_refused() -> None:
    with pytest.raises(
        DataError,
        match=r"^adaptive_snorm: found a cohort of 10 people, expected 1,000 or more .*:top=5:least_people=10$",
    ):
        AdaptiveSnormConfig().fit(GALLERY, COHORT)
    with pytest.raises(DataError, match="found a cohort of 0 people"):
        NegativeCohortConfig().fit(GALLERY)
    with pytest.raises(DataError, match=r"cohort of 10 people, expected 200 or more \(top = 200, least_people = 2\)"):
        AdaptiveSnormConfig(least_people=2).fit(GALLERY, COHORT)


@pytest.mark.parametrize("fusion", ["max", "mean"])
@pytest.mark.parametrize("with_cohort", [True, False])
def test_extreme_value_is_scipys_weibull_of_the_nearest_impostors(fusion: str, with_cohort: bool) -> None:
    gallery = GALLERY._replace(fusion=fusion)
    config = ExtremeValueConfig(tail=9, margin=0.4)
    found = scores(config, gallery=gallery, cohort=COHORT if with_cohort else None)
    for place, identity in enumerate(IDENTITIES):
        impostors = [*GALLERY.vectors[GALLERY.identities != identity], *(COHORT.vectors if with_cohort else ())]
        fuse = max if fusion == "max" else np.mean
        distances = sorted(1 - float(fuse(templates(identity) @ face)) for face in impostors)[:9]
        shape, _, scale = weibull_min.fit([0.4 * d for d in distances], floc=0)  # by maximum likelihood
        log_psi = weibull_min.logsf(1 - COSINES[:, place], shape, scale=scale)
        np.testing.assert_allclose(found[:, place], -np.log(-log_psi), rtol=2e-3, atol=2e-3)


def test_extreme_value_needs_impostors() -> None:
    with pytest.raises(DataError, match="found 11 faces of others for an identity, expected its nearest 20"):
        ExtremeValueConfig().fit(GALLERY)
    copies = GalleryFaces(np.repeat(units(1, 0), 30, axis=0), np.arange(30))
    with pytest.raises(DataError, match="one photo under many names"):
        ExtremeValueConfig().fit(copies)


def test_nac_by_a_slow_loop() -> None:
    for k, scale in ((3, 1.0), (5, 4.0), (16, 1.0)):
        found = scores(NacConfig(k=k, scale=scale))
        for b in range(len(PROBES)):
            total = sum(math.exp(scale * s) for s in sorted(COSINES[b])[-k:])
            for place in range(len(IDENTITIES)):
                assert found[b, place] == pytest.approx(math.exp(scale * COSINES[b, place]) / total, rel=1e-6)


def test_nac_is_the_authors() -> None:
    """Confidences printed by NAC of the authors' utils.py (OSFI-by-FineTuning), k = 3, s = 1 and 10, float64."""
    cosines = np.array([[0.1, 0.8, 0.3, -0.2, 0.75], [0.2, 0.1, 0.15, 0.22, 0.05]])
    gallery = GalleryFaces(units(5, 0), np.arange(5))
    for scale, expected in ((1.0, [0.390967083337, 0.343336736028]), (10.0, [0.61985957939, 0.431906476454])):
        found = NacConfig(k=3, scale=scale).fit(gallery).scores(units(2, 1), np.arange(5), cosines)
        assert found.argmax(axis=1).tolist() == [1, 3]
        assert found.max(axis=1) == pytest.approx(expected, rel=1e-6)


def test_nac_needs_company_and_a_deep_search() -> None:
    with pytest.raises(DataError, match="nobody competes"):
        NacConfig().fit(GalleryFaces(units(3, 0), np.zeros(3, np.int64)))
    with pytest.raises(DataError, match="found 2 candidates of 8 identities; this rule looks at the best 5"):
        NacConfig(k=5).fit(GALLERY).scores(PROBES, IDENTITIES[:2], COSINES[:, :2])


@pytest.mark.parametrize(("selector", "reach"), [(0.5, 1.0), (0.0, 1.0), (1.0, 10.0)])
def test_reachability_by_a_slow_loop_from_the_paper(selector: float, reach: float) -> None:
    found = scores(ReachabilityConfig(selector=selector, temperature=5.0, reach_scale=reach))
    memory = []
    for identity in IDENTITIES:
        mean = templates(identity).mean(axis=0)
        memory.append(mean / np.linalg.norm(mean))
    for b, v in enumerate(PROBES):
        weights = [math.exp(5.0 * float(v @ m)) for m in memory]
        recalled = sum(w * m for w, m in zip(weights, memory, strict=True)) / sum(weights)
        gamma = min(float(np.linalg.norm(v - m)) for m in memory)
        meta = reach / gamma * (v + selector * recalled)
        n = float(np.linalg.norm(meta))
        for place, m in enumerate(memory):
            assert found[b, place] == pytest.approx(n / (1 + n) * float(meta @ m) / n, abs=1e-6)


def test_reachability_is_the_heads_classifier_where_the_head_is_given_the_same_parts() -> None:
    """The trained form with the centroids as hallucinator and classifier, and a selector that gives ½ everywhere."""
    torch = pytest.importorskip("torch")
    from facerec_oltr.heads import MetaEmbeddingConfig

    head = MetaEmbeddingConfig(reach_scale=10.0, cosine_scale=16.0).build(features=D, classes=len(IDENTITIES))
    memory = np.stack([templates(i).mean(axis=0) for i in IDENTITIES])
    memory = torch.tensor(memory / np.linalg.norm(memory, axis=1, keepdims=True), dtype=torch.float32)
    with torch.no_grad():
        head.memory.copy_(memory)
        head.hallucinator.weight.copy_(5.0 * memory)
        head.hallucinator.bias.zero_()
        head.selector.weight.zero_()
        head.selector.bias.fill_(math.atanh(0.5))
        head.classifier.weight.copy_(memory)
        logits = head(torch.tensor(PROBES, dtype=torch.float32))
    found = scores(ReachabilityConfig(selector=0.5, temperature=5.0, reach_scale=10.0))
    np.testing.assert_allclose(16 * found, logits.numpy(), rtol=1e-4, atol=1e-4)


def test_rules_by_name() -> None:
    rules = read_rules("cosine, nac:k=8:scale=2,reachability:selector=1")
    assert list(rules) == ["cosine", "nac:k=8:scale=2", "reachability:selector=1"]
    assert rules["nac:k=8:scale=2"] == NacConfig(k=8, scale=2.0)
    for text, words in (
        ("", "found no rule"),
        ("evm", "no rule is called 'evm'; expected one of adaptive_snorm, centroid, cosine"),
        ("nac,nac", "there twice"),
        ("nac:8", "expected KEY=VALUE"),
        ("nac:kind=cosine", "expected KEY=VALUE"),
        ("nac:k=1", "k: input should be greater than or equal to 2, found 1"),
        ("nac:q=1", "q: extra inputs are not permitted"),
        ("nac:k=many", "k: input should be a valid integer, found 'many'"),
    ):
        with pytest.raises(ConfigError, match=words) as caught:
            read_rules(text)
        assert "\n" not in str(caught.value)
