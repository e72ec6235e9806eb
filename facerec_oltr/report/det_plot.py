"""The DET curves as a picture: how many enrolled people are missed against how many strangers get in."""

from typing import Any

import numpy as np

from facerec_oltr.report.drawing import apart, canvas, halo, percent_axis, plain_frame, png
from facerec_oltr.report.summary import Summary

COLOURS = {"floor": "#7f7f7f", "ceiling": "#1b7837"}
TRAINED = ("#c1440e", "#2166ac", "#8e4ea6", "#b8860b")
_LOWEST = 0.002  # FNIR: a curve that reaches 0 would leave a logarithmic axis


def model_colours(summary: Summary) -> dict[str, str]:
    """A colour for each model, the same in every picture."""
    trained = iter(TRAINED * len(summary.models))
    return {model.name: COLOURS.get(model.role) or next(trained) for model in summary.models}


def det_png(summary: Summary) -> bytes:
    """Draw FNIR against FPIR, both logarithmic: the mean over all draws, and from the best split to the worst.

    In the hatched area, below 1 / strangers' photos, a single draw cannot measure: there the curves show the
    misses when no stranger at all gets in.
    """
    border = 1 / summary.stranger_photos[0]
    left = min(border / 2, *summary.targets)
    figure = canvas(9, 6)
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.set_yscale("log")
    _draw_curves(axes, summary, left)
    axes.axvspan(left, border, facecolor="#f2f2f2", edgecolor="#d8d8d8", hatch="///", linewidth=0, zorder=0)
    note = f"below 1 / {summary.stranger_photos[0]}: not measurable in one draw"
    centre = np.sqrt(left * border), np.sqrt(_LOWEST)
    axes.text(*centre, note, rotation=90, ha="center", va="center", color="#555555", path_effects=halo())
    _percent_axes(axes, left)
    axes.set_xlabel("strangers let in (FPIR)")
    axes.set_ylabel("enrolled people missed or confused (FNIR)")
    axes.set_title("Missed people against admitted strangers: lower is better", loc="left", weight="bold")
    figure.supxlabel(_caption(summary), fontsize=9, color="#555555")
    return png(figure)


def _draw_curves(axes: Any, summary: Summary, left: float) -> None:
    shown = summary.fpir_grid >= left * 0.999
    fpir, colours = summary.fpir_grid[shown], model_colours(summary)
    heights = {}
    for model in summary.models:
        low, mean, high = (np.maximum(line, _LOWEST) for line in (model.det.low, model.det.mean, model.det.high))
        axes.fill_between(fpir, low[shown], high[shown], color=colours[model.name], alpha=0.18, linewidth=0)
        axes.plot(fpir, mean[shown], color=colours[model.name], linewidth=2.4)
        heights[model.name] = float(mean[-1])
    names = list(heights)
    logs = apart([float(np.log(heights[name])) for name in names], float(np.log(1.3)))
    for name, height in zip(names, np.exp(logs), strict=True):
        axes.annotate(
            name,
            (1, heights[name]),
            (1.12, height),
            color=colours[name],
            va="center",
            weight="bold",
            fontsize=12,
            arrowprops={"arrowstyle": "-", "color": colours[name], "shrinkA": 2, "shrinkB": 0, "relpos": (0, 0.5)},
        )


def _percent_axes(axes: Any, left: float) -> None:
    axes.set_xlim(left, 1)
    axes.set_ylim(_LOWEST, 1)
    percent_axis(axes.xaxis)
    percent_axis(axes.yaxis)
    plain_frame(axes)


def _caption(summary: Summary) -> str:
    draws = f"line: mean of {summary.draws * summary.splits} draws"
    bands = f"; band: best to worst of {summary.splits} training splits" if summary.splits > 1 else ""
    return f"{draws}{bands}; what lies below {100 * _LOWEST:g} % is drawn at the lower edge"
