"""Replicates of a run against its figures, its bounds against them, and what is refused on reading back."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facerec_oltr.classification import Measured, measure_run, read_measurements, read_replicates, write_measurement
from facerec_oltr.classification.replicates import Replicates, replicates_path
from facerec_oltr.errors import DataError
from facerec_oltr.metrics.resampled import Weights

from .test_measure import run_on


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Measured]:
    folder = tmp_path_factory.mktemp("written")
    measured = measure_run(run_on(folder, "oltr"))
    write_measurement(folder / "classification.json", measured, 200)
    return folder, measured


def at(table: Any, place: str) -> Any:
    for step in place.split("."):
        table = table[step]
    return table


def places(table: dict[str, Any], before: str = "") -> list[str]:
    """Every figure that comes from test images."""
    found = []
    for name, value in table.items():
        found += places(value, f"{before}{name}.") if isinstance(value, dict) else [before + name]
    return [place for place in found if not place.endswith("threshold")]


def test_every_figure_has_replicates_and_with_every_class_once_they_are_the_figure(
    written: tuple[Path, Measured],
) -> None:
    _, measured = written
    ones = Weights(np.ones(len(measured.train_counts)), np.ones(len(measured.test_labels)))
    found = {
        f"{place}.{name}": value
        for place, members in measured.figures.items()
        for member in members
        for name, value in zip(member.names, member(ones), strict=True)
    }
    expected = places({name: measured.table[name] for name in ("closed", "open", "never_reject")})
    assert found.keys() == set(expected)
    for place in expected:
        figure = at(measured.table, place)
        assert found[place] == pytest.approx(np.nan if figure is None else figure, nan_ok=True), place


def test_the_file_has_bounds_of_every_figure_and_the_replicates_beside_it(written: tuple[Path, Measured]) -> None:
    folder, measured = written
    table = json.loads((folder / "classification.json").read_text())
    bounds = table["intervals"]["bounds"]
    (replicates,) = read_replicates([folder], read_measurements([folder]))
    assert replicates.values.shape == (200, len(bounds))
    assert bounds.keys() == set(replicates.names)
    for place in ("closed.macro", "open.max_softmax.auroc", "open.memory.validation.authors"):
        values = replicates.of(place)
        assert bounds[place] == pytest.approx(np.quantile(values, [0.025, 0.975]).tolist())
        assert values.min() <= at(table, place) + 1e-12  # sums in another order
        assert at(table, place) - 1e-12 <= values.max()
    del table["intervals"]
    assert table == measured.table


def test_runs_on_the_same_test_images_are_resampled_alike(written: tuple[Path, Measured], tmp_path: Path) -> None:
    _, measured = written
    other = measure_run(run_on(tmp_path, "plain"))
    assert other.resamples(100).fingerprint == measured.resamples(100).fingerprint
    (tmp_path / "closed").mkdir()
    closed = measure_run(run_on(tmp_path / "closed", "plain", ("train", "test")))
    assert closed.resamples(100).fingerprint != measured.resamples(100).fingerprint
    write_measurement(tmp_path / "closed.json", closed, 100)
    (replicates,) = read_replicates([tmp_path / "closed.json"], read_measurements([tmp_path / "closed.json"]))
    assert replicates.names == tuple(f"closed.{name}" for name in ("many", "medium", "few", "micro", "macro"))
    assert np.isnan(replicates.of("open.max_softmax.auroc")).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "belongs to another measurement"),
        (lambda path: path.write_bytes(b""), "belongs to another measurement"),
    ],
)
def test_missing_and_foreign_replicates_are_refused(
    written: tuple[Path, Measured], tmp_path: Path, change: Any, message: str
) -> None:
    folder, _ = written
    for path in folder.glob("classification*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    change(replicates_path(tmp_path / "classification.json"))
    with pytest.raises(DataError, match=message):
        read_replicates([tmp_path], read_measurements([tmp_path]))


def test_an_unmeasured_figure_has_no_replicates() -> None:
    assert np.isnan(Replicates(("a",), np.zeros((3, 1)), "").of("b")).all()
