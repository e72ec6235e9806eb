"""Commands that make a face set: pack, build-lt."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from recordio_tools.cli._options import AsJson, FaceSetPath, Force, Out, commands
from recordio_tools.door import data, progress_bar, say
from recordio_tools.errors import SourceError

_MOST_SHOWN = 10

app = commands()


@app.command(epilog="Example: recordio pack photos/ faces/ --size 112")
def pack(
    source: Annotated[
        Path,
        typer.Argument(metavar="FACES_DIR|LIST.lst", help="One sub-folder of photos a person, or a list of photos."),
    ],
    out: Out,
    root: Annotated[
        Path | None, typer.Option(help="Folder to which a list's paths are relative; by default its own.")
    ] = None,
    size: Annotated[int, typer.Option(help="Side of the square images in pixels.")] = 112,
    image_format: Annotated[str, typer.Option("--format", help="jpg, or png to keep every pixel.")] = "jpg",
    quality: Annotated[int, typer.Option(help="Of the JPEG, 1 to 100.")] = 95,
    as_is: Annotated[
        bool, typer.Option("--as-is", help="Keep the files' bytes; they must be JPEG or PNG of the set's size.")
    ] = False,
    workers: Annotated[int | None, typer.Option(help="Photos encoded at a time; by default one a core.")] = None,
    skip_unreadable: Annotated[bool, typer.Option(help="Leave out photos that cannot be read.")] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Pack photos, one sub-folder a person or named in a .lst, into a face set.

    A run that was stopped goes on with the same command.
    """
    from recordio_tools.packing import pack_folder, pack_listing

    listed = source.suffix == ".lst" and not source.is_dir()
    if root and not listed:
        raise SourceError(f"{source}: --root belongs to a list of photos, expected a file named .lst; leave it out")
    make = partial(pack_listing, source, out, root or source.parent) if listed else partial(pack_folder, source, out)
    with progress_bar("packing") as progress:
        done = make(
            size=size,
            image_format=cast(Any, image_format),
            quality=quality,
            as_is=as_is,
            workers=workers,
            skip_unreadable=skip_unreadable,
            force=force,
            progress=progress,
            say=say,
        )
    say(f"{out}: {done.images:,} images of {done.people:,} people")
    if done.skipped:
        shown = ", ".join(map(str, done.skipped[:_MOST_SHOWN]))
        more = len(done.skipped) - _MOST_SHOWN
        say(f"left out {len(done.skipped):,} unreadable: {shown}" + (f" and {more:,} more" if more > 0 else ""))
    if as_json:
        skipped = [str(path) for path in done.skipped]
        data(
            {
                "out": str(out),
                "images": done.images,
                "people": done.people,
                "skipped": skipped,
                "resumed_after": done.resumed,
            }
        )


@app.command("build-lt", epilog="Example: recordio build-lt ms1m/ ms1m-lt/ --images 887500 --identities 74500")
def build_lt(
    source: FaceSetPath,
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
