"""The demo: whole, on the real photos, stopped anywhere and run again.

It needs the extras `demo` and `dlib`, which the test environment has.
"""

import os
import random
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import cv2
import pytest

from facerec_oltr.demo import DemoResult, Teller, run_demo
from facerec_oltr.engine.reporting import Silent

SHORT = ("schedule.epochs=4", "backbone.width=4", "backbone.features=16")


class StoppedError(Exception):
    """Stands for a kill between two steps."""


def demo(out: Path, *, stop_after: int | None = None) -> tuple[DemoResult, list[str]]:
    """Run it with a short training; give the result and the commands that were said."""
    said: list[str] = []

    def say(line: str) -> None:
        if len(said) == stop_after:
            raise StoppedError
        said.append(line)

    teller = Teller(say, lambda _label: nullcontext(lambda _done, _total: None), lambda: nullcontext(Silent()))
    return run_demo(out, teller, splits=1, overrides=SHORT), said


def test_stopped_after_every_step_it_goes_on_and_ends_with_the_whole_report(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    for _ in range(20):
        try:
            result, _ = demo(out, stop_after=2)
            break
        except StoppedError:
            continue
    else:
        result, _ = demo(out)

    again, said_again = demo(out)
    assert not [
        line for line in said_again if line.startswith(("$ recordio", "$ facerec train", "$ facerec calibrate"))
    ]
    assert [d.to_json() for d in again.decisions] == [d.to_json() for d in result.decisions]
    assert len(result.decisions) == 38 + 50  # 5 people less 1 + 2 + 3 + 5 + 1 templates, and 5 strangers
    assert {model.name: model.role for model in result.summary.models} == {
        "raw pixels": "floor",
        "plain (direct)": "trained",
        "oltr (direct)": "trained",
        "oltr (meta)": "trained",
        "dlib": "ceiling",
    }
    report = result.report.read_text()
    for picture in ("report-det.png", "report-examples.png", "report-1-images_per_identity.png"):
        assert f"({picture})" in report
        assert cv2.imread(str(out / picture)) is not None
    assert "AT&T Laboratories Cambridge" in report
    assert "One training split" in report or "one training split" in report
    dlib = next(model for model in result.summary.models if model.name == "dlib")
    assert dlib.figures[("rank_1",)].mean > 0.98  # the dossier measured 99.9 % with one enrolled photo each


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/letter.txt").write_text("dear")
    with pytest.raises(Exception, match="holds something else than the AT&T photos"):
        demo(tmp_path)


@pytest.mark.slow
def test_killed_at_random_moments_it_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    settings = [part for override in SHORT for part in ("--set", override)]
    command = [sys.executable, "-c", "from facerec_oltr.cli import main; main()"]
    command += ["demo", "--out", str(out), "--splits", "2", *settings]
    chance = random.Random(0)
    for _ in range(12):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(chance.uniform(2, 12))
            break
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert (out / "report.md").exists()
    assert not list(out.rglob("progress-*"))
