"""`facerec data`: what a data set needs, and whether it is there."""

from pathlib import Path
from typing import Annotated

import typer

from recordio_tools import door

app = typer.Typer(help="Look at data sets.", no_args_is_help=True)


@app.command(epilog="Example: facerec data check imagenet_lt --root /data/imagenet")
def check(
    dataset: Annotated[str, typer.Argument(help="A data set's name, or the path of its .toml.")],
    root: Annotated[
        Path | None, typer.Option(help="The folder, or file, of its images: data.root or data.path.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the config; may be repeated.")
    ] = None,
    most: Annotated[int, typer.Option(min=0, help="How many missing images to name.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="The findings as JSON on stdout.")] = False,
) -> None:
    """Open every split of a data set and look for every image; exit code 1 where something is missing or wrong."""
    from facerec_oltr.config import load_data
    from facerec_oltr.data.check import check_data

    config = load_data(dataset, root=root, overrides=overrides or ())
    with door.progress_bar(f"looking for {dataset}") as progress:
        found = check_data(config, examples=most, on_progress=progress)
    if as_json:
        door.data(
            {"dataset": dataset, "whole": found.whole} | vars(found) | {"examples": list(map(str, found.examples))}
        )
    else:
        for split, images in found.images.items():
            missing = f", {found.missing[split]:,} missing" if split in found.missing else ""
            typer.echo(f"{split:<10}{images:>10,} inputs{missing}")
        for path in found.examples:
            typer.echo(door.printable(f"missing: {path}"))
        if (more := sum(found.missing.values()) - len(found.examples)) > 0:
            typer.echo(f"missing: {more:,} more")
        for problem in found.problems:
            typer.echo(door.printable(f"wrong: {problem}"))
    for line in found.advice:
        door.say(f"next: {line}")
    if not found.whole:
        raise typer.Exit(1)
    door.say(f"{dataset}: all of it is there")
