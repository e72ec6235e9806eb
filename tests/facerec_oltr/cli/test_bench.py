"""`facerec bench` as a person meets it."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facerec_oltr.bench.results import read_results
from facerec_oltr.cli import main
from facerec_oltr.faces.raw_pixels import RawPixels
from recordio_tools.build import build_longtail
from recordio_tools.images import decode_photo, fit_square
from recordio_tools.longtail import Rule
from recordio_tools.packing import pack_folder

from ..conftest import write_people
from .test_door import fails_with_one_line

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def facerec(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command in this process, which has everything imported: one after another would take a minute."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = ["facerec", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", command)
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        told = capsys.readouterr()
        return subprocess.CompletedProcess(command, int(left.value.code or 0), told.out, told.err)

    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of 24 people, the set of them, and a cut that leaves 14 out."""
    folder = tmp_path_factory.mktemp("ms1m")
    photos = {f"p{number:02}": 3 + number % 6 for number in range(24)}
    write_people(folder / "photos", photos, seed=5)
    pack_folder(folder / "photos", folder / "set", size=32, image_format="png")
    build_longtail(folder / "set", folder / "lt", Rule("pareto", images=25, identities=10, alpha=1.0), 0, view=True)
    return folder


def test_a_cut_is_benchmarked_and_a_second_call_only_reads(facerec: Command, made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("bench", "ms1m_lt", "--images", made / "lt", "--model", "raw_pixels", "--scores", "cosine,centroid")
    command = (*command, "--fpir", "0.2,0.001", "--replicates", 20, "--out", out)
    first = facerec(*command)
    assert first.returncode == 0, first.stderr
    assert "rank 1" in first.stdout and "TPIR at FPIR 20 %" in first.stdout and "centroid" in first.stdout
    assert f"facerec report {out}" in first.stderr and "fewer searches chose the threshold" in first.stderr
    result = read_results(out)
    assert [(one.search_set, one.rule) for one in result.searches] == [
        ("open", "cosine"),
        ("trained", "cosine"),
        ("open", "centroid"),
        ("trained", "centroid"),
    ]
    opened, trained = result.searches[:2]
    assert {group.counted_by for group in opened.shots} == {"similarity"}  # nobody there was trained on
    for by in ("true_counts", "similarity"):
        groups = [group for group in trained.shots if group.counted_by == by]
        assert groups and {group.name for group in groups} <= {"many", "few", "one_shot", "zero_shot"}
        assert sum(group.probes for group in groups) == trained.parts["mated"].templates
    assert "similarity" in first.stdout and "true counts" in first.stdout
    assert re.search(r"of \d+ images to embed \d+ are training images", first.stderr)
    assert result.protocols["lt"].compared_with == 25
    assert len(opened.sizes) == 2  # the people who are looked for, and all with the distractors
    assert result.protocols["lt"].source_kind == "face_set"
    written = {path.relative_to(tmp_path): path.stat().st_mtime_ns for path in tmp_path.rglob("*.cache/**/*.*")}
    held = (out / "results.json").read_bytes()
    second = facerec(*command, "--json")
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout)["searches"] == json.loads(held)["searches"]
    assert (out / "results.json").read_bytes() == held
    assert {path.relative_to(tmp_path): path.stat().st_mtime_ns for path in tmp_path.rglob("*.cache/**/*.*")} == written
    fails_with_one_line(facerec(*command, "--no-training-images"), r"holds a result of other choices (protocols)")
    private = facerec(*command, "--no-faces")
    assert private.returncode == 0 and [path.name for path in out.iterdir()] == ["results.json"]


