"""The scores without OpenMax, against hand examples, slow loops and scikit-learn; and what all rules refuse."""

import math
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from sklearn.neighbors import NearestCentroid as SklearnCentroid
from sklearn.neighbors import NearestNeighbors

from facerec_oltr.errors import DataError
from facerec_oltr.open_set import (
    EnergyConfig,
    KnnConfig,
    MaxLogitConfig,
    MaxSoftmaxConfig,
    NearestCentroidConfig,
    OpenMaxConfig,
    OpenSetConfig,
    Outputs,
    ReachabilityConfig,
)
from facerec_oltr.open_set._centroids import class_means

C, D = 4, 6


def outputs(n: int, seed: int) -> Outputs:
    rng = np.random.default_rng(seed)
    return Outputs(rng.normal(size=(n, D)).astype(np.float32), rng.normal(size=(n, C)).astype(np.float32))


TRAIN, LABELS = outputs(60, 0), np.arange(60) % C
TEST = outputs(25, 1)


def of_logits(*rows: list[float]) -> Outputs:
    return Outputs(np.zeros((len(rows), 2)), np.array(rows))


def test_max_softmax_by_hand_and_at_logits_that_overflow() -> None:
    rule = MaxSoftmaxConfig().fit(None, None, classes=2)
    judged = rule.judge(of_logits([0, math.log(3)], [2, 2], [1000, 0], [-5000, -5000]))
    np.testing.assert_allclose(judged.scores, [0.75, 0.5, 1, 0.5], rtol=1e-15)
    assert judged.top.tolist() == [1, 0, 0, 0]


def test_adding_a_constant_to_all_logits_leaves_max_softmax_and_moves_the_others_by_it() -> None:
    moved = TEST._replace(logits=TEST.logits.astype(np.float64) + 7)
    for config, gain in ((MaxSoftmaxConfig(), 0), (MaxLogitConfig(), 7), (EnergyConfig(temperature=2.0), 7)):
        rule = config.fit(None, None, classes=C)
        np.testing.assert_allclose(rule.score(moved), rule.score(TEST) + gain, rtol=1e-12)


def test_max_logit_and_energy_by_hand() -> None:
    given = of_logits([1, 1], [0, math.log(3)], [900, 900])
    assert MaxLogitConfig().fit(None, None, classes=2).score(given).tolist() == [1, math.log(3), 900]
    energy = EnergyConfig().fit(None, None, classes=2).score(given)
    np.testing.assert_allclose(energy, [1 + math.log(2), math.log(4), 900 + math.log(2)], rtol=1e-15)
    warm = EnergyConfig(temperature=10.0).fit(None, None, classes=2).score(given)
    np.testing.assert_allclose(warm[0], 10 * math.log(2 * math.exp(0.1)), rtol=1e-14)
    cold = EnergyConfig(temperature=1e-3).fit(None, None, classes=2).score(given)
    np.testing.assert_allclose(cold, [1, math.log(3), 900], atol=1e-3)


def slow_nearest(x: np.ndarray, centroids: np.ndarray) -> list[float]:
    return [min(math.dist(v, m) for m in centroids.tolist()) for v in x.tolist()]


def test_reachability_is_minus_the_distance_to_the_nearest_centroid_of_either_kind() -> None:
    memory = np.random.default_rng(2).normal(size=(C, D))
    by_memory = ReachabilityConfig().fit(None, None, classes=C, memory=memory).score(TEST)
    np.testing.assert_allclose(by_memory, np.negative(slow_nearest(TEST.features, memory)), rtol=1e-12)
    means = np.stack([TRAIN.features[c::C].astype(np.float64).mean(axis=0) for c in range(C)])
    config = ReachabilityConfig(centroids="class_means")
    by_means = config.fit(TRAIN, LABELS, classes=C, memory=memory).score(TEST)
    np.testing.assert_allclose(by_means, np.negative(slow_nearest(TEST.features, means)), rtol=1e-12)
    assert (ReachabilityConfig().needs_memory, ReachabilityConfig().needs_training) == (True, False)
    assert (config.needs_memory, config.needs_training) == (False, True)


def test_a_feature_on_a_far_centroid_is_at_distance_0_not_at_its_rounding() -> None:
    memory = np.array([[10_000.1] * 3, [10_005.0] * 3])
    rule = ReachabilityConfig().fit(None, None, classes=2, memory=memory)
    assert rule.score(Outputs(memory, np.zeros((2, 2)))).tolist() == [0, 0]


def test_the_nearest_centroid_is_scikit_learns() -> None:
    model = SklearnCentroid().fit(TRAIN.features.astype(np.float64), LABELS)
    means = model.centroids_
    euclidean = NearestCentroidConfig(measure="euclidean").fit(TRAIN, LABELS, classes=C).score(TEST)
    np.testing.assert_allclose(euclidean, np.negative(slow_nearest(TEST.features, means)), rtol=1e-6)
    x = TEST.features.astype(np.float64)
    cosines = [max(v @ m / math.sqrt(v @ v) / math.sqrt(m @ m) for m in means) for v in x]
    cosine = NearestCentroidConfig().fit(TRAIN, LABELS, classes=C).score(TEST)
    np.testing.assert_allclose(cosine, cosines, rtol=1e-6)
    longer = TEST._replace(features=TEST.features * 3)
    np.testing.assert_allclose(NearestCentroidConfig().fit(TRAIN, LABELS, classes=C).score(longer), cosine, rtol=1e-6)


