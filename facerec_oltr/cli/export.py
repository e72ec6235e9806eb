"""`facerec export`: a run's network as an ONNX file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recordio_tools.door import data, progress_bar, say

if TYPE_CHECKING:
    from facerec_oltr.engine.export import ExportedModel
    from facerec_oltr.evaluate.quantised import Cost


def export(
    run: Annotated[Path, typer.Argument(help="A finished run of facerec train.")],
    out: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="The file to make.")],
    embedding: Annotated[
        str | None, typer.Option(help="direct, or meta where the head has it; the run's own choice if not given.")
    ] = None,
    best: Annotated[bool, typer.Option("--best", help="The weights that validated best, not the last.")] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="8-bit weights and products; prints what that costs in accuracy.")
    ] = False,
    pairs: Annotated[
        Path | None,
        typer.Option(metavar="PACK", help="Measure that cost on lfw.bin …, instead of on training images."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="What was made as JSON on stdout.")] = False,
) -> None:
    """Write the embedding of one view of a face as an ONNX file, checked against torch; insightface takes it.

    Its input is (batch, 3, S, S) RGB, (x - 127.5) / 127.5; its output is of unit length.
    """
    from facerec_oltr.engine.export import check_place, insightface_takes, quantise
    from facerec_oltr.engine.export import export as export_run
    from facerec_oltr.engine.finished import load_run
    from facerec_oltr.errors import ConfigError
    from facerec_oltr.evaluate.quantised import cost, photos_of_pack, photos_of_training
    from recordio_tools.pairs import open_pack

    if pairs is not None and not int8:
        raise ConfigError("--pairs measures what --int8 costs; give both, or none")
    check_place(out, force=force)
    finished = load_run(run, weights="best" if best else "last")
    measured: Cost | None = None
    if int8:  # before the work: whether it could be measured
        photos = photos_of_training(finished) if pairs is None else photos_of_pack(open_pack(pairs))
        original = export_run(finished, embedding)
        made = quantise(finished, original)
        with progress_bar("embedding photos by both") as progress:
            measured = cost(original.embedder, made.embedder, photos, progress)
        say(f"int8 against float32, {photos.what}: {_in_words(measured)}")
    else:
        made = export_run(finished, embedding)
        say(f"ONNX Runtime against torch: {made.difference:.1e} apart at most, in vectors of unit length")
    made.write(out)
    size = made.embedder.size
    if as_json:
        data(_figures(out, made, measured))
    say(
        f"{out}: {made.embedding}, {made.precision}, {len(made.model) / 1e6:.1f} MB; "
        f"RGB faces of {size} pixels to {made.embedder.dimensions} numbers"
    )
    if not insightface_takes(size):
        say(
            f"warning: insightface does not take it for a recognition model, since it wants faces of 112 or 128 pixels "
            f"or a multiple of one of them; ONNX Runtime runs it with {size}"
        )


def _in_words(measured: "Cost") -> str:
    mean, least = measured.cosines
    words = f"cosine {mean:.5f} on average, {least:.5f} at least"
    if measured.accuracy is not None:
        words += "; accuracy {:.2%} instead of {:.2%}".format(*reversed(measured.accuracy))
    return words + "; EER {:.2%} instead of {:.2%}".format(*reversed(measured.eer))


def _figures(out: Path, made: "ExportedModel", measured: "Cost | None") -> dict[str, Any]:
    figures: dict[str, Any] = {
        "model": str(out),
        "embedding": made.embedding,
        "precision": made.precision,
        "bytes": len(made.model),
        "size": made.embedder.size,
        "dimensions": made.embedder.dimensions,
        "difference_from_torch": made.difference,
    }
    if measured is None:
        return figures
    cost: dict[str, Any] = {"cosine_mean": measured.cosines[0], "cosine_least": measured.cosines[1]}
    for name, values in (("eer", measured.eer), ("accuracy", measured.accuracy)):
        if values is not None:
            cost[name] = {"float32": values[0], "int8": values[1]}
    return figures | {"int8_cost": cost}
