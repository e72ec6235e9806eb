"""The report's tables, as cells and as Markdown; the first line of cells is the head."""

from collections.abc import Sequence

from facerec_oltr.metrics.intervals import Interval, Spread
from facerec_oltr.report.rules import RuleFigures
from facerec_oltr.report.sentences import decimal, figure_name, percent, points
from facerec_oltr.report.summary import AUROC, Key, Paired, Summary, calibrated

Cells = list[list[str]]


def best_case_cells(summary: Summary) -> Cells:
    """Thresholds set on the test strangers themselves."""
    head = ["model", *(figure_name(key, summary.targets) for key in summary.compared)]
    rows = [[model.name, *(_figure(key, model.figures[key]) for key in summary.compared)] for model in summary.models]
    return [head, *rows]


def users_case_cells(summary: Summary) -> Cells:
    """Thresholds chosen by other people, judged by the test strangers."""
    head = ["model", "wanted FPIR", "realised FPIR", "in 1 of 10 above", "TPIR", "FNIR", "wrong name"]
    rows = [
        [
            model.name,
            f"{100 * target:g} %",
            percent(model.figures[calibrated(place, "fpir")]),
            f"{100 * model.high_fpir[place]:.0f} %",
            percent(model.figures[calibrated(place, "tpir")]),
            percent(model.figures[calibrated(place, "fnir")]),
            percent(model.figures[calibrated(place, "misidentification")]),
        ]
        for place, target in enumerate(summary.targets)
        for model in summary.models
    ]
    return [head, *rows]


def difference_cells(summary: Summary) -> Cells:
    """Each model minus the floor, paired by split."""
    head = ["model", *(figure_name(key, summary.targets) for key in summary.compared)]
    rows = [
        [model.name, *(_difference(key, paired) for key, paired in model.against_floor.items())]
        for model in summary.models
        if model.against_floor
    ]
    return [head, *rows]


def rule_cells(figures: Sequence[RuleFigures]) -> Cells:
    """Score rules beside the cosine, thresholds chosen by other people; in brackets the bounds of 95 %."""
    head = ["model", "wanted", "rule", "FPIR", "TPIR", "− cosine's", "at equal FPIR", ""]
    rows = [
        [
            one.model,
            f"{100 * one.target:g} %",
            one.rule,
            _bounded(one.fpir),
            _bounded(one.tpir),
            _bounded(one.difference, sign=True),
            _bounded(one.equal_fpir, sign=True),
            "default" if one.difference is None else "recommended" if one.recommended else "–",
        ]
        for one in figures
    ]
    return [head, *rows]


def markdown_table(cells: Cells) -> str:
    """The first column to the left, the others to the right."""
    lines = [cells[0], ["---", *["---:"] * (len(cells[0]) - 1)], *cells[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _figure(key: Key, value: Spread) -> str:
    return decimal(value) if key == AUROC else percent(value)


def _difference(key: Key, paired: Paired) -> str:
    value = decimal(paired.difference, sign=True) if key == AUROC else points(paired.difference)
    return f"{value} ({paired.ahead}/{paired.difference.splits})"


def _bounded(value: Interval | None, *, sign: bool = False) -> str:
    """Per cent, such as ``12.3 [10.1, 14.0]``."""
    if value is None:
        return "–"
    form = "+.1f" if sign else ".1f"
    estimate, low, high = (format(100 * number, form) for number in (value.estimate, value.low, value.high))
    return f"{estimate} [{low}, {high}]".replace("-", "−")
