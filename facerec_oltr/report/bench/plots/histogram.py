"""Scores of enrolled people and of strangers, with the threshold drawn in: a panel a model and rule."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from facerec_oltr.bench.results import SearchResult
from facerec_oltr.report.bench.choice import Line, fair_point
from facerec_oltr.report.bench.plots._lines import NORMAL, SMALL, backed, new_figure
from facerec_oltr.report.bench.style import STYLES
from facerec_oltr.report.drawing import INK, plain_frame

MATED, STRANGERS = STYLES[0].colour, STYLES[1].colour
_COLUMNS, _OUTER = 2, 0.0005


def histogram_figure(drawn: Sequence[tuple[Line, SearchResult]], target: float) -> Any:
    """Each side as shares of its searches, so that a small side is seen beside a large one."""
    shown = [(line, search) for line, search in drawn if search.histogram.edges]
    rows = -(-len(shown) // _COLUMNS)
    figure = new_figure(0.5 + 1.75 * rows)
    columns = min(_COLUMNS, len(shown))
    for place, (line, search) in enumerate(shown):
        axes = figure.add_subplot(rows, columns, place + 1)
        _panel(axes, line, search, target)
    figure.supxlabel("score: higher is more alike", fontsize=NORMAL, color=INK)
    figure.supylabel("share of searches", fontsize=NORMAL, color=INK)
    return figure


def _panel(axes: Any, line: Line, search: SearchResult, target: float) -> None:
    edges = np.array(search.histogram.edges)
    mated, strangers = (
        np.array(side) / max(1, sum(side)) for side in (search.histogram.mated, search.histogram.strangers)
    )
    axes.stairs(mated, edges, fill=True, color=MATED, alpha=0.35, linewidth=0)
    axes.stairs(mated, edges, color=MATED, linewidth=1)
    if strangers.any():
        axes.stairs(strangers, edges, color=STRANGERS, linewidth=1.4, linestyle=(0, (4, 1)))
    highest = max(float(mated.max()), float(strangers.max()), 1e-9)
    used = np.flatnonzero(_inside(mated) | _inside(strangers))
    if len(used):
        axes.set_xlim(edges[used[0]], edges[used[-1] + 1])
    axes.set_ylim(0, 1.5 * highest)
    axes.set_yticks([])
    plain_frame(axes)
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.tick_params(labelsize=SMALL)
    axes.locator_params(axis="x", nbins=5)
    axes.set_title(line.label, fontsize=SMALL, weight="bold", loc="left", color=INK, parse_math=False)
    _name(axes, edges, mated, "enrolled", MATED, highest)
    _name(axes, edges, strangers, "strangers", STRANGERS, highest)
    point = fair_point(search, target)
    if point is not None and point.threshold is not None and np.isfinite(point.threshold):
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, point.threshold), max(high, point.threshold))
        axes.plot([point.threshold] * 2, [0, 1.24 * highest], color=INK, linewidth=1.3)
        low, high = axes.get_xlim()
        share = (point.threshold - low) / (high - low)
        side = "left" if share < 0.2 else "right" if share > 0.8 else "center"
        axes.text(
            point.threshold, 1.28 * highest, f"accepted from {point.threshold:.3g}", ha=side, fontsize=SMALL - 1,
            color=INK, bbox=backed(),
        )  # fmt: skip


def _inside(shares: Any) -> Any:
    """The bins of a side without its utmost half per mille: a lone outlier would squeeze all others together."""
    below = np.cumsum(shares)
    return (shares > 0) & (below > _OUTER) & (below - shares < 1 - _OUTER)


def _name(axes: Any, edges: Any, shares: Any, name: str, colour: str, highest: float) -> None:
    if not shares.any():
        return
    top = int(shares.argmax())
    low, high = axes.get_xlim()
    x = min(max((edges[top] + edges[top + 1]) / 2, low), high)
    share = (x - low) / (high - low)
    side = "left" if share < 0.2 else "right" if share > 0.8 else "center"
    axes.text(
        x, shares[top] + 0.03 * highest, name, ha=side, va="bottom", fontsize=SMALL - 1, color=colour, weight="bold",
        bbox=backed(),
    )  # fmt: skip
