"""The rule on people counted by hand; LFW itself is measured outside the tests."""

from pathlib import Path

import numpy as np
import pytest

from facerec_oltr.errors import DataError
from facerec_oltr.protocols.lfw_gb import draw_lfw_gb
from facerec_oltr.protocols.photos import Photos
from facerec_oltr.protocols.records import Source
from facerec_oltr.protocols.summary import summarise

COUNTS = {"ann": 7, "bob": 4, "cem": 3, "dia": 2, "eve": 2, "fay": 3, "gus": 1, "hal": 1, "ida": 1}


def photos(counts: dict[str, int]) -> Photos:
    keys = [f"{name}/{name}_{number:04}.jpg" for name, count in counts.items() for number in range(1, count + 1)]
    owners = np.repeat(np.arange(len(counts)), list(counts.values()))
    source = Source("folder", "ab" * 32, len(keys), len(counts))
    return Photos(source, tuple(keys), owners, tuple(counts), tuple(f"{place:064x}" for place in range(len(keys))))


PHOTOS = photos(COUNTS)


def sizes(variant: str) -> dict[str, dict[str, list[int]]]:
    made = draw_lfw_gb(PHOTOS, variant=variant, any_people=True)  # pyright: ignore[reportArgumentType]
    parts = ("gallery", "mated", "strangers", "calibration", "distractors")
    found = summarise(made)["search_sets"]
    return {
        name: {
            part: [searches[part]["people"], searches[part]["templates"]] for part in parts if searches[part]["people"]
        }
        for name, searches in found.items()
    }


def test_as_published() -> None:
    enrolled = {"gallery": [2, 6], "mated": [2, 5]}  # 3 of 7 and 3 of 4 photos
    assert sizes("as_published") == {
        "C": enrolled,
        "O1": enrolled | {"strangers": [4, 10]},  # 3 + 2 + 2 + 3 photos
        "O2": enrolled | {"strangers": [3, 3]},
        "O3": enrolled | {"strangers": [7, 13]},
    }


def test_held_out() -> None:
    found = sizes("held_out")
    assert {name: parts["calibration"][0] for name, parts in found.items()} == dict.fromkeys(("C", "O1", "O2", "O3"), 2)
    assert found["O1"]["strangers"][0] == 2
    assert found["O1"]["strangers"][1] + found["O1"]["calibration"][1] == 10
    assert found["O2"]["strangers"] == [3, 3]
    assert "strangers" not in found["C"]


def test_what_a_seed_decides() -> None:
    def drawn(seed: int, variant: str = "held_out") -> tuple[tuple[str, ...], tuple[str, ...]]:
        made = draw_lfw_gb(PHOTOS, variant=variant, seed=seed, any_people=True)  # pyright: ignore[reportArgumentType]
        return made.lists["gallery"].images, made.part("O1", "calibration").people

    assert drawn(1) == drawn(1)
    assert len({drawn(seed)[0] for seed in range(20)}) > 10
    assert len({frozenset(drawn(seed)[1]) for seed in range(20)}) == 6  # pairs of four
    assert drawn(3)[0] == drawn(3, "as_published")[0]  # the variants enrol the same photos


def test_people_who_are_not_lfws_are_refused() -> None:
    with pytest.raises(
        DataError, match="found 2 known, 4 known unknown, 3 unknown unknown people, expected 610 known, "
    ):
        draw_lfw_gb(PHOTOS)
    with pytest.raises(DataError, match="the variant 'mine' is unknown, expected one of: as_published, held_out"):
        draw_lfw_gb(PHOTOS, variant="mine", any_people=True)  # pyright: ignore[reportArgumentType]
    with pytest.raises(DataError, match="found 0 unknown unknown people, expected 1 or more"):
        draw_lfw_gb(photos({"ann": 5, "bob": 2, "cem": 2}), any_people=True)


def test_photos_are_enrolled_as_a_list_says(tmp_path: Path) -> None:
    place = tmp_path / "enrolled.txt"
    lines = ["ann/ann_0007.jpg\tand a note", "ann/ann_0002", "ann/ann_0001.jpg", "", "bob/bob_0004", "bob/bob_0001"]
    place.write_text("\n".join([*lines, "bob/bob_0002"]))
    made = draw_lfw_gb(PHOTOS, enrolled_list=place, any_people=True)
    expected = [f"ann/ann_000{n}.jpg" for n in (1, 2, 7)] + [f"bob/bob_000{n}.jpg" for n in (1, 2, 4)]
    assert made.lists["gallery"].images == tuple(expected)
    for last, message in (
        ("", "names 2 photos of 'bob', expected 3"),
        ("bob/bob_0009", r"line 7: found 'bob/bob_0009', which is no photo of the folder"),
        ("bob/bob_0004.jpg", "line 7: names what line 5 names, expected each once"),
        ("bob/bob_0002\ncem/cem_0001", "names 1 photos of 'cem', expected none, as there are fewer than 4 photos"),
    ):
        place.write_text("\n".join([*lines, last]))
        with pytest.raises(DataError, match=message):
            draw_lfw_gb(PHOTOS, enrolled_list=place, any_people=True)
    with pytest.raises(DataError, match="nowhere: cannot be read"):
        draw_lfw_gb(PHOTOS, enrolled_list=tmp_path / "nowhere", any_people=True)
