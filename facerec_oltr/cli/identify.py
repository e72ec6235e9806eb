"""`facerec identify`, `search`, `verify`: who is in a photo, who looks like it most, are two the same person."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facerec_oltr.cli._gallery import (
    AsJson,
    Detector,
    GalleryPath,
    IndexKind,
    KeyFile,
    Model,
    open_both,
    say_notes,
)
from recordio_tools.door import counted, data, printable, progress_bar, say

if TYPE_CHECKING:
    from rich.table import Table

    from facerec_oltr.identify import Decision

_COLOURS = {"accepted": "green", "unknown": "yellow", "no face": "dim", "unreadable": "red"}

Photos = Annotated[list[Path], typer.Argument(metavar="PATH…", help="Photos, folders of photos, videos.")]
Every = Annotated[float, typer.Option(help="Of a video, look at one picture in so many seconds.")]


def identify(
    photos: Photos,
    gallery: GalleryPath,
    fpir: Annotated[float | None, typer.Option(help="Decide by the calibration for this FPIR.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Decide by this score instead of a calibration.")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many candidates to tell of each face, in --json.")] = 2,
    once: Annotated[bool, typer.Option(help="One person appears once in a photo.")] = True,
    every: Every = 1.0,
    annotate: Annotated[
        Path | None, typer.Option(metavar="OUT", help="A folder for pictures with boxes and names.")
    ] = None,
    model: Model = None,
    detector: Detector = None,
    key: KeyFile = None,
    index: IndexKind = None,
    as_json: AsJson = False,
) -> None:
    """Say of every face in every photo whose it is: the best identity if its score suffices, or unknown."""
    from facerec_oltr.faces.photos import extract_photos, find_photos
    from facerec_oltr.identify import identify_each, rule_for

    paths = find_photos(photos)
    opened, extractor = open_both(gallery, model, detector, key, index=index)
    decisions: list[Decision] = []
    with opened, progress_bar("identifying") as progress:
        rule = rule_for(opened, target_fpir=fpir, threshold=threshold)
        for line in rule.cautions:
            say(f"caution: {line}")
        extracted = extract_photos(extractor, counted(paths, progress), every_seconds=every)
        for own in identify_each(opened, extracted, rule, top=top, once=once):
            decisions += own
        say_notes(opened)
    if annotate is not None:
        from facerec_oltr.annotate import write_pictures

        with progress_bar("drawing") as progress:
            write_pictures(decisions, annotate, every_seconds=every, on_progress=progress)
    if as_json:
        data([decision.to_json() for decision in decisions])
    elif decisions:
        print_decisions(decisions)
        for d in decisions:
            if d.reason is not None and d.decision != "unreadable":
                say(f"note: {_place(d.photo, d.time)}, face {d.face}: {printable(d.reason)}")
    _refuse_unreadable([str(decision.reason) for decision in decisions if decision.decision == "unreadable"])


def search(
    photos: Photos,
    gallery: GalleryPath,
    top: Annotated[int, typer.Option(min=1, help="How many identities of each face.")] = 10,
    every: Every = 1.0,
    model: Model = None,
    detector: Detector = None,
    key: KeyFile = None,
    index: IndexKind = None,
    as_json: AsJson = False,
) -> None:
    """List the identities most like each face, best first, without deciding: for a person who looks through them."""
    from rich.table import Table

    from facerec_oltr.cli._console import console
    from facerec_oltr.faces.photos import extract_photos, find_photos

    paths = find_photos(photos)
    opened, extractor = open_both(gallery, model, detector, key, index=index)
    answers, unreadable = [], []
    with opened, progress_bar("searching") as progress:
        for photo in extract_photos(extractor, counted(paths, progress), every_seconds=every):
            if photo.reason is not None:
                unreadable.append(photo.reason)
            found = opened.search([face.vector for face in photo.faces], top)
            for number, (face, candidates) in enumerate(zip(photo.faces, found, strict=True), 1):
                answers.append(
                    {
                        "photo": str(photo.path),
                        "time": photo.time,
                        "face": number,
                        "box": list(face.found.box),
                        "candidates": [c.to_json() for c in candidates],
                    }
                )
        say_notes(opened)
    if as_json:
        data(answers)
    else:
        table = Table("photo", "face", "rank", "identity", "score", "nearer to not them")
        for answer in answers:
            for rank, c in enumerate(answer["candidates"], 1):
                place = (_place(Path(answer["photo"]), answer["time"]), str(answer["face"])) if rank == 1 else ("", "")
                against = "" if c["negative"] is None else f"{c['negative']:.4f}"
                table.add_row(*place, str(rank), printable(c["identity"]), f"{c['score']:.4f}", against)
        console().print(table)
    _refuse_unreadable(unreadable)


def verify(
    one: Annotated[Path, typer.Argument(metavar="A", help="A photo.")],
    other: Annotated[Path, typer.Argument(metavar="B", help="Another photo.")],
    gallery: Annotated[
        Path | None, typer.Option("--gallery", "-g", help="Whose people say how alike different people look.")
    ] = None,
    model: Model = None,
    detector: Detector = None,
    threshold: Annotated[float | None, typer.Option(help="Same person from this score on.")] = None,
    fmr: Annotated[
        float | None, typer.Option(help="The share of pairs of different people that may pass; 0.001 if not given.")
    ] = None,
    key: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Say whether two photos show the same person: the score, and how rare it is between different people."""
    from facerec_oltr.errors import DataError
    from facerec_oltr.models import open_extractor
    from facerec_oltr.verify import verify as run

    if gallery is not None:
        opened, extractor = open_both(gallery, model, detector, key)
        with opened:
            result = run(extractor, one, other, gallery=opened, threshold=threshold, target_fmr=fmr)
    else:
        if model is None:
            raise DataError("neither --gallery nor --model was given; say which model compares the photos")
        result = run(open_extractor(model, detector), one, other, threshold=threshold, target_fmr=fmr)
    if as_json:
        data(result.to_json())
        return
    rate = (
        ""
        if result.false_match_rate is None
        else (
            f"; {result.false_match_rate:.2g} of the pairs of different people in the gallery reach it "
            f"({result.people:,} people)"
        )
    )
    typer.echo(f"{result.decision or 'undecided'}  score {result.score:.4f}{rate}")
    if result.decision is None:
        say("undecided: a score alone says little; give --gallery, whose people show what it means, or --threshold")


