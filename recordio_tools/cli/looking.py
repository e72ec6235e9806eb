"""Commands that look at record files and mend their index: info, index."""

from pathlib import Path
from typing import Annotated

import typer

from recordio_tools.cli._options import AsJson, FaceSetPath, commands
from recordio_tools.door import data, progress_bar, say, table
from recordio_tools.errors import SourceError

app = commands()

_SHOWN = 20


@app.command(epilog="Example: recordio info faces/ --json")
def info(
    path: FaceSetPath,
    as_json: AsJson = False,
) -> None:
    """Say what a face set holds."""
    from recordio_tools.faces import FaceSet

    facts = FaceSet(path).summary()
    if as_json:
        data(facts)
    else:
        notes = facts.pop("notes")
        table(facts)
        for note in notes:
            typer.echo(f"note: {note}")


@app.command(epilog="Example: recordio index train.rec")
def index(
    rec: Annotated[Path, typer.Argument(help="The record file; its index is written beside it.")],
    past_damage: Annotated[bool, typer.Option(help="Index what is whole, pass over what is damaged.")] = False,
    cache: Annotated[bool, typer.Option(help="Also keep the parsed index, for programs that open it often.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing index.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make the .idx file of a record file anew, from the records alone."""
    from recordio_tools.index import Index
    from recordio_tools.rebuild import rebuild

    place = rec.with_suffix(".idx")
    if place.exists() and not force:
        raise SourceError(f"{place}: already there; replace it with --force")
    with progress_bar("reading", "bytes") as progress:
        made, damages = rebuild(rec, past_damage=past_damage, progress=progress)
    made.save(place)
    if cache:
        Index.load(place, cache=True)
    for damage in damages[:_SHOWN]:
        say(f"passed over: {damage}")
    if damages.total > _SHOWN:
        say(f"and {damages.total - _SHOWN:,} more; see all of them with: recordio verify {rec}")
    say(f"{place}: {len(made):,} records")
