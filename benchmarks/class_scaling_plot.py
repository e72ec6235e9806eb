"""Draw class_scaling.json: python benchmarks/class_scaling_plot.py docs/scaling.png."""

import json
import sys
from typing import Any

from class_scaling import HEADS, OUT, predicted
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

COLOURS = dict(zip(HEADS, ("#7f7f7f", "#c1440e", "#b8860b", "#2166ac"), strict=True))
_SECONDS, _MB = (0.01, 0.1, 1, 10, 100), (1, 10, 100, 1_000, 10_000)


def draw(rows: list[dict[str, Any]]) -> Figure:
    """Two panels over the number of classes: seconds of a step, and peak MB with what is predicted."""
    figure = Figure(figsize=(11, 5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2)
    sizes = sorted({row["classes"] for row in rows})
    for name, colour in COLOURS.items():
        own = [row for row in rows if row["head"] == name]
        x = [row["classes"] for row in own]
        style = {"color": colour, "marker": "o", "markersize": 5, "linewidth": 2, "label": name}
        panels[0].plot(x, [row["cpu"] for row in own], **style)
        panels[1].plot(x, [row["peak_mb"] for row in own], **style)
        panels[1].plot(sizes, [predicted(name, C) / 1e6 for C in sizes], color=colour, linestyle=":", linewidth=1.4)
    _axes(panels[0], sizes, _SECONDS, "CPU seconds", "CPU time of a step")
    _axes(panels[1], sizes, _MB, "MB", "Peak memory (dotted: the arithmetic)")
    panels[0].legend(frameon=False)
    figure.supxlabel("B = 128, D = 512, float32, one process, one thread, medians", fontsize=9, color="#555555")
    return figure


def _axes(axes: Any, sizes: list[int], ticks: tuple[float, ...], unit: str, title: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis, places in ((axes.xaxis, sizes), (axes.yaxis, ticks)):
        axis.set_major_locator(FixedLocator(places))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.set_xlabel("classes")
    axes.set_ylabel(unit)
    axes.set_title(title, loc="left", weight="bold")
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    known = json.loads(OUT.read_text(encoding="utf-8"))
    draw(known["rows"]).savefig(sys.argv[1], metadata={"Software": None})
