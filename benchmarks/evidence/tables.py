"""What the tables of the evidence share: cells, rows and Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

Summary = Mapping[str, Any]


def number(row: Summary, figure: str, places: int = 1) -> str:
    """Mean ± standard deviation over seeds, in per cent."""
    mean, sd = row["mean"][figure], row["sd"][figure]
    if mean is None:
        return ""
    return f"{mean:.{places}f}" + ("" if sd is None else f" ± {sd:.{places}f}")


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def chosen_rows(summary: Summary) -> list[Summary]:
    """Each configuration's row with the score that validation chose, the lowest FNIR first."""
    rows = [row for row in summary["rows"] if summary["chosen"][row["name"]] == row["score"]]
    return sorted(rows, key=lambda row: row["mean"][summary["chosen_by"]])


def difference_cell(cell: Summary, places: int) -> str:
    """Mean ± standard deviation of a difference, and in brackets its bounds, where there are any."""
    text = _signed(cell["mean"], places) + ("" if cell["sd"] is None else f" ± {cell['sd']:.{places}f}")
    if cell.get("low") is None:
        return text
    return f"{text} [{_signed(cell['low'], places)}, {_signed(cell['high'], places)}]"


def _signed(value: float, places: int) -> str:
    return f"{round(value, places) + 0.0:+.{places}f}"  # so that what rounds to zero has no minus
