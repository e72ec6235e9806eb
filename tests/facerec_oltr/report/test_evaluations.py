"""The report: figures averaged as said, words that follow the figures, pictures that are there."""

import copy
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from facerec_oltr.errors import DataError
from facerec_oltr.evaluate.searches import FPIR_GRID
from facerec_oltr.report import Picture, read_evaluations, summarise, write_report
from facerec_oltr.report.sentences import verdicts
from facerec_oltr.report.summary import AUROC, RANK_1, calibrated, own_tpir, per_split
from facerec_oltr.report.tables import best_case_cells, difference_cells, markdown_table, users_case_cells
from recordio_tools import FaceSet

Result = dict[str, Any]


def figures(tpir: float, rank_1: float = 0.9) -> dict[str, Any]:
    def calibration(target: float) -> dict[str, Any]:
        rates = {"fpir": target * 2, "tpir": tpir, "fnir": 1 - tpir, "misidentification": 0.02}
        return {"target": target, "threshold": 0.5, "measurable": True, **rates}

    own = [{"target": target, "tpir": tpir - place / 10, "fpir": 0.0} for place, target in enumerate((0.1, 0.01))]
    det = np.linspace(1 - tpir, 0.01, len(FPIR_GRID)).tolist()
    return {
        "rank_1": rank_1,
        "auroc": 0.875,
        "own": own,
        "calibrated": [calibration(0.1), calibration(0.01)],
        "det_fnir": det,
    }


def result(seed: int, floor: list[float], trained: list[float], fingerprint: str = "f" * 64) -> Result:
    """An evaluation of a split whose draws have these TPIRs."""
    photos = {"templates": 12, "mated": 38, "calibration": 50, "strangers": 50}
    example = {"draw": 0, "probe": 1, "best": 0, "score": 0.8123, "threshold": 0.7}
    kinds = ("correct_accept", "correct_reject", "false_accept", "false_reject", "wrong_name")
    examples = {kind: [example] if kind == "correct_accept" else [] for kind in kinds}
    model = {"fingerprint": "a", "dimensions": 2, "size": 8}
    return {
        "format": "facerec evaluation",
        "version": 2,
        "face_set": {"fingerprint": fingerprint, "images": 400, "identities": 40},
        "trained_on": {"identities": 25, "images": 108},
        "open": [{"label": label, "name": f"s{label}", "images": 10} for label in range(15)],
        "protocol": {
            "enrolled": 5, "calibration": 5, "strangers": 5, "templates": [1, 2, 3, 5], "draws": 2, "seed": seed
        },
        "targets": [0.1, 0.01],
        "fpir_grid": list(FPIR_GRID),
        "models": {
            "raw pixels": {"role": "floor", "faces_not_found": 0, **model},
            "oltr (meta)": {"role": "trained", "faces_not_found": 0, **model},
            "dlib": {"role": "ceiling", "faces_not_found": 3, **model},
        },
        "draws": [
            {
                "draw": number,
                "photos": photos,
                "figures": {"raw pixels": figures(low), "oltr (meta)": figures(high), "dlib": figures(0.99, 1.0)},
            }
            for number, (low, high) in enumerate(zip(floor, trained, strict=True))
        ],
        "examples": dict.fromkeys(("raw pixels", "oltr (meta)", "dlib"), examples),
    }  # fmt: skip


AHEAD = [  # by .2, .15 and .1
    result(0, [0.6, 0.7], [0.8, 0.9]), result(1, [0.5, 0.7], [0.7, 0.8]), result(2, [0.5, 0.6], [0.6, 0.7])
]  # fmt: skip
BEHIND = [result(0, [0.8], [0.6]), result(1, [0.7], [0.5]), result(2, [0.7], [0.6])]
MIXED = [result(0, [0.6], [0.8]), result(1, [0.7], [0.7]), result(2, [0.7], [0.9])]  # by .2, 0 and .2


