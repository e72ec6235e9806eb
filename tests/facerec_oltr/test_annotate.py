"""Boxes and names on pictures: where they stand, in which colours, and that nothing else changes."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerec_oltr.annotate import annotate, label_place, words_of, write_annotated
from facerec_oltr.identify import Decision
from facerec_oltr.threshold_rule import Rule

RULE = Rule(0.5, None, stale=False, cautions=())
GREEN, AMBER = (0, 200, 80), (255, 190, 0)


def decided(box, decision: Any = "accepted", identity: str | None = "ann", score: float | None = 0.71):
    return Decision(Path("p.png"), decision, identity, score, None, None, RULE, face=1, box=box)


@pytest.fixture
def picture():
    return np.full((200, 300, 3), 90, np.uint8)


def test_a_box_and_a_label_and_nothing_else(picture):
    before = picture.copy()
    drawn = annotate(picture, [decided((100, 80, 160, 150))])
    assert np.array_equal(picture, before)
    assert drawn.shape == picture.shape
    for x, y in ((100, 100), (160, 100), (130, 80), (130, 150)):  # the four sides
        assert tuple(drawn[y, x]) == GREEN
    assert tuple(drawn[110, 130]) == (90, 90, 90)  # inside the box the face is left as it is
    changed = np.argwhere((drawn != before).any(axis=2))
    assert changed[:, 0].min() > 50  # the label stands right above the box
    assert changed[:, 1].max() < 200
    assert (drawn[60:80, 100:160] == (0, 0, 0)).all(axis=2).any()  # words


def test_unknown_faces_have_another_colour_and_no_name(picture):
    one = decided((100, 80, 160, 150), "unknown", "ann", 0.2)
    assert tuple(annotate(picture, [one])[100, 100]) == AMBER
    assert words_of(one) == "unknown 0.20"
    assert words_of(decided((0, 0, 1, 1))) == "ann 0.71"
    assert words_of(decided((0, 0, 1, 1), "unknown", None, None)) == "unknown"


@pytest.mark.parametrize("box", [(-20, -10, 30, 40), (280, 190, 340, 230), (0, 0, 299, 199), (-50, -50, -10, -10)])
def test_boxes_over_the_edge(picture, box):
    drawn = annotate(picture, [decided(box)])
    assert drawn.shape == picture.shape
    assert (drawn != picture).any()


def overlap(one, other):
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(-20, 300), st.integers(-20, 200)), min_size=1, max_size=6))
def test_labels_are_apart_where_there_is_room(corners):
    """Six labels of 60 × 15 are never so many that a picture of 300 × 200 has no room for one more."""
    placed = []
    for x, y in corners:
        box = (float(x), float(y), x + 40.0, y + 40.0)
        label = label_place(box, (60, 15), (300, 200), placed)
        assert label[2] - label[0] == 60
        assert label[3] - label[1] == 15
        assert label[0] >= 0
        assert label[1] >= 0
        assert label[2] <= 300
        assert label[3] <= 200
        assert not any(overlap(label, other) for other in placed)
        placed.append(label)


def test_a_label_goes_above_else_below():
    first = label_place((100, 80, 160, 150), (90, 15), (300, 200), [])
    assert first == (100, 65, 190, 80)
    second = label_place((165, 82, 225, 150), (90, 15), (300, 200), [first])
    assert second == (165, 151, 255, 166)
    assert label_place((10, 2, 50, 30), (90, 15), (300, 200), []) == (10, 31, 100, 46)
    full = [(0.0, 0.0, 300.0, 200.0)]
    assert label_place((100, 80, 160, 150), (90, 15), (300, 200), full) == (100, 65, 190, 80)
    assert label_place((2, 2, 9, 9), (90, 15), (12, 12), []) == (0, 0, 90, 15)


def test_faces_without_a_box_change_nothing(picture):
    assert np.array_equal(annotate(picture, [decided(None, "no face", None, None)]), picture)


def test_any_script_and_small_pictures():
    tiny = np.zeros((12, 12, 3), np.uint8)
    assert annotate(tiny, [decided((2, 2, 9, 9), identity="Zoë Ωμέγα Жук")]).shape == (12, 12, 3)


def test_the_file_holds_the_picture(picture, tmp_path):
    write_annotated(picture, [decided((100, 80, 160, 150))], tmp_path / "out/p.png")
    read = cv2.imread(str(tmp_path / "out/p.png"))
    assert read is not None
    assert tuple(read[100, 100]) == GREEN[::-1]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["p.png"]
