"""The command line as a person meets it: quick help with an example, one line for an error, data apart from words."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from recordio_tools.build import build_longtail
from recordio_tools.longtail import Rule
from recordio_tools.packing import pack_folder

from ..conftest import TINY, authors_checkpoint, write_listed, write_people

COMMANDS = (
    "demo",
    "train",
    "import-authors",
    "enroll",
    "calibrate",
    "identify",
    "search",
    "verify",
    "gallery list",
    "gallery show",
    "gallery rename",
    "gallery merge",
    "gallery remove",
    "gallery purge-expired",
    "gallery export",
    "gallery import",
    "gallery check",
    "gallery stats",
    "gallery audit",
    "gallery migrate",
    "gallery backup",
    "gallery make-key",
    "export",
    "evaluate",
    "compare",
    "evaluate-faces",
    "evaluate-pairs",
    "bench",
    "report",
    "data check",
)


def facerec(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from facerec_oltr.cli import main; main()", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
    )


def fails_with_one_line(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert result.returncode == 1, result
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    for part in parts:
        assert part in lines[0]


@pytest.mark.parametrize("program", ["facerec_oltr", "recordio_tools"])
def test_help_imports_nothing_heavy(program: str) -> None:
    """What keeps it quick; how quick it is depends on the machine, and no test asks."""
    code = (
        f"import sys; from {program}.cli import main\n"
        "try: main()\n"
        "except SystemExit:\n"
        "    print(*sorted({'torch', 'cv2', 'pydantic', 'matplotlib', 'scipy', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    assert "Usage" in done.stdout
    assert done.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_an_example(command: str) -> None:
    result = facerec(*command.split(), "--help")
    assert result.returncode == 0
    assert f"Example: facerec {command}" in result.stdout


@pytest.fixture(scope="module")
def run(face_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that the command line trained."""
    out = tmp_path_factory.mktemp("cli") / "run"
    settings = [part for override in (*TINY, f"data.path={face_set}") for part in ("--set", override)]
    result = facerec("train", "oltr", "--on", "att_lt", "--out", out, *settings)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert "stage plain: 3 epochs" in result.stderr
    assert "stage memory: epoch 2/2: loss" in result.stderr
    assert f"next: facerec enroll --gallery gallery.db --model {out} FOLDER" in result.stderr
    return out


def test_people_are_enrolled_calibrated_and_identified(run: Path, tmp_path: Path) -> None:
    people = write_people(tmp_path / "people", {"eve": 3, "fay": 1}, seed=1)
    strangers = write_people(tmp_path / "strangers", {"x": 3, "y": 3}, seed=2)
    gallery = tmp_path / "gallery.db"

    fails_with_one_line(facerec("enroll", "--gallery", gallery, people), "say with --model")
    enrolled = facerec("enroll", "--gallery", gallery, "--model", run, people, "--json")
    assert enrolled.returncode == 0, enrolled.stderr
    assert json.loads(enrolled.stdout)["templates"] == 4
    again = facerec("enroll", "--gallery", gallery, people)  # the gallery knows its model
    assert "4 already enrolled" in again.stderr

    photo = people / "eve/0.png"
    fails_with_one_line(facerec("identify", "--gallery", gallery, photo), "no calibration", "facerec calibrate")
    calibrated = facerec("calibrate", "--gallery", gallery, "--strangers", strangers, "--fpir", "0.5", "--json")
    assert calibrated.returncode == 0, calibrated.stderr
    facts = json.loads(calibrated.stdout)
    assert facts["achieved_fpir"] <= 0.5
    assert facts["searches"] == 6

    decisions = json.loads(facerec("identify", "--gallery", gallery, photo, strangers, "--json").stdout)
    assert len(decisions) == 7
    assert decisions[0]["identity"] == "eve"
    assert decisions[0]["score"] == pytest.approx(1, abs=1e-5)
    assert decisions[0]["decision"] == "accepted"
    assert sum(d["decision"] == "accepted" for d in decisions[1:]) == round(facts["achieved_fpir"] * 6)
    table = facerec("identify", "--gallery", gallery, photo)
    assert "accepted" in table.stdout
    assert "eve" in table.stdout

    wrong = facerec("identify", "--gallery", gallery, "--model", "raw_pixels", photo)
    fails_with_one_line(wrong, "made with embedder", "raw pixels")