def print_decisions(decisions: "list[Decision]") -> None:
    """Print decisions as a table on stdout."""
    from facerec_oltr.cli._console import console

    console().print(_table(decisions))


def _table(decisions: "list[Decision]") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    rule = decisions[0].rule
    origin = {
        "given": "given",
        "calibration": f"calibrated for FPIR {rule.target_fpir or 0:g}",
        "gallery": f"by the gallery alone, for FPIR {rule.target_fpir or 0:g}",
    }[rule.origin]
    score = "" if rule.score == "cosine" else f", scores by {rule.score}"
    table = Table(title=f"accepted at {rule.threshold:.4f} or more ({origin}{score})", title_justify="left")
    for heading in ("photo", "face", "decision", "best identity", "score", "runner-up", "margin", "false alarms"):
        right = heading in ("face", "score", "margin", "false alarms")
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    for d in decisions:
        table.add_row(
            escape(_place(d.photo, d.time)),
            "" if d.face is None else str(d.face),
            f"[{_COLOURS[d.decision]}]{d.decision}[/]",
            escape(printable(d.identity or "")),
            "" if d.score is None else f"{d.score:.4f}",
            escape(printable(d.runner_up or "")),
            "" if d.margin is None else f"{d.margin:.4f}",
            "" if d.false_alarm_rate is None else f"{d.false_alarm_rate:.2g}",
        )
    return table


def _refuse_unreadable(reasons: list[str]) -> None:
    """End with the first of the photos that nothing could be said of, when the others are answered."""
    from facerec_oltr.errors import DataError

    if reasons:
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        raise DataError(f"{reasons[0]}{more}; the other photos are answered above")


def _place(photo: Path, time: float | None) -> str:
    return printable(str(photo)) + ("" if time is None else f" @ {time:.1f} s")
