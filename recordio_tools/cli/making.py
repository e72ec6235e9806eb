"""Commands that make a face set: pack, build-lt."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from recordio_tools.cli._options import AsJson, FaceSetPath, Force, Out, commands
from recordio_tools.door import data, progress_bar, say
from recordio_tools.errors import PlanError, SourceError

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


@app.command("build-lt", epilog="Example: recordio build-lt ms1m/ ms1m-lt/ --preset ms1m_lt --view")
def build_lt(
    source: FaceSetPath,
    out: Out,
    images: Annotated[int | None, typer.Option(help="Images to keep, met exactly.")] = None,
    identities: Annotated[int | None, typer.Option(help="Identities to keep; the others are listed as open.")] = None,
    law: Annotated[
        str | None,
        typer.Option(
            help="uniform_images or proportional (two readings of MS1M-LT), pareto, exponential.",
            show_default="uniform_images",
        ),
    ] = None,
    alpha: Annotated[float | None, typer.Option(help="Power of the pareto law; smaller is longer-tailed.")] = None,
    imbalance: Annotated[float | None, typer.Option(help="Largest class over smallest in the exponential law.")] = None,
    minimum: Annotated[
        int | None, typer.Option("--min", help="Fewest images of a kept identity.", show_default="1")
    ] = None,
    maximum: Annotated[int | None, typer.Option("--max", help="Most images of a kept identity.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="All of the above by one name: ms1m_lt is 887,500 images of 74,500 identities.")
    ] = None,
    listed: Annotated[
        Path | None, typer.Option("--list", help="Keep what the first column of this file names, instead of drawing.")
    ] = None,
    list_of: Annotated[
        str | None,
        typer.Option(help="What the list names: keys of images, or labels or names of people.", show_default="keys"),
    ] = None,
    view: Annotated[bool, typer.Option("--view", help="Write an index over SOURCE, of a few MB, not a copy.")] = False,
    enrolled: Annotated[float, typer.Option("--open-enrolled", help="Share of the open identities to enrol.")] = 0.5,
    calibration: Annotated[
        float, typer.Option("--open-calibration", help="Share of them to calibrate with; the others are strangers.")
    ] = 0.25,
    gallery_photos: Annotated[int, typer.Option(help="Most photos in the gallery of one enrolled identity.")] = 3,
    distinct: Annotated[
        bool, typer.Option("--open-distinct", help="Read the open images and list none that occurs twice.")
    ] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Cut a long-tailed set out of a face set; image bytes are copied, never encoded again."""
    from recordio_tools.build import build_longtail
    from recordio_tools.chosen import ChosenList, ListOf
    from recordio_tools.held_out import OpenSplit
    from recordio_tools.longtail import Law, Rule, preset_named
    from recordio_tools.set_writer import OPEN_LISTS

    shape = {
        "--images": images, "--identities": identities, "--law": law, "--alpha": alpha, "--imbalance": imbalance,
        "--min": minimum, "--max": maximum,
    }  # fmt: skip
    given = [name for name, value in {**shape, "--preset": preset, "--list": listed}.items() if value is not None]
    for name in ("--preset", "--list"):
        if name in given and len(given) > 1:
            other = next(option for option in given if option != name)
            raise PlanError(f"{name} says all of what to keep, but {other} was given too; leave one of them out")
    if list_of is not None and listed is None:
        raise PlanError("--list-of says what --list names, but no --list was given")
    if listed is not None:
        rule = ChosenList(listed, cast(ListOf, list_of or "keys"))
    elif preset is not None:
        rule = preset_named(preset)
    else:
        one = 1 if minimum is None else minimum
        rule = Rule(cast(Law, law or "uniform_images"), images, identities, alpha, imbalance, one, maximum)
    split = OpenSplit(enrolled, calibration, gallery_photos, distinct)
    with progress_bar("cutting") as progress:
        manifest = build_longtail(source, out, rule, seed, view=view, split=split, force=force, progress=progress)
    made, roles = manifest["output"], manifest["open_roles"]
    say(f"{out}: {made['images']:,} images of {made['identities']:,} identities, {len(manifest['open']):,} left open")
    bins = ", ".join(f"{name}: {count:,}" for name, count in manifest["shots"]["faces"].items())
    say(f"identities by images: {bins}; see {out / 'manifest.json'} and {out / 'images_per_identity.png'}")
    if "none" in roles:
        say(f"no open lists: {roles['none']}")
    else:
        said = (f"{role} {roles[role]['images']:,} of {roles[role]['identities']:,}" for role in OPEN_LISTS)
        say(f"open images of identities: {', '.join(said)}")
    if as_json:
        data({name: value for name, value in manifest.items() if name not in ("kept", "open")})
