"""What the figures say, in plain words, and how a figure is written."""

import math
from collections.abc import Sequence

from facerec_oltr.metrics.intervals import Spread
from facerec_oltr.report.summary import AUROC, ENOUGH_SPLITS, RANK_1, Key, ModelSummary, Paired, Summary, own_tpir


def figure_name(key: Key, targets: tuple[float, ...]) -> str:
    """The name of a figure of table (a), such as ``TPIR at FPIR 0.1``."""
    if key == RANK_1:
        return "rank-1"
    if key == AUROC:
        return "AUROC"
    return f"TPIR at FPIR {targets[int(key[1])]:g}"


def percent(value: Spread) -> str:
    """A rate over splits, such as ``74.9 % ± 3.1``, with its standard deviation where there is one."""
    return f"{100 * value.mean:.1f} %" + ("" if math.isnan(value.sd) else f" ± {100 * value.sd:.1f}")


def points(value: Spread) -> str:
    """A difference of rates, such as ``+12.3 ± 4.0``, in percentage points."""
    mean = f"{100 * value.mean:+.1f}".replace("-", "−")
    return mean + ("" if math.isnan(value.sd) else f" ± {100 * value.sd:.1f}")


def decimal(value: Spread, *, sign: bool = False) -> str:
    """An AUROC, such as ``0.873 ± 0.016``, or with its sign a difference of two."""
    mean = f"{value.mean:+.3f}".replace("-", "−") if sign else f"{value.mean:.3f}"
    return mean + ("" if math.isnan(value.sd) else f" ± {value.sd:.3f}")


def extent(numbers: Sequence[int]) -> str:
    """``50``, or ``35 to 38`` where they differ."""
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def plural(number: int, noun: str) -> str:
    """``1 split``, ``5 splits``, ``1,000 photos``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def verdicts(summary: Summary) -> list[str]:
    """One sentence or two for each trained model: whether it is clearly above the floor."""
    floor = summary.floor
    trained = [model for model in summary.models if model.role == "trained"]
    if floor is None or not trained:
        return []
    return [_verdict(model, floor, summary) for model in trained]


def _verdict(model: ModelSummary, floor: ModelSummary, summary: Summary) -> str:
    headline = own_tpir(0)
    paired = model.against_floor[headline]
    what = figure_name(headline, summary.targets)
    here = f"{percent(model.figures[headline])} against {percent(floor.figures[headline])}"
    if summary.splits < ENOUGH_SPLITS:
        side = "above" if paired.difference.mean > 0 else "not above"
        return (
            f"**In {plural(summary.splits, 'split')}, {model.name} is {side} {floor.name}** in {what}: {here}. That is "
            f"too few to tell from chance; evaluate {ENOUGH_SPLITS} splits or more."
        )
    difference = f"{here}, a difference of {points(paired.difference)} points, {_ahead(paired)}"
    if paired.clearly_above:
        head = f"**{model.name} is clearly above {floor.name}** in {what}: {difference}."
    elif paired.clearly_below:
        head = f"**{model.name} is clearly below {floor.name}** in {what}: {difference}."
    else:
        head = f"**{model.name} is not clearly above {floor.name}** in {what}: {difference}. That can be chance."
    return f"{head} {_others(model, headline, summary.targets)}"


def _ahead(paired: Paired) -> str:
    return f"ahead in {paired.ahead} of {plural(paired.difference.splits, 'split')}"


def _others(model: ModelSummary, headline: Key, targets: tuple[float, ...]) -> str:
    """In which other figures it is clear, and in which not."""
    sides: dict[str, list[str]] = {"clearly above": [], "not clearly above": [], "clearly below": []}
    for key, paired in model.against_floor.items():
        if key != headline:
            sides[_side(paired)].append(figure_name(key, targets))
    parts = [f"{side} in {', '.join(names)}" for side, names in sides.items() if names]
    return f"In the other figures: {'; '.join(parts)}."


def _side(paired: Paired) -> str:
    if paired.clearly_above:
        return "clearly above"
    return "clearly below" if paired.clearly_below else "not clearly above"
