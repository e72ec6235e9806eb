"""The gallery's commands as a person meets them, with raw pixels as the model, so that no network is needed."""

import json
import os
import stat
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import cv2
import pytest

from facerec_oltr.cli import main

from ..conftest import write_people
from .test_door import fails_with_one_line


@pytest.fixture(autouse=True)
def _wide_and_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")


def facerec(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command in this process: test_door sees that a process of its own behaves so, and this is much faster."""
    words, out, err, code = list(map(str, arguments)), StringIO(), StringIO(), 0
    with chdir(cwd or Path.cwd()), redirect_stdout(out), redirect_stderr(err):
        argv, sys.argv = sys.argv, ["facerec", *words]
        try:
            main()
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        finally:
            sys.argv = argv
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """25 people to enrol, and 20 strangers with three photos each."""
    root = tmp_path_factory.mktemp("folders")
    write_people(root / "people", {f"p{n:02}": 2 for n in range(25)}, seed=1)
    write_people(root / "strangers", {f"s{n:02}": 3 for n in range(20)}, seed=2)
    return root


@pytest.fixture
def gallery(folders: Path, tmp_path: Path) -> Path:
    path = tmp_path / "g.db"
    done = facerec("enroll", "-g", path, "--model", "raw_pixels", folders / "people")
    assert done.returncode == 0, done.stderr
    return path


def in_json(*arguments: object) -> object:
    done = facerec(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_without_a_calibration_the_gallery_stands_in_and_says_so(gallery: Path, folders: Path) -> None:
    photo = folders / "people/p03/0.png"
    done = facerec("identify", "-g", gallery, photo, "--fpir", "0.1")
    assert done.returncode == 0, done.stderr
    assert "no calibration" in done.stderr
    assert "25 enrolled people, each searched among the others" in done.stderr
    assert "by the gallery alone, for FPIR 0.1" in done.stdout
    assert "p03" in done.stdout
    too_low = facerec("identify", "-g", gallery, photo)  # 50 searches cannot show one in a hundred
    fails_with_one_line(too_low, "no calibration", "not measurable", "needs about 300", "facerec calibrate")


def test_a_calibration_follows_the_gallery(gallery: Path, folders: Path, tmp_path: Path) -> None:
    told = in_json("calibrate", "-g", gallery, "--strangers", folders / "strangers", "--fpir", "0.1")
    assert isinstance(told, dict)
    assert (told["source"], told["strangers"], told["searches"], told["identities"]) == ("strangers", 20, 60, 25)
    assert told["achieved_fpir"] <= 0.1 <= told["upper_fpir"]
    assert told["created"][:2] == "20"
    too_small = facerec("calibrate", "-g", gallery, "--strangers", folders / "strangers", "--fpir", "0.001")
    fails_with_one_line(too_small, "not measurable: 20 strangers (60 photos), FPIR 0.001 needs about 3,000")
    more = write_people(tmp_path / "more", {"new": 1}, seed=3)
    facerec("enroll", "-g", gallery, more)
    [decision] = in_json("identify", "-g", gallery, more / "new/0.png")  # type: ignore[misc]
    assert decision["identity"] == "new"
    assert decision["threshold_from"] == "calibration"
    assert not decision["stale_calibration"]
    assert 0 < decision["false_alarm_rate"] < 0.1
    stats = in_json("gallery", "stats", gallery)
    assert isinstance(stats, dict)
    assert [(c["target_fpir"], c["stale"]) for c in stats["calibrations"]] == [(0.1, True), (0.1, False)]


def test_strangers_may_be_loose_photos_of_different_people(gallery: Path, folders: Path, tmp_path: Path) -> None:
    (tmp_path / "loose").mkdir()
    for number, path in enumerate(sorted((folders / "strangers").rglob("*.png"))):
        (tmp_path / "loose" / f"{number}.png").write_bytes(path.read_bytes())
    told = in_json("calibrate", "-g", gallery, "--strangers", tmp_path / "loose", "--fpir", "0.1", "--no-keep")
    assert isinstance(told, dict)
    assert (told["strangers"], told["searches"]) == (60, 60)


def test_search_lists_and_does_not_decide(gallery: Path, folders: Path) -> None:
    [answer] = in_json("search", "-g", gallery, folders / "strangers/s00/0.png", "--top", "3")  # type: ignore[misc]
    scores = [c["score"] for c in answer["candidates"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    table = facerec("search", "-g", gallery, folders / "people/p07/0.png").stdout
    assert "p07" in table
    assert "1.0000" in table


def test_verify(gallery: Path, folders: Path, tmp_path: Path) -> None:
    one, other = folders / "people/p01/0.png", folders / "people/p01/1.png"
    same = in_json("verify", one, other, "-g", gallery, "--fmr", "0.02")
    assert isinstance(same, dict)
    assert same["decision"] == "same"
    assert same["false_match_rate"] == pytest.approx(1 / 301)  # of 25 * 24 / 2 pairs none reaches it
    stranger = folders / "strangers/s00/0.png"
    assert facerec("verify", one, stranger, "-g", gallery, "--fmr", "0.02").stdout.startswith("different  score")
    undecided = facerec("verify", one, other, "--model", "raw_pixels")
    assert undecided.stdout.startswith("undecided  score")
    assert "a score alone says little" in undecided.stderr
    assert facerec("verify", one, other, "--model", "raw_pixels", "--threshold", "0.5").stdout.startswith("same")
    fails_with_one_line(facerec("verify", one, other), "neither --gallery nor --model")
    few = facerec("verify", one, other, "-g", gallery)
    fails_with_one_line(few, "not measurable", "25 people make 300 pairs", "0.001 needs about 3,000")
    fails_with_one_line(facerec("verify", one, tmp_path / "no.png", "--model", "raw_pixels"), "no.png")


def test_a_person_is_shown_renamed_merged_and_listed(gallery: Path, folders: Path) -> None:
    assert "p05" in facerec("gallery", "list", gallery).stdout
    shown = facerec("gallery", "show", gallery, "p05").stdout
    assert "p05/0.png" in shown
    assert "not given" in shown
    assert facerec("gallery", "rename", gallery, "p05", "Eve Adams").returncode == 0
    assert facerec("gallery", "merge", gallery, "p06", "Eve Adams").returncode == 0
    people = {person["name"]: person["templates"] for person in in_json("gallery", "list", gallery)}  # type: ignore[attr-defined]
    assert people["Eve Adams"] == 4
    assert "p06" not in people
    fails_with_one_line(facerec("gallery", "show", gallery, "Eve Adam"), "did you mean 'Eve Adams'")
    fails_with_one_line(facerec("gallery", "rename", gallery, "p07", "p08"), "p08")
    taken = [entry["action"] for entry in in_json("gallery", "audit", gallery)]  # type: ignore[attr-defined]
    assert taken[-2:] == ["rename", "merge"]
    assert "Eve" not in facerec("gallery", "audit", gallery).stdout


def test_photos_are_said_not_to_be_somebody_and_taken_back(gallery: Path, folders: Path, tmp_path: Path) -> None:
    wrong = folders / "strangers/s04/0.png"
    probe = folders / "strangers/s04/1.png"
    [first] = in_json("identify", "-g", gallery, probe, "--threshold", "-1")  # type: ignore[misc]
    assert first["decision"] == "accepted"
    name = first["identity"]
    told = in_json("gallery", "reject", gallery, name, wrong)
    assert isinstance(told, dict)
    assert (told["negatives"], [(p["new"], p["face"], p["templates"]) for p in told["photos"]]) == (1, [(True, 1, 2)])
    assert "(kept already;" in facerec("gallery", "reject", gallery, name, wrong).stderr
    [second] = in_json("identify", "-g", gallery, probe, "--threshold", "-1")  # type: ignore[misc]
    assert second["identity"] == first["runner_up"]
    assert f"not '{name}': nearer to a face that is said not to be them" in second["reason"]
    assert second["candidates"][0]["negative"] > second["candidates"][0]["score"]
    done = facerec("identify", "-g", gallery, probe, "--threshold", "-1")
    assert f"s04/1.png, face 1: not '{name}': nearer" in done.stderr
    assert "nearer to not them" in facerec("search", "-g", gallery, probe).stdout
    shown = facerec("gallery", "show", gallery, name).stdout
    assert f"said not to be {name}" in shown
    assert "s04/0.png" in shown
    people = {p["name"]: p["negatives"] for p in in_json("gallery", "list", gallery)}  # type: ignore[attr-defined]
    assert {who for who, count in people.items() if count} == {name}
    stats = in_json("gallery", "stats", gallery)
    assert isinstance(stats, dict)
    assert stats["negatives"] == 1
    other = "p01" if name != "p01" else "p02"
    none = facerec("gallery", "unreject", gallery, wrong, "--id", other)
    fails_with_one_line(none, f"is said not to be '{other}'")
    fails_with_one_line(facerec("gallery", "unreject", gallery, "nothing.png"), "neither a file nor the beginning")
    fails_with_one_line(facerec("gallery", "reject", gallery, "nobody", wrong), "nobody is enrolled as 'nobody'")
    fails_with_one_line(
        facerec("gallery", "reject", gallery, name, tmp_path / "no.png"), "no.png: cannot be read (No such file"
    )
    back = facerec("gallery", "unreject", gallery, wrong, "--receipt", tmp_path / "r.json")
    assert (back.returncode, "1 faces that were said not to be somebody erased" in back.stderr) == (0, True), (
        back.stderr
    )
    receipt = json.loads((tmp_path / "r.json").read_text())
    assert (receipt["negatives"], receipt["identities"], set(receipt["traces"].values())) == (1, 0, {0})
    [third] = in_json("identify", "-g", gallery, probe, "--threshold", "-1")  # type: ignore[misc]
    assert third["identity"] == name


def test_erasure_with_a_receipt(gallery: Path, tmp_path: Path) -> None:
    kept = facerec("gallery", "backup", gallery, tmp_path / "copy.db")
    assert kept.returncode == 0, kept.stderr
    done = facerec("gallery", "remove", gallery, "p01", "p02", "--receipt", tmp_path / "r.json")
    assert done.returncode == 0, done.stderr
    assert "copy.db is a backup" in done.stderr
    receipt = json.loads((tmp_path / "r.json").read_text())
    assert (receipt["identities"], receipt["templates"]) == (2, 4)
    assert receipt["before"]["templates"] - receipt["after"]["templates"] == 4
    assert receipt["traces"]
    assert set(receipt["traces"].values()) == {0}
    assert "p01" not in (tmp_path / "r.json").read_text()
    whole = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and not p.name.startswith("copy"))
    assert b"/p01/0.png" not in whole
    fails_with_one_line(facerec("gallery", "remove", gallery, "p03", "p01"), "nobody is enrolled as 'p01'")
    assert facerec("gallery", "show", gallery, "p03").returncode == 0
    checked = facerec("gallery", "check", gallery)
    assert (checked.returncode, checked.stdout) == (0, "")


def test_a_flipped_byte_is_found(gallery: Path) -> None:
    facerec("gallery", "check", gallery)  # makes the index
    content = bytearray(gallery.read_bytes())
    person = json.loads(facerec("gallery", "show", gallery, "p09", "--json").stdout)
    import base64

    place = content.find(base64.b64decode(person["templates"][0]["vector"])[:64])
    assert place > 0
    content[place + 20] ^= 1
    gallery.write_bytes(content)
    checked = facerec("gallery", "check", gallery)
    assert checked.returncode == 1
    assert "Traceback" not in checked.stderr
    assert checked.stdout or checked.stderr


def test_people_move_to_another_gallery(gallery: Path, folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "people.jsonl"
    assert facerec("gallery", "export", gallery, out, "--id", "p01", "--id", "p02").returncode == 0
    other = tmp_path / "other.db"
    facerec("enroll", "-g", other, "--model", "raw_pixels", "--id", "p30", folders / "people/p20/0.png")
    told = in_json("gallery", "import", other, out)
    assert isinstance(told, dict)
    assert (told["people"], told["templates"], told["outcomes"]) == (3, 5, {"enrolled": 4})
    fails_with_one_line(facerec("gallery", "export", gallery, out), "there is a file already")
    fails_with_one_line(facerec("gallery", "import", other, folders / "people/p01/0.png"), "not what facerec gallery")


def test_an_encrypted_gallery(folders: Path, tmp_path: Path) -> None:
    key, gallery = tmp_path / "g.key", tmp_path / "g.db"
    assert facerec("gallery", "make-key", key).returncode == 0
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    fails_with_one_line(facerec("gallery", "make-key", key), "g.key")
    assert facerec("enroll", "-g", gallery, "--model", "raw_pixels", "--key", key, folders / "people").returncode == 0
    assert not (tmp_path / "g.db.index").exists()  # vectors are not written down in clear beside it
    photo = folders / "people/p01/0.png"
    fails_with_one_line(facerec("search", "-g", gallery, photo), "key")
    assert "p01" in facerec("search", "-g", gallery, photo, "--key", key, "--top", "1").stdout
    other = tmp_path / "other.key"
    facerec("gallery", "make-key", other)
    fails_with_one_line(facerec("search", "-g", gallery, photo, "--key", other), "key")


def test_a_table_of_people(folders: Path, tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    photos = [os.path.relpath(folders / f"people/{p}/0.png", tmp_path) for p in ("p01", "p02")]
    table.write_text(f"path,name,consent,expires\n{photos[0]},ann,form 1,2020-01-01\n{photos[1]},bob,,\n")
    gallery = tmp_path / "g.db"
    told = in_json("enroll", "-g", gallery, "--model", "raw_pixels", "--csv", table)
    assert isinstance(told, dict)
    assert [(p["name"], p["outcome"]) for p in told["photos"]] == [("ann", "enrolled"), ("bob", "enrolled")]
    assert "form 1" in facerec("gallery", "list", gallery).stdout
    purged = in_json("gallery", "purge-expired", gallery)
    assert isinstance(purged, dict)
    assert purged["identities"] == 1
    assert "nobody has expired" in facerec("gallery", "purge-expired", gallery).stderr
    assert [p["name"] for p in in_json("gallery", "list", gallery)] == ["bob"]  # type: ignore[attr-defined]


def test_skip_and_update(gallery: Path, tmp_path: Path) -> None:
    newer = write_people(tmp_path / "newer", {"p01": 3, "p99": 1}, seed=9)
    told = in_json("enroll", "-g", gallery, newer, "--skip")
    assert isinstance(told, dict)
    assert told["skipped"] == ["p01"]
    assert [p["name"] for p in told["photos"]] == ["p99"]
    (newer / "p99/0.png").unlink()
    (newer / "p99").rmdir()
    assert facerec("enroll", "-g", gallery, newer, "--update", "--no-guard").returncode == 0
    person = in_json("gallery", "show", gallery, "p01")
    assert isinstance(person, dict)
    assert sorted(Path(t["photo_path"]).parts[-3] for t in person["templates"]) == ["newer"] * 3
    fails_with_one_line(facerec("enroll", "-g", gallery, newer, "--update", "--skip"), "contradict")


def test_a_gallery_is_its_owners_alone(gallery: Path) -> None:
    facerec("gallery", "check", gallery)  # makes the index
    assert stat.S_IMODE(gallery.stat().st_mode) == 0o600
    assert stat.S_IMODE(gallery.with_name("g.db.index").stat().st_mode) == 0o700


def test_pictures_with_names(gallery: Path, folders: Path, tmp_path: Path) -> None:
    done = facerec(
        "identify", "-g", gallery, folders / "people/p04", "--threshold", "0.9", "--annotate", tmp_path / "out"
    )
    assert done.returncode == 0, done.stderr
    pictures = sorted((tmp_path / "out").iterdir())
    assert len(pictures) == 2
    assert all(cv2.imread(str(picture)) is not None for picture in pictures)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("enroll", "--id", "x"), ("no photo was given",)),
        (("enroll", "--lookalikes", "maybe", "x"), ("--lookalikes is 'maybe'",)),
        (("enroll", "--fusion", "median", "x"), ("--fusion is 'median'", "max, mean, quality")),
        (("enroll", "--expires", "soon", "--id", "x", "y.png"), ("--expires is 'soon'",)),
        (("calibrate", "--fpir", "2"), ("between 0 and 1",)),
        (("calibrate", "--rule", "nac"), ("needs strangers",)),
        (("identify", "--fpir", "0.1", "--threshold", "0.5", "x.png"), ("either a threshold",)),
        (("identify", "nowhere.png", "--index", "fast"), ("fast",)),
    ],
)
def test_bad_input_is_one_line(
    arguments: tuple[str, ...], parts: tuple[str, ...], gallery: Path, tmp_path: Path
) -> None:
    command, *rest = arguments
    result: subprocess.CompletedProcess[str] = facerec(command, "-g", gallery, *rest, cwd=tmp_path)
    fails_with_one_line(result, *parts)
