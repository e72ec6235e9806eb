"""Rules against the cosine: the difference in TPIR with its interval, for both ways to choose the threshold."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from facerec_oltr.bench.results import Figure, SearchResult
from facerec_oltr.report.bench.blocks import plain
from facerec_oltr.report.bench.plots._lines import NORMAL, SMALL, new_figure
from facerec_oltr.report.bench.style import STYLES
from facerec_oltr.report.drawing import FAINT, INK, PAPER, plain_frame

SIDES = (("calibration", "threshold chosen\nby other people"), ("strangers", "threshold chosen\nby these strangers"))
BETTER, WORSE = STYLES[0].colour, STYLES[1].colour


def gain_of(search: SearchResult, target: float, chosen_by: str) -> Figure | None:
    """The gain at a target, if there is one with its bounds."""
    for point in search.points:
        if (point.target, point.chosen_by) == (target, chosen_by) and point.gain is not None:
            return point.gain if None not in (point.gain.value, point.gain.low, point.gain.high) else None
    return None


def gains_figure(searches: Sequence[SearchResult], target: float) -> Any:
    """A row a model and rule, a panel a way to choose the threshold; a full mark is a difference beyond chance."""
    sides = [(side, title) for side, title in SIDES if any(gain_of(search, target, side) for search in searches)]
    rows = [search for search in searches if any(gain_of(search, target, side) for side, _ in sides)]
    figure = new_figure(1.1 + 0.34 * len(rows))
    panels = figure.subplots(1, len(sides), sharey=True, sharex=True, squeeze=False)[0]
    reach = 0.0
    for axes, (side, title) in zip(panels, sides, strict=True):
        axes.axvline(0, color=INK, linewidth=1)
        for row, search in enumerate(rows):
            if (gain := gain_of(search, target, side)) is not None:
                reach = max(reach, _draw(axes, row, gain))
        plain_frame(axes)
        axes.grid(axis="y", visible=False)
        axes.tick_params(labelsize=SMALL)
        axes.set_title(title, fontsize=SMALL, color=FAINT)
    panels[0].set_yticks(range(len(rows)), [_name(search, rows) for search in rows], fontsize=SMALL, parse_math=False)
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    panels[0].set_xlim(-1.08 * reach - 0.05, 1.08 * reach + 0.05)
    panels[0].locator_params(axis="x", nbins=5)
    figure.supxlabel("TPIR less the cosine's, percentage points (right: more found)", fontsize=NORMAL, color=INK)
    return figure


def _draw(axes: Any, row: int, gain: Figure) -> float:
    """One difference; returns how far it reaches from 0."""
    value, low, high = (100 * float(number or 0) for number in (gain.value, gain.low, gain.high))
    clear = low > 0 or high < 0
    colour = FAINT if not clear else BETTER if low > 0 else WORSE
    marker = "o" if not clear else ">" if low > 0 else "<"
    axes.plot([low, high], [row, row], color=colour, linewidth=1.5)
    axes.plot(
        value, row, marker, color=colour, markersize=6, markerfacecolor=colour if clear else PAPER, markeredgewidth=1.3
    )
    return float(np.max(np.abs([low, value, high])))


def _name(search: SearchResult, rows: Sequence[SearchResult]) -> str:
    one_model = len({row.model for row in rows}) == 1
    return plain(search.rule) if one_model else f"{plain(search.model)}\n{plain(search.rule)}"
