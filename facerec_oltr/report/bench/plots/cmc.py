"""The CMC: how many of the searches of enrolled people have the right person among so many best."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from facerec_oltr.bench.results import SearchResult
from facerec_oltr.report.bench.choice import Line
from facerec_oltr.report.bench.plots._lines import band, dress, name_ends, new_figure, stroke
from facerec_oltr.report.drawing import PAPER

_ROUND = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def cmc_figure(drawn: Sequence[tuple[Line, SearchResult]]) -> Any:
    """Ranks on a logarithmic axis, as the first ones matter most; the other axis begins just below the lowest curve."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

    shown = [(line, search) for line, search in drawn if search.cmc.x]
    last = max(search.cmc.x[-1] for _, search in shown)
    lowest = min(min((*search.cmc.y, *search.cmc.low)) for _, search in shown)
    figure = new_figure()
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.set_xlim(0.95, max(last, 2) * 1.02)
    room = 0.06 * (1 - lowest) + 1e-3
    axes.set_ylim(max(0.0, lowest - room), min(1.0, 1 + room) + (room if lowest < 1 else 0))
    axes.xaxis.set_major_locator(FixedLocator([one for one in _ROUND if one <= last]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.set_yticks([tick for tick in axes.get_yticks() if axes.get_ylim()[0] <= tick <= 1])
    dress(axes, "among so many best of the list (rank)", "enrolled people found (CMC)")
    ends = []
    for line, search in shown:
        x, y = np.array(search.cmc.x), np.array(search.cmc.y)
        if search.cmc.low:
            band(axes, x, search.cmc.low, search.cmc.high, line.style)
        marks = [place for place, rank in enumerate(search.cmc.x) if rank in _ROUND]
        axes.plot(
            x, y, marker=line.style.marker, markevery=marks, markersize=5, markeredgecolor=PAPER, markeredgewidth=0.7,
            **stroke(line.style),
        )  # fmt: skip
        ends.append((line, float(x[-1]), float(y[-1])))
    name_ends(axes, ends, ties=[float(np.mean(search.cmc.y)) for _, search in shown])
    return figure
