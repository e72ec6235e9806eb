"""`facerec enroll`: people in."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from facerec_oltr.cli._gallery import AsJson, Detector, GalleryPath, IndexKind, KeyFile, Model, open_both, say_notes
from recordio_tools.door import data, progress_bar, say

if TYPE_CHECKING:
    from facerec_oltr.enroll import EnrollReport, Policy
    from facerec_oltr.to_enrol import ToEnrol


def enroll(
    gallery: GalleryPath,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH…", help="A folder of one folder a person; or photos, with --id."),
    ] = None,
    model: Model = None,
    detector: Detector = None,
    name: Annotated[str | None, typer.Option("--id", help="Whose photos these are.")] = None,
    csv: Annotated[
        Path | None, typer.Option(help="A table with the columns path and name, and if wanted consent and expires.")
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="People who are there already have exactly these photos afterwards.")
    ] = False,
    skip: Annotated[bool, typer.Option("--skip", help="Leave people who are there already as they are.")] = False,
    consent: Annotated[str | None, typer.Option(help="A reference to the consent that this rests on.")] = None,
    expires: Annotated[str | None, typer.Option(help="The day from which they are to be purged: 2027-12-31.")] = None,
    lookalikes: Annotated[
        str, typer.Option(help="A face that looks like somebody else who is enrolled: report or refuse.")
    ] = "report",
    guard: Annotated[
        bool, typer.Option(help="Refuse poor photos and photos unlike the person's others; look for lookalikes.")
    ] = True,
    fusion: Annotated[
        str | None,
        typer.Option(help="How a person's templates make one score: max, mean, quality. At the making only."),
    ] = None,
    key: KeyFile = None,
    index: IndexKind = None,
    as_json: AsJson = False,
) -> None:
    """Enrol people from their photos; the gallery is made if missing.

    Photos that are enrolled already, by their bytes, are left alone, so a stopped run goes on when it is started again.
    Each photo that is not enrolled is named with the reason.
    """
    from facerec_oltr.enroll import enroll as run

    policy = _policy(update=update, skip=skip, lookalikes=lookalikes, guard=guard)
    fused = _fusion(fusion)
    people = _people(paths or [], name, csv, consent, expires)
    opened, extractor = open_both(gallery, model, detector, key, create=True, fusion=fused, index=index)
    with opened:
        with progress_bar("enrolling") as progress:
            report = run(opened, extractor, people, policy, on_progress=progress)
        state = opened.state()
        say_notes(opened)
    _tell(report)
    counts = {outcome: report.count(outcome) for outcome in dict.fromkeys(r.outcome for r in report.results)}
    if as_json:
        data(
            {
                "gallery": str(gallery),
                "people": state.identities,
                "templates": state.templates,
                "outcomes": {outcome.value: count for outcome, count in counts.items()},
                "skipped": list(report.skipped),
                "guarded_by": report.guarded_by,
                "photos": [result.to_json() for result in report.results],
            }
        )
    else:
        done = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items()) or "no photo"
        say(
            f"{gallery}: {state.identities:,} people, {state.templates:,} templates ({done}); made with "
            f"{extractor.name}"
        )
    report.raise_if_failed()


def _tell(report: "EnrollReport") -> None:
    for result in report.results:
        if result.owner != result.name:
            say(f"{result.outcome}: {result.reason or f'{result.path}: stands under {result.owner!r}'}")
        elif result.looks_like is not None:
            say(
                f"caution: {result.path}: enrolled as {result.name!r}, and looks like {result.looks_like!r} "
                f"(score {result.looks_like_score:.3f}); see whether both are one person: facerec gallery merge"
            )
    if report.skipped:
        say(f"{len(report.skipped):,} people were there already and left as they are")
    if report.unguarded:
        say(
            f"note: the first {report.unguarded:,} people could not be compared with others ({report.guarded_by}); "
            "look for lookalikes among them with: facerec gallery check --lookalikes"
        )


def _policy(*, update: bool, skip: bool, lookalikes: str, guard: bool) -> "Policy":
    from facerec_oltr.enroll import Policy
    from facerec_oltr.errors import DataError
    from facerec_oltr.faces.quality import QualityLimits

    if update and skip:
        raise DataError("--update and --skip contradict each other; give one")
    if lookalikes not in ("report", "refuse"):
        raise DataError(f"--lookalikes is {lookalikes!r}, expected report or refuse")
    known: Literal["add", "skip", "update"] = "update" if update else "skip" if skip else "add"
    what: Literal["report", "refuse"] = "refuse" if lookalikes == "refuse" else "report"
    return Policy(limits=None if guard else QualityLimits.none(), guard=guard, lookalikes=what, known=known)


def _people(
    paths: list[Path], name: str | None, csv: Path | None, consent: str | None, expires: str | None
) -> "list[ToEnrol]":
    from facerec_oltr.errors import DataError
    from facerec_oltr.faces.photos import find_photos, people_in
    from facerec_oltr.to_enrol import ToEnrol, read_csv

    try:
        day = date.fromisoformat(expires) if expires else None
    except ValueError:
        raise DataError(f"--expires is {expires!r}, expected a date such as 2027-12-31") from None
    if csv is not None:
        if paths or name or consent or expires:
            raise DataError("--csv says all by its columns; leave out photos, --id, --consent and --expires")
        return read_csv(csv)
    if not paths:
        raise DataError("no photo was given; give a folder of one folder a person, photos with --id, or --csv")
    if name is not None:
        return [ToEnrol(name, tuple(find_photos(paths)), consent, day)]
    files = [path for path in paths if path.is_file()]
    if files:
        raise DataError(f"{files[0]}: photos were given without --id; say whose they are, or give folders of people")
    return [ToEnrol(who, tuple(photos), consent, day) for path in paths for who, photos in people_in(path)]


def _fusion(name: str | None):
    from facerec_oltr.errors import DataError
    from facerec_oltr.gallery.records import Fusion

    if name is None:
        return None
    if name not in [one.value for one in Fusion]:
        raise DataError(f"--fusion is {name!r}, expected one of {', '.join(Fusion)}")
    return Fusion(name)
