"""The evaluation against figures worked out by hand and against a slow loop over single searches."""

import json
from pathlib import Path

import numpy as np
import pytest

from facerec_oltr.errors import DataError
from facerec_oltr.evaluate import OpenPeople, evaluate, write_evaluation
from facerec_oltr.evaluate.examples import example_decisions
from facerec_oltr.evaluate.searches import FPIR_GRID, measure, score
from facerec_oltr.faces.raw_pixels import RawPixels
from facerec_oltr.protocols.draw import Dealt, OpenSetRule, deal_often
from recordio_tools import FaceSet
from recordio_tools.build import build_longtail
from recordio_tools.longtail import Rule
from recordio_tools.packing import pack_folder

from .conftest import write_people

# A gallery of two people along the axes, so that a photo's similarity to A is its first number and to B its second.
# A: template 0, probes 2 3 4; B: template 1, probe 5; strangers 6 to 9; calibration 10 to 13.
VECTORS = np.array(
    [
        [1, 0],
        [0, 1],
        [0.9, 0.1],  # found, score 0.9
        [0.5, 0.2],  # found, score 0.5
        [0.3, 0.6],  # A's photo more like B: confused at 0.6
        [0.2, 0.8],  # found, score 0.8
        [0.7, 0.1],
        [0.1, 0.4],
        [0.2, 0.1],
        [0.1, 0.1],
        [0.55, 0.1],
        [0.3, 0.1],
        [0.2, 0.1],
        [0.1, 0.1],
    ],
    np.float32,
)
PEOPLE = np.array([0, 1, 0, 0, 0, 1, 2, 2, 3, 3, 4, 4, 5, 5])
DEALT = Dealt(np.array([0, 1]), np.array([2, 3, 4, 5]), np.arange(6, 10), np.arange(10, 14), np.empty(0, np.int64))


def test_figures_worked_out_by_hand() -> None:
    figures = measure(score(VECTORS, PEOPLE, DEALT), (0.25, 0.01))
    assert figures["rank_1"] == 0.75
    # mated maxima .9 .5 .6 .8, strangers' .7 .4 .2 .1: only (.5, .7) and (.6, .7) are the wrong way round
    assert figures["auroc"] == 14 / 16
    lenient, strict = figures["own"]
    # 0.25 lets one stranger of four in: the threshold lies just above .4, so that .9, .5 and .8 are found
    assert lenient == {"target": 0.25, "tpir": 0.75, "fpir": 0.25, "measurable": True}
    # 0.01 lets none in: above .7, so that .9 and .8 are found
    assert strict == {"target": 0.01, "tpir": 0.5, "fpir": 0.0, "measurable": False}
    lenient, strict = figures["calibrated"]
    # calibration maxima .55 .3 .2 .1: one may pass, so just above .3; there .7 and .4 of the strangers get in, and
    # A's photo at .6 is accepted as B
    assert lenient.pop("threshold") == pytest.approx(0.3, abs=1e-6)
    assert lenient == {
        "target": 0.25, "measurable": True, "fpir": 0.5, "tpir": 0.75, "fnir": 0.25, "misidentification": 0.25
    }  # fmt: skip
    # none may pass: just above .55; there .9 and .8 are found, .6 is confused, .7 gets in
    assert strict.pop("threshold") == pytest.approx(0.55, abs=1e-6)
    assert strict == {
        "target": 0.01, "measurable": False, "fpir": 0.25, "tpir": 0.5, "fnir": 0.5, "misidentification": 0.25
    }  # fmt: skip
    # FNIR by FPIR: none in, .5; one in four (above .4), .25; two (above .2) and more, .25, as A's photo stays confused
    expected = [0.5 if rate < 0.25 else 0.25 for rate in FPIR_GRID]
    assert figures["det_fnir"] == expected


def test_example_decisions_are_the_first_of_each_kind_and_person() -> None:
    chosen = example_decisions([score(VECTORS, PEOPLE, DEALT)], [0.65], np.arange(14) + 100, PEOPLE)
    probes = {kind: [example["probe"] for example in examples] for kind, examples in chosen.items()}
    assert probes == {
        "correct_accept": [102, 105],
        "correct_reject": [107, 108],  # 109 is of the same person as 108
        "false_accept": [106],
        "false_reject": [103],  # 104 too is A's
        "wrong_name": [],
    }
    assert chosen["false_accept"][0] == {
        "draw": 0, "probe": 106, "best": 100, "score": pytest.approx(0.7), "threshold": 0.65
    }  # fmt: skip
    lenient = example_decisions([score(VECTORS, PEOPLE, DEALT)], [0.45], np.arange(14), PEOPLE)
    assert [example["probe"] for example in lenient["wrong_name"]] == [4]


