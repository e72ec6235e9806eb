"""`facerec enroll`, `calibrate`, `identify`: people in, a threshold, and who is in a photo."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recordio_tools.door import data, progress_bar, say

if TYPE_CHECKING:
    from facerec_oltr.embedder import Embedder
    from facerec_oltr.gallery import Gallery
    from facerec_oltr.identify import Decision

GalleryPath = Annotated[Path, typer.Option("--gallery", help="The gallery's file.")]
Model = Annotated[
    str | None,
    typer.Option(help="A run folder (RUN or RUN:meta), dlib, or raw_pixels; the gallery's own if not given."),
]
AsJson = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]


def enroll(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="A folder of one folder a person; or photos.")],
    gallery: GalleryPath,
    model: Model = None,
    name: Annotated[str | None, typer.Option("--id", help="Whose photos these are, where photos are given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Enrol people, each from a folder of photos (aligned crops of one face); the gallery is made if missing."""
    from facerec_oltr.enroll import enroll_folder, enroll_photos
    from facerec_oltr.errors import DataError

    if name is None and (len(paths) != 1 or paths[0].is_file()):
        raise DataError("photos were given without --id; say whose they are, or give one folder of folders of people")
    opened, embedder = _open(gallery, model, create=True)
    with opened:
        if name is None:
            with progress_bar("enrolling") as progress:
                report = enroll_folder(opened, embedder, paths[0], on_progress=progress)
        else:
            report = enroll_photos(opened, embedder, name, paths)
        people, templates = len(opened.identities()), sum(opened.identities().values())
    for result in report.results:
        if result.outcome not in ("enrolled", "already enrolled"):
            say(f"{result.path}: {result.outcome}: {result.reason or result.owner}")
    counts = {outcome.value: report.count(outcome) for outcome in type(report.results[0].outcome)}
    if as_json:
        data({"gallery": str(gallery), "people": people, "templates": templates, "photos": counts})
    else:
        done = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
        say(f"{gallery}: {people} people, {templates} templates ({done}); made with {embedder.name}")
    report.raise_if_failed()


def calibrate(
    gallery: GalleryPath,
    strangers: Annotated[Path, typer.Option(help="A folder of one folder a person; none of them enrolled.")],
    fpir: Annotated[float, typer.Option(help="The share of strangers' photos that may be accepted, at most.")] = 0.01,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Choose the gallery's threshold by strangers, and keep it in the gallery."""
    from facerec_oltr.calibrate import calibrate as run

    opened, embedder = _open(gallery, model)
    with opened, progress_bar("searching strangers") as progress:
        report = run(opened, embedder, strangers, fpir, on_progress=progress)
    chosen = report.calibration
    for line in (*report.unreadable, *(f"caution: {line}" for line in report.cautions)):
        say(line)
    if as_json:
        data(
            {
                "gallery": str(gallery),
                "target_fpir": chosen.target_fpir,
                "threshold": chosen.threshold,
                "achieved_fpir": chosen.achieved_fpir,
                "measurable": chosen.measurable,
                "strangers": chosen.strangers,
                "searches": chosen.searches,
            }
        )
    else:
        say(
            f"{gallery}: accept at a score of {chosen.threshold:.4f} or more; {chosen.achieved_fpir:.3g} of "
            f"{chosen.searches} photos of {chosen.strangers} strangers reach it (at most {chosen.target_fpir:g} wanted)"
        )


def identify(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO…", help="Aligned crops of one face, or folders.")],
    gallery: GalleryPath,
    fpir: Annotated[float | None, typer.Option(help="Decide by the calibration for this FPIR.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Decide by this score instead of a calibration.")] = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Say of each photo whom it shows: the best identity if its score suffices, or unknown."""
    from facerec_oltr.errors import DataError
    from facerec_oltr.faces.photos import find_photos
    from facerec_oltr.identify import identify as run

    opened, embedder = _open(gallery, model)
    with opened:
        decisions = run(opened, embedder, find_photos(photos), target_fpir=fpir, threshold=threshold)
    for line in decisions[0].rule.cautions:
        say(f"caution: {line}")
    if as_json:
        data([decision.to_json() for decision in decisions])
    else:
        print_decisions(decisions)
    unreadable = [decision for decision in decisions if decision.decision == "unreadable"]
    if unreadable:
        more = f" (and {len(unreadable) - 1} more)" if len(unreadable) > 1 else ""
        raise DataError(f"{unreadable[0].reason}{more}; the other photos are answered above")


def _open(path: Path, model: str | None, *, create: bool = False) -> "tuple[Gallery, Embedder]":
    """The gallery and the embedder that made it, or the `model` given."""
    from facerec_oltr.errors import GalleryError
    from facerec_oltr.gallery import Gallery
    from facerec_oltr.models import open_model

    if model is None:
        if create and not path.exists():
            raise GalleryError(
                f"{path}: there is no such gallery yet; say with --model which model it is to be made by"
            )
        opened = Gallery.open(path)
        embedder = open_model(opened.embedder.source)
        opened.check_embedder(embedder)
        return opened, embedder
    embedder = open_model(model)
    return (Gallery.open_or_create if create else Gallery.open)(path, embedder), embedder


def print_decisions(decisions: "list[Decision]") -> None:
    """Print decisions as a table on stdout."""
    from rich.table import Table

    from facerec_oltr.cli._console import console

    rule = decisions[0].rule
    origin = "given" if rule.target_fpir is None else f"calibrated for FPIR {rule.target_fpir:g}"
    table = Table(title=f"accepted at {rule.threshold:.4f} or more ({origin})", title_justify="left")
    for heading in ("photo", "decision", "best identity", "score", "runner-up", "margin"):
        table.add_column(heading, justify="right" if heading in ("score", "margin") else "left", overflow="fold")
    colours = {"accepted": "green", "unknown": "yellow", "unreadable": "red"}
    for d in decisions:
        score = "" if d.score is None else f"{d.score:.4f}"
        margin = "" if d.margin is None else f"{d.margin:.4f}"
        verdict = f"[{colours[d.decision]}]{d.decision}[/]"
        table.add_row(str(d.photo), verdict, d.identity or "", score, d.runner_up or "", margin)
    console().print(table)
