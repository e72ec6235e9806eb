"""Measured runs as one table: a row a method, the mean over its seeds, how sure it is, the paper's row beside it."""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facerec_oltr.classification.measure import FORMAT, VERSION
from facerec_oltr.classification.published import PAPER
from facerec_oltr.classification.replicates import CONFIDENCE, Replicates, table_path
from facerec_oltr.classification.table import COLUMNS, PLACES, Cell, Comparison
from facerec_oltr.errors import DataError
from facerec_oltr.metrics.resampled import percentile_interval

Drawn = npt.NDArray[np.float64]


def read_measurements(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Read what `facerec evaluate` left in run folders, or such files themselves.

    Raises:
        DataError: a run was not evaluated, a file is something else, or the same method and seed come twice.
    """
    found, seen = [], {}
    for path in paths:
        file = table_path(path)
        try:
            table = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(f"{file}: not there; make it with: facerec evaluate {path}") from None
        except (OSError, ValueError) as error:
            raise DataError(f"{file}: cannot be read ({error}); make it with: facerec evaluate RUN") from None
        if not isinstance(table, dict) or (table.get("format"), table.get("version")) != (FORMAT, VERSION):
            raise DataError(f"{file}: is no measurement of this version; make it with: facerec evaluate RUN --force")
        name = table["dataset"], table["method"], table["seed"]
        if name in seen:
            raise DataError(f"{file}: is {name[1]} on {name[0]} with seed {name[2]}, as {seen[name]}; give it once")
        seen[name] = file
        found.append(table)
    if not found:
        raise DataError("found no run to compare; give run folders that were measured with: facerec evaluate RUN")
    return found


DEFAULT_RULE = "nearest_centroid"
"""On validation photos it misses fewest, or less than a point more, with every method of docs/results.md; the OLTR
paper compares by ``max_softmax``."""


def compare(
    measurements: Sequence[dict[str, Any]],
    rule: str = DEFAULT_RULE,
    replicates: Sequence[Replicates] | None = None,
    against: str | None = None,
) -> list[Comparison]:
    """One table a data set, in the order of their first runs.

    Args:
        measurements: of the runs.
        rule: the open-set rule whose figures stand in the open columns.
        replicates: of the same runs, for bounds; None leaves them out.
        against: a method that every table holds the others against; it needs replicates.

    Raises:
        DataError: runs of one data set saw different training data or were resampled differently, the rule was not
            measured for a run, or the method to hold against is not there.
    """
    assert against is None or replicates is not None, "a difference has bounds"
    tables = []
    for dataset in dict.fromkeys(table["dataset"] for table in measurements):
        of_set = [place for place, table in enumerate(measurements) if table["dataset"] == dataset]
        chosen = [measurements[place] for place in of_set]
        if len({table["trained_on"] for table in chosen}) > 1:
            raise DataError(f"runs on {dataset} saw different training data, so no table can hold them; compare fewer")
        methods = list(dict.fromkeys(table["method"] for table in chosen))
        runs = [[place for place, table in enumerate(chosen) if table["method"] == method] for method in methods]
        drawn: list[Drawn | None] = [None] * len(methods)
        if replicates is not None:
            resampled = _alike([replicates[place] for place in of_set], dataset)
            drawn = [_resampled([resampled[place] for place in places], rule) for places in runs]
        figures = [_figures(table, rule) for table in chosen]
        rows = [
            (method, len(places), _cells([figures[place] for place in places], values))
            for method, places, values in zip(methods, runs, drawn, strict=True)
        ]
        differences = [] if against is None else _differences(rows, drawn, against, dataset)
        rows.sort(key=lambda row: -(row[2][COLUMNS.index("F")].mean or row[2][COLUMNS.index("all")].mean or 0))
        tables.append(Comparison(dataset, rule, chosen[0]["shots"], _with_paper(dataset, rows), against, differences))
    return tables


def _alike(replicates: list[Replicates], dataset: str) -> list[Replicates]:
    if len({run.draws for run in replicates}) > 1:
        raise DataError(
            f"runs on {dataset} were resampled differently: other test images, another convention of shots or number "
            "of replicates; measure them alike with: facerec evaluate RUNS --force"
        )
    return replicates


def _differences(
    rows: Sequence[tuple[str, int, list[Cell]]], drawn: Sequence[Drawn | None], against: str, dataset: str
) -> list[tuple[str, list[Cell]]]:
    """Each method minus `against`, the largest difference of F first."""
    place = {method: number for number, (method, _, _) in enumerate(rows)}.get(against)
    if place is None:
        methods = ", ".join(method for method, _, _ in rows)
        raise DataError(f"found no run of {against!r} on {dataset}; hold against one of: {methods}")
    differences = []
    for number, (method, _, cells) in enumerate(rows):
        one, other = drawn[number], drawn[place]
        assert one is not None and other is not None
        if number != place:
            pairs = zip(cells, rows[place][2], (one - other).T, strict=True)
            differences.append((method, [_difference(*pair) for pair in pairs]))
    differences.sort(key=lambda row: -(row[1][COLUMNS.index("F")].mean or row[1][COLUMNS.index("all")].mean or 0))
    return differences


def _figures(table: dict[str, Any], rule: str) -> list[float | None]:
    if table["open"] and rule not in table["open"]:
        raise DataError(
            f"{table['method']}: the rule {rule!r} was not measured for it, expected one of: {', '.join(table['open'])}"
        )
    return [_at(table, place.format(rule=rule)) for place in PLACES.values()]


def _at(table: dict[str, Any], place: str) -> float | None:
    """The figure at a place, None where the run has no open set."""
    value: Any = table
    for step in place.split("."):
        if value is None or (step not in value and not table["open"]):
            return None
        value = value[step]
    return value


def _resampled(runs: Sequence[Replicates], rule: str) -> Drawn:
    """Replicates of every column (R, columns): each the mean over the seeds on one resample."""
    places = [place.format(rule=rule) for place in PLACES.values()]
    return np.mean([[run.of(place) for place in places] for run in runs], axis=0).T


def _cells(figures: Sequence[list[float | None]], drawn: Drawn | None) -> list[Cell]:
    cells = [_cell(column) for column in zip(*figures, strict=True)]
    if drawn is None:
        return cells
    return [replace(cell, **_bounds(values)) for cell, values in zip(cells, drawn.T, strict=True)]


def _difference(one: Cell, other: Cell, drawn: Drawn) -> Cell:
    if one.mean is None or other.mean is None:
        return Cell(None)
    return Cell(one.mean - other.mean, **_bounds(drawn))


def _bounds(drawn: Drawn) -> dict[str, float]:
    low, high = percentile_interval(100 * drawn, CONFIDENCE)
    return {} if math.isnan(low) else {"low": low, "high": high}


def _cell(values: Sequence[float | None]) -> Cell:
    there = [100 * value for value in values if value is not None]
    if not there or len(there) < len(values):
        return Cell(None)
    return Cell(statistics.fmean(there), statistics.stdev(there) if len(there) > 1 else None)


def _with_paper(dataset: str, rows: list[tuple[str, int, list[Cell]]]) -> list[tuple[str, int, list[Cell]]]:
    """The rows, each followed by the paper's where the paper has one."""
    result = []
    for row in rows:
        result.append(row)
        if published := PAPER.get(dataset, {}).get(row[0].removesuffix("_imported").removesuffix("_authors")):
            cells = [*map(Cell, published), *[Cell(None)] * (len(COLUMNS) - len(published))]
            result.append((f"{row[0]}, as printed", 0, cells))
    return result