def slow_figures(vectors: np.ndarray, people: np.ndarray, dealt: Dealt, targets: tuple[float, ...]) -> dict:
    """One search after the other, from the definitions of ISO/IEC 19795-1."""

    def search(photo: int) -> tuple[int, float, float]:
        best: dict[int, float] = {}
        for template in dealt.gallery:
            person, similarity = int(people[template]), float(vectors[photo] @ vectors[template])
            best[person] = max(best.get(person, -9.0), similarity)
        winner = max(best, key=lambda person: best[person])
        return winner, best[winner], best.get(int(people[photo]), -9.0)

    mated = [(int(people[photo]), *search(photo)) for photo in dealt.mated]
    strangers = [search(photo)[1] for photo in dealt.strangers]
    calibration = [search(photo)[1] for photo in dealt.calibration]

    def rates(threshold: float) -> tuple[float, float, float]:
        get_in = sum(one >= threshold for one in strangers) / len(strangers)
        found = sum(own == winner and top >= threshold for own, winner, top, _ in mated) / len(mated)
        confused = sum(own != winner and top >= threshold for own, winner, top, _ in mated) / len(mated)
        return get_in, found, confused

    def threshold_for(maxima: list[float], target: float) -> float:
        candidates = [float(np.nextafter(one, 9)) for one in maxima] + [-9.0]
        return min(t for t in candidates if sum(one >= t for one in maxima) / len(maxima) <= target)

    return {
        "rank_1": sum(own == winner for own, winner, _, _ in mated) / len(mated),
        "auroc": np.mean([(m[2] > s) + (m[2] == s) / 2 for m in mated for s in strangers]),
        "own": [rates(threshold_for(strangers, target))[:2] for target in targets],
        "calibrated": [rates(threshold_for(calibration, target)) for target in targets],
    }


def test_figures_equal_a_slow_loop() -> None:
    rng = np.random.default_rng(1)
    people = np.repeat(np.arange(15), 10)
    vectors = (rng.normal(size=(15, 16))[people] + rng.normal(size=(150, 16)) * 1.3).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    targets = (0.1, 0.03)
    for dealt in deal_often(people, FIVES, 4):
        figures, slow = measure(score(vectors, people, dealt), targets), slow_figures(vectors, people, dealt, targets)
        assert figures["rank_1"] == pytest.approx(slow["rank_1"])
        assert figures["auroc"] == pytest.approx(slow["auroc"])
        assert [(one["fpir"], one["tpir"]) for one in figures["own"]] == pytest.approx(np.array(slow["own"]))
        calibrated = [(one["fpir"], one["tpir"], one["misidentification"]) for one in figures["calibrated"]]
        assert calibrated == pytest.approx(np.array(slow["calibrated"]))
        for one in figures["calibrated"]:
            assert one["fnir"] == pytest.approx(1 - one["tpir"])


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a face set and a cut of it that leaves 6 of 8 people out."""
    folder = tmp_path_factory.mktemp("split")
    write_people(folder / "photos", {f"p{number}": 4 for number in range(8)})
    pack_folder(folder / "photos", folder / "faces", size=32, image_format="png")
    build_longtail(folder / "faces", folder / "cut", Rule("uniform_images", 5, 2, None, None, 1, None), 0)
    return folder


FIVES = OpenSetRule(5, 5, 5, templates=(1, 2, 3, 5), seed=2)
SMALL = OpenSetRule(2, 2, 2, templates=(1, 2), seed=1), 3


def test_the_result_says_everything_and_nothing_of_this_machine(split: Path, tmp_path: Path) -> None:
    faces = FaceSet(split / "faces")
    people = OpenPeople.read(split / "cut" / "manifest.json", faces)
    seen: list[tuple[str, int, int]] = []
    embedders = {"floor": RawPixels(8), "finer": RawPixels(16)}
    result = evaluate(
        embedders, faces, people, *SMALL, floor="floor", on_progress=lambda *told: seen.append(told), cache=tmp_path
    )
    write_evaluation(result, tmp_path / "deep" / "result.json")
    text = (tmp_path / "deep" / "result.json").read_text()
    assert json.loads(text) == json.loads(json.dumps(result))
    assert str(split) not in text and str(tmp_path) not in text
    assert result["trained_on"] == {"identities": 2, "images": 5}
    assert len(result["open"]) == 6
    assert [facts["role"] for facts in result["models"].values()] == ["floor", "trained"]
    assert result["models"]["floor"]["fingerprint"] == RawPixels(8).fingerprint
    assert len(result["draws"]) == 3
    names = [set(result["draws"][0][part]) for part in ("enrolled", "calibration", "strangers")]
    assert len(set.union(*names)) == 6
    assert seen[-1] == ("finer", 24, 24)
    again = evaluate(embedders, faces, people, *SMALL, floor="floor", cache=tmp_path)
    assert again == result


def test_what_cannot_be_evaluated_is_said(split: Path, tmp_path: Path) -> None:
    faces = FaceSet(split / "faces")
    manifest = split / "cut" / "manifest.json"
    people = OpenPeople.read(manifest, faces)
    with pytest.raises(DataError, match="found 0 embedders"):
        evaluate({}, faces, people, *SMALL)
    with pytest.raises(DataError, match="no image of person 99"):
        evaluate({"raw": RawPixels()}, faces, OpenPeople((0, 99)), *SMALL)
    with pytest.raises(DataError, match="was cut from another set"):
        OpenPeople.read(manifest, FaceSet(split / "cut"))
    with pytest.raises(DataError, match="cannot be read"):
        OpenPeople.read(tmp_path / "none.json", faces)
    (tmp_path / "other.json").write_text('{"open": 3}')
    with pytest.raises(DataError, match="is not a manifest"):
        OpenPeople.read(tmp_path / "other.json", faces)
