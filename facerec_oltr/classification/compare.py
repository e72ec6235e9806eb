"""Measured runs as one table: a row a method, the mean over its seeds and their spread, the paper's row beside it."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facerec_oltr.classification.measure import FORMAT, VERSION
from facerec_oltr.classification.published import PAPER
from facerec_oltr.errors import DataError

COLUMNS = (
    "many",
    "medium",
    "few",
    "all",
    "open many",
    "open medium",
    "open few",
    "F",
    "never",
    "AUROC",
    "FPR95",
    "OSCR",
)


@dataclass(frozen=True)
class Cell:
    """One figure of one method in per cent.

    Attributes:
        mean: over the seeds; None where it was not measured.
        spread: sample standard deviation over the seeds; None for one seed.
    """

    mean: float | None
    spread: float | None = None

    def __str__(self) -> str:
        if self.mean is None:
            return "–"
        return f"{self.mean:.1f}" + ("" if self.spread is None else f" ± {self.spread:.1f}")


@dataclass(frozen=True)
class Comparison:
    """The table of one data set.

    Attributes:
        dataset: its name.
        rule: the open-set rule by which the open columns were decided.
        shots: the convention of many, medium and few.
        rows: (method, number of seeds, cells in the order of COLUMNS), the best F first.
    """

    dataset: str
    rule: str
    shots: str
    rows: list[tuple[str, int, list[Cell]]]

    def markdown(self) -> str:
        """The table, with words on how to read it, as Markdown."""
        words = (
            f"Data set `{self.dataset}`, per cent, mean ± standard deviation over seeds. Closed: accuracy by shots "
            f"(convention `{self.shots}`, means over classes) and over all images. Open: the same for known images, a "
            f"rejection being wrong, and the authors' F, with the threshold of the rule `{self.rule}` chosen on "
            "validation; *never* is the F of rejecting nobody. AUROC, FPR at 95 % TPR (lower is better) and OSCR need "
            "no threshold."
        )
        lines = [
            words,
            "",
            f"| method | seeds | {' | '.join(COLUMNS)} |",
            f"|---|---|{'---|' * len(COLUMNS)}",
        ]
        for method, seeds, cells in self.rows:
            lines.append(f"| {method} | {seeds or ''} | {' | '.join(map(str, cells))} |")
        return "\n".join(lines) + "\n"


def read_measurements(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Read what `facerec evaluate` left in run folders, or such files themselves.

    Raises:
        DataError: a run was not evaluated, a file is something else, or the same method and seed come twice.
    """
    found, seen = [], {}
    for path in paths:
        file = path / "classification.json" if path.is_dir() else path
        try:
            table = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(f"{file}: not there; make it with: facerec evaluate {path}") from None
        except (OSError, ValueError) as error:
            raise DataError(f"{file}: cannot be read ({error}); make it with: facerec evaluate RUN") from None
        if not isinstance(table, dict) or (table.get("format"), table.get("version")) != (FORMAT, VERSION):
            raise DataError(f"{file}: is no measurement of this version; make it with: facerec evaluate RUN")
        name = table["dataset"], table["method"], table["seed"]
        if name in seen:
            raise DataError(f"{file}: is {name[1]} on {name[0]} with seed {name[2]}, as {seen[name]}; give it once")
        seen[name] = file
        found.append(table)
    if not found:
        raise DataError("found no run to compare; give run folders that were measured with: facerec evaluate RUN")
    return found


def compare(measurements: Sequence[dict[str, Any]], rule: str = "max_softmax") -> list[Comparison]:
    """One table a data set, in the order of their first runs.

    Raises:
        DataError: runs of one data set saw different training data, or the rule was not measured for a run.
    """
    tables = []
    for dataset in dict.fromkeys(table["dataset"] for table in measurements):
        of_set = [table for table in measurements if table["dataset"] == dataset]
        if len({table["trained_on"] for table in of_set}) > 1:
            raise DataError(f"runs on {dataset} saw different training data, so no table can hold them; compare fewer")
        rows = []
        for method in dict.fromkeys(table["method"] for table in of_set):
            figures = [_figures(table, rule) for table in of_set if table["method"] == method]
            rows.append((method, len(figures), [_cell(column) for column in zip(*figures, strict=True)]))
        rows.sort(key=lambda row: -(row[2][COLUMNS.index("F")].mean or row[2][COLUMNS.index("all")].mean or 0))
        shots = of_set[0]["shots"]
        tables.append(Comparison(dataset, rule, shots, _with_paper(dataset, rows)))
    return tables


def _figures(table: dict[str, Any], rule: str) -> list[float | None]:
    closed = [table["closed"][name] for name in ("many", "medium", "few", "micro")]
    if not table["open"]:
        return [*closed, *[None] * (len(COLUMNS) - len(closed))]
    if rule not in table["open"]:
        raise DataError(
            f"{table['method']}: the rule {rule!r} was not measured for it, expected one of: {', '.join(table['open'])}"
        )
    figures = table["open"][rule]
    line = figures["validation"]
    known = [line["known"][name] for name in ("many", "medium", "few")]
    return [
        *closed,
        *known,
        line["authors"],
        table["never_reject"]["authors"],
        *(figures[name] for name in ("auroc", "fpr95", "oscr")),
    ]


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
