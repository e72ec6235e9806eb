"""`facerec evaluate-pairs`: models on verification packs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recordio_tools.door import data, progress_bar, say

if TYPE_CHECKING:
    from facerec_oltr.faces.pairs import PairFigures


def evaluate_pairs(
    packs: Annotated[list[Path], typer.Argument(metavar="PACK…", help="lfw.bin …, or folders of recordio pairs.")],
    models: Annotated[
        list[str],
        typer.Option("--model", metavar="MODEL", help="RUN, RUN:meta, FILE.onnx, a pack, dlib, raw_pixels."),
    ],
    detector: Annotated[
        str, typer.Option(help="What finds the faces of packs of whole photos; none: they are aligned crops.")
    ] = "none",
    folds: Annotated[int, typer.Option(min=2, help="Equal stretches of the pairs.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON on stdout.")] = False,
) -> None:
    """Measure models on verification packs: same person or not? Accuracy by folds, EER, TAR at FAR.

    Pickles are read without running what they hold.
    """
    from facerec_oltr.faces.finding import FindingEmbedder
    from facerec_oltr.faces.pairs import measure_pairs, similarities
    from facerec_oltr.models import open_extractor, open_model
    from recordio_tools.pairs import open_pack

    rows: list[tuple[str, str, PairFigures]] = []
    for path in packs:
        pack = open_pack(path)
        for model in dict.fromkeys(models):
            if detector == "none":
                embedder = open_model(model)
            else:
                embedder = FindingEmbedder(open_extractor(model, detector), max(pack.image(0).shape[:2]))
            with progress_bar(f"{path.name}: {embedder.name}") as progress:
                scores = similarities(embedder, pack, progress)
            rows.append((str(path), embedder.name, measure_pairs(scores, pack.same, folds=folds)))
    if as_json:
        data([_figures(*row) for row in rows])
    else:
        _print_table(rows)
    if any(not point.threshold.measurable for _, _, figures in rows for point in figures.points):
        say("*: this pack has too few impostor pairs to show this FAR; the TAR is that without any false match")


def _figures(pack: str, model: str, figures: "PairFigures") -> dict[str, Any]:
    accuracy = figures.accuracy
    return {
        "pack": pack,
        "model": model,
        "pairs": figures.pairs,
        "accuracy": accuracy.mean,
        "accuracy_sd": accuracy.sd,
        "folds": len(accuracy.accuracies),
        "eer": figures.eer,
        "tar_at_far": [
            {
                "far": point.threshold.target,
                "achieved": point.threshold.achieved,
                "measurable": point.threshold.measurable,
                "tar": point.tar,
                "threshold": point.threshold.value,
            }
            for point in figures.points
        ],
    }


def _print_table(rows: "list[tuple[str, str, PairFigures]]") -> None:
    from rich.table import Table

    from facerec_oltr.cli._console import console

    table = Table()
    for heading in ("pack", "model"):
        table.add_column(heading)
    points = rows[0][2].points
    for heading in ("pairs", "accuracy", "EER", *(f"TAR at FAR {point.threshold.target:g}" for point in points)):
        table.add_column(heading, justify="right")
    for pack, model, figures in rows:
        accuracy = figures.accuracy
        tars = (f"{100 * point.tar:.2f}{'' if point.threshold.measurable else '*'}" for point in figures.points)
        mean = f"{100 * accuracy.mean:.2f} ± {100 * accuracy.sd:.2f}"
        table.add_row(pack, model, f"{figures.pairs:,}", mean, f"{100 * figures.eer:.2f}", *tars)
    console().print(table)
