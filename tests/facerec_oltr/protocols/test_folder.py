"""Folders by round trip, by hand, and by everything that can be wrong with them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerec_oltr.errors import DataError
from facerec_oltr.protocols import PairSet, Protocol, SearchSet, TemplateList, read_protocol, write_protocol
from facerec_oltr.protocols.folder import fingerprint
from recordio_tools.errors import SourceError

from .conftest import SOURCE, lists, protocol

TEXT = st.text(
    st.characters(exclude_characters="\t\n\r", exclude_categories=["Cs"]) | st.sampled_from(["\udc80", "\udcff"]),
    min_size=1,
    max_size=12,
).filter(lambda text: text not in ("", "-"))


def same_list(one: TemplateList, other: TemplateList) -> bool:
    columns = ("names", "people", "images", "sha256")
    return all(getattr(one, column) == getattr(other, column) for column in columns) and all(
        np.array_equal(getattr(one, column), getattr(other, column)) for column in ("media", "starts")
    )


def same_protocol(one: Protocol, other: Protocol) -> bool:
    plain = ("name", "source", "searches", "training_images", "made_by", "seed", "choices")
    pairs = ("first", "second", "same", "folds")
    return (
        all(getattr(one, name) == getattr(other, name) for name in plain)
        and one.lists.keys() == other.lists.keys()
        and all(same_list(one.lists[name], other.lists[name]) for name in one.lists)
        and one.pairs.keys() == other.pairs.keys()
        and all(
            one.pairs[name].lists == other.pairs[name].lists
            and all(np.array_equal(getattr(one.pairs[name], c), getattr(other.pairs[name], c)) for c in pairs)
            for name in one.pairs
        )
    )


@st.composite
def template_lists(draw: st.DrawFn, prefix: str) -> TemplateList:
    """Templates of several media of several images, with any names."""
    names = draw(st.lists(TEXT, min_size=2, max_size=5, unique=True))
    images, media, starts = [], [], [0]
    for name in names:
        for number, frames in enumerate(draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))):
            images += [f"{prefix}{name}/{number}/{frame}" for frame in range(frames)]
            media += [number] * frames
        starts.append(len(images))
    hashes = tuple(f"{hash((prefix, image)) % 2**256:064x}" if draw(st.booleans()) else "" for image in images)
    return TemplateList(
        tuple(prefix + name for name in names),
        tuple(f"person {name}" for name in names),
        tuple(images),
        hashes,
        np.array(media),
        np.array(starts),
    )


@settings(max_examples=25, deadline=None)
@given(gallery=template_lists("g"), others=template_lists("o"), data=st.data())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, gallery: TemplateList, others: TemplateList, data: st.DataObject
) -> None:
    out = tmp_path_factory.mktemp("protocol") / "out"
    mates = replace(
        gallery, names=tuple("m" + name for name in gallery.names), images=tuple("m" + i for i in gallery.images)
    )
    mates = replace(mates, sha256=("",) * len(mates.images))
    apart = replace(others, people=tuple("other " + person for person in others.people))
    T = len(gallery) + len(mates)
    pairs = PairSet(
        ("gallery", "mates"),
        np.array([0, 0]),
        np.array([len(gallery), T - 1]),
        np.array([True, False]),
        np.array(data.draw(st.sampled_from([[0, 0], [0, 1]]))),
    )
    made = Protocol(
        data.draw(TEXT),
        SOURCE,
        {"gallery": gallery, "mates": mates, "apart": apart},
        {"s": SearchSet(("gallery",), ("mates",), ("apart",))},
        {"p": pairs},
        data.draw(st.dictionaries(TEXT, st.integers(1, 10**9), max_size=4)),
        "a test",
        data.draw(st.none() | st.integers(0, 9)),
        {"rule": [1, 2], "share": 0.5},
    )
    write_protocol(made, out)
    found = read_protocol(out)
    assert same_protocol(found, made)
    assert fingerprint(found) == json.loads((out / "manifest.json").read_text())["fingerprint"]
    for path in out.glob("*.tsv"):
        assert path.read_bytes().endswith(b"\n") and b"\n\n" not in path.read_bytes()


def test_the_same_protocol_is_the_same_bytes_and_any_change_is_another_fingerprint(tmp_path: Path) -> None:
    for name in "ab":
        write_protocol(protocol(), tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    less = protocol(lists(strangers=["cem/1"]))
    swapped = protocol(
        searches={"open": SearchSet(("gallery",), ("mated",), ("calibration", "strangers"), (), ("distractors",))}
    )
    elsewhere = protocol(source=replace(SOURCE, fingerprint="cd" * 32))
    made = [fingerprint(one) for one in (protocol(), less, swapped, elsewhere, protocol(seed=3, name="other"))]
    assert len(set(made)) == 4
    assert made[0] == made[4]  # who drew it, and how, are not what it is


def test_a_protocol_written_by_hand_is_read(by_hand: Path) -> None:
    found = read_protocol(by_hand)
    gallery = found.part("open", "gallery")
    assert (gallery.names, gallery.people, gallery.images) == (("t1",), ("ann",), ("ann/0.png", "ann/1.png"))
    assert (gallery.media.tolist(), gallery.starts.tolist(), gallery.sha256) == ([0, 1], [0, 2], ("", ""))
    assert len(found.part("open", "calibration")) == 0
    assert found.seed is None


def test_parts_of_several_lists_are_one_after_another() -> None:
    found = protocol(
        searches={"both": SearchSet(("gallery",), ("mated",), ("strangers", "calibration"), (), ("distractors",))}
    )
    assert found.part("both", "strangers").names == ("cem/0", "dia/0", "dia/1")
    joined = found.joined(("mated", "gallery"))
    assert joined.take([4, 0]).images == ("bob/0", "ann/2")


@pytest.mark.parametrize(
    ("name", "old", "new", "parts"),
    [
        ("mated.tsv", "ann/2.png", "ann/9.png\tmore", ["mated.tsv: line 2", "expected 5 fields"]),
        ("mated.tsv", "p1\tann\t0", "p1\tann\tx", ["mated.tsv: line 2", "found the medium 'x'"]),
        ("mated.tsv", "medium", "media", ["mated.tsv: line 1", "expected 'template TAB person TAB medium"]),
        ("mated.tsv", "p1\tann\t0\tann/2.png\t-\n", "", ["mated.tsv: is empty"]),
        ("mated.tsv", "p1\tann", "p1\tzoe", ["'zoe' is searched as mated but is not in the gallery"]),
        ("mated.tsv", "ann/2.png\t-", "ann/2.png\tabc", ["found the hash 'abc', expected 64 hexadecimal digits"]),
        ("mated.tsv", "ann/2.png", "ann/0.png", ["image 'ann/0.png' is enrolled and is searched in mated too"]),
        ("strangers.tsv", "bob", "ann", ["'ann' is in strangers and in gallery", "different people"]),
        ("strangers.tsv", "p2\tbob", "p2\t-", ["template 'p2' of strangers says no person"]),
        ("strangers.tsv", "bob/0.png", "ann/2.png", ["image 'ann/2.png' is of 'bob', but of 'ann' in list mated"]),
        ("gallery.tsv", "t1\tann\t1", "t1\tbob\t1", ["gallery.tsv: line 3", "template 't1' is of 'bob', but of 'ann'"]),
        ("gallery.tsv", "t1\tann\t1", "t1\tann\t2", ["template 't1': expected its media numbered 0, 1, 2"]),
        ("gallery.tsv", "ann/1.png", "ann/0.png", ["template 't1' has image 'ann/0.png' twice"]),
        ("manifest.json", '"version": 1', '"version": 2', ["version 2, expected 'facerec protocol', 1"]),
        ("manifest.json", '"facerec protocol"', '"another"', ["found format 'another'"]),
        ("manifest.json", "{", "[", ["is no manifest of a protocol"]),
        ("manifest.json", '"kind": "folder"', '"kind": "cloud"', ["expected name, source (kind"]),
        ("manifest.json", '"mated": [', '"mates": [', ["with the parts gallery, mated, strangers"]),
        ("manifest.json", '"lists": [\n    "gallery"', '"lists": [\n    "../gallery"', ["names the list '../gallery'"]),
        ("manifest.json", '"strangers": [\n', '"strangers": [ "nobody",\n', ["a set names the list 'nobody'"]),
        ("manifest.json", '"strangers": [\n', '"calibration": [\n', ["'bob'"]),
        ("manifest.json", '"strangers": [\n', '"distractors": [\n', []),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(by_hand: Path, name: str, old: str, new: str, parts: list[str]) -> None:
    text = (by_hand / name).read_text()
    assert old in text
    (by_hand / name).write_text(text.replace(old, new, 1))
    if not parts or parts == ["'bob'"]:  # who is no stranger may choose the threshold, or be a distractor
        assert read_protocol(by_hand).searches["open"].strangers == ()
        return
    with pytest.raises(DataError) as error:
        read_protocol(by_hand)
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


def test_a_missing_folder_or_list_is_said(by_hand: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere/manifest\.json: cannot be read"):
        read_protocol(by_hand / "nowhere")
    (by_hand / "strangers.tsv").unlink()
    with pytest.raises(DataError, match=r"strangers\.tsv: not there, but manifest\.json names it"):
        read_protocol(by_hand)


def test_a_list_changed_after_it_was_written_is_noticed(tmp_path: Path) -> None:
    write_protocol(protocol(training_images={"ann": 3}), tmp_path / "p")
    text = (tmp_path / "p/strangers.tsv").read_text()
    (tmp_path / "p/strangers.tsv").write_text(text.replace("cem", "cim"))
    with pytest.raises(DataError, match=r"says fingerprint '[0-9a-f]{12}', but the lists give"):
        read_protocol(tmp_path / "p")
    (tmp_path / "p/strangers.tsv").write_text(text + text.splitlines()[1].replace("/0", "/1")[:-64] + "-\n")
    with pytest.raises(DataError, match="says 1 templates in strangers, but there are 2"):
        read_protocol(tmp_path / "p")
    (tmp_path / "p/strangers.tsv").write_text(text)
    assert read_protocol(tmp_path / "p").training_images == {"ann": 3}
    (tmp_path / "p/training.tsv").write_text("person\timages\nann\t3\nbob\t1\n")
    with pytest.raises(DataError, match="says 1 people in training, but there are 2"):
        read_protocol(tmp_path / "p")


def test_a_folder_is_replaced_only_if_it_holds_a_protocol(tmp_path: Path) -> None:
    write_protocol(protocol(), tmp_path / "p")
    before = (tmp_path / "p/manifest.json").read_bytes()
    with pytest.raises(DataError, match="already holds a protocol; replace it with --force"):
        write_protocol(protocol(seed=1), tmp_path / "p")
    assert (tmp_path / "p/manifest.json").read_bytes() == before
    smaller = lists()
    del smaller["distractors"]
    write_protocol(protocol(smaller), tmp_path / "p", force=True)
    assert not (tmp_path / "p/distractors.tsv").exists()
    (tmp_path / "p/notes.txt").write_text("mine")
    with pytest.raises(SourceError, match=r"holds 'notes\.txt', which this tool did not write"):
        write_protocol(protocol(), tmp_path / "p", force=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/gallery.tsv").write_text("mine")
    with pytest.raises(SourceError, match="did not write"):
        write_protocol(protocol(), tmp_path / "other", force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "p"]


def test_a_wrong_protocol_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'ann' is in strangers and in gallery"):
        write_protocol(protocol(lists(strangers=["ann/7"])), tmp_path / "p")
    assert not list(tmp_path.iterdir())


def test_a_protocol_that_fails_on_the_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("facerec_oltr.protocols.folder.write_manifest", full)
    with pytest.raises(OSError, match="No space"):
        write_protocol(protocol(), tmp_path / "deep/p")
    assert not list(tmp_path.iterdir())


def test_pairs_name_templates_of_their_lists(tmp_path: Path) -> None:
    pairs = PairSet(("gallery", "mated"), np.array([0, 0]), np.array([3, 4]), np.array([True, False]), np.array([0, 0]))
    write_protocol(protocol(pairs={"p": pairs}), tmp_path / "p")
    place = tmp_path / "p/p.pairs.tsv"
    text = place.read_text()
    assert text.splitlines() == ["fold\tfirst\tsecond\tsame", "0\tann/0\tann/2\t1", "0\tann/0\tbob/1\t0"]
    for old, new, message in (
        ("ann/2", "cem/0", r"line 2: names the template 'cem/0', which is in none of gallery, mated"),
        ("\t1\n", "\tyes\n", r"line 2: found fold '0' and same 'yes'"),
        ("\t1\n", "\t0\n", r"0 pairs of the same person and 2 of two"),
        ("bob/1", "ann/1", r"pair 2 \('ann/0', 'ann/1'\): is marked as two people, but both are of one"),
        ("ann/2\t1", "ann/0\t1", r"pair 1 \('ann/0', 'ann/0'\): compares a template with itself"),
        ("0\tann/0\tbob", "2\tann/0\tbob", r"pair 2 .*: expected folds numbered 0, 1, 2"),
    ):
        place.write_text(text.replace(old, new))
        with pytest.raises(DataError, match=message):
            read_protocol(tmp_path / "p")
