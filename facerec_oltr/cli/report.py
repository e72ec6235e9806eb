"""`facerec report`: evaluations as a page that a newcomer can read."""

from pathlib import Path
from typing import Annotated

import typer

from recordio_tools.door import data, say


def report(
    results: Annotated[
        list[Path], typer.Argument(metavar="FILE.json…", help="Of facerec evaluate-faces, one a split.")
    ],
    out: Annotated[Path, typer.Option(metavar="REPORT.md", help="The text; its pictures appear beside it.")],
    faces: Annotated[
        Path | None, typer.Option(help="The face set that was evaluated, to show example decisions.")
    ] = None,
    pictures: Annotated[
        list[Path] | None, typer.Option("--picture", metavar="FILE.png", help="One more picture to show; repeatable.")
    ] = None,
    facts: Annotated[
        list[str] | None, typer.Option("--fact", metavar="TEXT", help="A sentence on what was done; repeatable.")
    ] = None,
    credits: Annotated[
        list[str] | None, typer.Option("--credit", metavar="TEXT", help="Whom the photos are owed to; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The files written as JSON on stdout.")] = False,
) -> None:
    """Write a readable report of evaluations: tables with their spread, DET curves, example decisions."""
    from facerec_oltr.report import Picture, read_evaluations, write_report
    from recordio_tools import FaceSet

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
    say(f"{out}: {len(results)} evaluations, {len(files) - 1} pictures beside it")
