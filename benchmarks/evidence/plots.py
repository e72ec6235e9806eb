"""A picture of each experiment: FNIR of every configuration, over all people and over those with the fewest photos."""

from collections.abc import Mapping
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

OWN, CHOSEN = "#c1440e", "#2166ac"
_OLTR = ("oltr",)
_WIDE = 3  # a logarithm is for figures that differ by more
_LEAST = 10  # points on an axis at least, so that a difference that says nothing does not look large


def draw(name: str, summary: Mapping[str, Any]) -> Figure:
    """Two panels, a row a configuration: with the score that validation chose, and with the classifier's own."""
    fewest = next(iter(summary["people"]))
    rows = {(row["name"], row["score"]): row for row in summary["rows"]}
    chosen = summary["chosen"]
    fnir = summary["chosen_by"]
    names = sorted(chosen, key=lambda one: -rows[one, chosen[one]]["mean"][fnir])
    figure = Figure(figsize=(11, 1.6 + 0.27 * len(names)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, key, title in (
        (panels[0], fnir, "All"),
        (panels[1], fnir.replace("all", fewest), f"With {_in_words(fewest)}"),
    ):
        for place, one in enumerate(names):
            for score, colour, marker, label in (
                ("max_softmax", OWN, "o", "the classifier's own maximum softmax"),
                (chosen[one], CHOSEN, "D", "the score that validation chose"),
            ):
                if (row := rows.get((one, score))) is not None:
                    axes.errorbar(
                        row["mean"][key],
                        place,
                        xerr=row["sd"][key] or 0,
                        fmt=marker,
                        color=colour,
                        markersize=5,
                        capsize=2,
                        linewidth=1.2,
                        label=label if place == 1 else None,
                    )
        low, high = axes.get_xlim()
        if high - low < _LEAST:
            axes.set_xlim(high - _LEAST, high)
        logarithmic = low > 0 and high / low > _WIDE
        if logarithmic:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "235" else "")
        axes.set_xlabel(
            f"FNIR at FPIR {10 if '10' in fnir else 1} %, per cent{' (log)' if logarithmic else ''}, lower is better"
        )
        axes.set_title(title, loc="left", weight="bold")
        axes.grid(color="#dddddd", linewidth=0.6, which="both", axis="x")
        axes.grid(color="#eeeeee", linewidth=0.6, axis="y")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(names)), [_label(one) for one in names])
    for tick, one in zip(panels[0].get_yticklabels(), names, strict=True):
        tick.set_weight("bold" if one in _OLTR else "normal")
    handles, labels = panels[0].get_legend_handles_labels()
    seeds = summary["seeds"]
    made_of = f"{name}: mean and standard deviation of {seeds} seeds" if seeds > 1 else f"{name}: one seed"
    title = f"{made_of}; one mark where both scores are the same"
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, title=title)
    return figure


def _label(name: str) -> str:
    return "bare vectors" if name == "gallery" else name


def _in_words(fewest: str) -> str:
    return "one training image" if fewest == "1" else f"{fewest} training images"
