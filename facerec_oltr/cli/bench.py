"""`facerec bench`: models × score rules × protocols, measured and told in one table."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from recordio_tools.door import data, progress_bar, say

if TYPE_CHECKING:
    from facerec_oltr.bench.results import BenchResult, Figure, Group, PairResult, SearchResult
    from facerec_oltr.metrics.columns import Fusion

_TOO_FEW = "*"
_LEAST_WIDTH = 11  # of a column of words that have as many letters


def bench(
    protocols: Annotated[
        list[str],
        typer.Argument(
            metavar="PROTOCOL",
            help="Folders of facerec protocol; or lfw_gb, drawn from a folder of LFW, or ms1m_lt, from a cut of "
            "recordio build-lt.",
        ),
    ],
    models: Annotated[
        list[str],
        typer.Option(
            "--model",
            help="A run, FILE.onnx[:imagenet], a pack, dlib, or vectors: FILE.npz[:ARRAY] with `path`. NAME=MODEL "
            "names it; repeatable.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder of the result, for: facerec report.")],
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Where the photos are: a folder, a face set, a cut; one for all protocols or one for each."),
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Finds the faces; none: photos are aligned crops.", show_default="the model's")
    ] = None,
    scores: Annotated[
        str, typer.Option(help="Score rules, such as: cosine,centroid,nac:k=8. See facerec_oltr.scoring.")
    ] = "cosine",
    fpir: Annotated[str, typer.Option(help="Wanted false positive identification rates.")] = "0.01,0.001",
    fusion: Annotated[str, typer.Option(help="One score of a person's templates: max or mean.")] = "max",
    sizes: Annotated[
        str, typer.Option(help="Sizes of galleries too, such as: 100,1000.", show_default="by powers of ten")
    ] = "",
    replicates: Annotated[int, typer.Option(help="Of the intervals.")] = 1000,
    training_images: Annotated[
        bool,
        typer.Option(help="Embed a protocol's training images too, where it lists them: shot groups by similarity."),
    ] = True,
    cache: Annotated[
        Path | None, typer.Option(help="Keeps vectors and finished parts.", show_default="OUT.cache")
    ] = None,
    faces: Annotated[bool, typer.Option(help="Write which images the worst errors were made on.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace a result of other choices in OUT.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")] = False,
) -> None:
    """Measure models and score rules in protocols, with intervals. Stopped at any moment, it goes on where it was."""
    from facerec_oltr.bench.named import open_models, open_protocols
    from facerec_oltr.bench.out import check_out, put_result
    from facerec_oltr.bench.results import plain
    from facerec_oltr.bench.run import Asked, Told, empty_result
    from facerec_oltr.bench.run import bench as measure
    from facerec_oltr.scoring.named import read_rules

    asked = Asked(
        read_rules(scores),
        _numbers(fpir, float, "--fpir", "0.01,0.001"),
        cast("Fusion", fusion),
        _numbers(sizes, int, "--sizes", "100,1000"),
        replicates,
        training_images=training_images,
    )
    opened = open_models(models, detector)
    with progress_bar("reading photos") as progress:
        drawn = open_protocols(protocols, images or [], progress)
    check_out(out, empty_result(drawn, opened, asked), force=force)
    place = out.with_name(f"{out.resolve().name}.cache") if cache is None else cache
    with _bars() as progress:
        result, examples = measure(drawn, opened, asked, place, Told(progress, say))
    put_result(out, result, examples if faces else None)
    if as_json:
        data(plain(result))
    else:
        print_tables(result)
    say(f"{out}: make it readable with: facerec report {out} --out {out}.html")


def _numbers(text: str, kind: Callable[[str], float], option: str, such_as: str) -> tuple:
    from facerec_oltr.errors import ConfigError

    try:
        return tuple(kind(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise ConfigError(f"{option}: found {text!r}, expected numbers such as {such_as}") from None


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """One bar at a time, a new one for each new thing that is done."""
    with ExitStack() as stack:
        now: dict[str, Callable[[int, int], None]] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in now:
                stack.close()
                now.clear()
                now[what] = stack.enter_context(progress_bar(what))
            now[what](done, total)

        yield progress


def print_tables(result: "BenchResult") -> None:
    """All models, rules and protocols; pair sets apart."""
    if result.searches:
        targets = [f"TPIR at FPIR {_percent(target)}" for target in result.targets]
        rows = [_search_cells(result, one) for one in result.searches]
        _print(
            "1:N, % [95 %]; below the TPIR the FPIR as it came out", ("search set", "model", "scores"), rows, targets
        )
        shots = [cells for one in result.searches for cells in _shot_cells(result, one)]
        if shots:
            heads = ("search set", "model", "scores", "counted by", "shots", "people", "probes")
            _print("1:N by number of training images, % [95 %]", heads, shots, targets)
        if any(_TOO_FEW in cell for row in rows for cell in row):
            say(f"{_TOO_FEW} fewer searches chose the threshold than can show such an FPIR")
    if result.pairs:
        tars = [f"TAR at FAR {_percent(far)}" for far, _ in result.pairs[0].tar]
        rows = [(_set_name(result, one.protocol, one.pair_set), one.model, *_pair_cells(one)) for one in result.pairs]
        _print("1:1, %", ("pair set", "model"), rows, ["accuracy", "EER", *tars], rank="")


def _print(
    title: str, words: tuple[str, ...], rows: list[tuple[str, ...]], numbers: list[str], rank: str = "rank 1"
) -> None:
    from rich.table import Table

    from facerec_oltr.cli._console import console

    table = Table(title=title, title_justify="left")
    for place, heading in enumerate(words):
        longest = max(len(row[place]) for row in rows)
        table.add_column(heading, overflow="fold", min_width=max(len(heading), min(longest, _LEAST_WIDTH)))
    for heading in [rank] * bool(rank) + numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console().print(table)


def _set_name(result: "BenchResult", protocol: str, name: str) -> str:
    """With the protocol's name where there are several."""
    return name if len(result.protocols) == 1 else f"{protocol} {name}"


