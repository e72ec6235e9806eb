"""Training's figures in words, and how long it will go on."""

import textwrap
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

from facerec_oltr.engine.reporting import EpochReport, RunFacts, StepReport

_SPACE = "\N{NO-BREAK SPACE}"  # where no line is to be broken
_NARROWEST = 20
ACCURACY = "/accuracy"  # of a pack's figures (engine/verifying.py) the one that is shown


class Pace:
    """How fast a stage goes.

    It is taken from the first event to the last, in epochs: what comes before the first step happens once, and what
    comes after an epoch's last (memory, validation) happens again.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._first: tuple[float, float] | None = None
        self._last = 0.0, 0.0

    def reaches(self, epochs: float) -> None:
        """Hear that so many epochs of the stage are done."""
        self._last = self._clock(), epochs
        self._first = self._first or self._last

    def gone(self) -> float:
        """Seconds since the stage began, or went on."""
        return self._clock() - self._began

    def left(self, epochs: int) -> float | None:
        """Seconds until the stage has had all its `epochs`; None where it is too early to tell."""
        if self._first is None or self._last[1] <= self._first[1]:
            return None
        (first, done_first), (last, done) = self._first, self._last
        pace = (last - first) / (done - done_first)
        return max(0.0, pace * (epochs - done) - (self._clock() - last))


class Measured:
    """What was last measured on photos that are not trained on, in one stage."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, int]] = {}

    def hear(self, report: EpochReport) -> None:
        """Take an epoch's measurements, if it has any; whole, as another thread may read."""
        new = {} if report.validation is None else {"validation": report.validation.micro}
        packs = report.verification or {}
        new |= {name.removesuffix(ACCURACY): value for name, value in packs.items() if name.endswith(ACCURACY)}
        self._known = {**self._known, **{name: (accuracy, report.epoch) for name, accuracy in new.items()}}

    def words(self, epoch: int) -> list[str]:
        """Accuracies; with the epoch they are of, where that is not the given one."""
        return [
            f"{name} {accuracy:.1%}" + ("" if measured == epoch else f" (epoch {measured})")
            for name, (accuracy, measured) in self._known.items()
        ]


def figures(report: StepReport | EpochReport, measured: Measured) -> list[list[str]]:
    """A report in words: loss, accuracies, speed."""
    parts = report.parts if len(report.parts) > 1 else {}
    skipped = report.skipped if isinstance(report, EpochReport) else 0
    return [
        [f"loss {_number(report.loss, 3)}", *(f"{kind} {_number(value, 3)}" for kind, value in parts.items())],
        [f"accuracy {report.accuracy:.1%}", *measured.words(report.epoch)],
        [
            f"rate {_number(report.learning_rate, 4)}",
            f"{report.images_per_second:,.{0 if report.images_per_second >= 100 else 1}f} images/s",
            f"waiting for data {report.waiting:.0%}",
            *([f"{counted(skipped, 'damaged image')} skipped"] if skipped else []),
        ],
    ]


def facts_in_words(facts: RunFacts) -> list[str]:
    """What is about to be trained."""
    where = f"on {facts.device}" + (f", {facts.ranks} ranks" if facts.ranks > 1 else "")
    sizes = [counted(facts.images, "image"), counted(facts.classes, "class"), counted(facts.parameters, "parameter")]
    stages = [
        f"{stage.name} {counted(stage.epochs, 'epoch')} of {counted(stage.steps, 'step')}"
        if stage.epochs
        else f"{stage.name} no epochs"
        for stage in facts.stages
    ]
    *most, last = (*sizes, where, *stages)
    return [f"training {facts.method} on {facts.dataset}:", *(f"{words}," for words in most), last]


def counted(number: int, thing: str) -> str:
    """As 1 class, or 1,000 classes."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}{'es' if thing.endswith('s') else 's'}"


def duration(seconds: float) -> str:
    """As 1:02:03, or 2 days, 1:02:03."""
    return str(timedelta(seconds=round(seconds)))


def wrapped(words: Sequence[str], width: int, between: str = "  ") -> list[str]:
    """Words in lines of at most `width` characters, none broken within unless it is longer than a line."""
    text = between.join(word.replace(" ", _SPACE) for word in words)
    lines = textwrap.wrap(text, max(width, _NARROWEST), subsequent_indent="  ", break_on_hyphens=False)
    return [line.replace(_SPACE, " ") for line in lines]


def joined(rows: Iterable[Sequence[str]]) -> str:
    """All words in one line."""
    return "  ".join(word for row in rows for word in row)


def _number(value: float, digits: int) -> str:
    """With so many digits behind the point, unless they would all be zeros."""
    return f"{value:.{digits}f}" if value == 0 or abs(value) >= 10 ** (1 - digits) else f"{value:.1e}"
