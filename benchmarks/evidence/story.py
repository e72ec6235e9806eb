"""The README's table, sentence and picture: good features, and features that are learned, in a few rows."""

from collections.abc import Mapping
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.evidence.tables import chosen_rows, difference_cell, markdown, number

Summary = Mapping[str, Any]

ROWS = {
    "gallery": "the vectors themselves",
    "ncm": "`ncm`: class means",
    "oltr": "`oltr`",
    "oltr.whole": "`oltr`, its memory read whole",
    "oltr.no-memory": "`oltr` without its memory",
    "balanced_softmax": "`balanced_softmax`",
    "arcface": "`arcface`, scale 64, margin 0.5",
    "arcface.gentle": "`arcface`, scale 32, margin 0.3",
    "ncm.arcface-gentle": "class means, `arcface` of 32 and 0.3",
    "oltr_arcface": "`oltr_arcface`: 70 % of it, then the memory",
    "oltr_arcface.no-memory": "`oltr_arcface`, no memory read",
    "plain_balanced": "`plain_balanced`",
    "plain": "`plain`",
    "oltr.random-start": "`oltr` begun at random, as in its paper",
    "oltr_authors": "`oltr_authors`: its authors' code",
}
"""Configurations in the order of the table, in words."""

PANELS = {"frozen": "LFW, features given", "omniglot": "Omniglot, features learned"}
ALL, FEWEST = "#2166ac", "#c1440e"


def table(both: Summary) -> str:
    """FNIR by the score that validation chose, over all people and over those with one training image."""
    found = {name: {row["name"]: row for row in chosen_rows(both[name])} for name in PANELS}
    head = ["FNIR, per cent"]
    for name, words in PANELS.items():
        head += [f"{words}: all, FPIR {_fpir(both[name])} %", "with one image"]
    rows = []
    for one, words in ROWS.items():
        if all(one not in rows_of for rows_of in found.values()):
            continue
        cells = [words]
        for name in PANELS:
            row = found[name].get(one)
            keys = _keys(both[name])
            cells += [number(row, key) if row else "" for key in keys]
        rows.append(cells)
    return markdown(head, rows)


def memory(both: Summary) -> str:
    """What is lost by reading no memory, in points, with the bounds of the people."""
    parts = []
    for name, words in PANELS.items():
        cells = next(row for row in both[name]["differences"] if row["name"] == "oltr.no-memory")
        assert cells["against"] == "oltr.whole"
        fnir, rank1 = (difference_cell(cells[key], 1) for key in (both[name]["chosen_by"], "rank1 all"))
        parts.append(f"{words}, FNIR {fnir} and rank 1 {rank1}")
    return f"`oltr` without its memory, less with all of it: {'; '.join(parts)} (points; in brackets 95 % of people)."


def draw(both: Summary) -> Figure:
    """Two panels, a row a method: FNIR over all people, and over those with one training image."""
    figure = Figure(figsize=(11, 5.2), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2, sharey=True)
    run = {row["name"] for name in PANELS for row in both[name]["rows"]}
    names = [one for one in reversed(ROWS) if one in run]
    for axes, (name, words) in zip(panels, PANELS.items(), strict=True):
        rows = {row["name"]: row for row in chosen_rows(both[name])}
        for key, colour, marker, label in zip(
            _keys(both[name]), (ALL, FEWEST), "oD", ("all people", "people with one training image"), strict=True
        ):
            there = [(place, rows[one]) for place, one in enumerate(names) if one in rows]
            axes.errorbar(
                [row["mean"][key] for _, row in there],
                [place for place, _ in there],
                xerr=[row["sd"][key] or 0 for _, row in there],
                fmt=marker,
                color=colour,
                markersize=5,
                capsize=2,
                label=label,
            )
        axes.set_xlim(left=0)
        axes.set_title(words, loc="left", weight="bold")
        axes.set_xlabel(f"FNIR at FPIR {_fpir(both[name])} %, per cent, lower is better")
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(names)), [ROWS[one].replace("`", "") for one in names])
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _keys(summary: Summary) -> tuple[str, str]:
    fnir = summary["chosen_by"]
    return fnir, fnir.replace("all", next(iter(summary["people"])))


def _fpir(summary: Summary) -> int:
    return 10 if summary["chosen_by"].startswith("fnir10") else 1
