"""Commands that look at record files and mend their index: info, index."""

from pathlib import Path
from typing import Annotated

import typer

from recordio_tools.cli._options import AsJson, FaceSetPath, commands
from recordio_tools.door import data, say, table
from recordio_tools.errors import SourceError

app = commands()


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
        table(facts)


@app.command(epilog="Example: recordio index train.rec")
def index(
    rec: Annotated[Path, typer.Argument(help="The record file; its index is written beside it.")],
    past_damage: Annotated[bool, typer.Option(help="Index what is whole, pass over what is damaged.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing index.")] = False,
) -> None:
    """Make the .idx file of a record file anew, from the records alone."""
    from recordio_tools.rebuild import rebuild

    place = rec.with_suffix(".idx")
    if place.exists() and not force:
        raise SourceError(f"{place}: already there; replace it with --force")
    made, damages = rebuild(rec, past_damage=past_damage)
    made.save(place)
    for damage in damages:
        say(f"passed over: {damage}")
    say(f"{place}: {len(made):,} records")
