"""The guard's limits from galleries whose laws are known, and what it says of doubles and strangers among photos."""

import numpy as np
import pytest
from scipy.stats import gumbel_r

from facerec_oltr.gallery import Gallery
from facerec_oltr.gallery.records import NewTemplate, RecordedEmbedder
from facerec_oltr.guard import Guard, _gumbel, impostor_pairs, suspects

D = 64


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def enrol(gallery, name, vectors):
    photos = [NewTemplate(v, f"{hash((name, i)) & (1 << 256) - 1:064x}", f"{name}/{i}") for i, v in enumerate(vectors)]
    gallery.enrol(name, photos)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def gallery(tmp_path, rng):
    """40 people with 3 photos each, far apart; photos of one person have cosines near 0.8."""
    with Gallery.create(tmp_path / "g.db", RecordedEmbedder("e", "ab" * 32, D, 8, "e")) as gallery:
        for person in range(40):
            centre = unit(rng.normal(size=D))
            enrol(gallery, f"p{person}", unit(2 * centre + unit(rng.normal(size=(3, D)))))
        yield gallery


def test_gumbel_quantile_is_scipys(rng):
    maxima = np.asarray(gumbel_r.rvs(0.3, 0.04, size=200_000, random_state=rng))
    assert _gumbel(maxima, 1e-3) == pytest.approx(gumbel_r.isf(1e-3, 0.3, 0.04), abs=0.004)
    # A hundredth of doubles with scores near 1 moves the limit little; the 99.9 % quantile itself would be 1.
    doubled = np.concatenate([maxima, np.full(2000, 0.98)])
    assert _gumbel(doubled, 1e-3) == pytest.approx(gumbel_r.isf(1e-3, 0.3, 0.04), abs=0.012)


def test_impostor_pairs_are_counted_once_and_never_with_themselves():
    faces = unit(np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]]))  # cosines 0.707, 0, 0
    assert impostor_pairs(faces, 0.0) == pytest.approx(np.sqrt(0.5))
    assert impostor_pairs(faces, 1.0) == 0


def test_too_few_people_to_know(tmp_path):
    with Gallery.create(tmp_path / "g.db", RecordedEmbedder("e", "ab" * 32, D, 8, "e")) as gallery:
        guard = Guard.of(gallery)
        assert (guard.lookalike, guard.outlier) == (None, None)
        assert "0 people enrolled, and it takes 20" in guard.basis
        assert guard.unlike(np.ones(D, np.float32), np.ones((5, D), np.float32)) is None
        assert "enrol more people" in suspects(gallery)[0].advice


def test_limits_lie_between_strangers_and_photos_of_one_person(gallery):
    guard = Guard.of(gallery)
    assert guard.lookalike is not None
    assert guard.outlier is not None
    # random directions in 64 dimensions have cosines of standard deviation 1/8
    assert 0.2 < guard.outlier < 0.35
    assert guard.outlier < guard.lookalike < 0.75
    assert guard == Guard.of(gallery)  # the draw is seeded


def test_a_photo_unlike_the_others(gallery, rng):
    guard = Guard.of(gallery)
    own = np.array([t.vector for t in gallery.person("p0").templates])
    stranger = unit(rng.normal(size=D))
    found = guard.unlike(stranger, own)
    assert found == pytest.approx(float((own @ stranger).max()))
    assert guard.unlike(own[0], own[1:]) is None
    assert guard.unlike(stranger, own[:1]) is None  # one other photo says nothing
    assert guard.unlike(stranger, unit(rng.normal(size=(3, D)))) is None  # nor do others who differ among themselves


def test_suspects_are_doubles_and_strangers_photos_and_nobody_else(gallery, rng):
    assert suspects(gallery) == []
    double = gallery.person("p7").templates[0].vector
    enrol(gallery, "alias", unit(double[None] + 0.3 * unit(rng.normal(size=(1, D)))))
    enrol(
        gallery,
        "mixed",
        unit(np.concatenate([2 * unit(np.ones((3, D))) + unit(rng.normal(size=(3, D))), -np.ones((1, D))])),
    )
    found = suspects(gallery)
    assert {f.place for f in found} == {"p7", "mixed"} or {f.place for f in found} == {"alias", "mixed"}
    [like] = [f for f in found if f.place != "mixed"]
    assert "'alias'" in like.problem or "'p7'" in like.problem
    [unlike] = [f for f in found if f.place == "mixed"]
    assert "mixed/3 is unlike the 3 other photos" in unlike.problem