def test_one_person_is_enrolled_from_photos(run: Path, tmp_path: Path) -> None:
    people = write_people(tmp_path / "people", {"eve": 2}, seed=1)
    gallery = tmp_path / "gallery.db"
    photos = [people / "eve/0.png", people / "eve/1.png"]
    fails_with_one_line(facerec("enroll", "--gallery", gallery, "--model", run, *photos), "without --id")
    result = facerec("enroll", "--gallery", gallery, "--model", run, "--id", "Eve Adams", *photos)
    assert result.returncode == 0, result.stderr
    assert "1 people, 2 templates (2 enrolled)" in result.stderr


def test_an_unreadable_photo_is_answered_among_the_others_and_ends_with_1(run: Path, tmp_path: Path) -> None:
    people = write_people(tmp_path / "people", {"eve": 2}, seed=1)
    gallery = tmp_path / "gallery.db"
    facerec("enroll", "--gallery", gallery, "--model", run, people)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG not")
    photos = tmp_path / "broken.png", people / "eve/0.png"
    result = facerec("identify", "--gallery", gallery, "--threshold", "0.9", "--json", *photos)
    assert [d["decision"] for d in json.loads(result.stdout)] == ["unreadable", "accepted"]
    assert result.returncode == 1
    assert "broken.png" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("train", "olrt", "--on", "att_lt"), ("unknown method 'olrt'", "did you mean 'oltr'")),
        (("train", "oltr", "--on", "att_lt", "--set", "data.path=nowhere"), ("nowhere", "not there")),
        (("train", "oltr", "--on", "att_lt", "--set", "schedule.epoch=1"), ("schedule.epoch: unknown key",)),
        (("train", "oltr", "--on", "att_lt", "--device", "tpu"), ("device 'tpu' is unknown",)),
    ],
)
def test_bad_training_input_is_one_line_and_leaves_no_run(
    arguments: tuple[str, ...], parts: tuple[str, ...], tmp_path: Path
) -> None:
    fails_with_one_line(facerec(*arguments, "--out", tmp_path / "run"), *parts)
    assert not (tmp_path / "run").exists()


def test_a_key_set_twice_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[schedule]\nepochs = 3\n")
    result = facerec("train", tmp_path / "mine.toml", "--on", "att_lt", "--out", tmp_path / "run")
    fails_with_one_line(result, "schedule.epochs is set by both", "[on.att_lt]")


def test_bad_folders_of_people_are_one_line_each(run: Path, tmp_path: Path) -> None:
    gallery = tmp_path / "gallery.db"

    def enroll(folder: Path) -> subprocess.CompletedProcess[str]:
        return facerec("enroll", "--gallery", gallery, "--model", run, folder)

    fails_with_one_line(enroll(tmp_path / "missing"), "missing", "not there")
    (tmp_path / "empty").mkdir()
    fails_with_one_line(enroll(tmp_path / "empty"), "empty", "no sub-folder")
    (tmp_path / "people/eve").mkdir(parents=True)
    fails_with_one_line(enroll(tmp_path / "people"), "eve", "no image")
    (tmp_path / "people/eve/0.png").write_bytes(b"not a picture")
    broken = enroll(tmp_path / "people")
    assert broken.returncode == 1
    assert "eve: none of 1 photos could be enrolled" in broken.stderr.splitlines()[-1]
    assert "Traceback" not in broken.stderr


