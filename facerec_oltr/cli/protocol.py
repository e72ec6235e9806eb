"""`facerec protocol`: who is enrolled, searched and rejected, drawn or read into lists, and shown."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from recordio_tools.door import data, printable, progress_bar, say

if TYPE_CHECKING:
    from facerec_oltr.protocols import Protocol

Out = Annotated[Path, typer.Argument(help="The protocol's folder to make.")]
Photos = Annotated[Path, typer.Argument(help="A folder of one folder a person, or a face set.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same lists.")]
Force = Annotated[bool, typer.Option("--force", help="Replace OUT if it holds a protocol.")]
AsJson = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]

app = typer.Typer(help="Draw, read and look at protocols.", no_args_is_help=True)


@app.command(
    epilog="Example: facerec protocol make people/ protocol/ --enrolled 500 --calibration 200 --strangers 1000 --seed 0"
)
def make(
    folder: Photos,
    out: Out,
    enrolled: Annotated[int, typer.Option(help="People in the gallery who are looked for.")],
    calibration: Annotated[int, typer.Option(help="Other people, who choose the threshold.")],
    strangers: Annotated[int, typer.Option(help="Other people again, who are to be rejected.")],
    distractors: Annotated[int, typer.Option(help="People enrolled too, whom nobody looks for.")] = 0,
    templates: Annotated[
        list[int] | None,
        typer.Option(help="Photos in the gallery of each enrolled person; several are cycled.", show_default="3"),
    ] = None,
    probes: Annotated[
        int | None, typer.Option(help="Most probes of each enrolled person.", show_default="all other photos")
    ] = None,
    seed: Seed = 0,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Draw an open-set protocol: every person plays one part."""
    from facerec_oltr.protocols import read_photos
    from facerec_oltr.protocols.draw import OpenSetRule, draw_open_set

    rule = OpenSetRule(enrolled, calibration, strangers, distractors, tuple(templates or (3,)), probes, seed)
    with progress_bar("reading photos") as progress:
        photos = read_photos(folder, progress)
    _write(draw_open_set(photos, rule, name=out.resolve().name), out, force, as_json)