def test_pairs_are_told_in_a_table_of_their_own(facerec: Command, made: Path, tmp_path: Path) -> None:
    lines = ["2\t4"]
    for fold in range(2):
        lines += [f"p{person:02}\t1\t2" for person in range(4 * fold, 4 * fold + 4)]
        lines += [f"p{person:02}\t1\tp{person + 8:02}\t1" for person in range(4 * fold, 4 * fold + 4)]
    photos = tmp_path / "photos"
    for person in (made / "photos").iterdir():
        (photos / person.name).mkdir(parents=True)
        for photo in person.iterdir():
            name = f"{person.name}_{int(photo.stem) + 1:04}.png"
            (photos / person.name / name).write_bytes(photo.read_bytes())
    (tmp_path / "pairs.txt").write_text("\n".join(lines) + "\n")
    protocol = tmp_path / "pairs"
    drawn = facerec("protocol", "lfw-pairs", tmp_path / "pairs.txt", photos, protocol)
    assert drawn.returncode == 0, drawn.stderr
    result = facerec("bench", protocol, "--images", photos, "--model", "x=raw_pixels", "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert "TAR at FAR 10 %" in result.stdout and "accuracy" in result.stdout
    [found] = read_results(tmp_path / "out").pairs
    vectors = {}
    for path in photos.rglob("*.png"):
        square = fit_square(decode_photo(path.read_bytes(), ""), RawPixels().size)
        vectors[path.stem] = RawPixels().embed(square[None])[0]
    genuine = [vectors[f"p{n:02}_0001"] @ vectors[f"p{n:02}_0002"] for n in range(8)]
    impostor = [vectors[f"p{n:02}_0001"] @ vectors[f"p{n + 8:02}_0001"] for n in range(8)]
    assert min(genuine) > max(impostor)  # so that every figure is known
    assert (found.model, found.same, found.different, found.failed) == ("x", 8, 8, 0)
    assert (found.accuracy, found.eer) == (1, 0)
    assert found.tar == ((0.1, None), (0.01, None), (0.001, None), (0.0001, None))  # eight pairs show no such rate


def test_what_is_wrong_is_one_line(facerec: Command, made: Path, tmp_path: Path) -> None:
    out, model = ("--out", tmp_path / "out"), ("--model", "raw_pixels")
    images = ("--images", made / "lt")
    fails_with_one_line(facerec("bench", "ms1m_lt", *model, *out), "drawn from images, but no --images was given")
    for option, value, told in (
        ("--scores", "cosin", "no rule is called"),
        ("--fpir", "some", "expected numbers such as"),
        ("--scores", "adaptive_snorm", "found a cohort of"),
    ):
        fails_with_one_line(facerec("bench", "ms1m_lt", *images, *model, *out, option, value), told)
    np.savez(tmp_path / "f.npz", path=np.array(["1"]), v=np.full((1, 3), np.nan))
    fails_with_one_line(facerec("bench", "ms1m_lt", *images, "--model", tmp_path / "f.npz", *out), "NaN or infinity")
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.cache").exists()


def test_a_killed_process_is_gone_on_from(facerec: Command, made: Path, tmp_path: Path) -> None:
    options = ["ms1m_lt", "--images", made / "lt", "--model", "raw_pixels", "--replicates", 5, "--out"]
    slow = (
        "import time, sys\n"
        "from facerec_oltr.bench import features\n"
        "from facerec_oltr.bench.store import FeatureStore\n"
        "features.BATCH = 4\n"
        "add = FeatureStore.add\n"
        "FeatureStore.add = lambda *a: (add(*a), time.sleep(0.2))\n"
        "from facerec_oltr.cli import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", slow, "bench", *map(str, options), str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rows = lambda: sum(path.read_bytes().count(b"\n") for path in tmp_path.rglob("rows.tsv"))  # noqa: E731
    until = time.monotonic() + 60
    while rows() < 8 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    done = rows()
    assert done >= 8 and not (tmp_path / "out").exists()
    assert facerec("bench", *options, tmp_path / "out").returncode == 0
    assert rows() > done
    assert facerec("bench", *options, tmp_path / "unbroken").returncode == 0
    assert (tmp_path / "out/results.json").read_bytes() == (tmp_path / "unbroken/results.json").read_bytes()
