"""False-alarm rates and assignments, by hand and against all permutations."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerec_oltr.deciding import Searcher, assign, false_alarm_rate
from facerec_oltr.errors import ConfigError
from facerec_oltr.gallery import Gallery
from facerec_oltr.gallery.records import Candidate, NewTemplate, RecordedEmbedder


def test_false_alarm_rate_by_hand():
    # Of nine strangers two reach 0.5: with the probe itself three of ten.
    maxima = np.array([0.1, 0.1, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.7])
    assert false_alarm_rate(0.5, maxima) == pytest.approx(0.3)
    assert false_alarm_rate(0.71, maxima) == pytest.approx(0.1)
    assert false_alarm_rate(-1, maxima) == 1
    assert false_alarm_rate(0.9, np.empty(0)) == 1


def test_false_alarm_rate_holds_on_average():
    """For exchangeable searches P(rate <= a) <= a: a conformal p-value (Vovk et al. 2005, proposition 2.4)."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(10_000, 20))
    rates = np.array([false_alarm_rate(row[0], row[1:]) for row in scores])
    for a in (0.05, 0.1, 0.25):
        assert np.mean(rates <= a) == pytest.approx(a, abs=3 * np.sqrt(a / 10_000))


def face(**scores):
    return [Candidate(name, score) for name, score in sorted(scores.items(), key=lambda s: -s[1])]


def test_one_person_appears_once():
    # Both are ann most. The second is more like her, so the first is bob, its next best.
    first, second = assign([face(ann=0.7, bob=0.6), face(ann=0.9, bob=0.1)], 0.5)
    assert (first, second) == (Candidate("bob", 0.6), Candidate("ann", 0.9))
    # Without a second candidate above the threshold it is nobody.
    assert assign([face(ann=0.7, bob=0.4), face(ann=0.9)], 0.5) == [None, Candidate("ann", 0.9)]


def test_the_sum_decides_and_not_who_comes_first():
    # 0.15 + 0.3 above the threshold is more than 0.4: the face that is most like ann gives way.
    assert assign([face(ann=0.9, bob=0.65), face(ann=0.8)], 0.5) == [Candidate("bob", 0.65), Candidate("ann", 0.8)]


def test_nobody_above_the_threshold_and_no_candidates():
    assert assign([face(ann=0.4), []], 0.5) == [None, None]
    assert assign([], 0.5) == []
    assert assign([face(ann=0.5)], 0.5) == [Candidate("ann", 0.5)]  # accepted at the threshold itself


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 20), min_size=4, max_size=4), min_size=1, max_size=4))
def test_assignment_is_the_best_of_all(scores):
    threshold = 10.5
    names = "abcd"
    faces = [face(**dict(zip(names, map(float, row), strict=True))) for row in scores]
    told = assign(faces, threshold)
    assert len({c.name for c in told if c}) == sum(c is not None for c in told)
    gain = sum(c.score - threshold for c in told if c)
    best = max(
        sum(max(0.0, scores[row][column] - threshold) for row, column in enumerate(order))
        for order in permutations(range(4), len(scores))
    )
    assert gain == pytest.approx(best)


@pytest.fixture
def gallery(tmp_path):
    with Gallery.create(tmp_path / "g.db", RecordedEmbedder("e", "ab" * 32, 2, 8, "e")) as gallery:
        for number, (name, angle) in enumerate({"ann": 0, "bob": 90}.items()):
            vector = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))], np.float32)
            gallery.enrol(name, [NewTemplate(vector, f"{number:064x}", name)])
        yield gallery


def test_searcher_by_cosine_is_the_gallery(gallery):
    probes = np.array([[0.6, 0.8], [1, 0]], np.float32)
    assert Searcher(gallery).search(probes, 2) == gallery.search(probes, 2)
    assert Searcher(gallery).maxima(probes).tolist() == [np.float32(0.8), 1.0]


def test_an_unknown_rule_is_named_with_the_known_ones(gallery):
    with pytest.raises(ConfigError, match=r"no rule is called 'cosin'; expected one of .*cosine"):
        Searcher(gallery, "cosin")


def test_an_empty_gallery_has_no_maximum(tmp_path):
    with Gallery.create(tmp_path / "g.db", RecordedEmbedder("e", "ab" * 32, 2, 8, "e")) as gallery:
        assert Searcher(gallery).maxima(np.array([[1, 0]], np.float32)).tolist() == [-np.inf]
