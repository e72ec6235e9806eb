"""Tables of hand-made measurements, and the two commands on a real run."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from facerec_oltr.classification import COLUMNS, Replicates, compare, read_measurements
from facerec_oltr.cli import main
from facerec_oltr.errors import DataError

from .test_measure import run_on


def measurement(
    method: str, seed: int, all_: float, F: float, dataset: str = "made", data: str = "ab"
) -> dict[str, Any]:
    line = {"known": {"many": 0.5, "medium": 0.4, "few": None}, "authors": F}
    figures = {"validation": line, "auroc": 0.9, "fpr95": 0.2, "oscr": 0.8}
    closed = {"many": 0.6, "medium": 0.5, "few": 0.1, "micro": all_, "macro": 0.4}
    return {
        "format": "facerec classification", "version": 1, "method": method, "dataset": dataset, "seed": seed,
        "trained_on": data, "shots": "faces", "closed": closed, "open": {"nearest_centroid": figures},
        "never_reject": {"authors": 0.3},
    }  # fmt: skip


def write(folder: Path, *measurements: dict[str, Any]) -> list[Path]:
    paths = []
    for number, table in enumerate(measurements):
        (folder / str(number)).mkdir()
        (folder / str(number) / "classification.json").write_text(json.dumps(table))
        paths.append(folder / str(number))
    return paths


def test_means_and_spreads_over_seeds_with_the_best_f_first(tmp_path: Path) -> None:
    runs = write(
        tmp_path,
        measurement("plain", 0, 0.70, 0.5),
        measurement("plain", 1, 0.74, 0.6),
        measurement("oltr", 0, 0.7, 0.9),
    )
    (table,) = compare(read_measurements(runs))
    assert [(method, seeds) for method, seeds, _ in table.rows] == [("oltr", 1), ("plain", 2)]
    cells = dict(zip(COLUMNS, table.rows[1][2], strict=True))
    assert (cells["all"].mean, cells["F"].mean) == (pytest.approx(72), pytest.approx(55))
    assert cells["all"].spread == pytest.approx(2 * 2**0.5)  # of 70 and 74: the deviations are 2, n - 1 is 1
    assert str(cells["all"]) == "72.0 ± 2.8"
    assert str(cells["open few"]) == "–"
    assert str(dict(zip(COLUMNS, table.rows[0][2], strict=True))["never"]) == "30.0"
    assert "| plain | 2 | 60.0 ± 0.0 |" in table.markdown()


def test_the_papers_row_stands_beside_ours(tmp_path: Path) -> None:
    (table,) = compare(read_measurements(write(tmp_path, measurement("oltr_authors", 0, 0.4, 0.4, "imagenet_lt"))))
    ours, paper = table.rows
    assert (ours[0], paper[0]) == ("oltr_authors", "oltr_authors, as printed")
    assert [cell.mean for cell in paper[2][:4]] == [43.2, 35.1, 18.5, 35.6]


def test_one_table_a_data_set(tmp_path: Path) -> None:
    runs = write(tmp_path, measurement("plain", 0, 0.7, 0.5), measurement("plain", 0, 0.7, 0.5, "other"))
    assert [table.dataset for table in compare(read_measurements(runs))] == ["made", "other"]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([], "no run to compare"),
        ([measurement("plain", 0, 1, 1)] * 2, "plain on made with seed 0, as .*give it once"),
        ([measurement("plain", 0, 1, 1), measurement("plain", 1, 1, 1, data="cd")], "saw different training data"),
        ([{"format": "else"}], "no measurement of this version"),
    ],
)
def test_what_no_table_can_hold(tmp_path: Path, tables: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        compare(read_measurements(write(tmp_path, *tables)))


def test_a_rule_that_was_not_measured_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the rule 'knn' was not measured for it, expected one of: nearest_centroid"):
        compare(read_measurements(write(tmp_path, measurement("plain", 0, 1, 1))), "knn")


def replicates(first: list[float], F: list[float], draws: str = "same") -> Replicates:
    """Of two figures; the others were not resampled."""
    return Replicates(("closed.micro", "open.nearest_centroid.validation.authors"), np.array([first, F]).T, draws)


def test_bounds_are_of_the_mean_over_seeds_on_the_same_resample() -> None:
    measured = [measurement("plain", seed, 0.5, 0.5) for seed in (0, 1)]
    # On each resample one seed is as much too high as the other too low: their mean is as sure as can be.
    up, down = np.linspace(0.4, 0.6, 101), np.linspace(0.6, 0.4, 101)
    drawn = [replicates(up.tolist(), up.tolist()), replicates(down.tolist(), up.tolist())]
    (table,) = compare(measured, replicates=drawn)
    cells = dict(zip(COLUMNS, table.rows[0][2], strict=True))
    assert (cells["all"].low, cells["all"].high) == (pytest.approx(50), pytest.approx(50))
    assert (cells["F"].low, cells["F"].high) == (pytest.approx(40.5), pytest.approx(59.5))  # 2.5 % off either end
    assert str(cells["F"]) == "50.0 ± 0.0 [40.5, 59.5]"
    assert cells["AUROC"].low is None
    assert "In brackets 95% of resampled test sets" in table.markdown()
    assert "In brackets" not in compare(measured)[0].markdown()


def test_differences_are_paired() -> None:
    measured = [measurement("plain", 0, 0.5, 0.5), measurement("oltr", 0, 0.6, 0.4)]
    values = np.linspace(0.4, 0.6, 101)
    drawn = [replicates(values.tolist(), values.tolist()), replicates((values + 0.1).tolist(), values[::-1].tolist())]
    (table,) = compare(measured, replicates=drawn, against="plain")
    ((method, row),) = table.differences
    cells = dict(zip(COLUMNS, row, strict=True))
    assert method == "oltr"
    assert cells["all"].text("+") == "+10.0 [+10.0, +10.0]"  # better by as much on every resample
    assert cells["F"].text("+") == "-10.0 [-19.0, +19.0]"
    assert cells["open few"].text("+") == "–"
    assert table.markdown().count("| oltr |") == 2
    assert "Each method minus `plain`" in table.markdown()


def test_bounds_of_other_test_images_or_a_method_that_is_not_there_are_refused() -> None:
    measured = [measurement("plain", 0, 0.5, 0.5), measurement("oltr", 0, 0.6, 0.4)]
    drawn = [replicates([0.5], [0.5]), replicates([0.5], [0.5], draws="other")]
    with pytest.raises(DataError, match="were resampled differently"):
        compare(measured, replicates=drawn)
    with pytest.raises(DataError, match="no run of 'range' on made; hold against one of: plain, oltr"):
        compare(measured, replicates=[drawn[0]] * 2, against="range")


Facerec = Callable[..., SimpleNamespace]


@pytest.fixture
def facerec(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Facerec:
    """The command line, in this process, which has torch already."""

    def run(*arguments: object) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["facerec", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return SimpleNamespace(returncode=end.value.code, stdout=out, stderr=err)

    return run


def test_the_commands(tmp_path: Path, facerec: Facerec) -> None:
    run = run_on(tmp_path, "plain").path
    missing = facerec("compare", run)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "make it with: facerec evaluate" in missing.stderr
    done = facerec("evaluate", run, "--json")
    assert done.returncode == 0, done.stderr
    (figures,) = json.loads(done.stdout)
    assert figures == json.loads((run / "classification.json").read_text())
    again = facerec("evaluate", run)
    assert "already measured; measure anew with --force" in again.stderr
    assert "| plain | 1 |" in again.stdout
    table = facerec("compare", run, "--rule", "energy", "--out", tmp_path / "new/table.md", "--json")
    assert json.loads(table.stdout)[0]["rows"][0]["method"] == "plain"
    assert "rule `energy`" in (tmp_path / "new/table.md").read_text()
    wrong = facerec("compare", tmp_path)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: ")
    assert len(wrong.stderr.splitlines()) == 1


def test_the_commands_on_intervals(tmp_path: Path, facerec: Facerec) -> None:
    run = run_on(tmp_path, "plain").path
    assert facerec("evaluate", run, "--replicates", 100).returncode == 0
    (row,) = json.loads(facerec("compare", run, "--intervals", "--json").stdout)[0]["rows"]
    assert row["all"]["low"] <= row["all"]["mean"] + 1e-9
    assert row["all"]["mean"] - 1e-9 <= row["all"]["high"]
    alone = facerec("compare", run, "--against", "oltr")
    assert (alone.returncode, alone.stdout) == (1, "")
    assert alone.stderr == "error: found no run of 'oltr' on lfw_features; hold against one of: plain\n"
    few = facerec("evaluate", run, "--force", "--replicates", 10)
    assert few.stderr == "error: found --replicates 10, expected 100 or more, or 0 for no intervals\n"
    assert len(list(run.glob("classification*"))) == 2
    assert facerec("evaluate", run, "--force", "--replicates", 0).returncode == 0
    assert [path.name for path in run.glob("classification*")] == ["classification.json"]
    without = facerec("compare", run, "--intervals").stderr
    assert without.startswith(f"error: {run / 'classification.json'}: was measured without intervals; measure the run")
