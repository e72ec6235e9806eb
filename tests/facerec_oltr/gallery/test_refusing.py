"""What a face that is said not to be somebody does to a search, by hand and against a plain loop over everybody."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerec_oltr.gallery import Gallery
from facerec_oltr.gallery.records import Fusion, NegativeFaces, NewNegative, NewTemplate, RecordedEmbedder
from facerec_oltr.gallery.refusing import nearest_negatives, search_respecting
from facerec_oltr.scoring import GalleryFaces, NegativeCohortConfig, Negatives

EMBEDDER = RecordedEmbedder("angle", "ab" * 32, 2, 4, "angle")


def at(degrees: float) -> np.ndarray:
    return np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))], np.float32)


def enrol(gallery: Gallery, name: str, *angles: float) -> None:
    gallery.enrol(name, [NewTemplate(at(a), f"{hash((name, a)) % 16**15:064x}", f"{a}.png") for a in angles])


def not_them(angle: float, face: int = 1) -> NewNegative:
    return NewNegative(at(angle), f"{int(angle * 1000):064x}", f"{angle}.png", face)


@pytest.fixture
def gallery(tmp_path):
    """ann at 0 degrees, bob at 60, cem at 120."""
    with Gallery.create(tmp_path / "g.db", EMBEDDER) as gallery:
        for name, angle in {"ann": 0, "bob": 60, "cem": 120}.items():
            enrol(gallery, name, angle)
        yield gallery


def told(gallery, angle, k=2):
    [found] = gallery.search([at(angle)], k)
    return [(c.name, c.negative if c.negative is None else round(c.negative, 5)) for c in found]


def cosine(degrees):
    return round(math.cos(math.radians(degrees)), 5)


def test_the_nearer_decides(gallery):
    gallery.reject("ann", [not_them(20), not_them(-50)])
    assert told(gallery, 9) == [("ann", None), ("bob", None)]  # 9 from ann, 11 from the negative
    assert told(gallery, 11, 1) == [("ann", cosine(9)), ("bob", None)]  # 9 from the negative
    assert told(gallery, 20) == [("ann", 1.0), ("bob", None), ("cem", None)]  # the next two are told
    assert told(gallery, -40, 1) == [("ann", cosine(10)), ("bob", None)]  # any of them is enough
    assert told(gallery, 70) == [("bob", None), ("cem", None)]  # of others nothing was said
    gallery.unreject([not_them(20).photo_sha256])
    assert told(gallery, 11, 1) == [("ann", None)]


def test_who_is_as_near_to_both_is_not_refused(gallery):
    gallery.reject("ann", [NewNegative(at(0), "ab" * 32, "double.png")])
    assert told(gallery, 33, 1) == [("bob", None)]
    assert told(gallery, 5, 1) == [("ann", None)]


def test_everybody_may_be_refused(gallery):
    for name, angle in {"ann": 9, "bob": 11, "cem": 10}.items():
        gallery.reject(name, [not_them(angle)])
    assert [negative is not None for _, negative in told(gallery, 10, 1)] == [True] * 3
    assert gallery.search(np.empty((0, 2)), 2) == []


def test_what_others_say_is_seen_and_goes_with_the_person(gallery):
    told(gallery, 20)
    with Gallery.open(gallery.path) as other:
        other.reject("ann", [not_them(20)])
        assert told(gallery, 19, 1) == [("ann", cosine(1)), ("bob", None)]
        other.erase("ann")
    assert told(gallery, 19, 1) == [("bob", None)]
    assert len(gallery.negatives().identities) == 0


def test_a_threshold_follows_templates_alone(gallery):
    """Refusing more never raises the FPIR, so that a calibration does not go stale by it."""
    before = gallery.state()
    gallery.reject("ann", [not_them(20)])
    assert gallery.state() == before


@pytest.mark.parametrize("fusion", Fusion)
def test_fused_galleries_compare_the_fused_cosine(tmp_path, fusion):
    with Gallery.create(tmp_path / "m.db", EMBEDDER, fusion=fusion) as gallery:
        enrol(gallery, "ann", 0, 40)
        gallery.reject("ann", [not_them(-8)])
        # The best template of a face at 0 is at 0; the mean of the cosines with 0 and 40 degrees is 0.883.
        assert told(gallery, 0) == [("ann", None if fusion is Fusion.MAX else cosine(8))]


angle = st.integers(0, 359)


@settings(max_examples=60, deadline=None)
@given(
    people=st.lists(st.lists(angle, min_size=1, max_size=3), min_size=1, max_size=12),
    said=st.lists(st.tuples(st.integers(0, 11), angle), max_size=12),
    probes=st.lists(angle, min_size=1, max_size=6),
    k=st.integers(1, 5),
)
def test_it_equals_a_plain_loop(people, said, probes, k):
    said = [(who % len(people), a) for who, a in said]
    vectors = np.array([at(a) for _, a in said], np.float32).reshape(-1, 2)
    negatives = NegativeFaces(vectors, np.array([who for who, _ in said], np.int64))

    def cos(a, b):
        return np.float32(np.dot(at(a).astype(np.float64), at(b).astype(np.float64)))

    scores = np.array([[max(cos(p, t) for t in own) for own in people] for p in probes])
    order = np.argsort(-scores, axis=1, kind="stable")

    def search(vectors, depth):
        rows = [next(i for i, p in enumerate(probes) if (at(p) == v).all()) for v in vectors]
        best = order[rows, :depth]
        cosines = np.take_along_axis(scores[rows], best, axis=1)
        return cosines, cosines, best

    found = search_respecting(search, np.array([at(p) for p in probes]), k, negatives)
    for row, answer in enumerate(found):
        expected, kept = [], 0
        for who in order[row].tolist():
            nearest = max((cos(probes[row], a) for w, a in said if w == who), default=-np.inf)
            refused = nearest > scores[row, who]
            expected.append((who, scores[row, who], nearest if refused else None))
            kept += not refused
            if kept == k:
                break
        assert answer == expected


def test_it_refuses_where_the_penalty_of_the_score_rule_begins():
    """negative_cohort with weight 0 lowers a score exactly where a candidate is refused here."""
    rng = np.random.default_rng(5)

    def unit(*shape):
        made = rng.normal(size=shape)
        return (made / np.linalg.norm(made, axis=-1, keepdims=True)).astype(np.float32)

    enrolled, faces, probes = unit(6, 4), unit(9, 4), unit(200, 4)
    whose = np.sort(rng.integers(0, 6, 9))
    rule = NegativeCohortConfig(weight=0).fit(GalleryFaces(enrolled, np.arange(6)), negatives=Negatives(faces, whose))
    cosines = np.array([[np.dot(p.astype(float), g.astype(float)) for g in enrolled] for p in probes], np.float32)
    everybody = np.broadcast_to(np.arange(6), cosines.shape)
    lowered = rule.scores(probes, everybody, cosines) < cosines
    assert np.array_equal(nearest_negatives(probes, everybody, NegativeFaces(faces, whose)) > cosines, lowered)
    assert 100 < lowered.sum() < 1100