def test_bad_models_and_galleries_are_one_line_each(run: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.zeros((8, 8), np.uint8))
    fails_with_one_line(facerec("identify", "--gallery", tmp_path / "no.db", photo), "no such gallery")
    (tmp_path / "text.db").write_text("hello, this is not a database at all")
    fails_with_one_line(facerec("identify", "--gallery", tmp_path / "text.db", photo), "text.db")
    gallery = tmp_path / "g.db"
    model = facerec("enroll", "--gallery", gallery, "--model", tmp_path / "run", "--id", "a", photo)
    fails_with_one_line(model, "found no such model")
    embedding = facerec("enroll", "--gallery", gallery, "--model", f"{run}:mean", "--id", "a", photo)
    fails_with_one_line(embedding, "no embedding 'mean'", "direct, meta")
    assert not gallery.exists()


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of eight people, and a cut that leaves four of them out."""
    folder = tmp_path_factory.mktemp("cut")
    photos = write_people(folder / "photos", dict.fromkeys("abcdefgh", 4), seed=3)
    pack_folder(photos, folder / "set", size=32, image_format="png")
    build_longtail(folder / "set", folder / "lt", Rule("uniform_images", images=12, identities=4), 0)
    return folder


def test_models_are_evaluated_and_reported(run: Path, cut: Path, tmp_path: Path) -> None:
    def evaluate(*arguments: object) -> subprocess.CompletedProcess[str]:
        roles = ("--enrolled", 2, "--calibration", 1, "--strangers", 1, "--draws", 3)
        where = ("--faces", cut / "set", "--open", cut / "lt/manifest.json")
        return facerec("evaluate-faces", "--model", run, *where, *roles, *arguments)

    result = evaluate("--embedding", "all", "--out", tmp_path / "result.json", "--json")
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)["models"]
    assert list(figures) == ["raw pixels", "oltr (direct)", "oltr (meta)"]
    assert figures["raw pixels"]["rank_1"] == 1  # patterns with a little noise are easy
    table = evaluate("--out", tmp_path / "result.json", "--rules", "nac,reachability:selector=1")
    assert "what a user gets" in table.stdout
    assert "other rules than the cosine" in table.stdout and "reachability" in table.stdout
    assert "no rule is recommended" in table.stderr  # of two people
    reported = facerec("report", tmp_path / "result.json", "--out", tmp_path / "report.md")
    assert reported.returncode == 0, reported.stderr
    text = (tmp_path / "report.md").read_text()
    assert "oltr (direct)" in text and "## Other rules than the cosine" in text
    assert (tmp_path / "report-det.png").exists()


def test_bad_evaluations_and_reports_are_one_line_each(cut: Path, tmp_path: Path) -> None:
    def evaluate(manifest: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
        out = ("--out", tmp_path / "result.json")
        return facerec("evaluate-faces", "--faces", cut / "set", "--open", manifest, *out, *arguments)

    fails_with_one_line(evaluate(tmp_path / "no.json"), "no.json", "expected a manifest.json")
    fails_with_one_line(evaluate(cut / "lt/manifest.json"), "found 4 people, expected 15: 5 enrolled")
    fails_with_one_line(evaluate(cut / "lt/manifest.json", "--model", "nowhere"), "found no such model")
    fails_with_one_line(evaluate(cut / "lt/manifest.json", "--rules", "evm"), "no rule is called 'evm'")
    few = ("--enrolled", 2, "--calibration", 1, "--strangers", 1, "--rules", "negative_cohort")
    fails_with_one_line(evaluate(cut / "lt/manifest.json", *few), "found a cohort of 0 people, expected 2 or more")
    assert not (tmp_path / "result.json").exists()
    (tmp_path / "broken.json").write_text("{}")
    result = facerec("report", tmp_path / "broken.json", "--out", tmp_path / "report.md")
    fails_with_one_line(result, "broken.json")
    assert not (tmp_path / "report.md").exists()


def test_a_data_set_is_checked(tmp_path: Path) -> None:
    write_listed(tmp_path, "ImageNet_LT_train", [0, 0, 1])
    check = ("data", "check", tmp_path / "mine.toml", "--root", tmp_path)
    (tmp_path / "mine.toml").write_text('[data]\nkind = "image_list"\ntrain = "ImageNet_LT_train.txt"\n')
    whole = facerec(*check)
    assert (whole.returncode, whole.stdout.split()) == (0, ["train", "3", "inputs,", "0", "missing"])
    assert "all of it is there" in whole.stderr
    (tmp_path / "ImageNet_LT_train/1.png").unlink()
    (tmp_path / "ImageNet_LT_train/2.png").unlink()
    lacking = facerec(*check, "--most", 1)
    assert lacking.returncode == 1
    assert lacking.stdout.splitlines()[1:] == [f"missing: {tmp_path / 'ImageNet_LT_train/1.png'}", "missing: 1 more"]
    assert "next: train: fetch the 2 images" in lacking.stderr
    found = json.loads(facerec(*check, "--json").stdout)
    assert (found["whole"], found["missing"], len(found["examples"])) == (False, {"train": 2}, 2)


def test_a_data_set_that_cannot_be_checked_is_one_line(tmp_path: Path) -> None:
    fails_with_one_line(facerec("data", "check", "imagenet_lt"), "data.root: is missing")
    fails_with_one_line(facerec("data", "check", "imagenet"), "did you mean 'imagenet_lt'")
    nothing = facerec("data", "check", "imagenet_lt", "--root", tmp_path / "no")
    assert nothing.returncode == 1
    assert "ImageNet_LT_train.txt: cannot be read" in nothing.stdout
    assert "next: put the published lists into" in nothing.stderr
    train = ("train", "plain", "--on", "imagenet_lt", "--set", f"data.root={tmp_path}", "--out", tmp_path / "run")
    fails_with_one_line(facerec(*train), "ImageNet_LT_train.txt: cannot be read")
    write_listed(tmp_path, "ImageNet_LT_train", [0, 0, 1])
    fails_with_one_line(facerec(*train), "found images = 3, expected 115,846")
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_that_cannot_be_imported_is_one_line(tmp_path: Path) -> None:
    write_listed(tmp_path, "ImageNet_LT_train", [0, 0, 1])
    where = ("--set", f"data.root={tmp_path}", "--set", "data.expect={}", "--out", tmp_path / "run")

    def import_authors(path: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
        return facerec("import-authors", path, "--on", "imagenet_lt", *where, *arguments, "--json")

    fails_with_one_line(import_authors(tmp_path / "no.pth"), "no.pth: there is no such file", "expected a final_model")
    (tmp_path / "page.pth").write_text("<html>Quota exceeded</html>")
    fails_with_one_line(import_authors(tmp_path / "page.pth"), "page.pth: is no torch file of weights")
    fails_with_one_line(import_authors(tmp_path / "no.pth", "--method", "cosine"), "expected 'dot_product'")
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_the_authors_is_imported(tmp_path: Path) -> None:
    write_listed(tmp_path, "ImageNet_LT_train", [*range(7)] * 2)
    torch.save(authors_checkpoint("imagenet_stage_1"), tmp_path / "theirs.pth")
    where = ("--set", f"data.root={tmp_path}", "--set", "data.expect={}", "--out", tmp_path / "run")
    result = facerec(
        "import-authors", tmp_path / "theirs.pth", "--on", "imagenet_lt", "--method", "plain", *where, "--json"
    )
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    assert (facts["method"], facts["classes"], facts["checkpoint"]["best_epoch"]) == ("plain_imported", 7, 27)
    assert f"plain_imported on imagenet_lt, 7 classes\nnext: facerec evaluate {tmp_path / 'run'}" in result.stderr
    assert (tmp_path / "run/model.safetensors").exists()
