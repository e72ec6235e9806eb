"""The picture of a long tail: images per identity, sorted, with the shot bins shaded."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recordio_tools.errors import SourceError
from recordio_tools.index import Int64s

_BINS = (
    ("many-shot: 5 or more", 5, None, "#4878b0"),
    ("few-shot: 2 to 4", 2, 5, "#e0913a"),
    ("one-shot", 1, 2, "#b6474a"),
)


def check_matplotlib() -> None:
    """Raise where nothing can be drawn, so that a caller learns it before an hour's work and not after.

    Raises:
        SourceError: matplotlib cannot be loaded.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise SourceError(
            f"matplotlib cannot be loaded ({error}), the picture of the tail needs it; "
            "install it with: pip install matplotlib"
        ) from error


def images_per_identity(kept: Int64s, available: Int64s, path: Path) -> None:
    """Draw `path` as PNG: the same numbers give the same bytes with the same matplotlib.

    Args:
        kept: Images of each identity in the cut.
        available: Images of the same identities in the source.
        path: The file to write.
    """
    # the object-oriented API: pyplot would pick a backend and keep state for the whole process
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    kept, available = -np.sort(-kept), -np.sort(-available)
    figure = Figure(figsize=(9, 5), dpi=120)
    figure.subplots_adjust(left=0.09, right=0.96, bottom=0.11, top=0.93)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, low, high, colour in _BINS:
        inside = (kept >= low) & (True if high is None else kept < high)
        if not inside.any():
            continue
        first, last = np.flatnonzero(inside)[[0, -1]]
        axes.axvspan(first + 0.5, last + 1.5, color=colour, alpha=0.12, linewidth=0)
        share = kept[inside].sum() / kept.sum()
        part = f"{share:.1%}" if share >= 0.001 else "under 0.1%"
        label = f"{name}  ({inside.sum():,} identities, {part} of the images)"
        axes.stairs(*_steps(kept[inside], first), fill=True, color=colour, label=label)
    label = "the same identities in the source, sorted on their own"
    axes.stairs(*_steps(available, 0), baseline=None, color="#444444", linewidth=1.2, label=label)
    log = available.max() > 40
    if log:
        axes.set_yscale("log")
    else:
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlim(0.5, len(kept) + 0.5)
    axes.set_ylim(0.7 if log else 0, available.max() * (8 if log else 1.45))  # room for the legend
    axes.set_xlabel("identities, sorted by number of images kept")
    axes.set_ylabel("images per identity" + (" (log scale)" if log else ""))
    axes.set_title(f"Images per identity: {kept.sum():,} images of {len(kept):,} identities")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper right", frameon=True, framealpha=0.9)
    figure.savefig(path, metadata={"Software": None})  # matplotlib's version would change the bytes


def _steps(sizes: Int64s, before: int) -> tuple[Int64s, NDArray[np.float64]]:
    """(heights, edges) of sorted `sizes`, one step for all that are alike; `before` identities stand left of them.

    A step an identity would be the same picture at a hundred times the cost.
    """
    starts = np.flatnonzero(np.diff(sizes, prepend=sizes[0] + 1))
    return sizes[starts], np.append(starts, len(sizes)) + before + 0.5
