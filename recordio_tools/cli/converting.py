"""Commands that make something else of a record file: extract, cat, shuffle, merge, to-folder, to-webdataset."""

import json
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from recordio_tools.cli._options import AsJson, FaceSetPath, Force, Out, commands
from recordio_tools.door import data, printable, progress_bar, say
from recordio_tools.errors import SourceError

app = commands()

_RecordFile = Annotated[Path, typer.Argument(metavar="SET", help="A face set's folder, a view's, or any .rec file.")]


@app.command(epilog="Example: recordio extract faces/ 17 100-110 --out photos/")
def extract(
    source: _RecordFile,
    keys: Annotated[list[str] | None, typer.Argument(metavar="[KEY]...", help="Keys, or ranges as 100-110.")] = None,
    position: Annotated[list[int] | None, typer.Option(help="Position among the set's images, from 0.")] = None,
    identity: Annotated[list[int] | None, typer.Option(help="Label: all images of this identity.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="A folder to make; for one record also a file as face.jpg, or - for stdout."),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="The records' bytes, of any kind of record.")] = False,
    force: Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="What the records' headers say, as JSON on stdout.")] = False,
) -> None:
    """Take images out of a record file, as the files that they are.

    Files are named KEY.jpg, KEY.png or KEY.bin after what they hold. --position and --identity may be repeated.
    A view's positions and identities are its own; its keys, and what headers say, those of the set it looks into.
    """
    from recordio_tools.extract import Selection

    chosen = Selection(source, keys=keys or (), positions=position or (), identities=identity or (), raw=raw)
    files: list[str | None] = [None] * len(chosen)
    if out == Path("-"):
        if as_json or len(chosen) != 1:
            raise SourceError("stdout takes the bytes of one record, without --json; give a folder with --out")
        sys.stdout.buffer.write(chosen.content(0))
        sys.stdout.buffer.flush()
    elif out is None:
        if not as_json:
            raise SourceError("nowhere to write to was given; give --out FOLDER, --out FILE, --out - or --json")
    elif len(chosen) == 1 and out.suffix and not out.is_dir():
        chosen.write_file(out, force=force)
        files = [str(out)]
        say(f"{out}: key {chosen.entries()[0].key}")
    else:
        with progress_bar("extracting") as progress:
            files = [str(out / name) for name in chosen.write(out, force=force, progress=progress)]
        say(f"{out}: {len(files):,} record{'s' * (len(files) != 1)}")
    if as_json:
        data([{"file": file, **entry.facts()} for file, entry in zip(files, chosen.entries(), strict=True)])


@app.command(epilog="Example: recordio cat faces/ --limit 10")
def cat(
    source: _RecordFile,
    keys: Annotated[list[str] | None, typer.Option(help="Only this key, or range as 100-110; may be repeated.")] = None,
    limit: Annotated[int | None, typer.Option(help="Stop after so many records.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each record.")] = False,
) -> None:
    """List the records of any record file in file order, a line each.

    Between tabs: key, offset, length, flag, labels, id, kind. The kind is JPEG, PNG, other content, empty, header
    record, identity record, or raw record where the bytes cannot be an image record's header. Of a view its images'
    records are listed, as they are in the set it looks into.
    """
    from recordio_tools.contents import describe, in_file_order, select
    from recordio_tools.faces import open_records

    if limit is not None and limit < 0:
        raise SourceError(f"--limit {limit} was given, expected 0 or more")
    reader = open_records(source)
    entries = describe(reader, select(reader, keys) if keys else in_file_order(reader))
    lines = (json.dumps(entry.facts()) if as_json else entry.line() for entry in islice(entries, limit))
    try:
        for line in lines:
            sys.stdout.write(f"{line}\n")
    finally:
        sys.stdout.flush()


@app.command(epilog="Example: recordio shuffle faces/ faces-shuffled/ --seed 0")
def shuffle(
    source: FaceSetPath,
    out: Out,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    drop_labels: Annotated[
        bool, typer.Option("--drop-labels", help="Allow images with further labels, which are left out.")
    ] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Put a face set's images in random order, for readers from front to back as NVIDIA DALI.

    Images only, under keys 0 to N-1, with their class as the one label. Needs room on the disk for twice the set
    while it works, and 256 MB of memory, or 1/200 of the set where that is more.
    """
    from recordio_tools.shuffle import shuffle_set

    with progress_bar("shuffling") as progress:
        manifest = shuffle_set(source, out, seed, drop_labels=drop_labels, force=force, progress=progress)
    say(f"{out}: {manifest['output']['images']:,} images in the order of seed {seed}")
    if as_json:
        data(manifest)


@app.command(epilog="Example: recordio merge faces-a/ faces-b/ merged/")
def merge(
    sources: Annotated[list[Path], typer.Argument(metavar="SET...", help="Face sets' folders, or .rec files.")],
    out: Out,
    by_name: Annotated[
        bool, typer.Option("--by-name", help="People of the same name in train.lst are one person.")
    ] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Join face sets into one; people of different sets are different people unless --by-name."""
    from recordio_tools.merge import merge_sets

    with progress_bar("merging") as progress:
        manifest = merge_sets(sources, out, by_name=by_name, force=force, progress=progress)
    made = manifest["output"]
    joined = f", {manifest['joined']:,} joined by name" if by_name else ""
    say(f"{out}: {made['images']:,} images of {made['identities']:,} identities{joined}")
    if as_json:
        data(manifest)


@app.command("to-folder", epilog="Example: recordio to-folder faces/ photos/")
def to_folder(
    source: FaceSetPath,
    out: Out,
    numbered: Annotated[
        bool, typer.Option("--numbered", help="Name people and files by label and key, not by train.lst.")
    ] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write a face set as one folder a person, the images as the files that they are."""
    from recordio_tools.to_folder import to_folder as write

    with progress_bar("writing") as progress:
        manifest = write(source, out, numbered=numbered, force=force, progress=progress)
    say(f"{out}: {manifest['images']:,} images of {manifest['identities']:,} people")
    if manifest["neither_jpeg_nor_png"]:
        say(f"{manifest['neither_jpeg_nor_png']:,} of them are neither JPEG nor PNG and end in .bin")
    if as_json:
        data(manifest)


@app.command("to-webdataset", epilog="Example: recordio to-webdataset faces/ shards/faces-%06d.tar --shard-size 1GB")
def to_webdataset(
    source: FaceSetPath,
    pattern: Annotated[Path, typer.Argument(metavar="FOLDER/NAME-%06d.tar", help="The shards; their folder is made.")],
    shard_size: Annotated[str, typer.Option(help="Most bytes of a shard, as 1GB or 500MB.")] = "1GB",
    shard_images: Annotated[int | None, typer.Option(help="Most images of a shard.")] = None,
    details: Annotated[bool, typer.Option("--details", help="Add KEY.json: name, path, label, key, id.")] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write a face set as tar shards for WebDataset: KEY.jpg or KEY.png, and KEY.cls with the label.

    Shuffle the set first if it is to be trained on: images come in the set's order.
    """
    from recordio_tools.to_webdataset import bytes_of, split_pattern
    from recordio_tools.to_webdataset import to_webdataset as write

    with progress_bar("writing") as progress:
        manifest = write(
            source,
            pattern,
            shard_bytes=bytes_of(shard_size),
            shard_images=shard_images,
            details=details,
            force=force,
            progress=progress,
        )
    folder, _ = split_pattern(pattern)
    shards = manifest["shardlist"]
    say(f"{folder}: {manifest['images']:,} images; {len(shards):,} shards from {printable(shards[0]['url'])}")
    if as_json:
        data(manifest)