def test_draws_are_averaged_in_a_split_and_the_spread_is_over_splits() -> None:
    assert per_split(AHEAD, "oltr (meta)", own_tpir(0)) == pytest.approx([0.85, 0.75, 0.65])
    _, trained, ceiling = summarise(AHEAD).models
    value = trained.figures[own_tpir(0)]
    assert (value.mean, value.sd, value.splits) == pytest.approx((0.75, 0.1, 3))
    assert trained.figures[own_tpir(1)].mean == pytest.approx(0.65)
    assert trained.figures[calibrated(0, "fpir")].mean == pytest.approx(0.2)
    assert trained.high_fpir == pytest.approx((0.2, 0.02))
    assert ceiling.figures[RANK_1].mean == 1 and ceiling.figures[AUROC].sd == 0
    paired = trained.against_floor[own_tpir(0)]
    assert (paired.difference.mean, paired.difference.sd) == pytest.approx((0.15, 0.05))
    assert (paired.ahead, paired.behind) == (3, 0)
    assert trained.against_floor[RANK_1].ahead == trained.against_floor[RANK_1].behind == 0
    # the DET starts at 1 - TPIR: .15, .25 and .35 in the splits
    assert (trained.det.low[0], trained.det.mean[0], trained.det.high[0]) == pytest.approx((0.15, 0.25, 0.35))


def test_a_target_below_one_photo_is_called_unmeasurable() -> None:
    assert summarise(AHEAD).unmeasurable == (0.01,)
    enough = copy.deepcopy(AHEAD)
    for one in enough:
        for draw in one["draws"]:
            draw["photos"]["strangers"] = 100
    assert summarise(enough).unmeasurable == ()


@pytest.mark.parametrize(
    ("results", "words"),
    [
        (AHEAD, "**oltr (meta) is clearly above raw pixels** in TPIR at FPIR 0.1: 75.0 % ± 10.0 against 60.0 % ± 5.0"),
        (BEHIND, "**oltr (meta) is clearly below raw pixels** in TPIR at FPIR 0.1: 56.7 %"),
        (MIXED, "**oltr (meta) is not clearly above raw pixels** in TPIR at FPIR 0.1: 80.0 %"),
        (
            AHEAD[:1],
            "**In 1 split, oltr (meta) is above raw pixels** in TPIR at FPIR 0.1: 85.0 % against 65.0 %",
        ),
        (AHEAD[:2], "**In 2 splits, oltr (meta) is above raw pixels**"),
        (BEHIND[:1], "**In 1 split, oltr (meta) is not above raw pixels**"),
    ],
)
def test_the_sentence_follows_the_numbers(results: list[Result], words: str) -> None:
    (sentence,) = verdicts(summarise(results))
    assert sentence.startswith(words)


def test_ahead_in_every_split_by_less_than_the_spread_is_not_clear() -> None:
    # ahead by .01, .01 and .3: mean .107, sd .167
    wide = [result(0, [0.6], [0.61]), result(1, [0.6], [0.61]), result(2, [0.6], [0.9])]
    (sentence,) = verdicts(summarise(wide))
    assert "is not clearly above raw pixels" in sentence and "ahead in 3 of 3 splits. That can be chance." in sentence
    assert "not clearly above in rank-1, AUROC" in sentence


