"""Photos that are said not to show somebody, with faces whose brightness is an angle, and what follows at identify."""

import math

import numpy as np
import pytest

from facerec_oltr.calibrate import calibrate
from facerec_oltr.deciding import Searcher
from facerec_oltr.enroll import Policy, enroll_photos
from facerec_oltr.errors import DataError, GalleryError
from facerec_oltr.faces.extractor import Extractor
from facerec_oltr.faces.found import FoundFace
from facerec_oltr.gallery import Gallery
from facerec_oltr.gallery.records import Calibration, NewTemplate, Outcome
from facerec_oltr.guard import suspects
from facerec_oltr.identify import identify
from facerec_oltr.reject import digests_of, reject

from .conftest import AngleEmbedder, angles, write_photo


def cosine(degrees):
    return pytest.approx(math.cos(math.radians(degrees)), abs=1e-6)


@pytest.fixture
def photo(tmp_path):
    return lambda angle: write_photo(tmp_path / f"probes/{angle}.png", angle)


@pytest.fixture
def gallery(tmp_path):
    """ann at 0 and 20 degrees, bob at 60, cem at 90."""
    with Gallery.create(tmp_path / "gallery.db", angles()) as gallery:
        for name, places in {"ann": (0, 20), "bob": (60,), "cem": (90,)}.items():
            photos = [write_photo(tmp_path / f"people/{name}/{a}.png", a) for a in places]
            enroll_photos(gallery, angles(), name, photos)
        yield gallery


def test_the_next_or_nobody_is_answered_and_it_is_said_why(gallery, photo):
    [result] = reject(gallery, angles(), "ann", [photo(38)])
    assert (result.new, result.face, result.templates, result.refused) == (
        True,
        1,
        2,
        1,
    )  # that at 20 is 20 from her other
    assert result.likeness == cosine(18)
    near, other, nobody = identify(gallery, angles(), [photo(21), photo(36), photo(34)], threshold=math.cos(0.44))
    assert (near.decision, near.identity, near.reason) == ("accepted", "ann", None)
    # 36 is 16 from ann and 24 from bob (0.44 is 25 degrees), but 2 from the negative. 34 is 26 from bob.
    assert (other.decision, other.identity) == ("accepted", "bob")
    assert (
        other.reason
        == f"not 'ann': nearer to a face that is said not to be them, by a cosine of {math.cos(math.radians(2)):.4f}"
    )
    assert [c["negative"] for c in other.to_json()["candidates"]] == [cosine(2), None, None]
    assert (nobody.decision, nobody.identity) == ("unknown", "ann")
    assert nobody.reason is not None
    assert "not 'ann'" in nobody.reason
    assert reject(gallery, angles(), "ann", [photo(38)])[0].new is False
    gallery.unreject(digests_of(gallery, [str(photo(38))]), "ann")
    assert identify(gallery, angles(), [photo(36)], threshold=0.9)[0].identity == "ann"


def test_below_the_threshold_there_is_nothing_to_explain(gallery, photo):
    reject(gallery, angles(), "ann", [photo(38)])
    [decision] = identify(gallery, angles(), [photo(36)], threshold=0.99)
    assert (decision.decision, decision.reason) == ("unknown", None)


def test_thresholds_are_chosen_without_them_and_strangers_are_accepted_less(gallery, tmp_path, photo):
    for name in range(40):
        write_photo(tmp_path / f"strangers/{name}/0.png", 3 + 4 * name)
    first = calibrate(gallery, angles(), tmp_path / "strangers", 0.25).calibration
    strangers = [d.photo for d in identify(gallery, angles(), sorted((tmp_path / "strangers").rglob("*.png")))
                 if d.decision == "accepted"]  # fmt: skip
    assert len(strangers) == 10
    mistaken = {d.photo: d.identity for d in identify(gallery, angles(), strangers)}
    reject(gallery, angles(), mistaken[strangers[0]] or "nobody", [strangers[0]])
    assert gallery.calibration() == first
    assert not gallery.is_stale(first)
    again = calibrate(gallery, angles(), tmp_path / "strangers", 0.25).calibration
    assert (again.threshold, again.maxima) == (first.threshold, first.maxima)
    left = [d.photo for d in identify(gallery, angles(), strangers) if d.decision == "accepted"]
    assert set(left) < set(strangers)


def test_they_hold_by_other_rules_too(gallery, photo):
    reject(gallery, angles(), "ann", [photo(38)])
    [found] = Searcher(gallery, "centroid").search(np.array([angles().embedder.embed(np.full((1, 4, 4, 3), 36))[0]]), 2)
    assert {c.name: c.refused for c in found} == {"ann": True, "bob": False, "cem": False}


