"""Lines with their band, and their names at the right end where none covers another."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from facerec_oltr.report.bench.choice import Line
from facerec_oltr.report.bench.style import Style
from facerec_oltr.report.drawing import FAINT, apart, canvas, plain_frame

WIDTH, HEIGHT = 5.8, 3.9  # inches: on a phone a picture is as wide as the page, so letters must be large in it
SMALL, NORMAL = 8, 9  # points
BAND = 0.13

Floats = npt.NDArray[np.float64]


def new_figure(height: float = HEIGHT) -> Any:
    """An empty figure of the width of the page."""
    return canvas(WIDTH, height)


def dress(axes: Any, x: str, y: str) -> None:
    """Titles of the axes, letters and frame."""
    plain_frame(axes)
    axes.set_xlabel(x, fontsize=NORMAL)
    axes.set_ylabel(y, fontsize=NORMAL)
    axes.tick_params(labelsize=SMALL)


def band(axes: Any, x: Floats, low: Sequence[float] | Floats, high: Sequence[float] | Floats, style: Style) -> None:
    """The bounds of a line."""
    axes.fill_between(x, low, high, color=style.colour, alpha=BAND, linewidth=0)


def stroke(style: Style, **more: Any) -> dict[str, Any]:
    """A line in matplotlib's words."""
    dashes = style.dashes if isinstance(style.dashes, str) else (0, style.dashes)
    return {"color": style.colour, "linestyle": dashes, "linewidth": 1.7, **more}


def name_ends(axes: Any, ends: Sequence[tuple[Line, float, float]], *, middle: float | None = None) -> None:
    """Write the name of each line beside the axes, at the height (x, y) where it ends, joined to it by a thin line.

    Args:
        axes: with its limits and scales set.
        ends: the lines, and where each one ends in the data.
        middle: put the names about this height of the axes (0 … 1) instead of beside their ends.
    """
    rows = [line.label.count("\n") + 1 for line, _, _ in ends]
    points = axes.figure.get_figheight() * 72 * axes.get_position().height
    gap = max(rows, default=1) * SMALL * 1.3 / points
    heights = [float(_share_of_height(axes, y)) for _, _, y in ends]
    places = np.array(apart(heights if middle is None else [middle + 0.001 * h for h in heights], gap))
    if len(places):
        places += max(0.0, gap / 2 - places.min())
        places -= max(0.0, places.max() - 1 + gap / 2 if places.max() - places.min() < 1 - gap else 0.0)
    for (line, x, y), place in zip(ends, places, strict=True):
        axes.annotate(
            line.label,
            (x, y),
            (1.045, float(place)),
            xycoords="data",
            textcoords="axes fraction",
            color=line.style.colour,
            va="center",
            fontsize=SMALL,
            weight="bold",
            parse_math=False,
            annotation_clip=False,
            linespacing=1.1,
            arrowprops={
                "arrowstyle": "-", "color": line.style.colour, "linewidth": 0.7, "shrinkA": 1, "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )  # fmt: skip


def note(axes: Any, x: float, y: float, text: str, **more: Any) -> None:
    """Small grey words at a place given in shares of the axes."""
    axes.text(x, y, text, transform=axes.transAxes, fontsize=SMALL, color=FAINT, **more)


def _share_of_height(axes: Any, y: float) -> float:
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log":
        low, high, y = np.log(low), np.log(high), np.log(max(y, low))
    return min(max((y - low) / (high - low), 0.0), 1.0)
