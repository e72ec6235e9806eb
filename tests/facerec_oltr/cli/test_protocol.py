"""`facerec protocol` as a person meets it."""

import json
from pathlib import Path

import pytest

from facerec_oltr.protocols import read_protocol

from ..conftest import write_people
from ..protocols.test_ijb import write_nist
from .test_door import facerec, fails_with_one_line

SIZES = ("--enrolled", 2, "--calibration", 2, "--strangers", 2)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    photos = {"ann": 5, "bob": 4, "cem": 4, "dia": 3, "eve": 2, "fay": 2, "gus": 1, "hal": 1}
    return write_people(tmp_path_factory.mktemp("protocol") / "people", photos)


@pytest.mark.parametrize("command", ["make", "show", "lfw-gb", "lfw-pairs", "ijb", "megaface", "ms1m-lt"])
def test_each_command_has_help_with_an_example(command: str) -> None:
    result = facerec("protocol", command, "--help")
    assert result.returncode == 0
    assert f"Example: facerec protocol {command}" in result.stdout


def test_a_protocol_is_drawn_and_shown(people: Path, tmp_path: Path) -> None:
    out = tmp_path / "p"
    result = facerec("protocol", "make", people, out, *SIZES, "--templates", 1, "--templates", 2, "--json")
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    assert facts["search_sets"]["open"]["gallery"] == {"people": 2, "templates": 3, "images": 3}
    assert facts["choices"]["templates"] == [1, 2]
    assert f"{out}: 4 lists, fingerprint {facts['fingerprint'][:12]}" in result.stderr
    shown = facerec("protocol", "show", out, "--source", people, "--contents")
    assert shown.returncode == 0, shown.stderr
    assert "p, made by facerec protocol make, seed 0" in shown.stdout
    assert "2 / 3" in shown.stdout
    assert f"{people}: every image is there, unchanged" in shown.stderr
    assert json.loads(facerec("protocol", "show", out, "--json").stdout) == facts
    assert read_protocol(out).seed == 0


def test_what_is_wrong_is_one_line(people: Path, tmp_path: Path) -> None:
    out = tmp_path / "p"
    fails_with_one_line(facerec("protocol", "make", tmp_path / "no", out, *SIZES), "no: not there")
    fails_with_one_line(
        facerec("protocol", "make", people, out, "--enrolled", 5, "--calibration", 2, "--strangers", 2),
        "found 8 people, expected 9",
    )
    fails_with_one_line(facerec("protocol", "lfw-gb", people, out), "expected 610 known, 1,070 known unknown")
    fails_with_one_line(facerec("protocol", "ijb", people, out), "has neither ijbc_1N_gallery_G1.csv")
    fails_with_one_line(facerec("protocol", "ms1m-lt", people, out), "expected a set made by: recordio build-lt")
    fails_with_one_line(facerec("protocol", "megaface", people, people, out), "cannot be read")
    fails_with_one_line(facerec("protocol", "show", people), "manifest.json: cannot be read")
    fails_with_one_line(facerec("protocol", "show", people, "--contents"), "no --source was given")
    assert not out.exists()
    assert facerec("protocol", "make", people, out, *SIZES).returncode == 0
    fails_with_one_line(facerec("protocol", "make", people, out, *SIZES), "already holds a protocol", "--force")
    assert facerec("protocol", "make", people, out, *SIZES, "--seed", 1, "--force").returncode == 0
    assert read_protocol(out).seed == 1
    enrolled = (out / "gallery.tsv").read_text().splitlines()[1].split("\t")[1]
    with (out / "strangers.tsv").open("a") as file:
        file.write(f"again\t{enrolled}\t0\t{enrolled}/9.png\t-\n")
    fails_with_one_line(facerec("protocol", "show", out), f"'{enrolled}' is in strangers and in gallery")


def test_lfws_rule_and_ijb_and_pairs(people: Path, tmp_path: Path) -> None:
    result = facerec("protocol", "lfw-gb", people, tmp_path / "gb", "--any-people")
    assert result.returncode == 0, result.stderr
    assert [line.split()[1] for line in result.stdout.splitlines() if "3 / 9" in line] == ["C", "O1", "O2", "O3"]
    result = facerec("protocol", "ijb", write_nist(tmp_path / "protocols"), tmp_path / "ijb")
    assert result.returncode == 0, result.stderr
    assert "1:N, people / templates" in result.stdout
    assert "1_1" in result.stdout