@app.command("lfw-gb", epilog="Example: facerec protocol lfw-gb lfw/ lfw-gb/ --seed 0")
def lfw_gb(
    folder: Photos,
    out: Out,
    variant: Annotated[
        str,
        typer.Option(
            help="held_out: half of the known unknowns choose the threshold and are not probed; as_published: nobody."
        ),
    ] = "held_out",
    enrolled_list: Annotated[
        Path | None, typer.Option("--enrolled-list", help="The photos to enrol, a path a line, instead of a draw.")
    ] = None,
    any_people: Annotated[
        bool, typer.Option("--any-people", help="Apply the rule to people who are not LFW's.")
    ] = False,
    seed: Seed = 0,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """LFW's open-set protocol of Günther and Boult: probe sets C, O1, O2 and O3."""
    from facerec_oltr.protocols import read_photos
    from facerec_oltr.protocols.lfw_gb import Variant, draw_lfw_gb

    with progress_bar("reading photos") as progress:
        photos = read_photos(folder, progress)
    made = draw_lfw_gb(
        photos,
        variant=cast(Variant, variant),
        seed=seed,
        enrolled_list=enrolled_list,
        any_people=any_people,
    )
    _write(made, out, force, as_json)


@app.command("lfw-pairs", epilog="Example: facerec protocol lfw-pairs pairs.txt lfw/ lfw-pairs/")
def lfw_pairs(
    pair_list: Annotated[Path, typer.Argument(metavar="PAIRS.txt", help="LFW's list of pairs, or one like it.")],
    folder: Annotated[Path, typer.Argument(help="One folder of photos a person.")],
    out: Out,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """LFW's pairs: ten folds of pairs of one person and of two."""
    from facerec_oltr.protocols.lfw_pairs import read_lfw_pairs

    with progress_bar("reading photos") as progress:
        made = read_lfw_pairs(pair_list, folder, progress)
    _write(made, out, force, as_json)


@app.command(epilog="Example: facerec protocol ijb IJBC/meta ijbc/ --benchmark ijbc")
def ijb(
    folder: Annotated[Path, typer.Argument(help="NIST's protocols, or InsightFace's meta.")],
    out: Out,
    benchmark: Annotated[str, typer.Option(help="ijbb or ijbc.")] = "ijbc",
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """IJB-B or IJB-C: 1:N in two galleries, apart, and 1:1 by template pairs."""
    from facerec_oltr.protocols.ijb import Benchmark, read_ijb

    _write(read_ijb(folder, cast(Benchmark, benchmark)), out, force, as_json)


@app.command(
    epilog="Example: facerec protocol megaface facescrub_features_list.json megaface_features_list.json_1000000_1 "
    "megaface/"
)
def megaface(
    probes: Annotated[Path, typer.Argument(metavar="PROBES.json", help="The devkit's list of FaceScrub.")],
    distractors: Annotated[Path, typer.Argument(metavar="DISTRACTORS.json", help="Its list of distractors.")],
    out: Out,
    turns: Annotated[int, typer.Option(help="Photos of each person that are enrolled in turn.")] = 1,
    probe_noises: Annotated[Path | None, typer.Option(help="File names of probes to leave out.")] = None,
    distractor_noises: Annotated[Path | None, typer.Option(help="Paths of distractors to leave out.")] = None,
    seed: Seed = 0,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Few people among very many distractors, by the lists of MegaFace's devkit."""
    from facerec_oltr.protocols.megaface import read_megaface

    made = read_megaface(
        probes,
        distractors,
        turns=turns,
        seed=seed,
        probe_noises=probe_noises,
        distractor_noises=distractor_noises,
    )
    _write(made, out, force, as_json)


@app.command("ms1m-lt", epilog="Example: facerec protocol ms1m-lt ms1m-lt/ protocol/ --source ms1m/ --distractors 0.5")
def ms1m_lt(
    cut: Annotated[Path, typer.Argument(help="What recordio build-lt made.")],
    out: Out,
    source: Annotated[Path | None, typer.Option(help="The set it was cut from.", show_default="as CUT says")] = None,
    templates: Annotated[int, typer.Option(help="Most images enrolled of each trained person.")] = 3,
    probes: Annotated[int, typer.Option(help="Most images searched of each trained person; 0 for none.")] = 3,
    distractors: Annotated[float, typer.Option(help="Share of the strangers to enrol as distractors instead.")] = 0.0,
    hashes: Annotated[bool, typer.Option(help="Read the images, and leave out those that occur twice.")] = True,
    training_images: Annotated[
        bool, typer.Option(help="List the training images: facerec bench then groups shots by similarity, too.")
    ] = True,
    seed: Seed = 0,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """The people whom a long-tailed cut left out, and those whom it kept, by how many images they have."""
    from facerec_oltr.protocols.ms1m_lt import read_ms1m_lt

    with progress_bar("reading images") as progress:
        made = read_ms1m_lt(
            cut,
            source,
            templates=templates,
            probes=probes,
            distractors=distractors,
            seed=seed,
            with_hashes=hashes,
            training_images=training_images,
            progress=progress,
        )
    _write(made, out, force, as_json)


@app.command(epilog="Example: facerec protocol show protocol/ --source people/")
def show(
    protocol: Annotated[Path, typer.Argument(help="A protocol's folder.")],
    source: Annotated[Path | None, typer.Option(help="Look for its images here: a folder, or a face set.")] = None,
    contents: Annotated[bool, typer.Option("--contents", help="Read them too, and compare their hashes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read a protocol with every check, and say what it holds."""
    from facerec_oltr.errors import DataError
    from facerec_oltr.protocols import find_images, read_protocol

    if contents and source is None:
        raise DataError("--contents compares images, but no --source was given; say where they are")
    found = read_protocol(protocol)
    if source is not None:
        with progress_bar("looking for images") as progress:
            find_images(found, source, contents=contents, progress=progress)
        say(f"{source}: every image is there{', unchanged' if contents else ''}")
    _tell(found, as_json)


def _write(protocol: "Protocol", out: Path, force: bool, as_json: bool) -> None:
    from facerec_oltr.protocols import write_protocol

    manifest = write_protocol(protocol, out, force=force)
    left_out = [manifest["choices"].get(name, 0) for name in ("same_person_twice", "several_people")]
    if any(left_out):
        say(f"left out {left_out[0]:,} photos that one person has twice and {left_out[1]:,} that several people have")
    count = len(protocol.lists)
    say(f"{out}: {count} list{'s' if count > 1 else ''}, fingerprint {manifest['fingerprint'][:12]}")
    _tell(protocol, as_json)


def _tell(protocol: "Protocol", as_json: bool) -> None:
    """What a protocol holds, for a person or a machine."""
    from facerec_oltr.protocols.folder import fingerprint
    from facerec_oltr.protocols.summary import summarise

    facts = summarise(protocol)
    if as_json:
        data(facts | {"fingerprint": fingerprint(protocol)})
        return
    drawn = "" if protocol.seed is None else f", seed {protocol.seed}"
    typer.echo(printable(f"{protocol.name}, made by {protocol.made_by or 'hand'}{drawn}"))
    _print_searches(facts["search_sets"])
    _print_pairs(facts["pair_sets"])
    if groups := facts["training"]:
        typer.echo("trained people by true counts: " + ", ".join(f"{name} {n:,}" for name, n in groups.items()))
    if listed := facts["trained_on"]:
        typer.echo(f"training images, for shot groups by similarity: {listed['images']:,}")


def _print_searches(sets: dict[str, Any]) -> None:
    from rich.table import Table

    from facerec_oltr.cli._console import console

    if not sets:
        return
    table = Table(title="1:N, people / templates", title_justify="left")
    for place, heading in enumerate(("search set", *next(iter(sets.values())))):
        table.add_column(heading, justify="right" if place else "left")
    for name, parts in sets.items():
        cells = (
            f"{part['people']:,} / {part['templates']:,}" if part["templates"] else "none" for part in parts.values()
        )
        table.add_row(name, *cells)
    console().print(table)


def _print_pairs(sets: dict[str, Any]) -> None:
    from rich.table import Table

    from facerec_oltr.cli._console import console

    if not sets:
        return
    table = Table(title="1:1", title_justify="left")
    for place, heading in enumerate(("pair set", "templates", "pairs", "same person", "two people", "folds")):
        table.add_column(heading, justify="right" if place else "left")
    for name, facts in sets.items():
        table.add_row(name, *(f"{facts[key]:,}" for key in ("templates", "pairs", "same", "different", "folds")))
    console().print(table)
