"""Pairs drawn from a set: what each must be is asked of all of them; few enough are counted by hand."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recordio_tools import FaceSet
from recordio_tools.build import build_longtail
from recordio_tools.errors import FaceSetError, PlanError, SourceError
from recordio_tools.longtail import Rule
from recordio_tools.pair_draw import PairRule, draw_pack, draw_pairs
from recordio_tools.pairs import open_pack
from recordio_tools.set_writer import SetWriter

Run = Callable[..., Any]
PHOTOS = [9, 1, 4, 2, 2, 3, 1, 40, 2, 5, 3, 2, 1, 6]
LABELS = np.repeat(np.arange(len(PHOTOS)), PHOTOS)
EVERYBODY = np.arange(len(PHOTOS))


def write_set(folder: Path, photos: list[int]) -> Path:
    """A set whose images are the words "person/number", each its own."""
    folder.mkdir()
    with SetWriter(folder, 4, 4) as faces:
        for label, count in enumerate(photos):
            for number in range(count):
                faces.add(label, f"{label}/{number}".encode(), f"p{label}/{number}.png")
    return folder


@pytest.mark.parametrize("seed", range(5))
def test_what_the_rule_promises(seed: int) -> None:
    rule = PairRule(folds=3, each=4, most=2, seed=seed)
    pairs, same = draw_pairs(LABELS, EVERYBODY, rule)
    owners = LABELS[pairs]
    assert same.tolist() == ([True] * 4 + [False] * 4) * 3
    assert ((owners[:, 0] == owners[:, 1]) == same).all()
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert len({tuple(sorted(pair)) for pair in pairs.tolist()}) == len(pairs)
    people = [set(fold.ravel().tolist()) for fold in np.split(owners, 3)]
    assert not (people[0] & people[1] or people[0] & people[2] or people[1] & people[2])
    assert max(Counter(owners[same][:, 0].tolist()).values()) <= 2  # person 7 has 780 pairs of photos


def test_one_fold_of_all_the_pairs_there_are() -> None:
    labels = np.repeat([0, 1, 2], [3, 2, 1])  # 3 + 1 pairs of one person
    pairs, same = draw_pairs(labels, np.arange(3), PairRule(folds=1, each=4))
    assert {tuple(sorted(pair)) for pair in pairs[same].tolist()} == {(0, 1), (0, 2), (1, 2), (3, 4)}


def test_labels_in_any_order_and_people_who_may_not_be_drawn() -> None:
    rng = np.random.default_rng(0)
    labels, people = rng.permutation(LABELS), np.array([0, 3, 4, 7, 9])
    pairs, same = draw_pairs(labels, people, PairRule(folds=2, each=2))
    assert set(labels[pairs].ravel().tolist()) <= set(people.tolist())
    assert ((labels[pairs][:, 0] == labels[pairs][:, 1]) == same).all()


def test_the_seed_decides() -> None:
    drawn = [draw_pairs(LABELS, EVERYBODY, PairRule(2, 5, 3, seed))[0].tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("labels", "rule", "said"),
    [
        ([0, 0, 1, 1, 2], PairRule(folds=3, each=1), "found 3 people, 2 of them with two photos or more, expected 6"),
        ([0, 0, 1, 1], PairRule(folds=1, each=3), "fold 0 of 1 has 2 pairs of one person's photos to draw from, expec"),
        ([0] * 9 + [1], PairRule(folds=1, each=6), "fold 0 has 9 pairs of two people's photos, expected 12 to draw 6"),
    ],
)
def test_too_few_to_draw_from(labels: list[int], rule: PairRule, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        draw_pairs(np.array(labels), np.unique(labels), rule)


@pytest.mark.parametrize("wrong", [{"folds": 0}, {"each": -1}, {"most": 0}, {"seed": -1}])
def test_numbers_that_make_no_sense(wrong: dict[str, int]) -> None:
    with pytest.raises(PlanError, match="was given, expected"):
        PairRule(**wrong)


def test_a_pack_of_those_left_out_holds_their_bytes_and_nobody_elses(recordio: Run, tmp_path: Path) -> None:
    source = write_set(tmp_path / "set", PHOTOS)
    cut = build_longtail(source, tmp_path / "cut", Rule("exponential", images=6, identities=5, imbalance=2), 0)
    left_out = {person["source_label"] for person in cut["open"]}
    words = ("--open", tmp_path / "cut/manifest.json", "--folds", 2, "--each", 3)
    done = recordio("pairs", "draw", source, tmp_path / "pack", *words)
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith(f"{tmp_path / 'pack'}: 12 pairs (6 of the same person) of ")
    pack = open_pack(tmp_path / "pack")
    owners = np.array([[int(pack.images[k].split(b"/")[0]) for k in pair] for pair in pack.pairs.tolist()])
    assert set(owners.ravel().tolist()) <= left_out
    assert ((owners[:, 0] == owners[:, 1]) == pack.same).all()
    said = json.loads((tmp_path / "pack/manifest.json").read_text())["source"]
    assert said["fingerprint"] == FaceSet(source).fingerprint
    assert said["people"] == len(left_out) == 9
    again = draw_pack(source, tmp_path / "again", PairRule(2, 3), left_out_by=tmp_path / "cut/manifest.json")
    assert again.fingerprint() == pack.fingerprint()
    assert (tmp_path / "again/pairs.rec").read_bytes() == (tmp_path / "pack/pairs.rec").read_bytes()


def test_what_is_no_manifest_of_this_set(tmp_path: Path, recordio: Run) -> None:
    source, other = write_set(tmp_path / "set", PHOTOS), write_set(tmp_path / "other", PHOTOS[1:])
    build_longtail(other, tmp_path / "cut", Rule("exponential", images=6, identities=5, imbalance=2), 0)
    (tmp_path / "list.json").write_text("[]")
    for manifest, error, said in (
        (tmp_path / "cut/manifest.json", FaceSetError, "was cut from another set"),
        (tmp_path / "list.json", FaceSetError, "is not a manifest of: recordio build-lt"),
        (tmp_path / "none.json", SourceError, "cannot be read"),
    ):
        with pytest.raises(error, match=said):
            draw_pack(source, tmp_path / "pack", PairRule(2, 3), left_out_by=manifest)
        assert not (tmp_path / "pack").exists()
    done = recordio("pairs", "draw", source, tmp_path / "pack", "--each", 300)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: found 14 people, 11 of them with two photos or more, expected 20 and 10")
    assert len(done.err.splitlines()) == 1
