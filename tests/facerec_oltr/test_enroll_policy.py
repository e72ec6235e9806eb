"""What is refused at enrolment and what is reported, with faces that a scripted detector finds and rates by hand."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from facerec_oltr.enroll import Policy, enroll, enroll_folder, enroll_photos
from facerec_oltr.errors import DataError
from facerec_oltr.faces.extractor import Extractor, Face
from facerec_oltr.faces.found import FoundFace
from facerec_oltr.faces.quality import Quality, QualityLimits
from facerec_oltr.gallery import Gallery
from facerec_oltr.gallery.records import Fusion, NewNegative, NewTemplate, Outcome
from facerec_oltr.guard import Guard
from facerec_oltr.judging import the_face_of
from facerec_oltr.to_enrol import ToEnrol

from .conftest import AngleEmbedder, angles, write_photo

GOOD = Quality(60, 0.1, 0, 0, 0, 120, 40, 0.9, 1)


def face(left, top, right, bottom):
    return Face(FoundFace((left, top, right, bottom), 0.9, None), GOOD, np.array([1, 0], np.float32))


def test_the_face_that_a_photo_is_of():
    large, middle, small = face(0, 0, 60, 60), face(0, 0, 40, 40), face(80, 0, 110, 30)
    assert the_face_of([large]) is large
    assert the_face_of([small, large]) is large  # four times the area
    assert the_face_of([large, middle]) is None  # 2.25 times
    assert the_face_of([]) is None


class Scripted(Extractor):
    """Says of each photo what its name asks for: none, two, poor, or one good face."""

    def find(self, picture):
        [cutout] = super().find(picture)
        return [replace(cutout, quality=GOOD)]


class ByColour:
    """A detector: blue 1 stands for no face, 2 for two equal ones; else one."""

    source, fingerprint = "by colour", "ef" * 32

    def detect(self, picture):
        number = int(picture[0, 0, 2])
        size = float(picture.shape[0])
        return [FoundFace((0, 0, size, size), 0.9, None)] * {1: 0, 2: 2}.get(number, 1)


def write(path, angle, blue):
    """A photo whose mean is the angle, whatever its blue."""
    pixels = np.full((80, 80, 3), angle, np.uint8)
    pixels[0, 0] = (blue, angle, angle)  # as OpenCV has it
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path


@pytest.fixture
def gallery(tmp_path):
    with Gallery.create(tmp_path / "g.db", angles()) as gallery:
        yield gallery


def test_no_face_several_faces_and_poor_ones_are_told_with_the_reason(tmp_path):
    extractor = Scripted(AngleEmbedder(), ByColour(), QualityLimits.none())
    with Gallery.create(tmp_path / "d.db", extractor) as gallery:
        extractor = Extractor(AngleEmbedder(), ByColour())
        photos = [write(tmp_path / f"{blue}.png", 30, blue) for blue in (1, 2, 3)]
        report = enroll_photos(gallery, extractor, "ann", photos)
        assert [r.outcome for r in report.results] == [Outcome.NO_FACE, Outcome.SEVERAL_FACES, Outcome.POOR]
        reasons = [r.reason or "" for r in report.results]
        assert "no face was found" in reasons[0]
        assert "2 faces, and none is 3 times as large" in reasons[1]
        assert "is wanted" in reasons[2]  # one grey has no sharpness and no contrast
        assert gallery.identities() == {}
        with pytest.raises(DataError, match="ann: none of 3 photos could be enrolled"):
            report.raise_if_failed()
        anyway = enroll_photos(gallery, extractor, "ann", photos[2:], Policy(limits=QualityLimits.none()))
        assert anyway.count(Outcome.ENROLLED) == 1


def fill(gallery, count=24):
    """People at 15 degrees from each other, so that neighbours have a cosine of 0.966."""
    for number in range(count):
        angle = np.radians(15 * number)
        vector = np.array([np.cos(angle), np.sin(angle)], np.float32)
        gallery.enrol(f"p{number:02}", [NewTemplate(vector, f"{number:064x}", f"p{number}")])


def test_a_lookalike_is_reported_or_refused_on_the_first_photo_of_a_person(gallery, tmp_path):
    fill(gallery)
    photo = write_photo(tmp_path / "x.png", 61)  # 1 degree from p04
    [told] = enroll_photos(gallery, angles(), "alias", [photo]).results
    assert (told.outcome, told.looks_like) == (Outcome.ENROLLED, "p04")
    assert told.looks_like_score == pytest.approx(np.cos(np.radians(1)), abs=1e-6)
    gallery.erase("alias")
    [refused] = enroll_photos(gallery, angles(), "alias", [photo], Policy(lookalikes="refuse")).results
    assert (refused.outcome, refused.owner) == (Outcome.LOOKS_LIKE, None)
    assert "looks like 'p04', who is enrolled" in (refused.reason or "")
    assert "alias" not in gallery.identities()
    [unguarded] = enroll_photos(gallery, angles(), "alias", [photo], Policy(guard=False)).results
    assert unguarded.looks_like is None


def one_by_one(gallery, people, policy):
    """What is said of each photo where every person is enrolled, and searched for, alone."""
    said = []
    for person in people:
        said += enroll(gallery, angles(), [person], policy).results
    return said


@pytest.mark.parametrize("fusion", Fusion)
@pytest.mark.parametrize("lookalikes", ["report", "refuse"])
@pytest.mark.parametrize("known", ["add", "update"])
def test_people_enrolled_together_see_each_other_as_one_by_one(tmp_path, monkeypatch, fusion, lookalikes, known):
    """Many near each other on the circle, some there already, some twice, one double that is said not to be p03."""
    grey = iter(np.random.default_rng(8).permutation(255).tolist())  # each once: a photo is known by its bytes
    people = []
    for number in range(60):
        name = f"new{number % 50}" if number % 3 else f"p{number % 24:02}"
        paths = tuple(write_photo(tmp_path / f"photos/{number}/{i}.png", next(grey)) for i in range(1 + number % 3))
        people.append(ToEnrol(name, paths))
    policy = Policy(lookalikes=lookalikes, known=known)
    guard = Guard(0.9995, 0.5, "given")  # learnt anew at each call, it would differ
    monkeypatch.setattr(Guard, "of", classmethod(lambda cls, *_: guard))
    told, galleries = [], []
    for run in ("together", "alone"):
        with Gallery.create(tmp_path / f"{run}.db", angles(), fusion=fusion) as gallery:
            fill(gallery)
            gallery.reject("p03", [NewNegative(gallery.person("p04").templates[0].vector, "ab" * 32, "double")])
            results = (
                enroll(gallery, angles(), people, policy).results
                if run == "together"
                else one_by_one(gallery, people, policy)
            )
            told.append([r.to_json() for r in results])
            galleries.append({n: [t.photo_sha256 for t in gallery.person(n).templates] for n in gallery.identities()})
    assert told[0] == told[1]
    assert galleries[0] == galleries[1]
    seen = {r["looks_like"] for r in told[0] if r["looks_like"]}
    if fusion is Fusion.MAX:  # by their mean, photos at random make nobody look like anybody
        assert any(name.startswith("new") for name in seen)  # who came in the same run
    assert any(name.startswith("p") for name in seen)


def test_the_gallery_is_searched_once_for_many(gallery, tmp_path, monkeypatch):
    fill(gallery)
    searches = []
    search = Gallery.search
    monkeypatch.setattr(Gallery, "search", lambda self, vectors, k=2: searches.append(len(vectors)) or search(
        self, vectors, k))  # fmt: skip
    people = [ToEnrol(f"new{n}", (write_photo(tmp_path / f"{n}.png", n),)) for n in range(150)]
    enroll(gallery, angles(), people)
    assert searches == [64, 64, 22]


def test_an_outlier_is_refused_with_its_score_and_the_limit(gallery, tmp_path):
    fill(gallery)
    photos = [write_photo(tmp_path / f"{angle}.png", angle) for angle in (100, 101, 102, 200)]
    report = enroll_photos(gallery, angles(), "eve", photos)
    assert [r.outcome for r in report.results] == [Outcome.ENROLLED] * 3 + [Outcome.OUTLIER]
    assert "unlike the 3 other photos of 'eve': its best score among them is -0.139" in (report.results[3].reason or "")


def test_the_first_people_are_told_to_be_unguarded(gallery, tmp_path):
    for name, angle in {"ann": 10, "bob": 90}.items():
        write_photo(tmp_path / f"people/{name}/1.png", angle)
    report = enroll_folder(gallery, angles(), tmp_path / "people")
    assert report.unguarded == 2
    assert "it takes 20" in (report.guarded_by or "")


def test_skip_update_and_add(gallery, tmp_path):
    old, new = write_photo(tmp_path / "old.png", 10), write_photo(tmp_path / "new.png", 12)
    kept = write_photo(tmp_path / "kept.png", 11)
    enroll_photos(gallery, angles(), "ann", [old, kept])
    skipped = enroll(gallery, angles(), [ToEnrol("ann", (new,))], Policy(known="skip"))
    assert (skipped.skipped, skipped.results) == (("ann",), ())
    updated = enroll_photos(gallery, angles(), "ann", [kept, new], Policy(known="update"))
    assert [r.outcome for r in updated.results] == [Outcome.ALREADY, Outcome.ENROLLED]
    assert sorted(t.photo_path.rsplit("/", 1)[1] for t in gallery.person("ann").templates) == ["kept.png", "new.png"]
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    enroll_photos(gallery, angles(), "ann", [broken], Policy(known="update"))
    assert gallery.identities() == {"ann": 2}  # nothing usable was given, so nobody is emptied
    enroll_photos(gallery, angles(), "ann", [old])
    assert gallery.identities() == {"ann": 3}


def test_consent_and_expiry_are_kept(gallery, tmp_path):
    from datetime import date

    photo = write_photo(tmp_path / "a.png", 10)
    enroll(gallery, angles(), [ToEnrol("ann", (photo,), "form 7", date(2027, 1, 2))])
    summary = gallery.person("ann").summary
    assert (summary.consent, summary.expires) == ("form 7", "2027-01-02")
