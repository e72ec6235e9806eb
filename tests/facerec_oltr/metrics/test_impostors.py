"""Leave-one-out searches against a slow loop over pairs."""

import numpy as np
import pytest

from facerec_oltr.errors import MetricError
from facerec_oltr.metrics import impostors
from facerec_oltr.metrics.identification import fuse_templates
from facerec_oltr.metrics.impostors import leave_one_out


def gallery(people: int = 6, templates: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(templates, 8)).astype(np.float32)
    owners = np.concatenate([np.arange(people), rng.integers(0, people, templates - people)]) + 100
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), owners


def test_every_template_meets_the_best_of_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(impostors, "_BLOCK", 70)  # three templates at a time
    vectors, owners = gallery()
    seen: list[tuple[int, int]] = []
    found = leave_one_out(vectors, owners, rng=np.random.default_rng(0), on_progress=lambda *a: seen.append(a))
    expected = [
        max(float(v @ w) for w, other in zip(vectors, owners, strict=True) if other != owner)
        for v, owner in zip(vectors, owners, strict=True)
    ]
    assert found.maxima == pytest.approx(expected, abs=1e-6)
    assert found.people.tolist() == owners.tolist()
    assert seen[-1] == (20, 20) and len(seen) == 7


def test_a_fused_search_gives_the_same_with_any_fusion_of_the_others() -> None:
    vectors, owners = gallery()

    def best_three(probes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        fused, identities = fuse_templates(probes @ vectors.T, owners, "mean")
        order = np.argsort(-fused, axis=1)[:, :3]
        return np.take_along_axis(fused, order, axis=1), identities[order]

    found = leave_one_out(vectors, owners, search=best_three, rng=np.random.default_rng(0))
    fused, identities = fuse_templates(vectors @ vectors.T, owners, "mean")
    fused[identities == owners[:, None]] = -np.inf
    assert found.maxima == pytest.approx(fused.max(axis=1))


def test_a_sample_of_people_is_searched_whole_and_by_the_seed() -> None:
    vectors, owners = gallery()
    whole = leave_one_out(vectors, owners, rng=np.random.default_rng(0))
    some = leave_one_out(vectors, owners, most_people=2, rng=np.random.default_rng(3))
    again = leave_one_out(vectors, owners, most_people=2, rng=np.random.default_rng(3))
    chosen = np.isin(owners, some.people)
    assert len(set(some.people.tolist())) == 2 and again.people.tolist() == some.people.tolist()
    assert some.maxima == pytest.approx(whole.maxima[chosen])  # among everybody, not among the two


def test_nobody_else_or_a_shallow_search_is_an_error() -> None:
    vectors, owners = gallery()
    rng = np.random.default_rng(0)
    with pytest.raises(MetricError, match="1 people are enrolled"):
        leave_one_out(vectors, np.zeros(20), rng=rng)
    with pytest.raises(MetricError, match="two identities or more"):
        leave_one_out(vectors, owners, search=lambda probes: (np.ones((len(probes), 1)), owners[:1, None]), rng=rng)
    with pytest.raises(MetricError, match="owners of shape"):
        leave_one_out(vectors, owners[:3], rng=rng)
    vectors[3] = np.nan
    with pytest.raises(MetricError, match="NaN"):
        leave_one_out(vectors, owners, rng=rng)
