"""What a benchmark found, as typed records and as JSON.

Figures and pictures stand apart: ``results.json`` holds numbers alone, no person's name and no image, and can be
published; ``examples.json`` says which images the worst errors were made on, and is left out where faces are private.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from facerec_oltr.errors import DataError
from facerec_oltr.metrics.intervals import Interval
from facerec_oltr.protocols.shots import ShotRule
from recordio_tools.whole import write_whole

FORMAT = "facerec bench"
VERSION = 1
RESULTS, EXAMPLES = "results.json", "examples.json"

ChosenBy = Literal["calibration", "strangers"]
Kind = Literal["false_accept", "wrong_name", "false_reject"]


@dataclass(frozen=True)
class Figure:
    """A number from 0 to 1, or a difference of two, and its 95 % bounds; None where there was nothing to measure."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, interval: Interval) -> "Figure":
        """From an interval; NaN becomes None."""
        return cls(*(None if x != x else x for x in (interval.estimate, interval.low, interval.high)))


@dataclass(frozen=True)
class Curve:
    """K points and the 95 % bounds of y at each x; no bounds where none were asked for."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True)
class Histogram:
    """Searches by score: edges[i] <= score < edges[i + 1].

    Attributes:
        edges: (bins + 1,) rising.
        mated: (bins,) mated searches by the score of their own identity.
        strangers: (bins,) searches of strangers by their best score, which is what a threshold decides on.
    """

    edges: tuple[float, ...]
    mated: tuple[int, ...]
    strangers: tuple[int, ...]


@dataclass(frozen=True)
class Point:
    """All rates at one threshold.

    Attributes:
        target: the wanted FPIR.
        chosen_by: the people who chose the threshold: the calibration part, who are nobody's probes; or the strangers
            that it is then judged by, which flatters and is how most published figures were made.
        threshold: a score is accepted if it is at least this; None where there was nobody to choose it by.
        measurable: whether those who chose it are enough to show the target.
        fpir, tpir, misidentification: at it.
        gain: TPIR less the cosine's at its own threshold for the same target, paired by search; None for the cosine.
    """

    target: float
    chosen_by: ChosenBy
    threshold: float | None
    measurable: bool
    fpir: Figure
    tpir: Figure
    misidentification: Figure
    gain: Figure | None = None


@dataclass(frozen=True)
class Group:
    """The mated probes with so many training images behind them, or a gallery of one size.

    Attributes:
        name: ``many``, ``few``, ``one_shot``, ``zero_shot``; of a gallery, the number of its identities.
        people: whom the mated probes show.
        probes: mated ones.
        rank_1: share of them whose own identity comes first.
        points: at the same targets as the whole; for a group of probes with the thresholds of the whole.
        counted_by: by which rule of ``protocols.shots`` the training images were counted: the person's own, or those
            similar to the probe, whoever they show. None of a gallery, and in results that knew the first rule only.
    """

    name: str
    people: int
    probes: int
    rank_1: Figure
    points: tuple[Point, ...]
    counted_by: ShotRule | None = None


@dataclass(frozen=True)
class Part:
    """How many play a part.

    Attributes:
        people: named ones.
        templates: what is enrolled or searched, one vector each.
        failed: templates without any vector: no face was found. Failed mated probes are missed, failed strangers
            rejected, failed gallery templates absent.
    """

    people: int
    templates: int
    failed: int = 0


@dataclass(frozen=True)
class SearchResult:
    """One search set of one protocol, by one model and one score rule.

    Attributes:
        protocol, search_set, model, rule: names; `rule` as a person gives it, such as ``nac:k=8``.
        parts: by the names of ``protocols.PARTS``.
        ranks: (rank, share of mated probes whose own identity is among so many best) of 1, 5 and 10.
        auroc: of the best scores of mated probes against strangers, whoever the best is.
        oscr: area under TPIR against FPIR (Dhamija et al. 2018); CCR at FPR is the TPIR of a point chosen by strangers.
        points: every target twice where the protocol has calibration people.
        cmc: x = rank. det: x = FPIR, y = FNIR, rank 1; only the FPIRs that the strangers can show.
        histogram: of scores.
        shots: by true counts of training images where the protocol knows them, then by similarity where it lists
            them and that was asked for; each group says by which.
        sizes: galleries of rising size, each a part of the next; empty where there is one size.
        candidates: how many of the best identities by cosine the rule looked at; None where it was all.
    """

    protocol: str
    search_set: str
    model: str
    rule: str
    parts: dict[str, Part]
    ranks: tuple[tuple[int, Figure], ...]
    auroc: Figure
    oscr: Figure
    points: tuple[Point, ...]
    cmc: Curve
    det: Curve
    histogram: Histogram
    shots: tuple[Group, ...] = ()
    sizes: tuple[Group, ...] = ()
    candidates: int | None = None

    def point(self, target: float, chosen_by: ChosenBy = "calibration") -> Point | None:
        """The point at a target, if there is one."""
        return next((p for p in self.points if (p.target, p.chosen_by) == (target, chosen_by)), None)


@dataclass(frozen=True)
class PairResult:
    """One pair set by one model.

    Attributes:
        same, different: number of pairs.
        failed: pairs with a template that has no vector; not the same person, by any threshold.
        accuracy: mean of the folds, each at a threshold that the others chose; `sd` is their standard deviation. None
            where there is one fold, as no others can choose.
        tar: (FAR, TAR) at thresholds that the same pairs chose.
    """

    protocol: str
    pair_set: str
    model: str
    same: int
    different: int
    failed: int
    accuracy: float | None
    sd: float | None
    eer: float
    tar: tuple[tuple[float, float | None], ...]


@dataclass(frozen=True)
class ModelFacts:
    """What tells one model from another.

    `detector` is None where images were taken as aligned faces, and `size` 0 where vectors came ready made in a file.
    """

    name: str
    fingerprint: str
    dimensions: int
    size: int
    detector: str | None = None


@dataclass(frozen=True)
class ProtocolFacts:
    """What tells one protocol from another, as ``protocols.summary`` and the protocol's manifest have it.

    `compared_with` is how many training images the shot groups by similarity rest on; 0 where there are none.
    """

    fingerprint: str
    source_kind: str
    source_fingerprint: str
    images: int
    people: int
    made_by: str
    seed: int | None
    choices: dict[str, Any] = field(default_factory=dict)
    compared_with: int = 0


@dataclass(frozen=True)
class BenchResult:
    """Models × rules × protocols.

    Attributes:
        models, protocols: by the names that the results use.
        targets: wanted FPIRs.
        fusion: how scores of an identity's templates became one, ``max`` or ``mean``.
        replicates: of the intervals, which draw people and then their searches, and choose a threshold again that the
            same searches chose.
        seed: of the replicates.
        rules: what every name of a rule stands for: its kind and all of its options.
        sizes: of galleries, as they were asked for; none where nobody asked.
        versions: of the software that decides a figure; `code` is the fingerprint of its source files.
    """

    models: dict[str, ModelFacts]
    protocols: dict[str, ProtocolFacts]
    targets: tuple[float, ...]
    fusion: str
    replicates: int
    seed: int
    searches: tuple[SearchResult, ...] = ()
    pairs: tuple[PairResult, ...] = ()
    rules: dict[str, dict[str, Any]] = field(default_factory=dict)
    sizes: tuple[int, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Example:
    """An error to look at.

    Attributes:
        protocol, search_set, model, rule: of which result.
        kind: a stranger accepted, an enrolled person accepted as somebody else, or one rejected.
        probe, best: keys of an image of the probe and of the best identity's best template, in the protocol's source.
        own: key of an image of the probe's own template that is most like it; None for a stranger.
        score: of the best identity; of the own one for a rejection.
        threshold: that decided.
    """

    protocol: str
    search_set: str
    model: str
    rule: str
    kind: Kind
    probe: str
    best: str
    own: str | None
    score: float
    threshold: float


_RESULT, _EXAMPLES = TypeAdapter(BenchResult), TypeAdapter(tuple[Example, ...])


def write_results(result: BenchResult, examples: tuple[Example, ...] | None, out: Path) -> None:
    """Write ``results.json`` and, if there are examples, ``examples.json`` into a folder that exists."""
    _write(out / RESULTS, plain(result))
    if examples is not None:
        _write(out / EXAMPLES, {"examples": _EXAMPLES.dump_python(examples, mode="json")})


def plain(result: BenchResult) -> dict[str, Any]:
    """A result as JSON values."""
    return _RESULT.dump_python(result, mode="json")


def read_results(path: Path) -> BenchResult:
    """Read a ``results.json``, or the one of a folder.

    Raises:
        DataError: it is missing, of another format or a newer version, or not whole.
    """
    file = path / RESULTS if path.is_dir() else path
    held = _read(file)
    return _checked(_RESULT, held, file)


def read_examples(path: Path) -> tuple[Example, ...]:
    """Read the ``examples.json`` of a folder; () where there is none.

    Raises:
        DataError: as ``read_results``.
    """
    file = (path if path.is_dir() else path.parent) / EXAMPLES
    return _checked(_EXAMPLES, _read(file).get("examples"), file) if file.exists() else ()


def _write(path: Path, held: dict[str, Any]) -> None:
    text = json.dumps({"format": FORMAT, "version": VERSION, **held}, ensure_ascii=False, allow_nan=False, indent=1)
    write_whole(path, (text + "\n").encode())


def _read(path: Path) -> dict[str, Any]:
    try:
        held = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected what facerec bench made") from None
    except ValueError:
        raise DataError(f"{path}: is not JSON; expected what facerec bench made") from None
    if not isinstance(held, dict) or held.pop("format", None) != FORMAT:
        raise DataError(f"{path}: is no result of facerec bench; give the folder that it made")
    if (version := held.pop("version", None)) != VERSION:
        raise DataError(f"{path}: is of version {version}, expected {VERSION}; run facerec bench again")
    return held


def _checked(adapter: TypeAdapter[Any], held: Any, path: Path) -> Any:
    try:
        return adapter.validate_python(held)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{path}: {where}: {first['msg'].lower()}; run facerec bench again") from None
