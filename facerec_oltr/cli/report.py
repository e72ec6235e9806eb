"""`facerec report`: what was measured, as a page that people can read."""

from pathlib import Path
from typing import Annotated

import typer

from facerec_oltr.errors import DataError
from recordio_tools.door import data, say


def report(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULT…", help="Folders of facerec bench; or files of facerec evaluate-faces, one a split."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="PAGE", help="PAGE.html, all in one file; or PAGE.md, whose pictures appear beside it."),
    ],
    images: Annotated[
        Path | None,
        typer.Option(metavar="SOURCE", help="Of a benchmark: the photos measured, to show the worst errors."),
    ] = None,
    no_faces: Annotated[
        bool,
        typer.Option("--no-faces", help="Of a benchmark: no photo, image key or person's name, even with --images."),
    ] = False,
    faces: Annotated[Path | None, typer.Option(help="Of evaluations: the face set, to show example decisions.")] = None,
    pictures: Annotated[
        list[Path] | None,
        typer.Option("--picture", metavar="FILE.png", help="Of evaluations: one more picture; repeatable."),
    ] = None,
    facts: Annotated[
        list[str] | None,
        typer.Option("--fact", metavar="TEXT", help="Of evaluations: a sentence on what was done; repeatable."),
    ] = None,
    credits: Annotated[
        list[str] | None,
        typer.Option("--credit", metavar="TEXT", help="Of evaluations: whom the photos are owed to; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The files written as JSON on stdout.")] = False,
) -> None:
    """Write a readable report of a benchmark or of evaluations: tables with their intervals, curves, errors."""
    from facerec_oltr.report import Picture, read_evaluations, write_report
    from facerec_oltr.report.bench import is_benchmark, write_bench_report
    from facerec_oltr.report.sentences import plural
    from recordio_tools import FaceSet

    benchmark = is_benchmark(results)
    others = {"--faces": faces, "--picture": pictures, "--fact": facts, "--credit": credits}
    options = others if benchmark else {"--images": images, "--no-faces": no_faces}
    if wrong := [name for name, value in options.items() if value]:
        kinds = ("evaluate-faces", "bench") if benchmark else ("bench", "evaluate-faces")
        raise DataError(f"{wrong[0]}: is for results of facerec {kinds[0]}, but these are of {kinds[1]}; leave it out")
    if benchmark:
        files = write_bench_report(results, out, images=images, faces=not no_faces)
    else:
        if out.suffix.lower() in (".html", ".htm"):
            raise DataError(f"{out}: evaluations are written as Markdown; give a name that ends in .md")
        files = write_report(
            read_evaluations(results),
            out,
            faces=None if faces is None else FaceSet(faces),
            pictures=[Picture(path, path.stem.replace("_", " ").capitalize() + ".") for path in pictures or ()],
            facts=facts or (),
            credits=credits or (),
        )
    if as_json:
        data({"files": [str(file) for file in files]})
    what = plural(len(results), "result" if benchmark else "evaluation")
    say(f"{out}: {what}, {plural(len(files) - 1, 'picture')} beside it")
