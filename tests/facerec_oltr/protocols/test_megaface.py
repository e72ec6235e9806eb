"""The devkit's lists, small, in their true layout."""

import json
from pathlib import Path

import pytest

from facerec_oltr.errors import DataError
from facerec_oltr.protocols import Protocol
from facerec_oltr.protocols.megaface import read_megaface

PROBES = {
    "path": [f"{name}/{name}_{number}.png" for name in ("Ann_A", "Bob_B", "Cem_C") for number in range(4)]
    + ["Dia/1.png"],
    "id": [name for name in ("Ann_A", "Bob_B", "Cem_C") for _ in range(4)] + ["Dia"],
}
DISTRACTORS = {"path": ["534/53415754@N00/37731000_1.jpg", "389/38989502@N07/4767491946_13.jpg", "1/1@N1/1_0.jpg"]}


@pytest.fixture
def devkit(tmp_path: Path) -> tuple[Path, Path]:
    probes, distractors = tmp_path / "facescrub_features_list.json", tmp_path / "megaface_features_list.json_10_1"
    probes.write_text(json.dumps(PROBES))
    distractors.write_text(json.dumps(DISTRACTORS))
    return probes, distractors


def people(protocol: Protocol, turn: int, part: str) -> list[str]:
    return sorted(protocol.part(f"turn_{turn}", part).people)


def test_each_photo_is_enrolled_in_its_turn(devkit: tuple[Path, Path]) -> None:
    made = read_megaface(*devkit, turns=3, seed=1)
    assert list(made.searches) == ["turn_0", "turn_1", "turn_2"]
    enrolled = []
    for turn in range(3):
        assert people(made, turn, "gallery") == ["Ann_A", "Bob_B", "Cem_C"]  # Dia has nothing to search
        assert people(made, turn, "mated") == sorted(["Ann_A", "Bob_B", "Cem_C"] * 3)
        assert made.part(f"turn_{turn}", "distractors").images == tuple(DISTRACTORS["path"])
        enrolled += made.part(f"turn_{turn}", "gallery").images
    assert len(set(enrolled)) == 9
    assert read_megaface(*devkit, seed=1).part("turn_0", "gallery").images == tuple(enrolled[:3])


def test_noise_is_left_out(devkit: tuple[Path, Path], tmp_path: Path) -> None:
    """Both forms of InsightFace's lists: a file name a line, and a path after a tab."""
    (tmp_path / "probe_noises.txt").write_text("# noisy\nAnn_A_0.png\nAnn_A_1.png\nAnn_A_2.png\n")
    (tmp_path / "noises.txt").write_text("# noisy\n7\t1/1@N1/1_0.jpg\n389/38989502@N07/4767491946_13.jpg\n")
    made = read_megaface(*devkit, probe_noises=tmp_path / "probe_noises.txt", distractor_noises=tmp_path / "noises.txt")
    assert people(made, 0, "gallery") == ["Bob_B", "Cem_C"]
    assert made.part("turn_0", "distractors").images == tuple(DISTRACTORS["path"][:1])
    with pytest.raises(DataError, match="noises: cannot be read"):
        read_megaface(*devkit, probe_noises=tmp_path / "no_noises")


def test_what_is_wrong_is_said(devkit: tuple[Path, Path], tmp_path: Path) -> None:
    probes, distractors = devkit
    with pytest.raises(
        DataError, match="nobody has more than 4 photos, expected one to enrol in each turn and a probe"
    ):
        read_megaface(probes, distractors, turns=4)
    with pytest.raises(DataError, match="turns 0 and seed 0 were given"):
        read_megaface(probes, distractors, turns=0)
    with pytest.raises(DataError, match=r"no\.json: cannot be read"):
        read_megaface(tmp_path / "no.json", distractors)
    for path, wrong in ((probes, DISTRACTORS), (probes, {**PROBES, "id": ["Ann_A"]}), (distractors, {"path": "x"})):
        text = path.read_text()
        path.write_text(json.dumps(wrong))
        with pytest.raises(DataError, match="is no features list of the devkit, expected"):
            read_megaface(probes, distractors)
        path.write_text(text)
    distractors.write_text(json.dumps({"path": [*DISTRACTORS["path"], "1/1@N1/1_0.jpg"]}))
    with pytest.raises(DataError, match="lists 4 photos, 1 of them again"):
        read_megaface(probes, distractors)
    distractors.write_text(json.dumps({"path": PROBES["path"][:2]}))
    with pytest.raises(DataError, match=r"template 'Ann_A/Ann_A_0\.png' is of '-', but of 'Ann_A' in list"):
        read_megaface(probes, distractors)
