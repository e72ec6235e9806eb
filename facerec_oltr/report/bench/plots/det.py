"""The DET: enrolled people missed against strangers let in, at every threshold at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from facerec_oltr.bench.results import SearchResult
from facerec_oltr.report.bench.choice import Line, part
from facerec_oltr.report.bench.plots._lines import SMALL, backed, band, dress, marked, name_ends, new_figure, stroke
from facerec_oltr.report.bench.style import SHADE
from facerec_oltr.report.drawing import FAINT, GRID, percent_axis

_DECADES = tuple(10.0**power for power in range(-7, 1))
_THIRDS = tuple(sorted((*_DECADES, *(3 * one for one in _DECADES[:-1]))))


def det_figure(drawn: Sequence[tuple[Line, SearchResult]], targets: Sequence[float]) -> Any:
    """Both axes logarithmic; left of one stranger's search nothing can be told.

    A point stands where the threshold that other people chose for a target has landed.
    """
    shown = [(line, search) for line, search in drawn if search.det.x]
    strangers = max(part(search, "strangers").templates for _, search in shown)
    border = 1 / strangers
    left = border / 2.2
    floor = _floor([search for _, search in shown])
    figure = new_figure(4.0)
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(left, 1)
    axes.set_ylim(floor, 1)
    percent_axis(axes.xaxis, ticks=_THIRDS if left > 5e-4 else _DECADES)
    percent_axis(axes.yaxis)
    dress(axes, "strangers let in, of their searches (FPIR)", "enrolled people missed or confused (FNIR)")
    axes.axvspan(left, border, facecolor=SHADE, edgecolor=GRID, hatch="////", linewidth=0, zorder=0)
    words = f"less than 1 of {strangers:,} searches"
    axes.text(
        np.sqrt(left * border), np.sqrt(floor), words, rotation=90, ha="center", va="center", fontsize=SMALL,
        color=FAINT, bbox=backed(),
    )  # fmt: skip
    for target in (target for target in targets if target >= border):
        axes.axvline(target, color=FAINT, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
        words = f"wanted\n{100 * target:g} %"
        axes.text(
            target, 1.015, words, transform=axes.get_xaxis_transform(), fontsize=SMALL - 1, color=FAINT, ha="center",
            va="bottom",
        )  # fmt: skip
    ends = []
    for line, search in shown:
        x, y = np.array(search.det.x), np.maximum(search.det.y, floor)
        x = np.maximum(x, left)
        if search.det.low:
            band(axes, x, np.maximum(search.det.low, floor), np.maximum(search.det.high, floor), line.style)
        axes.plot(x, y, **stroke(line.style))
        _landed(axes, line, search, left, floor)
        ends.append((line, float(x[-1]), float(y[-1])))
    name_ends(axes, ends)
    return figure


def _landed(axes: Any, line: Line, search: SearchResult, left: float, floor: float) -> None:
    """Where calibrated thresholds came to lie, of targets that could be measured; at the left edge if nobody got in."""
    for point in search.points:
        there = point.fpir.value is not None and point.tpir.value is not None
        if there and point.chosen_by == "calibration" and point.measurable:
            x, y = max(point.fpir.value or 0, left), max(1 - (point.tpir.value or 0), floor)
            axes.plot(x, y, line.style.marker, clip_on=False, zorder=5, **marked(line.style))


def _floor(searches: Sequence[SearchResult]) -> float:
    """Just below the lowest curve; one that reaches 0 would leave a logarithmic axis."""
    least = min((y for search in searches for y in (*search.det.y, *search.det.low) if y > 0), default=0.1)
    fewest = 0.5 / max(part(search, "mated").templates for search in searches)
    return min(0.5, max(least * 0.7, fewest))
