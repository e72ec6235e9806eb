"""By shot group and by gallery size."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from facerec_oltr.bench.results import Figure, Group, SearchResult
from facerec_oltr.protocols.shots import ShotRule
from facerec_oltr.report.bench.choice import Line, group_point, shots_by
from facerec_oltr.report.bench.plots._lines import HEIGHT, SMALL, band, dress, name_ends, new_figure, stroke
from facerec_oltr.report.drawing import FAINT, INK, PAPER
from facerec_oltr.report.sentences import extent

SHOTS = {
    "many": "many\n(5 or more)",
    "few": "few\n(2 to 4)",
    "one_shot": "one shot\n(1)",
    "zero_shot": "none\n(0)",
}


def shots_figure(drawn: Sequence[tuple[Line, SearchResult]], target: float, rule: ShotRule = "true_counts") -> Any:
    """TPIR of each shot group with its interval, side by side; a thin line leads from group to group."""
    from matplotlib.ticker import PercentFormatter

    shown = [(line, groups) for line, search in drawn if (groups := shots_by(search, rule))]
    names = [name for name in SHOTS if any(group.name == name for _, groups in shown for group in groups)]
    figure = new_figure(HEIGHT + 0.3)
    axes = figure.add_subplot()
    step = min(0.12, 0.6 / len(shown))
    axes.set_xlim(-0.5, len(names) - 0.5)
    lowest, ends = 1.0, []
    for number, (line, groups) in enumerate(shown):
        values = {group.name: point.tpir for group in groups if (point := group_point(group, target))}
        there = [(place, values[name]) for place, name in enumerate(names) if _known(values.get(name))]
        if not there:
            continue
        x = np.array([place + step * (number - (len(shown) - 1) / 2) for place, _ in there])
        y = np.array([figure.value for _, figure in there], float)
        low, high = _bounds([figure for _, figure in there])
        axes.plot(x, y, alpha=0.45, **stroke(line.style, linewidth=1))
        axes.errorbar(
            x, y, (y - low, high - y), fmt=line.style.marker, color=line.style.colour, markersize=5.5, elinewidth=1.3,
            capsize=2.5, markeredgecolor=PAPER, markeredgewidth=0.7,
        )  # fmt: skip
        lowest = min(lowest, float(low.min()))
        ends.append((line, float(x[-1]), float(y[-1])))
    axes.set_xticks(
        range(len(names)),
        [f"{SHOTS[name]}\n{_people(name, [groups for _, groups in shown])}\npeople" for name in names],
        parse_math=False,
    )
    axes.set_ylim(max(0.0, lowest - 0.05), 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    of = "of the person searched for" if rule == "true_counts" else "similar to the probe"
    dress(axes, f"training images {of}", "enrolled people found (TPIR)")
    name_ends(axes, ends)
    return figure


def sizes_figure(drawn: Sequence[tuple[Line, SearchResult]], target: float) -> Any:
    """TPIR, and below it FPIR where there are strangers, against the number of people in the gallery."""
    from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

    shown = [(line, search) for line, search in drawn if search.sizes]
    sizes = sorted({int(group.name) for _, search in shown for group in search.sizes})
    points = [group_point(group, target) for _, search in shown for group in search.sizes]
    rates = ("tpir", "fpir") if any(point and _known(point.fpir) for point in points) else ("tpir",)
    figure = new_figure(3.3 * len(rates))
    panels = figure.subplots(len(rates), 1, sharex=True, squeeze=False)[:, 0]
    lower = panels[-1]
    lower.set_xscale("log")
    lower.set_xlim(sizes[0] / 1.15, sizes[-1] * 1.15)
    for axes, name in zip(panels, rates, strict=True):
        ends, bounds = [], []
        for line, search in shown:
            points = [(int(g.name), getattr(p, name)) for g in search.sizes if (p := group_point(g, target))]
            there = sorted((size, figure) for size, figure in points if _known(figure))
            if not there:
                continue
            x = np.array([size for size, _ in there], float)
            y = np.array([figure.value for _, figure in there], float)
            low, high = _bounds([figure for _, figure in there])
            band(axes, x, low, high, line.style)
            axes.plot(x, y, marker=line.style.marker, markersize=5, markeredgecolor=PAPER, **stroke(line.style))
            bounds += [float(low.min()), float(high.max())]
            ends.append((line, float(x[-1]), float(y[-1])))
        if bounds:
            room = 0.08 * (max(bounds) - min(bounds)) + 1e-3
            top = max(bounds) + room if name == "tpir" else max(*bounds, target) + room
            axes.set_ylim(max(0.0, min(*bounds, target if name == "fpir" else 1) - room), min(top, 1.0))
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        dress(axes, "", "found (TPIR)" if name == "tpir" else "strangers let in (FPIR)")
        if name == "fpir":
            axes.axhline(target, color=FAINT, linewidth=0.8, linestyle=(0, (1, 2)))
            axes.annotate(
                f"wanted {100 * target:g} %", (sizes[0], target), (0, 2), textcoords="offset points", fontsize=SMALL,
                color=FAINT,
            )  # fmt: skip
        name_ends(axes, ends)
    lower.xaxis.set_minor_locator(NullLocator())
    lower.set_xticks(_thinned(sizes))
    lower.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    lower.set_xlabel("people in the gallery", fontsize=SMALL + 1, color=INK)
    return figure


def _people(name: str, of_lines: Sequence[Sequence[Group]]) -> str:
    """How many people a group has; by similarity each model groups probes anew."""
    counts = [group.people for groups in of_lines for group in groups if group.name == name]
    return extent(counts)


def _known(figure: Figure | None) -> bool:
    return figure is not None and figure.value is not None


def _bounds(figures: Sequence[Figure]) -> tuple[np.ndarray, np.ndarray]:
    """Bounds that hold the value, which a bootstrap's need not; the value itself where there are none."""
    values = [figure.value or 0.0 for figure in figures]
    low = [
        value if figure.low is None else min(figure.low, value) for figure, value in zip(figures, values, strict=True)
    ]
    high = [
        value if figure.high is None else max(figure.high, value) for figure, value in zip(figures, values, strict=True)
    ]
    return np.array(low), np.array(high)


def _thinned(sizes: Sequence[int]) -> list[int]:
    """Sizes whose numbers do not run into each other on a logarithmic axis."""
    whole = np.log(sizes[-1] / sizes[0]) or 1.0
    kept = [sizes[-1]]
    for size in reversed(sizes[:-1]):
        if np.log(kept[-1] / size) > 0.15 * whole:
            kept.append(size)
    return kept[::-1]
