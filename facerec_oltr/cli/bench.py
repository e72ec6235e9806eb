"""`facerec bench`: models × score rules × protocols, measured and told in one table."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recordio_tools.door import data, progress_bar, say

if TYPE_CHECKING:
    from facerec_oltr.bench.results import BenchResult, Figure, SearchResult


def bench(
    protocols: Annotated[
        list[str],
        typer.Argument(
            metavar="PROTOCOL...",
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
    cache: Annotated[
        Path | None, typer.Option(help="Keeps vectors and finished parts.", show_default="OUT.cache")
    ] = None,
    faces: Annotated[bool, typer.Option(help="Write which images the worst errors were made on.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace a result of other choices in OUT.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")] = False,
) -> None:
    """Measure models and score rules in protocols, with intervals. Stopped at any moment, it goes on where it was."""
    from facerec_oltr.bench.named import open_models, open_protocols
    from facerec_oltr.bench.out import check_out, plain, put_result
    from facerec_oltr.bench.run import Asked, Told, empty_result
    from facerec_oltr.bench.run import bench as measure
    from facerec_oltr.errors import ConfigError
    from facerec_oltr.scoring.named import read_rules

    if fusion != "max" and fusion != "mean":
        raise ConfigError(f"found the fusion {fusion!r}, expected max or mean")
    asked = Asked(
        read_rules(scores),
        _numbers(fpir, float, "--fpir", "0.01,0.001"),
        fusion,
        _numbers(sizes, int, "--sizes", "100,1000"),
        replicates,
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
    say(f"{out}: make it readable with: facerec report {out}")


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
    from rich.table import Table

    from facerec_oltr.cli._console import console

    targets = result.targets
    if result.searches:
        table = Table(title="1:N, % [95 %]; FPIR as it came out below the TPIR", title_justify="left")
        for heading in ("search set", "model", "scores", "rank 1", *(f"TPIR at FPIR {_percent(t)}" for t in targets)):
            table.add_column(heading, justify="right" if heading[:4] in ("rank", "TPIR") else "left", overflow="fold")
        for one in result.searches:
            cells = (_at(one, target) for target in targets)
            table.add_row(f"{one.protocol} {one.search_set}", one.model, one.rule, _bounds(one.ranks[0][1]), *cells)
        console().print(table)
    if result.pairs:
        table = Table(title="1:1, %", title_justify="left")
        fars = [far for far, _ in result.pairs[0].tar]
        for heading in ("pair set", "model", "accuracy", "EER", *(f"TAR at FAR {_percent(far)}" for far in fars)):
            table.add_column(heading, justify="left" if heading in ("pair set", "model") else "right")
        for pair in result.pairs:
            accuracy = "–" if pair.accuracy is None else f"{100 * pair.accuracy:.2f} ± {100 * (pair.sd or 0):.2f}"
            tars = ("–" if tar is None else f"{100 * tar:.2f}" for _, tar in pair.tar)
            table.add_row(f"{pair.protocol} {pair.pair_set}", pair.model, accuracy, f"{100 * pair.eer:.2f}", *tars)
        console().print(table)


def _at(one: "SearchResult", target: float) -> str:
    point = one.point(target) or one.point(target, "strangers")
    if point is None or point.threshold is None:
        return "nobody to choose by"
    note = "" if point.measurable else ", too few to show it"
    return f"{_bounds(point.tpir)}\n{_bounds(point.fpir)}{note}"


def _bounds(figure: "Figure") -> str:
    if figure.value is None:
        return "–"
    if figure.low is None or figure.high is None:
        return f"{100 * figure.value:.2f}"
    return f"{100 * figure.value:.2f} [{100 * figure.low:.2f}, {100 * figure.high:.2f}]"


def _percent(rate: float) -> str:
    return f"{100 * rate:g} %"
