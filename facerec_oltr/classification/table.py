"""The table that compares methods on one data set: its columns, its cells, and how it reads as Markdown."""

from dataclasses import dataclass, field

from facerec_oltr.classification.replicates import CONFIDENCE

PLACES = {
    "many": "closed.many",
    "medium": "closed.medium",
    "few": "closed.few",
    "all": "closed.micro",
    "open many": "open.{rule}.validation.known.many",
    "open medium": "open.{rule}.validation.known.medium",
    "open few": "open.{rule}.validation.known.few",
    "F": "open.{rule}.validation.authors",
    "never": "never_reject.authors",
    "AUROC": "open.{rule}.auroc",
    "FPR95": "open.{rule}.fpr95",
    "OSCR": "open.{rule}.oscr",
}
"""Where each column stands in a measurement."""

COLUMNS = tuple(PLACES)


@dataclass(frozen=True)
class Cell:
    """One figure of one method in per cent.

    Attributes:
        mean: over the seeds; None where it was not measured.
        spread: sample standard deviation over the seeds; None for one seed.
        low: lower bound of the mean over the seeds, by resampling the test images; None where that was not asked for.
        high: upper bound.
    """

    mean: float | None
    spread: float | None = None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        return self.text()

    def text(self, sign: str = "") -> str:
        """As it stands in a table; `sign` "+" writes that of every number."""
        if self.mean is None:
            return "–"
        spread = "" if self.spread is None else f" ± {self.spread:.1f}"
        bounds = "" if self.low is None or self.high is None else f" [{self.low:{sign}.1f}, {self.high:{sign}.1f}]"
        return f"{self.mean:{sign}.1f}{spread}{bounds}"


@dataclass(frozen=True)
class Comparison:
    """The table of one data set.

    Attributes:
        dataset: its name.
        rule: the open-set rule by which the open columns were decided.
        shots: the convention of many, medium and few.
        rows: (method, number of seeds, cells in the order of COLUMNS), the best F first.
        against: the method that the others are held against, if one is.
        differences: (method, cells): each other method minus that one, with bounds.
    """

    dataset: str
    rule: str
    shots: str
    rows: list[tuple[str, int, list[Cell]]]
    against: str | None = None
    differences: list[tuple[str, list[Cell]]] = field(default_factory=list)

    def markdown(self) -> str:
        """The table, with words on how to read it, as Markdown."""
        words = (
            f"Data set `{self.dataset}`, per cent, mean ± standard deviation over seeds. Closed: accuracy by shots "
            f"(convention `{self.shots}`, means over classes) and over all images. Open: the same for known images, a "
            f"rejection being wrong, and the authors' F, with the threshold of the rule `{self.rule}` chosen on "
            "validation; *never* is the F of rejecting nobody. AUROC, FPR at 95 % TPR (lower is better) and OSCR need "
            "no threshold."
        )
        if any(cell.low is not None for _, _, cells in self.rows for cell in cells):
            words += f" {_BOUNDS}"
        lines = [
            words,
            "",
            f"| method | seeds | {' | '.join(COLUMNS)} |",
            f"|---|---|{'---|' * len(COLUMNS)}",
        ]
        for method, seeds, cells in self.rows:
            lines.append(f"| {method} | {seeds or ''} | {' | '.join(map(str, cells))} |")
        if self.against is not None:
            lines += [
                "",
                f"Each method minus `{self.against}`, mean over seeds, both on the same resamples. {_NONE}",
                "",
                f"| method | {' | '.join(COLUMNS)} |",
                f"|---|{'---|' * len(COLUMNS)}",
            ]
            lines += [
                f"| {method} | {' | '.join(cell.text('+') for cell in cells)} |" for method, cells in self.differences
            ]
        return "\n".join(lines) + "\n"


_BOUNDS = (
    f"In brackets {CONFIDENCE:.0%} of resampled test sets: classes drawn within their bin, strangers by image, with "
    "the seeds and thresholds that there are."
)
_NONE = "A difference whose bounds enclose 0 is none that these test images show."