def test_a_price_is_told_where_there_is_one(gallery, photo):
    def say(angle):
        [result] = reject(gallery, angles(), "ann", [photo(angle)])
        gallery.unreject(digests_of(gallery, [str(photo(angle))]))
        return result.refused, result.caution

    # Each of ann's is 20 from her other one; nearer to both is what lies between, to one what lies within 20.
    assert say(10)[0] == 2
    refused, caution = say(35)
    assert refused == 1
    assert "35.png: 1 of the 2 enrolled photos of 'ann' are nearer to it than to the others" in (caution or "")
    assert say(41) == (0, None)
    state = gallery.state()
    gallery.save_calibration(Calibration(0.01, 0.95, 0.0, True, 9, 9, state, "max", "then"))
    refused, caution = say(35)  # 20 degrees are 0.94: such a photo is not accepted anyway
    assert refused == 0
    assert caution is not None  # 15 degrees from ann are 0.966, and a fifth of the way from 0.95 to 1 is 0.96
    assert "very like 'ann' (a cosine of 0.966, accepted from 0.950 on)" in caution
    assert say(38) == (0, None)  # 18 degrees are 0.951


def test_a_double_is_no_lookalike_any_more(gallery, photo, tmp_path):
    state = gallery.state()
    gallery.save_calibration(Calibration(0.01, 0.95, 0.0, True, 9, 9, state, "max", "then"))
    double = photo(36)
    refusing = Policy(lookalikes="refuse")
    assert enroll_photos(gallery, angles(), "twin", [double], refusing).results[0].outcome is Outcome.LOOKS_LIKE
    reject(gallery, angles(), "ann", [double])
    [result] = enroll_photos(gallery, angles(), "twin", [double], refusing).results
    assert (result.outcome, result.looks_like) == (Outcome.ENROLLED, None)
    assert suspects(gallery) == []
    assert gallery.erase("twin").negatives == 1  # the double's face, though it was kept with ann


def test_a_photo_is_not_enrolled_as_whom_it_is_said_not_to_be(gallery, photo):
    reject(gallery, angles(), "ann", [photo(38)])
    report = enroll_photos(gallery, angles(), "ann", [photo(38)])
    [wrong] = report.results
    assert (wrong.outcome, wrong.owner) == (Outcome.NOT_THEM, None)
    assert "38.png: it is said not to be 'ann'" in (wrong.reason or "")
    with pytest.raises(DataError, match=r"ann: none of 1 photos could be enrolled; the first: .*38\.png: it is said"):
        report.raise_if_failed()
    assert gallery.identities()["ann"] == 2


class TwoFaces:
    """Finds a face in the whole photo, and a smaller one in its corner."""

    source, fingerprint = "two", "ef" * 32

    def detect(self, picture):
        return [FoundFace((0, 0, 4, 4), 0.9, None), FoundFace((0, 0, 3, 3), 0.9, None)]


def test_bad_photos_are_one_line_and_nothing_is_kept(gallery, photo, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(DataError, match="broken"):
        reject(gallery, angles(), "ann", [photo(38), broken])
    with pytest.raises(GalleryError, match="did you mean 'ann'"):
        reject(gallery, angles(), "anna", [photo(38)])
    with pytest.raises(GalleryError, match=r"0\.png is enrolled as 'ann' by this face"):
        reject(gallery, angles(), "ann", [photo(38), tmp_path / "people/ann/0.png"])
    with pytest.raises(DataError, match="face 2 was asked for, found 1"):
        reject(gallery, angles(), "ann", [photo(38)], face=2)
    assert gallery.person("ann").negatives == ()
    for named in ("nothing.png", "ab12", "0" * 64):
        with pytest.raises(DataError, match="neither a file nor the beginning"):
            digests_of(gallery, [named])


def test_a_face_among_several_is_named(tmp_path):
    extractor = Extractor(AngleEmbedder(), TwoFaces())
    with Gallery.create(tmp_path / "two.db", extractor) as gallery:
        path = write_photo(tmp_path / "p.png", 36)
        gallery.enrol("ann", [NewTemplate(np.array([1, 0], np.float32), "ab" * 32, "a.png")])
        with pytest.raises(DataError, match="2 faces; say with --face which is meant"):
            reject(gallery, extractor, "ann", [path])
        [result] = reject(gallery, extractor, "ann", [path], face=2)
        assert result.face == 2
        [kept] = gallery.person("ann").negatives
        assert digests_of(gallery, [kept.photo_sha256[:12].upper()]) == [kept.photo_sha256]
