"""What every score rule promises; the rules are found by listing their folder."""

import importlib
import inspect
import pkgutil
from typing import Any

import numpy as np
import pytest

from facerec_oltr import scoring
from facerec_oltr.errors import DataError
from facerec_oltr.metrics.identification import fuse_templates
from facerec_oltr.metrics.ranking import auroc
from facerec_oltr.scoring import CohortFaces, FittedRule, GalleryFaces, ScoreRule
from facerec_oltr.scoring import _base as base
from facerec_oltr.scoring.named import rule_kinds

D, PEOPLE = 24, 30
SMALL: dict[str, dict[str, Any]] = {"AdaptiveSnormConfig": {"top": 10, "least_people": 20}}


def members() -> list[type[ScoreRule]]:
    found = []
    for info in pkgutil.iter_modules(scoring.__path__):
        module = importlib.import_module(f"{scoring.__name__}.{info.name}")
        found += [
            value
            for _, value in inspect.getmembers(module, inspect.isclass)
            if issubclass(value, ScoreRule) and value is not ScoreRule and value.__module__ == module.__name__
        ]
    return found


def faces(people: int, photos: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around a direction a person."""
    rng = np.random.default_rng([people, seed])
    numbers = np.repeat(np.arange(people), photos)
    vectors = np.random.default_rng(seed).normal(size=(people, D))[numbers] + 0.45 * rng.normal(size=(len(numbers), D))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), numbers


VECTORS, NUMBERS = faces(PEOPLE, 5, seed=0)
TEMPLATES = np.arange(len(VECTORS)) % 5 < 1 + NUMBERS % 3  # one to three templates a person, the others are probes
GALLERY = GalleryFaces(VECTORS[TEMPLATES], NUMBERS[TEMPLATES] * 7 + 3)
MATES, OWN = VECTORS[~TEMPLATES], NUMBERS[~TEMPLATES] * 7 + 3
COHORT = CohortFaces(*faces(40, 3, seed=1))
STRANGERS, _ = faces(50, 2, seed=2)


def fitted(config: type[ScoreRule], gallery: GalleryFaces = GALLERY, cohort: CohortFaces = COHORT) -> FittedRule:
    return config(**SMALL.get(config.__name__, {})).fit(gallery, cohort)


def search(probes: np.ndarray, gallery: GalleryFaces = GALLERY) -> tuple[np.ndarray, np.ndarray]:
    cosines, identities = fuse_templates(probes @ gallery.vectors.T, gallery.identities)
    return np.broadcast_to(identities, cosines.shape), cosines


def test_every_rule_stands_in_the_table_of_contents_and_has_a_name() -> None:
    assert len(members()) == 7
    for config in members():
        assert config.__name__ in scoring.__all__
    assert sorted(config.model_fields["kind"].default for config in members()) == rule_kinds()


@pytest.mark.parametrize("config", members(), ids=lambda c: c.__name__)
def test_people_enrolled_score_higher_than_strangers_and_as_themselves(config: type[ScoreRule]) -> None:
    rule = fitted(config)
    of_mates, of_strangers = (rule.scores(probes, *search(probes)) for probes in (MATES, STRANGERS))
    assert of_mates.shape == (len(MATES), PEOPLE) and of_mates.dtype == np.float64
    identities, _ = search(MATES)
    assert np.mean(identities[0][of_mates.argmax(axis=1)] == OWN) > 0.95
    assert auroc(of_mates.max(axis=1), of_strangers.max(axis=1)) > 0.95


@pytest.mark.parametrize("config", members(), ids=lambda c: c.__name__)
def test_neither_order_nor_company_nor_blocks_matter(config: type[ScoreRule], monkeypatch: pytest.MonkeyPatch) -> None:
    candidates, cosines = search(MATES)
    whole = fitted(config).scores(MATES, candidates, cosines)
    rng = np.random.default_rng(3)
    templates, cohort = rng.permutation(len(GALLERY.vectors)), rng.permutation(len(COHORT.vectors))
    shuffled = fitted(
        config,
        GalleryFaces(GALLERY.vectors[templates], GALLERY.identities[templates]),
        CohortFaces(COHORT.vectors[cohort], COHORT.people[cohort]),
    )
    rows, columns = rng.permutation(len(MATES)), rng.permutation(PEOPLE)
    found = shuffled.scores(MATES[rows], candidates[rows][:, columns], cosines[rows][:, columns])
    np.testing.assert_allclose(found, whole[rows][:, columns], rtol=2e-5, atol=1e-6)
    alone = np.concatenate([fitted(config).scores(MATES[[b]], candidates[[b]], cosines[[b]]) for b in range(9)])
    np.testing.assert_array_equal(alone, whole[:9])
    monkeypatch.setattr(base, "BLOCK", 200)
    np.testing.assert_allclose(fitted(config).scores(MATES, candidates, cosines), whole, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("config", members(), ids=lambda c: c.__name__)
def test_a_search_of_the_best_gives_what_a_search_of_all_gives(config: type[ScoreRule]) -> None:
    rule = fitted(config)
    candidates, cosines = search(MATES)
    best = np.argsort(-cosines, axis=1)[:, : max(rule.depth, 4)]
    whole = rule.scores(MATES, candidates, cosines)
    found = rule.scores(MATES, np.take_along_axis(candidates, best, 1), np.take_along_axis(cosines, best, 1))
    np.testing.assert_array_equal(found, np.take_along_axis(whole, best, 1))
    same = rule.scores(MATES, candidates[0], cosines)  # (K,) candidates, the same for all
    np.testing.assert_array_equal(same, whole)


@pytest.mark.parametrize("config", members(), ids=lambda c: c.__name__)
def test_nothing_compared_stays_nothing(config: type[ScoreRule]) -> None:
    candidates, cosines = (a.copy() for a in search(MATES))
    cosines[:, 3] = -np.inf
    cosines[4] = -np.inf
    candidates[4] = -1  # as a search pads what it did not find
    scores = fitted(config).scores(MATES, candidates, cosines)
    assert (scores[:, 3] == -np.inf).all() and (scores[4] == -np.inf).all()
    assert np.isfinite(np.delete(np.delete(scores, 4, 0), 3, 1)).all()
    assert fitted(config).scores(MATES[:0], candidates[:0], cosines[:0]).shape == (0, PEOPLE)


@pytest.mark.parametrize("config", members(), ids=lambda c: c.__name__)
def test_copies_and_zero_vectors_do_not_break_a_rule(config: type[ScoreRule]) -> None:
    twins = GalleryFaces(np.concatenate([GALLERY.vectors, GALLERY.vectors[:1]]), np.append(GALLERY.identities, 999))
    probes = np.concatenate([twins.vectors, np.zeros((1, D), np.float32), COHORT.vectors[:1], -MATES[:1]])
    scores = fitted(config, twins).scores(probes, *search(probes, twins))
    assert np.isfinite(scores).all()
    assert scores[-4, -1] == pytest.approx(scores[-4, 0], rel=1e-5)  # the copy scores as the original


@pytest.mark.parametrize("config", members(), ids=lambda c: c.__name__)
def test_bad_input_is_one_clear_error(config: type[ScoreRule]) -> None:
    rule, (candidates, cosines) = fitted(config), search(MATES)
    for arguments, words in (
        ((MATES[:, :5], candidates, cosines), "expected"),
        ((MATES, candidates, np.where(cosines > 0.9, np.nan, cosines)), "NaN or infinity"),
        ((MATES, candidates + 1, cosines), "none of the 30 identities"),
    ):
        with pytest.raises(DataError, match=words) as caught:
            rule.scores(*arguments)
        assert "\n" not in str(caught.value)
    damaged = GALLERY.vectors.copy()
    damaged[2, 1] = np.nan
    for gallery in (
        GalleryFaces(damaged, GALLERY.identities),
        GalleryFaces(GALLERY.vectors, GALLERY.identities[:-1]),
        GalleryFaces(GALLERY.vectors[:0], GALLERY.identities[:0]),
    ):
        with pytest.raises(DataError, match="gallery"):
            fitted(config, gallery)
    if config(**SMALL.get(config.__name__, {})).needs_cohort:
        with pytest.raises(DataError, match="dimensions"):
            fitted(config, cohort=CohortFaces(COHORT.vectors[:, :5], COHORT.people))