@pytest.mark.parametrize(
    "config", [NearestCentroidConfig(measure="euclidean"), ReachabilityConfig(centroids="class_means")]
)
def test_a_class_without_training_images_is_nobodys_nearest(config: Any) -> None:
    few = LABELS != 2
    without = config.fit(Outputs(*(a[few] for a in TRAIN)), LABELS[few], classes=C)
    renumbered = LABELS[few] - (LABELS[few] > 2)
    three = config.fit(Outputs(TRAIN.features[few], TRAIN.logits[few, :3]), renumbered, classes=3)
    origin = Outputs(np.zeros((1, D)), np.zeros((1, C)))  # where the mean of no images would lie
    assert without.score(origin) == three.score(Outputs(np.zeros((1, D)), np.zeros((1, 3))))
    assert without.score(origin) < 0


@pytest.mark.parametrize("k", [1, 3, 60])
def test_knn_is_scikit_learns_on_normalised_features(k: int) -> None:
    def unit(x: np.ndarray) -> np.ndarray:
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    distances, _ = NearestNeighbors(n_neighbors=k).fit(unit(TRAIN.features)).kneighbors(unit(TEST.features))
    rule = KnnConfig(k=k).fit(TRAIN, LABELS, classes=C)
    np.testing.assert_allclose(rule.score(TEST), -distances[:, -1], rtol=1e-5)
    if k == 1:
        np.testing.assert_allclose(rule.score(TRAIN), 0, atol=1e-7)


def test_knn_puts_a_feature_of_zeros_1_away_and_refuses_a_k_beyond_its_bank() -> None:
    rule = KnnConfig(k=1).fit(TRAIN, LABELS, classes=C)
    np.testing.assert_allclose(rule.score(Outputs(np.zeros((1, D)), np.zeros((1, C)))), [-1], rtol=1e-6)
    with pytest.raises(DataError, match="neighbour 61 of 60"):
        KnnConfig(k=61).fit(TRAIN, LABELS, classes=C)


def test_class_means_count_what_counts() -> None:
    values = np.array([[1.0, 2], [3, 4], [5, 6], [100, 100]])
    means, counts = class_means(values, np.array([0, 0, 2, 2]), 4, counted=np.array([1.0, 1, 1, 0]))
    assert means.tolist() == [[2, 3], [0, 0], [5, 6], [0, 0]]
    assert counts.tolist() == [2, 0, 1, 0]


def test_half_precision_is_judged_in_double() -> None:
    half = Outputs(TEST.features.astype(np.float16), TEST.logits.astype(np.float16) * 300)
    rule = EnergyConfig().fit(None, None, classes=C)
    whole = Outputs(*(a.astype(np.float64) for a in half))
    assert rule.score(half).dtype == np.float64
    np.testing.assert_array_equal(rule.score(half), rule.score(whole))


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        (None, "keeps none"),
        (np.zeros((C, D)), "all zeros"),
        (np.ones((C + 1, D)), "shape"),
        (np.full((C, D), np.nan), "NaN"),
    ],
)
def test_reachability_refuses_a_memory_that_is_none(memory: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        ReachabilityConfig().fit(None, None, classes=C, memory=memory)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (LABELS - 1, "label -1 of row 0"),
        (LABELS + 1, "label 4 of row 3"),
        (LABELS[:-1], "shape"),
        (LABELS.astype(np.float32), "type float32"),
        (None, "found none"),
    ],
)
@pytest.mark.parametrize("config", [KnnConfig(), NearestCentroidConfig(), OpenMaxConfig()])
def test_training_labels_are_checked(config: Any, labels: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        config.fit(TRAIN, labels, classes=C)


def test_sizes_that_were_not_fitted_are_refused() -> None:
    rule = KnnConfig().fit(TRAIN, LABELS, classes=C)
    with pytest.raises(DataError, match="features of size 5; the rule was fitted on size 6"):
        rule.score(TEST._replace(features=TEST.features[:, :5]))
    with pytest.raises(DataError, match="3 logits an image for 4 classes"):
        rule.score(TEST._replace(logits=TEST.logits[:, :3]))
    with pytest.raises(DataError, match="not \\(N, D\\) and \\(N, C\\)"):
        rule.score(TEST._replace(logits=TEST.logits[:3]))


def test_a_damaged_row_is_named() -> None:
    logits = TEST.logits.copy()
    logits[[7, 9], 1] = np.nan, np.inf
    with pytest.raises(DataError, match="2 of 25 rows of the logits hold NaN or infinity, the first is row 7"):
        MaxSoftmaxConfig().fit(None, None, classes=C).score(TEST._replace(logits=logits))


def test_configs_are_read_by_kind_and_refuse_what_makes_no_sense() -> None:
    read = TypeAdapter(OpenSetConfig).validate_python
    assert read({"kind": "openmax", "tail": 5, "alpha": 2}) == OpenMaxConfig(tail=5, alpha=2)
    for wrong in (
        {"kind": "openmax", "tail": 0},
        {"kind": "openmax", "alpha": 0},
        {"kind": "knn", "k": 0},
        {"kind": "energy", "temperature": 0.0},
        {"kind": "energy", "temperature": math.inf},
        {"kind": "mahalanobis"},
    ):
        with pytest.raises(ValidationError, match=r"greater than 0|finite|does not match"):
            read(wrong)


def test_logits_of_no_class_are_refused() -> None:
    with pytest.raises(DataError, match="no class to judge by"):
        MaxLogitConfig().fit(None, None, classes=0).score(Outputs(np.zeros((2, 3)), np.zeros((2, 0))))
