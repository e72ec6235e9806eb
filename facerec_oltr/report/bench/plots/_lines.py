"""Lines with their band, and their names at the right end where none covers another."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from facerec_oltr.report.bench.choice import Line
from facerec_oltr.report.bench.style import Style
from facerec_oltr.report.drawing import INK, PAPER, apart, canvas, plain_frame

WIDTH, HEIGHT = 4.8, 3.7  # inches: on a phone a picture is as wide as the page, so letters must be large in it
SMALL, NORMAL = 8, 9  # points
BAND = 0.12

Floats = npt.NDArray[np.float64]


def new_figure(height: float = HEIGHT) -> Any:
    """An empty figure of the width of the page."""
    return canvas(WIDTH, height)


def dress(axes: Any, x: str, y: str) -> None:
    """Titles of the axes, letters and frame."""
    plain_frame(axes)
    axes.set_xlabel(x, fontsize=NORMAL, color=INK)
    axes.set_ylabel(y, fontsize=NORMAL, color=INK)
    axes.tick_params(labelsize=SMALL)


def band(axes: Any, x: Floats, low: Sequence[float] | Floats, high: Sequence[float] | Floats, style: Style) -> None:
    """The bounds of a line."""
    axes.fill_between(x, low, high, color=style.colour, alpha=BAND, linewidth=0)


def stroke(style: Style, **more: Any) -> dict[str, Any]:
    """A line in matplotlib's words."""
    dashes = style.dashes if isinstance(style.dashes, str) else (0, style.dashes)
    return {"color": style.colour, "linestyle": dashes, "linewidth": 1.7, **more}


def name_ends(axes: Any, ends: Sequence[tuple[Line, float, float]], ties: Sequence[float] = ()) -> None:
    """Write the name of each line beside the axes, with a sample of the line, joined to where it ends at (x, y).

    Args:
        axes: with its limits and scales set.
        ends: the lines, and where each one ends in the data.
        ties: the order, upwards, of names whose lines end at one height.
    """
    rows = [line.label.count("\n") + 1 for line, _, _ in ends]
    gap = max(rows, default=1) * SMALL * 1.3 / (axes.figure.get_figheight() * 72 * axes.get_position().height)
    heights = [
        _share_of_height(axes, y) + 1e-6 * tie for (_, _, y), tie in zip(ends, ties or [0] * len(ends), strict=True)
    ]
    places = np.array(apart(heights, gap))
    if len(places):
        places += max(0.0, gap / 2 - places.min())
        places -= max(0.0, places.max() - 1) if places.max() - places.min() < 1 - gap / 2 else 0.0
    for (line, x, y), place in zip(ends, places.tolist(), strict=True):
        _leader(axes, line.style, (x, y), place)
        axes.text(
            1.14, place, line.label, transform=axes.transAxes, color=line.style.colour, va="center", fontsize=SMALL,
            weight="bold", parse_math=False, linespacing=1.1,
        )  # fmt: skip


def _leader(axes: Any, style: Style, end: tuple[float, float], place: float) -> None:
    """A thin line from where a line ends to a sample of it beside its name."""
    arrow = {"arrowstyle": "-", "color": style.colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0, "alpha": 0.6}
    axes.annotate(
        "", end, (1.04, place), xycoords="data", textcoords="axes fraction", annotation_clip=False, arrowprops=arrow
    )
    axes.plot([1.04, 1.12], [place] * 2, transform=axes.transAxes, clip_on=False, **stroke(style))
    axes.plot(1.08, place, style.marker, transform=axes.transAxes, clip_on=False, **marked(style))


def marked(style: Style) -> dict[str, Any]:
    """A mark on a line, rimmed so that it stands out from others."""
    return {"color": style.colour, "markersize": 5.5, "markeredgecolor": PAPER, "markeredgewidth": 0.8}


def backed() -> dict[str, Any]:
    """A box that keeps words readable over lines and hatching; a rim would turn letters into paths."""
    return {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 1}


def _share_of_height(axes: Any, y: float) -> float:
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log":
        low, high, y = np.log([low, high, max(y, low)]).tolist()
    return min(max((y - low) / (high - low), 0.0), 1.0)
