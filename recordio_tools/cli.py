"""The command line `recordio`: a thin door to the library. Data to stdout, words and progress to stderr."""

import os
from pathlib import Path
from typing import Annotated, NoReturn, cast

import typer

from recordio_tools import door
from recordio_tools.door import data, printable, progress_bar, say
from recordio_tools.errors import RecordIOError, SourceError

app = typer.Typer(
    name="recordio",
    help="Reads, writes, checks and cuts MXNet RecordIO face sets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Out = Annotated[Path, typer.Argument(help="The folder to make.")]
Force = Annotated[bool, typer.Option("--force", help="Replace OUT if recordio wrote it.")]
AsJson = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]


@app.command(epilog="Example: recordio pack photos/ faces/ --size 112")
def pack(
    source: Annotated[Path, typer.Argument(metavar="FACES_DIR", help="One sub-folder of photos a person.")],
    out: Out,
    size: Annotated[int, typer.Option(help="Side of the square images in pixels.")] = 112,
    image_format: Annotated[str, typer.Option("--format", help="jpg, or png to keep every pixel.")] = "jpg",
    quality: Annotated[int, typer.Option(help="Of the JPEG, 1 to 100.")] = 95,
    skip_unreadable: Annotated[bool, typer.Option(help="Leave out photos that cannot be read.")] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Pack a folder of photos, one sub-folder a person, into a face set."""
    from recordio_tools.packing import Format, pack_folder

    with progress_bar("packing") as progress:
        done = pack_folder(
            source,
            out,
            size=size,
            image_format=cast(Format, image_format),
            quality=quality,
            skip_unreadable=skip_unreadable,
            force=force,
            progress=progress,
        )
    say(f"{out}: {done.images:,} images of {done.people:,} people")
    if done.skipped:
        say(f"left out {len(done.skipped):,} unreadable: {', '.join(map(str, done.skipped))}")
    if as_json:
        skipped = [str(path) for path in done.skipped]
        data({"out": str(out), "images": done.images, "people": done.people, "skipped": skipped})


@app.command("build-lt", epilog="Example: recordio build-lt ms1m/ ms1m-lt/ --images 887500 --identities 74500")
def build_lt(
    source: Annotated[Path, typer.Argument(help="A face set's folder, or a .rec file.")],
    out: Out,
    images: Annotated[int | None, typer.Option(help="Images to keep, met exactly.")] = None,
    identities: Annotated[int | None, typer.Option(help="Identities to keep; the others are listed as open.")] = None,
    law: Annotated[
        str,
        typer.Option(help="uniform_images or proportional (two readings of MS1M-LT), pareto, exponential."),
    ] = "uniform_images",
    alpha: Annotated[float | None, typer.Option(help="Power of the pareto law; smaller is longer-tailed.")] = None,
    imbalance: Annotated[float | None, typer.Option(help="Largest class over smallest in the exponential law.")] = None,
    minimum: Annotated[int, typer.Option("--min", help="Fewest images of a kept identity.")] = 1,
    maximum: Annotated[int | None, typer.Option("--max", help="Most images of a kept identity.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Cut a long-tailed set out of a face set; image bytes are copied, never encoded again."""
    from recordio_tools.build import build_longtail
    from recordio_tools.longtail import Law, Rule

    rule = Rule(cast(Law, law), images, identities, alpha, imbalance, minimum, maximum)
    with progress_bar("copying") as progress:
        manifest = build_longtail(source, out, rule, seed, force=force, progress=progress)
    made = manifest["output"]
    say(f"{out}: {made['images']:,} images of {made['identities']:,} identities, {len(manifest['open']):,} left open")
    bins = ", ".join(f"{name}: {count:,}" for name, count in manifest["shots"]["faces"].items())
    say(f"identities by images: {bins}; see {out / 'manifest.json'} and {out / 'images_per_identity.png'}")
    if as_json:
        data({name: value for name, value in manifest.items() if name not in ("kept", "open")})


@app.command(epilog="Example: recordio info faces/ --json")
def info(
    path: Annotated[Path, typer.Argument(help="A face set's folder, or a .rec file.")],
    as_json: AsJson = False,
) -> None:
    """Say what a face set holds."""
    from recordio_tools.faces import FaceSet

    facts = FaceSet(path).summary()
    if as_json:
        data(facts)
    else:
        width = max(map(len, facts))
        typer.echo("\n".join(f"{name.replace('_', ' '):{width}}  {_shown(value)}" for name, value in facts.items()))


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


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(item)}" for name, item in value.items())
    if isinstance(value, list):
        return " x ".join(map(_shown, value))
    if isinstance(value, float | int):
        return f"{value:,g}" if isinstance(value, float) else f"{value:,}"
    return "unknown" if value is None else printable(str(value))


def main() -> NoReturn:
    """Run the command line on the process's arguments; expected errors are one line and exit code 1."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # a broken image is told once, by us
    door.run(app, RecordIOError)
