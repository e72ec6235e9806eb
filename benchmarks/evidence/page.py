"""The committed JSON → the tables of docs/results.md and README.md, between marks in them, and their pictures.

A mark is a line ``<!-- TABLE of EXPERIMENT -->``; what stands between it and ``<!-- end -->`` is made anew.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.evidence import faces, plots, story
from benchmarks.evidence.tables import chosen_rows, difference_cell, markdown, number
from recordio_tools.whole import write_whole

Summary = Mapping[str, Any]

_MARK = re.compile(r"(<!-- (\w+) of (\w+) -->\n).*?(<!-- end -->)", re.S)


def write(folder: Path, root: Path) -> None:
    """Make anew, from the figures in `folder`, the tables of `root`'s pages and the pictures in ``docs``."""
    found = figures(folder)
    fill(found, root)
    for name, summary in found.items():
        figure = DRAWN[name](summary) if name in DRAWN else plots.draw(name, summary)
        figure.savefig(root / f"docs/results-{name}.png", metadata={"Software": None})


def fill(found: Mapping[str, Summary], root: Path) -> None:
    """Fill the marks of ``docs/results.md`` and ``README.md`` below `root`; one without figures says so."""

    def filled(match: re.Match[str]) -> str:
        head, table, experiment, end = match.groups()
        summary = found.get(experiment)
        body = TABLES[table](summary) if summary else "Not run yet."
        return f"{head}\n{body}\n\n{end}"

    for page in (root / "docs/results.md", root / "README.md"):
        write_whole(page, _MARK.sub(filled, page.read_text(encoding="utf-8")).encode())


def figures(folder: Path) -> dict[str, Summary]:
    """The figures by the names that stand in marks: of each experiment; of several together where all are there."""
    found = {path.stem.removeprefix("evidence_"): _read(path) for path in sorted(folder.glob("evidence_*.json"))}
    joined = {
        "faces": {"first_run": folder / "lfw_first_run.json", "open_set": folder / "lfw_open_set.json"},
        "story": {name: folder / f"evidence_{name}.json" for name in story.PANELS},
    }
    for name, parts in joined.items():
        if all(path.exists() for path in parts.values()):
            found[name] = {part: _read(path) for part, path in parts.items()}
    return found


def _read(path: Path) -> Summary:
    return json.loads(path.read_text(encoding="utf-8"))


def closed(summary: Summary) -> str:
    """Share of photos whose own class is on top, by training photos."""
    bins = ["all", *summary["people"]]
    rows = {row["name"]: row for row in summary["rows"] if row["images"] and row["score"] == "max_logit"}
    ordered = sorted(rows.values(), key=lambda row: -row["mean"][f"rank1 {bins[1]}"])
    return markdown(
        ["method", "images seen", *_titles(summary, bins)],
        [[row["name"], f"{row['images']:,}", *(number(row, f"rank1 {name}") for name in bins)] for row in ordered],
    )


def opened(summary: Summary) -> str:
    """Open-set identification by the score that validation chose."""
    bins = ["all", *summary["people"]]
    tens = [f"at 10 %: {name}" for name in bins[:2]]
    fnir = [f"FNIR {title}" for title in _titles(summary, bins)]
    head = ["method", "score", *fnir, "FPIR", *tens, "AUROC", "FPR95", "OSCR"]
    return markdown(
        head,
        [
            [
                row["name"],
                row["score"].replace("_", " "),
                *(number(row, f"fnir {name}") for name in bins),
                number(row, "fpir"),
                *(number(row, f"fnir10 {name}") for name in bins[:2]),
                *(number(row, name) for name in ("auroc", "fpr95", "oscr")),
            ]
            for row in chosen_rows(summary)
        ],
    )


def scores(summary: Summary) -> str:
    """The figure that validation chose by, of every method by every score, over all and over those with the fewest."""
    fewest = next(iter(summary["people"]))
    names = [name for name in _methods(summary) if any(row["images"] for row in _of(summary, name))]
    every = list(dict.fromkeys(row["score"] for row in summary["rows"] if row["images"]))
    cells = {(row["name"], row["score"]): row for row in summary["rows"]}
    return markdown(
        ["method", *(score.replace("_", " ") for score in every)],
        [[name, *(_pair(cells.get((name, score)), summary["chosen_by"], fewest) for score in every)] for name in names],
    )


def gallery(summary: Summary) -> str:
    """Open-set identification by the bare vectors, every rule."""
    bins = ["all", *summary["people"]]
    rows = sorted((row for row in summary["rows"] if not row["images"]), key=lambda row: row["mean"]["fnir all"])
    head = ["templates and rule", "rank 1", *(f"FNIR {title}" for title in _titles(summary, bins)), "FPIR", "AUROC"]
    return markdown(
        head,
        [
            [
                row["score"],
                number(row, "rank1 all"),
                *(number(row, f"fnir {name}") for name in bins),
                number(row, "fpir"),
                number(row, "auroc", 2),
            ]
            for row in rows
        ],
    )


def differences(summary: Summary) -> str:
    """Each configuration less each reference, paired by seed."""
    fewest = next(iter(summary["people"]))
    fnir = summary["chosen_by"]
    figures = ["rank1 all", f"rank1 {fewest}", fnir, fnir.replace("all", fewest), "auroc"]
    title = "FNIR at 10 %" if fnir.startswith("fnir10") else "FNIR at 1 %"
    titles = ["rank 1", f"rank 1, {fewest}", title, f"{title}, {fewest}", "AUROC"]
    return markdown(
        ["method", "less", *titles],
        [
            [
                row["name"],
                row["against"],
                *(difference_cell(row[figure], 1 + (figure == "auroc")) for figure in figures),
            ]
            for row in summary["differences"]
        ],
    )


def _pair(row: Summary | None, figure: str, fewest: str) -> str:
    return "" if row is None else f"{number(row, figure)}; {row['mean'][figure.replace('all', fewest)]:.1f}"


def _methods(summary: Summary) -> list[str]:
    return [row["name"] for row in chosen_rows(summary)]


def _of(summary: Summary, name: str) -> list[Summary]:
    return [row for row in summary["rows"] if row["name"] == name]


def _titles(summary: Summary, bins: Sequence[str]) -> list[str]:
    return [name if name == "all" else f"{name} ({summary['people'][name]:,})" for name in bins]


TABLES: Mapping[str, Callable[[Summary], str]] = {
    "closed": closed,
    "opened": opened,
    "scores": scores,
    "gallery": gallery,
    "differences": differences,
    "pairs": faces.pairs,
    "searches": faces.searches,
    "protocol": faces.protocol,
    "table": story.table,
    "memory": story.memory,
}
DRAWN: Mapping[str, Callable[[Summary], Figure]] = {"faces": faces.draw, "story": story.draw}
