"""AUROC against scikit-learn and a slow loop."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from facerec_oltr.errors import MetricError
from facerec_oltr.metrics.ranking import auroc


def test_auroc_by_hand():
    # pairs: .9>.5, .9>.1, .5=.5 (half), .5>.1: 3.5 of 4
    assert auroc([0.9, 0.5], [0.5, 0.1]) == 3.5 / 4


@pytest.mark.parametrize("values", [3, 10, 10_000])
def test_auroc_equals_scikit_learn_with_ties(values):
    rng = np.random.default_rng(values)
    for _ in range(20):
        m, n = rng.integers(1, 60, 2)
        positive, negative = rng.integers(0, values, m) / values + 0.1, rng.integers(0, values, n) / values
        labels = np.repeat([1, 0], [m, n])
        assert auroc(positive, negative) == pytest.approx(roc_auc_score(labels, np.concatenate([positive, negative])))


def test_empty_group_is_nan_and_no_score_ranks_last():
    assert math.isnan(auroc([], [0.1]))
    assert math.isnan(auroc([0.1], []))
    assert auroc([0.0], [-math.inf]) == 1


def test_nan_score_is_an_error():
    with pytest.raises(MetricError):
        auroc([math.nan], [0.1])
