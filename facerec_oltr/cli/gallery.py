"""`facerec gallery`: who is enrolled, changed, taken out, moved, checked."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facerec_oltr.cli._gallery import AsJson, Detector, KeyFile, Model, open_both, open_gallery, say_notes
from recordio_tools.door import data, printable, progress_bar, say, table

if TYPE_CHECKING:
    from facerec_oltr.gallery import Gallery
    from facerec_oltr.gallery.records import Receipt

app = typer.Typer(help="Look at a gallery, change it, take people out for good, move it.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="GALLERY", help="The gallery's file.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Under which somebody is enrolled.")]

ReceiptFile = Annotated[Path | None, typer.Option("--receipt", help="A file for the receipt.")]
Prove = Annotated[bool, typer.Option(help="Search all files for what was erased.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("list", epilog="Example: facerec gallery list gallery.db")
def list_people(gallery: File, key: KeyFile = None, as_json: AsJson = False) -> None:
    """List everybody, with the number of templates, in order of enrolment."""
    with open_gallery(gallery, key, readonly=True) as opened:
        people = opened.people()
    if as_json:
        data([{name: value for name, value in vars(person).items() if name != "number"} for person in people])
        return
    from rich.markup import escape
    from rich.table import Table

    from facerec_oltr.cli._console import console

    shown = Table("name", "templates", "not them", "enrolled", "expires", "consent")
    for p in people:
        others = f"{p.negatives:,}" if p.negatives else ""
        cells = (p.name, f"{p.templates:,}", others, p.created[:10], p.expires or "", p.consent or "")
        shown.add_row(*(escape(printable(cell)) for cell in cells))
    console().print(shown)


@app.command(epilog="Example: facerec gallery show gallery.db ann")
def show(gallery: File, name: Name, key: KeyFile = None, as_json: AsJson = False) -> None:
    """Show all that is held on somebody; the vectors themselves in --json."""
    from facerec_oltr.gallery.exchange import person_as_json

    with open_gallery(gallery, key, readonly=True) as opened:
        person = opened.person(name)
    if as_json:
        data(person_as_json(person))
        return
    from rich.markup import escape
    from rich.table import Table

    from facerec_oltr.cli._console import console

    s = person.summary
    table({"name": s.name, "enrolled": s.created, "expires": s.expires or "never", "consent": s.consent or "not given"})
    shown = Table()
    for heading in ("photo", "enrolled", "quality", "measured", "SHA-256"):
        shown.add_column(heading, overflow="fold")
    for t in person.templates:
        measured = ", ".join(f"{k} {_short(v)}" for k, v in t.details.items())
        cells = (t.photo_path, t.created[:10], f"{t.quality:.2f}", measured, t.photo_sha256[:12])
        shown.add_row(*(escape(printable(cell)) for cell in cells))
    console().print(shown)
    if not person.negatives:
        return
    others = Table(title=f"said not to be {escape(printable(s.name))}", title_justify="left")
    for heading in ("photo", "face", "said", "SHA-256"):
        others.add_column(heading, overflow="fold")
    for n in person.negatives:
        cells = (n.photo_path, str(n.face), n.created[:10], n.photo_sha256[:12])
        others.add_row(*(escape(printable(cell)) for cell in cells))
    console().print(others)


@app.command(epilog="Example: facerec gallery reject gallery.db ann looks-like-ann.jpg")
def reject(
    gallery: File,
    name: Name,
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO…", help="Photos that do not show NAME.")],
    face: Annotated[
        int | None, typer.Option(min=1, help="Which face of each, as identify numbers them: the largest is 1.")
    ] = None,
    model: Model = None,
    detector: Detector = None,
    key: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Say of photos that they are not NAME, whatever they look like.

    From then on a face that is nearer to one of them than to NAME is not given that name, but the next best or none.
    Who else is accepted does not change, nor does the threshold, and strangers are never accepted more often.
    """
    from facerec_oltr.reject import reject as run

    opened, extractor = open_both(gallery, model, detector, key)
    with opened:
        results = run(opened, extractor, name, photos, face=face)
        held = opened.person(name).summary.negatives
    for result in results:
        if result.caution is not None:
            say(f"caution: {printable(result.caution)}")
    if as_json:
        data({"gallery": str(gallery), "name": name, "negatives": held, "photos": [r.to_json() for r in results]})
        return
    for result in results:
        kept = "kept" if result.new else "kept already"
        place = printable(f"{result.path}: face {result.face}")
        say(f"{place} is not {printable(repr(name))} ({kept}; it looks like them by a cosine of {result.likeness:.4f})")
    say(f"{gallery}: {held:,} {'face is' if held == 1 else 'faces are'} said not to be {printable(repr(name))}")