def _search_cells(result: "BenchResult", one: "SearchResult") -> tuple[str, ...]:
    rates = (_at(one, target) for target in result.targets)
    return _set_name(result, one.protocol, one.search_set), one.model, one.rule, _bounds(one.ranks[0][1]), *rates


def _pair_cells(one: "PairResult") -> tuple[str, ...]:
    accuracy = "–" if one.accuracy is None else f"{100 * one.accuracy:.2f} ± {100 * (one.sd or 0):.2f}"
    tars = ("–" if tar is None else f"{100 * tar:.2f}" for _, tar in one.tar)
    return accuracy, f"{100 * one.eer:.2f}", *tars


def _shot_cells(result: "BenchResult", one: "SearchResult") -> "Iterator[tuple[str, ...]]":
    """A row for each shot group, each named with the rule that made it."""
    whose = _set_name(result, one.protocol, one.search_set), one.model, one.rule
    for group in one.shots:
        by, name = (group.counted_by or "true_counts").replace("_", " "), group.name.replace("_", " ")
        rates = (_at(group, target).partition("\n")[0] for target in result.targets)  # the FPIR is the whole's
        yield *whose, by, name, f"{group.people:,}", f"{group.probes:,}", _bounds(group.rank_1), *rates


def _at(one: "SearchResult | Group", target: float) -> str:
    held = [point for point in one.points if point.target == target]  # what other people chose comes first
    point = held[0] if held else None
    if point is None or point.threshold is None:
        return "nobody to choose by"
    note = "" if point.measurable else f"{_TOO_FEW} "
    return f"{note}{_bounds(point.tpir)}\n{_bounds(point.fpir)}"


def _bounds(figure: "Figure") -> str:
    if figure.value is None:
        return "–"
    if figure.low is None or figure.high is None:
        return f"{100 * figure.value:.2f}"
    return f"{100 * figure.value:.2f} [{100 * figure.low:.2f}, {100 * figure.high:.2f}]"


def _percent(rate: float) -> str:
    return f"{100 * rate:g} %"
