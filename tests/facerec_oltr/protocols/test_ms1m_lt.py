"""Cuts of a small set, as a view and as a copy, with and without repeated images."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facerec_oltr.errors import DataError
from facerec_oltr.protocols import PARTS, TemplateList, check_protocol, find_images, read_protocol, write_protocol
from facerec_oltr.protocols.folder import fingerprint
from facerec_oltr.protocols.ms1m_lt import read_ms1m_lt
from facerec_oltr.protocols.shots import shot_groups, true_counts
from facerec_oltr.protocols.summary import summarise
from recordio_tools import FaceSet
from recordio_tools.build import build_longtail
from recordio_tools.errors import FaceSetError
from recordio_tools.longtail import Rule
from recordio_tools.set_writer import SetWriter

PHOTOS = [9, 1, 7, 4, 2, 5, 3, 1, 6, 2, 5, 3, 4, 4, 5, 6]
RULE = Rule("pareto", images=16, identities=6, alpha=1.0)


def write_set(folder: Path, photos: list[int], copies: dict[tuple[int, int], str] | None = None) -> Path:
    """A set whose images are the words "person/number", each its own unless `copies` says."""
    folder.mkdir(parents=True)
    with SetWriter(folder, 4, 4) as faces:
        for label, count in enumerate(photos):
            for number in range(count):
                content = (copies or {}).get((label, number), f"{label}/{number}")
                faces.add(label, content.encode(), f"p{label}/{number}.png")
    return folder


@pytest.fixture(scope="module", params=["view", "copy", "copy without a list"])
def cut(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cut")
    write_set(folder / "set", PHOTOS)
    if request.param == "copy without a list":
        (folder / "set/train.lst").unlink()
    build_longtail(folder / "set", folder / "lt", RULE, 0, view=request.param == "view")
    return folder / "lt"


def test_the_open_lists_are_those_of_the_cut(cut: Path) -> None:
    made = read_ms1m_lt(cut)
    roles = {"gallery": "gallery", "mated": "probe", "strangers": "stranger", "calibration": "calibration"}
    for part, role in roles.items():
        keys = [line.split("\t")[0] for line in (cut / f"open_{role}.lst").read_text().splitlines()]
        assert list(made.part("open", part).images) == keys
    assert len(made.part("open", "distractors")) == 0
    find_images(made, cut.parent / "set", contents=True)
    write_protocol(made, cut.parent / "protocol", force=True)
    assert read_protocol(cut.parent / "protocol").training_images == made.training_images


def test_trained_people_are_searched_by_images_they_were_not_trained_on(cut: Path) -> None:
    faces, kept = FaceSet(cut.parent / "set"), FaceSet(cut)
    made = read_ms1m_lt(cut, templates=2, probes=3, seed=4)
    trained = {bytes(kept.encoded(place)).decode() for place in range(len(kept))}
    contents = {str(key): bytes(faces.encoded(place)).decode() for place, key in enumerate(faces.keys)}
    enrolled = [contents[key] for key in made.part("trained", "gallery").images]
    searched = [contents[key] for key in made.part("trained", "mated").images]
    assert set(enrolled) <= trained
    assert not set(searched) & trained
    available = Counter(label.split("/")[0] for label in contents.values())
    own = Counter(label.split("/")[0] for label in trained)
    expected = {
        person: (min(n, 2), min(available[person] - n, 3)) for person, n in own.items() if available[person] > n
    }
    found = {
        person: (count, Counter(text.split("/")[0] for text in searched)[person])
        for person, count in Counter(text.split("/")[0] for text in enrolled).items()
    }
    assert found == expected
    assert made.part("trained", "strangers").images == made.part("open", "strangers").images


def test_shot_groups_are_by_true_counts(cut: Path) -> None:
    made, counts = read_ms1m_lt(cut), FaceSet(cut).counts()
    assert sorted(made.training_images.values()) == sorted(counts.tolist())
    groups = summarise(made)["training"]
    assert groups == {
        "many": int((counts >= 5).sum()),
        "few": int(((counts >= 2) & (counts < 5)).sum()),
        "one_shot": int((counts == 1).sum()),
    }
    assert min(groups.values()) > 0
    probes = made.part("trained", "mated").people
    behind = shot_groups(true_counts(probes, made.training_images))
    assert not behind["zero_shot"].any()
    assert shot_groups(true_counts(made.part("open", "mated").people, made.training_images))["zero_shot"].all()


def test_the_training_images_are_those_of_the_cut(cut: Path) -> None:
    made, faces, kept = read_ms1m_lt(cut), FaceSet(cut.parent / "set"), FaceSet(cut)
    assert made.trained_on is not None
    contents = {str(key): bytes(faces.encoded(place)).decode() for place, key in enumerate(faces.keys)}
    listed = [contents[key] for key in made.trained_on.images]
    assert sorted(listed) == sorted(bytes(kept.encoded(place)).decode() for place in range(len(kept)))
    assert Counter(made.trained_on.people) == made.training_images
    names = [faces.names[int(text.split("/")[0])] if faces.names else text.split("/")[0] for text in listed]
    assert names == list(made.trained_on.people)
    write_protocol(made, cut.parent / "trained_on", force=True)
    again = read_protocol(cut.parent / "trained_on")
    assert again.trained_on is not None and again.trained_on.images == made.trained_on.images
    assert fingerprint(again) == fingerprint(made) != fingerprint(replace(made, trained_on=None))
    write_protocol(read_ms1m_lt(cut, training_images=False), cut.parent / "trained_on", force=True)
    assert not (cut.parent / "trained_on/trained_on.tsv").exists()
    assert read_protocol(cut.parent / "trained_on").trained_on is None


def test_training_images_that_do_not_fit_are_said(cut: Path, tmp_path: Path) -> None:
    made = read_ms1m_lt(cut)
    trained_on = made.trained_on
    assert trained_on is not None
    missing = replace(made, trained_on=trained_on.take(range(1, len(trained_on))))
    with pytest.raises(DataError, match=r"trained_on: has \d+ images of .* are counted as \d+, expected as many"):
        check_protocol(missing)
    searched = TemplateList.join([trained_on, made.part("open", "mated").take([0])])
    with pytest.raises(DataError, match="was trained on, and is searched in list mated, expected one of both"):
        check_protocol(replace(made, trained_on=searched, training_images={}))
    whose = made.part("trained", "gallery").people[0]
    place = trained_on.images.index(made.part("trained", "gallery").images[0])
    people = (*trained_on.people[:place], "nobody", *trained_on.people[place + 1 :])
    renamed = replace(made, trained_on=replace(trained_on, people=people), training_images={})
    with pytest.raises(DataError, match=f"is of 'nobody', but of '{whose}' in list trained_gallery"):
        check_protocol(renamed)
    write_protocol(made, tmp_path / "protocol")
    place = tmp_path / "protocol/trained_on.tsv"
    place.write_text("".join(place.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(DataError, match="expected as many"):
        read_protocol(tmp_path / "protocol")
    place.unlink()
    with pytest.raises(DataError, match=r"trained_on\.tsv: not there"):
        read_protocol(tmp_path / "protocol")


def test_a_share_of_the_strangers_becomes_distractors(cut: Path) -> None:
    whole = read_ms1m_lt(cut)
    made = read_ms1m_lt(cut, distractors=0.5, probes=0)
    assert list(made.searches) == ["open"]
    strangers, distractors = (set(made.part("open", part).people) for part in ("strangers", "distractors"))
    assert not strangers & distractors
    assert strangers | distractors == set(whole.part("open", "strangers").people)
    assert strangers and distractors


def test_images_that_occur_twice_are_left_out(tmp_path: Path) -> None:
    write_set(tmp_path / "whole", PHOTOS)
    build_longtail(tmp_path / "whole", tmp_path / "lt", RULE, 0, view=True)
    clean = read_ms1m_lt(tmp_path / "lt")
    labels = FaceSet(tmp_path / "whole").labels
    open_mated = [int(key) - 1 for key in clean.part("open", "mated").images]
    person = int(labels[open_mated[0]])
    first = int(np.flatnonzero(labels == person)[0])
    own = [place - first for place in open_mated if labels[place] == person]
    stranger = int(labels[int(clean.part("open", "strangers").images[0]) - 1])
    copies = {(person, number): "the same" for number in own} | {(stranger, 0): "shared"}
    other = int(labels[int(clean.part("open", "calibration").images[0]) - 1])
    copies[other, 0] = "shared"
    write_set(tmp_path / "copies/whole", PHOTOS, copies)
    build_longtail(tmp_path / "copies/whole", tmp_path / "copies/lt", RULE, 0, view=True)
    made = read_ms1m_lt(tmp_path / "copies/lt")
    assert made.choices["several_people"] == 2
    assert made.choices["same_person_twice"] == len(own) - 1
    for part in PARTS:
        assert set(made.part("open", part).images) <= set(clean.part("open", part).images)
    with_them = read_ms1m_lt(tmp_path / "copies/lt", with_hashes=False)
    assert set(with_them.part("open", "mated").sha256) == {""}
    assert len(with_them.part("open", "mated")) == len(clean.part("open", "mated"))


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    write_set(tmp_path / "set", PHOTOS)
    write_set(tmp_path / "other", PHOTOS[::-1])
    with pytest.raises(DataError, match=r"set/manifest\.json: cannot be read .* recordio build-lt"):
        read_ms1m_lt(tmp_path / "set")
    build_longtail(tmp_path / "set", tmp_path / "all", Rule("pareto", images=16, identities=16, alpha=1.0), 0)
    with pytest.raises(DataError, match=r"0 people are left out.*; cut the set anew with fewer --identities"):
        read_ms1m_lt(tmp_path / "all")
    build_longtail(tmp_path / "set", tmp_path / "lt", RULE, 0)
    with pytest.raises(FaceSetError, match="was cut from another set"):
        read_ms1m_lt(tmp_path / "lt", tmp_path / "other")
    with pytest.raises(DataError, match=r"distractors 1\.0 and seed 0 were given"):
        read_ms1m_lt(tmp_path / "lt", distractors=1.0)
    place = tmp_path / "lt/open_probe.lst"
    text = place.read_text()
    for wrong, message in (
        ("nine\t1\tp1/0.png\n", r"open_probe\.lst: line 1: found 'nine.*', expected: key TAB label TAB path"),
        ("999\t1\tp1/0.png\n", "line 1: .* has no image of key 999 and label 1"),
        ("1\t1\tp1/0.png\n", "line 1: .* has no image of key 1 and label 1"),  # it is label 0's
        ("", "list mated: is empty"),
    ):
        place.write_text(wrong)
        with pytest.raises(DataError, match=message):
            read_ms1m_lt(tmp_path / "lt")
    gallery = (tmp_path / "lt/open_gallery.lst").read_text()
    place.write_text(text + gallery.splitlines()[0] + "\n")
    with pytest.raises(DataError, match=f"name the image of key {gallery.split()[0]} in two parts, expected each once"):
        read_ms1m_lt(tmp_path / "lt")
    place.write_text(text)
    calibration = tmp_path / "lt/open_calibration.lst"
    stranger = (tmp_path / "lt/open_stranger.lst").read_text().splitlines(keepends=True)
    (tmp_path / "lt/open_stranger.lst").write_text("".join(stranger[1:]))
    calibration.write_text(calibration.read_text() + stranger[0])
    with pytest.raises(DataError, match="is in calibration and in strangers"):
        read_ms1m_lt(tmp_path / "lt")