@app.command(epilog="Example: facerec gallery unreject gallery.db looks-like-ann.jpg --id ann")
def unreject(
    gallery: File,
    photos: Annotated[
        list[str], typer.Argument(metavar="PHOTO…", help="Photos, or their SHA-256 (show prints its beginning).")
    ],
    name: Annotated[str | None, typer.Option("--id", help="Whom they may be again; everybody if not given.")] = None,
    receipt: ReceiptFile = None,
    prove: Prove = True,
    key: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Take back what reject said of photos, and erase for good what was kept of them; with a receipt."""
    from facerec_oltr.reject import digests_of

    with open_gallery(gallery, key) as opened:
        erased = opened.unreject(digests_of(opened, photos), name, prove=prove)
        _tell_erased(opened, erased, receipt, as_json)


@app.command(epilog="Example: facerec gallery rename gallery.db ann anna")
def rename(
    gallery: File,
    name: Name,
    new: Annotated[str, typer.Argument(metavar="NEW", help="The new name.")],
    key: KeyFile = None,
) -> None:
    """Give somebody another name."""
    with open_gallery(gallery, key) as opened:
        opened.rename(name, new)
    say(f"{gallery}: {name!r} is {new!r} now")


@app.command(epilog="Example: facerec gallery merge gallery.db ann2 ann")
def merge(
    gallery: File,
    name: Name,
    into: Annotated[str, typer.Argument(metavar="INTO", help="Who gets the templates.")],
    key: KeyFile = None,
) -> None:
    """Give all templates of NAME to INTO, who is the same person, and remove NAME."""
    with open_gallery(gallery, key) as opened:
        moved = opened.merge(name, into)
    say(f"{gallery}: {moved:,} templates of {name!r} are {into!r}'s now")


@app.command(epilog="Example: facerec gallery remove gallery.db ann --receipt ann-erased.json")
def remove(
    gallery: File,
    names: Annotated[list[str], typer.Argument(metavar="NAME…", help="Whom.")],
    receipt: ReceiptFile = None,
    prove: Prove = True,
    yes: Yes = False,
    key: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Erase people for good: templates, photos' hashes and paths, index entries, free pages; with a receipt."""
    with open_gallery(gallery, key) as opened:
        for name in names:
            opened.person(name)
        _ask(f"erase {', '.join(map(repr, names))} for good?", yes)
        _tell_erased(opened, opened.erase(*names, prove=prove), receipt, as_json)


@app.command("purge-expired", epilog="Example: facerec gallery purge-expired gallery.db --yes")
def purge_expired(
    gallery: File,
    receipt: ReceiptFile = None,
    prove: Prove = True,
    yes: Yes = False,
    key: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Erase everybody whose day has come, as enroll --expires set it."""
    with open_gallery(gallery, key) as opened:
        names = opened.expired()
        if not names:
            say(f"{gallery}: nobody has expired")
            return
        _ask(f"erase {len(names):,} people for good, {names[0]!r} first?", yes)
        _tell_erased(opened, opened.erase(*names, prove=prove), receipt, as_json)


@app.command(epilog="Example: facerec gallery export gallery.db people.jsonl --id ann")
def export(
    gallery: File,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A file that is not there yet.")],
    names: Annotated[list[str] | None, typer.Option("--id", help="Whom; everybody if not given.")] = None,
    key: KeyFile = None,
) -> None:
    """Write people, with all that is held on them and their vectors in clear, as lines of JSON."""
    from facerec_oltr.gallery.exchange import export_people

    with open_gallery(gallery, key) as opened, progress_bar("writing") as progress:
        count = export_people(opened, out, names, on_progress=progress)
    say(f"{out}: {count:,} people; whoever has this file has their faces")


@app.command("import", epilog="Example: facerec gallery import gallery.db people.jsonl")
def import_(
    gallery: File,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What facerec gallery export wrote.")],
    key: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Add the people of such a file to a gallery of the same model; goes on where it stopped."""
    from facerec_oltr.gallery.exchange import import_people

    with open_gallery(gallery, key) as opened, progress_bar("reading") as progress:
        counts = import_people(opened, file, on_progress=progress)
        state = opened.state()
    outcomes = {outcome.value: count for outcome, count in counts.items()}
    if as_json:
        data({"gallery": str(gallery), "people": state.identities, "templates": state.templates, "outcomes": outcomes})
    else:
        done = ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.items()) or "nothing new"
        say(f"{gallery}: {state.identities:,} people, {state.templates:,} templates ({done})")


@app.command(epilog="Example: facerec gallery check gallery.db --lookalikes")
def check(
    gallery: File,
    lookalikes: Annotated[
        bool, typer.Option("--lookalikes", help="Look for people who are enrolled twice, and photos of somebody else.")
    ] = False,
    key: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Read all of a gallery and its index and say all that is wrong; exit code 1 where something is."""
    from facerec_oltr.guard import suspects

    with open_gallery(gallery, key) as opened:
        found = opened.check()
        if lookalikes and not found:
            found = suspects(opened)
        say_notes(opened)
    if as_json:
        data([vars(finding) for finding in found])
    else:
        for finding in found:
            typer.echo(printable(f"{finding.place}: {finding.problem}; {finding.advice}"))
    if found:
        raise typer.Exit(1)
    say(f"{gallery}: sound")


@app.command(epilog="Example: facerec gallery stats gallery.db")
def stats(gallery: File, key: KeyFile = None, as_json: AsJson = False) -> None:
    """Say what a gallery holds: its model, people, templates, index, calibrations, size on the disk."""
    from facerec_oltr.gallery.stats import stats_of

    with open_gallery(gallery, key, readonly=True) as opened:
        facts = stats_of(opened)
    if as_json:
        data(facts)
    else:
        table({name: value for name, value in facts.items() if name != "calibrations"})
        for c in facts["calibrations"]:
            who = "strangers" if c["source"] == "strangers" else "enrolled people"
            outgrown = ", outgrown since" if c["stale"] else ""
            say(
                f"calibrated {c['created'][:10]} for FPIR {c['target_fpir']:g}: {c['threshold']:.4f} by "
                f"{c['strangers']:,} {who}{outgrown}"
            )


@app.command(epilog="Example: facerec gallery audit gallery.db")
def audit(gallery: File, key: KeyFile = None, as_json: AsJson = False) -> None:
    """Print the audit trail: what happened when, never who it was about."""
    with open_gallery(gallery, key, readonly=True) as opened:
        entries = opened.audit()
    if as_json:
        data([{**vars(entry), "facts": dict(entry.facts)} for entry in entries])
        return
    for e in entries:
        facts = ", ".join(f"{name} {value}" for name, value in e.facts.items())
        typer.echo(f"{e.number:>6}  {e.when}  {e.action:<10}  {facts}  {e.chained[:12]}")


@app.command(epilog="Example: facerec gallery migrate gallery.db")
def migrate(gallery: File, key: KeyFile = None) -> None:
    """Bring a gallery of an older version to this one; every command but those that only look does so by itself."""
    with open_gallery(gallery, key) as opened:
        opened.state()
    say(f"{gallery}: of the newest version")


@app.command(epilog="Example: facerec gallery backup gallery.db gallery-2026-11-25.db")
def backup(
    gallery: File,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A place where nothing is.")],
    key: KeyFile = None,
) -> None:
    """Write a whole copy, while others may go on; remember it, so that a receipt of erasure can name it."""
    with open_gallery(gallery, key) as opened:
        opened.backup(out)
    say(f"{out}: a whole copy; erase people there too when they are erased here")


@app.command("make-key", epilog="Example: facerec gallery make-key gallery.key")
def make_key(out: Annotated[Path, typer.Argument(metavar="OUT", help="A place where nothing is.")]) -> None:
    """Write a new random key, readable by its owner alone, for a gallery that is made with --key."""
    from facerec_oltr.gallery.encryption import make_key as run

    run(out)
    say(f"{out}: a new key; without it an encrypted gallery is lost, so keep a copy elsewhere")


def _ask(question: str, yes: bool) -> None:
    import sys

    if not yes and sys.stdin.isatty() and not typer.confirm(question, err=True):
        raise typer.Exit(1)


def _tell_erased(gallery: "Gallery", erased: "Receipt", file: Path | None, as_json: bool) -> None:
    from recordio_tools.whole import write_whole

    told: dict[str, Any] = {
        **vars(erased),
        "traces": dict(erased.traces),
        "before": vars(erased.before),
        "after": vars(erased.after),
        "backups": list(erased.backups),
    }
    if file is not None:
        write_whole(file, (json.dumps(told, indent=2) + "\n").encode())
    if as_json:
        data(told)
    say(
        f"{gallery.path}: {_counted(erased)} erased; traces found: "
        + (", ".join(f"{place} {count}" for place, count in erased.traces.items()) or "not searched")
    )
    for copy in erased.backups:
        say(f"caution: {copy} is a backup that was made before; erase them there too")
    if any(erased.traces.values()):
        from facerec_oltr.errors import GalleryError

        raise GalleryError(
            f"{gallery.path}: traces of what was erased are left in its files, another program may be reading them; "
            "close it and run facerec gallery check"
        )


def _counted(erased: "Receipt") -> str:
    counts = [f"{erased.identities:,} people and {erased.templates:,} templates"] if erased.identities else []
    if erased.negatives:
        counts.append(f"{erased.negatives:,} faces that were said not to be somebody")
    return " and ".join(counts) or "nobody"


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return " ".join(_short(v) for v in value)
    return str(value)
