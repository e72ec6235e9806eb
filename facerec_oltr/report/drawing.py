"""What every picture of a report shares: the canvas, its bytes, names at the ends of lines, axes in per cent."""

import re
import warnings
from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO
from typing import Any

INK, FAINT, GRID, PAPER = "#1c1c1c", "#5a5a5a", "#dddddd", "#ffffff"
_TICKS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_HEAD = re.compile(r"<svg [^>]*?viewBox=\"([^\"]*)\"[^>]*>")
_GROUP = re.compile(
    r"<g id=\"[^\"]*\"(/?)>"
)  # nothing refers to a group, and two pictures on a page would share the name
_PATH = re.compile(r"(?<= d=\")[^\"]*")
_LONG = re.compile(r"\d+\.\d{3,}")
_STYLE = re.compile(r"\s*<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL)  # would reach the whole page
_COMMENT = re.compile(r"\s*<!--.*?-->", re.DOTALL)


def canvas(width: float, height: float, *, dpi: int = 120) -> Any:
    """An empty matplotlib figure of so many inches that needs no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Any) -> bytes:
    """The figure as PNG; the same figure gives the same bytes."""
    buffer = BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a name in a script that the font lacks: boxes
        figure.savefig(buffer, format="png", metadata={"Software": None})  # the version would change the bytes
    return buffer.getvalue()


def svg(figure: Any, name: str, alt: str, colours: Mapping[str, str]) -> str:
    """The figure as an ``<svg>`` element for a page; the same figure gives the same text.

    Args:
        figure: of matplotlib.
        name: different from those of the page's other pictures, whose inner names it keeps apart.
        alt: what a person hears who cannot see it.
        colours: "#rrggbb" → the name of a CSS variable that takes its place, so that the page decides.
    """
    from matplotlib import rc_context

    buffer = BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    text = buffer.getvalue().decode()
    text = text[text.index("<svg ") :]
    for needless in (_METADATA, _COMMENT, _STYLE):
        text = needless.sub("", text)
    text = _PATH.sub(
        lambda path: _LONG.sub(lambda number: f"{float(number[0]):.2f}", path[0]), _GROUP.sub(r"<g\1>", text)
    )
    for colour, variable in colours.items():
        text = text.replace(colour, f"var(--{variable})")
    head = f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" role="img" aria-label="{escape(alt)}" viewBox="\\1">'
    return _HEAD.sub(lambda found: head.replace("\\1", found[1]), text, count=1).strip()


def halo(colour: str = PAPER) -> list[Any]:
    """A rim that keeps text readable over lines and hatching."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=3, foreground=colour)]


def apart(heights: Sequence[float], gap: float) -> list[float]:
    """Heights moved as little as it takes for each to be `gap` or more above the next lower one, in the order given.

    Groups that touch are spread about their own mean, so that none drifts away from its line.
    """
    order = sorted(range(len(heights)), key=lambda place: heights[place])
    groups: list[list[int]] = []
    middles: list[float] = []
    for place in order:
        groups.append([place])
        middles.append(heights[place])
        while len(groups) > 1 and middles[-1] - middles[-2] < gap * (len(groups[-1]) + len(groups[-2])) / 2:
            joined = groups.pop(-2) + groups.pop()
            middles[-2:] = [sum(heights[one] - gap * at for at, one in enumerate(joined)) / len(joined)]
            middles[-1] += gap * (len(joined) - 1) / 2
            groups.append(joined)
    result = [0.0] * len(heights)
    for group, middle in zip(groups, middles, strict=True):
        for at, place in enumerate(group):
            result[place] = middle + gap * (at - (len(group) - 1) / 2)
    return result


def percent_axis(axis: Any, *, ticks: Sequence[float] = _TICKS) -> None:
    """An axis of rates: marks at round numbers, written in per cent."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))


def plain_frame(axes: Any) -> None:
    """A light grid, no lines above and to the right, and ink that a page can turn."""
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_edgecolor(INK)
    axes.tick_params(color=INK, labelcolor=INK)
