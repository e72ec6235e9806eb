"""People out of a gallery into a file and back: the same to the last bit, and bad files named by line."""

import json
import stat
from datetime import date

import numpy as np
import pytest

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery import Gallery
from facerec_oltr.gallery.exchange import export_people, import_people, person_as_json
from facerec_oltr.gallery.records import NewNegative, NewTemplate, Outcome, RecordedEmbedder

EMBEDDER = RecordedEmbedder("e", "ab" * 32, 3, 8, "e", "yunet.onnx", "cd" * 32)


def template(number, vector):
    vector = np.asarray(vector, np.float32)
    return NewTemplate(
        (vector / np.linalg.norm(vector)).astype(np.float32),
        f"{number:064x}",
        f"{number}.jpg",
        0.5 + number / 100,
        {"size": 41.5, "box": [1, 2]},
    )


@pytest.fixture
def gallery(tmp_path):
    with Gallery.create(tmp_path / "g.db", EMBEDDER) as gallery:
        gallery.enrol(
            "Zoë", [template(1, [1, 2, 3]), template(2, [3, 1, 1])], consent="form 7", expires=date(2027, 1, 2)
        )
        gallery.enrol("bob", [template(3, [-1, 0, 1])])
        yield gallery


def held(gallery):
    """All that is held on everybody, but when it was written."""
    people = [person_as_json(gallery.person(name)) for name in gallery.identities()]
    for person in people:
        del person["created"]
        for one in (*person["templates"], *person["negatives"]):
            del one["created"]
    return people


def test_there_and_back(gallery, tmp_path):
    assert export_people(gallery, tmp_path / "all.jsonl") == 2
    with Gallery.create(tmp_path / "other.db", EMBEDDER) as other:
        assert import_people(other, tmp_path / "all.jsonl") == {Outcome.ENROLLED: 3}
        assert held(other) == held(gallery)
        assert import_people(other, tmp_path / "all.jsonl") == {Outcome.ALREADY: 3}
        assert other.search([[0, 0, 1]], 2) == gallery.search([[0, 0, 1]], 2)
        assert [e.action for e in other.audit()][-1] == "import"
    assert [e.action for e in gallery.audit()][-1] == "export"


def test_what_is_said_not_to_be_somebody_goes_along(gallery, tmp_path):
    faces = [template(n, v) for n, v in ((7, [1, 2, 2]), (8, [0, 1, 0]))]
    said = [NewNegative(t.vector, t.photo_sha256, t.photo_path, face) for face, t in enumerate(faces, 1)]
    gallery.reject("Zoë", said)
    export_people(gallery, tmp_path / "all.jsonl")
    with Gallery.create(tmp_path / "other.db", EMBEDDER) as other:
        other.enrol("bob", [template(7, [1, 2, 2])])  # a photo may be bob's and not Zoë's
        for _ in range(2):
            import_people(other, tmp_path / "all.jsonl")
        assert next(p for p in held(other) if p["name"] == "Zoë") == held(gallery)[0]
        assert [e.facts["negatives"] for e in other.audit() if e.action == "import"] == [2, 0]
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    lines[0]["version"] = 1  # as an older program wrote it
    for person in lines[1:]:
        del person["negatives"]
    (tmp_path / "old.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with Gallery.create(tmp_path / "third.db", EMBEDDER) as third:
        assert import_people(third, tmp_path / "old.jsonl") == {Outcome.ENROLLED: 3}
        assert third.person("Zoë").negatives == ()


def test_the_file_is_its_owners_alone(gallery, tmp_path):
    export_people(gallery, tmp_path / "all.jsonl")
    assert stat.S_IMODE((tmp_path / "all.jsonl").stat().st_mode) == 0o600


def test_the_file_was_never_anybody_elses(gallery, tmp_path):
    modes = []

    def look(done, total):
        [part] = [p for p in tmp_path.iterdir() if p.name.startswith(".all.jsonl")]
        modes.append(stat.S_IMODE(part.stat().st_mode))

    export_people(gallery, tmp_path / "all.jsonl", on_progress=look)
    assert modes == [0o600] * 2


def test_one_person(gallery, tmp_path):
    assert export_people(gallery, tmp_path / "one.jsonl", ["bob"]) == 1
    head, bob = map(json.loads, (tmp_path / "one.jsonl").read_text().splitlines())
    assert head["embedder"]["fingerprint"] == EMBEDDER.fingerprint
    assert (bob["name"], len(bob["templates"])) == ("bob", 1)
    with pytest.raises(GalleryError, match="did you mean 'bob'"):
        export_people(gallery, tmp_path / "none.jsonl", ["bobb"])
    assert not (tmp_path / "none.jsonl").exists()
    with pytest.raises(GalleryError, match="there is a file already"):
        export_people(gallery, tmp_path / "one.jsonl")


def test_another_embedder_or_detector_is_refused(gallery, tmp_path):
    export_people(gallery, tmp_path / "all.jsonl")
    for name, embedder in {
        "model": RecordedEmbedder("e", "ef" * 32, 3, 8, "e", "yunet.onnx", "cd" * 32),
        "detector": RecordedEmbedder("e", "ab" * 32, 3, 8, "e"),
    }.items():
        with (
            Gallery.create(tmp_path / f"{name}.db", embedder) as other,
            pytest.raises(GalleryError, match=r"made with embedder|found by"),
        ):
            import_people(other, tmp_path / "all.jsonl")


def test_a_damaged_line_is_named_and_those_before_it_are_kept(gallery, tmp_path):
    export_people(gallery, tmp_path / "all.jsonl")
    lines = (tmp_path / "all.jsonl").read_text().splitlines()
    vector = json.loads(lines[2])["templates"][0]["vector"]
    bad = {
        "cut": lines[2][:-20],
        "not base64": lines[2].replace(vector, "?" + vector[1:]),
        "too short a vector": lines[2].replace(vector, vector[:8]),
        "no name": lines[2].replace('"name"', '"nome"'),
    }
    for what, line in bad.items():
        (tmp_path / "bad.jsonl").write_text("\n".join([*lines[:2], line]) + "\n")
        with Gallery.create(tmp_path / f"{what}.db", EMBEDDER) as other:
            with pytest.raises(GalleryError, match=r"bad\.jsonl: line 3 is damaged"):
                import_people(other, tmp_path / "bad.jsonl")
            assert list(other.identities()) == ["Zoë"]


@pytest.mark.parametrize("text", ["", "hello\n", "[]\n", '{"format": "something"}\n', "\xff\n"])
def test_other_files_are_refused(gallery, tmp_path, text):
    (tmp_path / "x").write_text(text, encoding="latin-1")
    with pytest.raises(GalleryError, match="not what facerec gallery export writes"):
        import_people(gallery, tmp_path / "x")
    with pytest.raises(GalleryError, match="No such file"):
        import_people(gallery, tmp_path / "none")
