"""Commands on verification packs, grouped under `recordio pairs`: info, convert, make, draw."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from recordio_tools.cli._options import AsJson, FaceSetPath, Force, Out
from recordio_tools.door import data, progress_bar, say, table

if TYPE_CHECKING:
    from recordio_tools.verification import VerificationPack

app = typer.Typer(
    name="pairs",
    help="Verification packs: lfw.bin and the like, read without running what they hold.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Pack = Annotated[Path, typer.Argument(help="A pack: a pickle such as lfw.bin, or a folder made by recordio pairs.")]


@app.command(epilog="Example: recordio pairs info lfw.bin --decode")
def info(
    pack: Pack,
    decode: Annotated[bool, typer.Option("--decode", help="Decode every image, and say their sizes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what a verification pack holds."""
    from recordio_tools.pairs import open_pack

    opened = open_pack(pack)
    facts = opened.summary()
    if decode:
        with progress_bar("decoding") as progress:
            facts["sizes"] = opened.sizes(progress)
    if as_json:
        data(facts)
    else:
        table(facts)


@app.command(epilog="Example: recordio pairs convert lfw.bin lfw-pairs/")
def convert(pack: Pack, out: Out, force: Force = False, as_json: AsJson = False) -> None:
    """Write a pack into a folder of records and a manifest, which needs no pickle."""
    from recordio_tools.pairs import convert_pack

    with progress_bar("writing") as progress:
        made = convert_pack(pack, out, force=force, progress=progress)
    _report(made, out, as_json)


@app.command(epilog="Example: recordio pairs make pairs.txt lfw/ lfw-pairs/ --size 112")
def make(
    pair_list: Annotated[Path, typer.Argument(metavar="PAIRS.txt", help="A list of pairs as LFW's pairs.txt.")],
    root: Annotated[Path, typer.Argument(help="Its photos: ROOT/Name/Name_0001.jpg.")],
    out: Out,
    size: Annotated[
        int | None, typer.Option(help="Side of the square images in pixels; without it, files are kept as they are.")
    ] = None,
    image_format: Annotated[
        str, typer.Option("--format", help="With --size: jpg, or png to keep every pixel.")
    ] = "jpg",
    quality: Annotated[int, typer.Option(help="With --size: of the JPEG, 1 to 100.")] = 95,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Make a pack from a list of pairs and the photos that it names."""
    from recordio_tools.packing import Format
    from recordio_tools.pair_list import make_pack

    with progress_bar("reading") as progress:
        made = make_pack(
            pair_list,
            root,
            out,
            size=size,
            image_format=cast(Format, image_format),
            quality=quality,
            force=force,
            progress=progress,
        )
    _report(made, out, as_json)


@app.command(epilog="Example: recordio pairs draw ms1m/ held-out-pairs/ --open ms1m-lt/manifest.json")
def draw(
    source: FaceSetPath,
    out: Out,
    left_out: Annotated[
        Path | None,
        typer.Option("--open", metavar="MANIFEST.json", help="Of a set cut from it: draw only those it left out."),
    ] = None,
    folds: Annotated[int, typer.Option(help="Parts that share no person.")] = 10,
    each: Annotated[int, typer.Option(help="Pairs of one person in each fold, and as many of two.")] = 300,
    most: Annotated[int, typer.Option(help="Pairs of one person's photos to draw from, at most.")] = 6,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Make a pack of pairs drawn from a face set, or from the people whom a cut of it left out."""
    from recordio_tools.pair_draw import PairRule, draw_pack

    rule = PairRule(folds, each, most, seed)
    with progress_bar("writing") as progress:
        made = draw_pack(source, out, rule, left_out_by=left_out, force=force, progress=progress)
    _report(made, out, as_json)


def _report(made: "VerificationPack", out: Path, as_json: bool) -> None:
    facts = made.summary() | {"path": str(out), "form": "folder"}
    say(f"{out}: {facts['pairs']:,} pairs ({facts['same']:,} of the same person) of {facts['images']:,} images")
    if as_json:
        data(facts)