def test_tables_hold_the_numbers() -> None:
    summary = summarise(AHEAD)
    assert best_case_cells(summary)[2] == [
        "oltr (meta)",
        "90.0 % ± 0.0",
        "0.875 ± 0.000",
        "75.0 % ± 10.0",
        "65.0 % ± 10.0",
    ]
    assert users_case_cells(summary)[2][:5] == ["oltr (meta)", "10 %", "20.0 % ± 0.0", "20 %", "75.0 % ± 10.0"]
    assert difference_cells(summary)[1] == [
        "oltr (meta)", "+0.0 ± 0.0 (0/3)", "+0.000 ± 0.000 (0/3)", "+15.0 ± 5.0 (3/3)", "+15.0 ± 5.0 (3/3)"
    ]  # fmt: skip
    assert markdown_table([["a", "b"], ["1", "2"]]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"
    assert best_case_cells(summarise(AHEAD[:1]))[2][3] == "85.0 %"  # no spread of one split


def test_the_report_is_written_with_its_pictures(face_set: Path, tmp_path: Path) -> None:
    faces = FaceSet(face_set)
    results = [result(seed, [0.6, 0.7], [0.8, 0.9], faces.fingerprint) for seed in (0, 1)]
    extra = tmp_path / "tail.png"
    extra.write_bytes(cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes())
    files = write_report(
        results,
        tmp_path / "made" / "report.md",
        faces=faces,
        pictures=[Picture(extra, "Images per identity.")],
        facts=["Training took 41 seconds."],
        credits=["Photos: AT&T Laboratories Cambridge."],
    )
    names = ["report.md", "report-1-tail.png", "report-det.png", "report-examples.png"]
    assert [file.name for file in files] == names
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == sorted(names)
    text = files[0].read_text()
    for words in (
        "| oltr (meta) | 90.0 % ± 0.0 | 0.875 ± 0.000 | 85.0 % ± 0.0 | 75.0 % ± 0.0 |",
        "400 photos of 40 people are few",
        "a network learns from 108 photos of 25 people and is measured on 15 others",
        "25 people are very few to learn from",
        "found no face in 6 of 300 photos",
        "*no false alarm among these*",
        "- Training took 41 seconds.",
        "- Photos: AT&T Laboratories Cambridge.",
        "recordio build-lt /data/ms1m",
        *(f"]({name})" for name in names[1:]),
    ):
        assert words in text
    for file in files[1:]:
        assert cv2.imread(str(file)) is not None
    assert str(tmp_path) not in text
    again = write_report(results, tmp_path / "again" / "report.md", faces=faces)
    assert again[1].read_bytes() == files[2].read_bytes()  # the same numbers give the same picture


def test_evaluations_that_do_not_belong_together_are_refused(face_set: Path, tmp_path: Path) -> None:
    def saved(name: str, **changes: Any) -> Path:
        path = tmp_path / name
        path.write_text(json.dumps({**AHEAD[0], **changes}))
        return path

    good = saved("good.json")
    assert len(read_evaluations([good, saved("next.json", protocol={**AHEAD[0]["protocol"], "seed": 9})])) == 2
    fewer = {name: facts for name, facts in AHEAD[0]["models"].items() if name != "dlib"}
    for name, changes, message in (
        ("twin.json", {}, "the same evaluation as"),
        ("set.json", {"face_set": {"fingerprint": "g"}}, "differs from .* in face_set"),
        ("protocol.json", {"protocol": {**AHEAD[0]["protocol"], "enrolled": 4}}, "in its protocol"),
        ("models.json", {"models": fewer}, "has the models raw pixels, oltr .meta., but .* has"),
        ("old.json", {"version": 0}, "version 0, expected 2"),
        ("other.json", {"format": "x"}, "is not an evaluation"),
    ):
        with pytest.raises(DataError, match=message):
            read_evaluations([good, saved(name, **changes)])
    with pytest.raises(DataError, match="no evaluation was given"):
        read_evaluations([])
    with pytest.raises(DataError, match="cannot be read"):
        read_evaluations([tmp_path / "none.json"])
    own = [result(0, [0.6], [0.8], FaceSet(face_set).fingerprint)]
    with pytest.raises(DataError, match="is a folder"):
        write_report(AHEAD, tmp_path)
    with pytest.raises(DataError, match="another face set than was evaluated"):
        write_report(AHEAD, tmp_path / "report.md", faces=FaceSet(face_set))
    with pytest.raises(DataError, match="no model 'plain' was evaluated, only raw pixels, oltr"):
        write_report(own, tmp_path / "report.md", faces=FaceSet(face_set), examples_of="plain")
    assert not (tmp_path / "report.md").exists()
