"""Results of benchmarks, read, checked and joined where they belong together."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from facerec_oltr.bench.results import (
    FORMAT,
    BenchResult,
    Curve,
    Example,
    Group,
    ModelFacts,
    PairResult,
    ProtocolFacts,
    SearchResult,
    read_examples,
    read_results,
)
from facerec_oltr.errors import DataError
from facerec_oltr.evaluate import FORMAT as EVALUATION

_ALIKE = ("targets", "fusion", "replicates")
_AGAIN = "run facerec bench again"


@dataclass(frozen=True)
class Joined:
    """Results that were made alike.

    Attributes:
        models, protocols, searches, pairs, targets, fusion, replicates: as in ``BenchResult``.
        seeds: of the replicates of each run, without repeats.
        versions: of each run, without repeats.
        rules: what every name of a rule stands for.
        examples: of all runs; () where nobody asked for them.
    """

    models: dict[str, ModelFacts]
    protocols: dict[str, ProtocolFacts]
    searches: tuple[SearchResult, ...]
    pairs: tuple[PairResult, ...]
    targets: tuple[float, ...]
    fusion: str
    replicates: int
    seeds: tuple[int, ...]
    versions: tuple[dict[str, str], ...]
    rules: dict[str, dict[str, Any]]
    examples: tuple[Example, ...] = ()


def is_benchmark(paths: Sequence[Path]) -> bool:
    """Whether these are results of ``facerec bench`` and not of ``facerec evaluate-faces``.

    Raises:
        DataError: none given, one is neither, or there are both.
    """
    kinds = [_format(path) for path in paths]
    if not kinds:
        raise DataError("no result was given; make one with: facerec bench")
    for path, kind in zip(paths, kinds, strict=True):
        if kind != kinds[0]:
            raise DataError(f"{path}: is a {kind}, but {paths[0]} is a {kinds[0]}; a report is of one kind, write two")
    return kinds[0] != EVALUATION


def read_joined(paths: Sequence[Path], *, examples: bool = False) -> Joined:
    """Read results of one or many runs.

    Args:
        paths: folders that ``facerec bench`` made, or their ``results.json``.
        examples: read which images the worst errors were made on, too.

    Raises:
        DataError: one is missing or damaged, holds nothing, or does not belong to the others.
    """
    results = [_read(path) for path in paths]
    first = results[0]
    models: dict[str, ModelFacts] = {}
    protocols: dict[str, ProtocolFacts] = {}
    rules: dict[str, dict[str, Any]] = {}
    seen: dict[tuple[str, ...], Path] = {}
    for path, result in zip(paths, results, strict=True):
        for name in _ALIKE:
            if getattr(result, name) != getattr(first, name):
                raise DataError(
                    f"{path}: has {name} {_told(getattr(result, name))}, but {paths[0]} has "
                    f"{_told(getattr(first, name))}; only results made alike can stand in one table"
                )
        _take(path, "model", models, result.models, vars)
        _take(path, "protocol", protocols, result.protocols, vars)
        _take(path, "rule", rules, result.rules, dict)
        for key in map(_key, (*result.searches, *result.pairs)):
            if (twin := seen.setdefault(key, path)) is not path:
                raise DataError(f"{path}: holds {', '.join(key)}, as does {twin}; leave one of them out")
    return Joined(
        models,
        protocols,
        tuple(search for result in results for search in result.searches),
        tuple(pair for result in results for pair in result.pairs),
        first.targets,
        first.fusion,
        first.replicates,
        tuple(dict.fromkeys(result.seed for result in results)),
        tuple(dict(facts) for facts in dict.fromkeys(tuple(sorted(result.versions.items())) for result in results)),
        rules,
        tuple(one for path in paths for one in read_examples(path)) if examples else (),
    )


def _format(path: Path) -> str:
    if path.is_dir():
        return FORMAT
    try:
        held = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); expected what facerec bench or evaluate-faces made"
        ) from None
    except ValueError:
        held = None
    kind = held.get("format") if isinstance(held, dict) else None
    if kind not in (FORMAT, EVALUATION):
        raise DataError(f"{path}: is no result; expected what facerec bench or facerec evaluate-faces made")
    return kind


def _read(path: Path) -> BenchResult:
    result = read_results(path)
    if not result.searches and not result.pairs:
        raise DataError(f"{path}: holds no search and no pair; {_AGAIN}")
    for one in (*result.searches, *result.pairs):
        for kind, name, known in (
            ("model", one.model, result.models),
            ("protocol", one.protocol, result.protocols),
        ):
            if name not in known:
                raise DataError(f"{path}: a result is of the {kind} {name!r}, which it does not describe; {_AGAIN}")
    for search in result.searches:
        for fault in _faults(search):
            raise DataError(f"{path}: {', '.join(_key(search))}: {fault}; {_AGAIN}")
    return result


def _faults(search: SearchResult) -> Iterable[str]:
    """What types alone do not show."""
    for name, curve in (("cmc", search.cmc), ("det", search.det)):
        yield from (f"{name}: {fault}" for fault in _curve_faults(curve))
    edges, histogram = search.histogram.edges, search.histogram
    if (edges or histogram.mated or histogram.strangers) and not (
        len(edges) - 1 == len(histogram.mated) == len(histogram.strangers)
    ):
        yield f"histogram: found {len(edges)} edges of {len(histogram.mated)} and {len(histogram.strangers)} bins"
    groups = (*search.shots, *search.sizes)
    points = (*search.points, *(point for group in groups for point in group.points))
    figures = (
        search.auroc,
        search.oscr,
        *(figure for _, figure in search.ranks),
        *(group.rank_1 for group in groups),
        *(figure for point in points for figure in (point.fpir, point.tpir, point.misidentification)),
    )
    for figure in figures:
        if figure.value is not None and not 0 <= figure.value <= 1:
            yield f"found the rate {figure.value}, expected a number from 0 to 1"
    yield from (fault for group in search.sizes for fault in _size_faults(group))


def _curve_faults(curve: Curve) -> Iterable[str]:
    if len(curve.x) != len(curve.y) or any(len(line) not in (0, len(curve.x)) for line in (curve.low, curve.high)):
        yield f"found {len(curve.x)} x of {len(curve.y)} y, {len(curve.low)} low and {len(curve.high)} high"
    elif not all(-1e300 < number < 1e300 for line in (curve.x, curve.y, curve.low, curve.high) for number in line):
        yield "found a number that is not finite"
    elif any(after < before for before, after in pairwise(curve.x)):
        yield "found x that fall, expected them to rise"


def _size_faults(group: Group) -> Iterable[str]:
    if not (group.name.isdecimal() and int(group.name)):
        yield f"found a gallery of {group.name!r} identities, expected a number"


def _take(
    path: Path, kind: str, into: dict[str, Any], more: dict[str, Any], facts_of: Callable[[Any], dict[str, Any]]
) -> None:
    """Add what has a name, which must mean the same everywhere."""
    for name, facts in more.items():
        if (known := into.setdefault(name, facts)) != facts:
            here, there = facts_of(facts), facts_of(known)
            what = next(key for key in {**here, **there} if here.get(key) != there.get(key))
            raise DataError(
                f"{path}: its {kind} {name!r} differs in {what} ({_told(here.get(what))}, elsewhere "
                f"{_told(there.get(what))}); give one of them another name, or leave it out"
            )


def _key(one: SearchResult | PairResult) -> tuple[str, ...]:
    if isinstance(one, PairResult):
        return one.protocol, one.pair_set, one.model, "pairs"
    return one.protocol, one.search_set, one.model, one.rule


def _told(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_told, value))
    return value[:12] if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
