"""Commands that check record files and save what is whole: verify, repair."""

from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recordio_tools.checks.findings import CODES, SEVERITIES, Finding
from recordio_tools.cli._options import AsJson, FaceSetPath, Force, commands
from recordio_tools.door import data, printable, progress_bar, say

if TYPE_CHECKING:
    from recordio_tools.verify import Report

app = commands()

_SHOWN = 5
_SAID = 20


@app.command(epilog="Example: recordio verify ms1m/ --decode")
def verify(
    path: FaceSetPath,
    decode: Annotated[bool, typer.Option("--decode", help="Decode every image with OpenCV.")] = False,
    workers: Annotated[int | None, typer.Option(help="Images decoded at a time; by default one a core.")] = None,
    duplicates: Annotated[bool, typer.Option(help="Look for images with the same bytes.")] = True,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on warnings too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check a record file or face set from end to end; exit code 1 where something is damaged.

    Of a view its own files are checked, and the records that it uses.
    """
    from recordio_tools.verify import verify as look

    with progress_bar("reading") as progress:
        report = look(path, decode=decode, duplicates=duplicates, workers=workers, progress=progress)
    if as_json:
        data(_as_json(path, report))
    else:
        typer.echo("\n".join([*map(printable, _listed(report)), printable(_verdict(path, report))]))
    raise typer.Exit(report.damaged or (strict and report.totals["warning"] > 0))


@app.command(epilog="Example: recordio repair ms1m/ ms1m-whole/")
def repair(
    source: FaceSetPath,
    out: Annotated[Path, typer.Argument(help="The folder to make; where SOURCE is no face set, the .rec file.")],
    decode: Annotated[bool, typer.Option("--decode", help="Leave out images that OpenCV cannot decode.")] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Save what is whole of a damaged record file or face set into a new one."""
    from recordio_tools.repair import describe
    from recordio_tools.repair import repair as save

    with progress_bar("saving") as progress:
        done = save(source, out, decode=decode, force=force, progress=progress)
    for one in done.lost[:_SAID]:
        say(printable(f"lost: {one.reason}"))
    if done.lost_total > _SAID:
        where = out / "manifest.json" if out.is_dir() else out.with_suffix(".repair.json")
        say(f"lost: {done.lost_total - _SAID:,} more; see {where}")
    kept = f"{done.records:,} records"
    if done.identities is not None:
        kept = f"{done.records:,} images of {done.identities:,} identities"
    say(printable(f"{out}: {kept} saved, {done.lost_total:,} lost"))
    if done.relabelled:
        say(f"{done.relabelled:,} image(s) got the label of their identity's others")
    if done.doubtful:
        say(f"{done.doubtful:,} image(s) keep a label that their identity contradicts; see: recordio verify {source}")
    if as_json:
        data(describe(done))


def _as_json(path: Path, report: "Report") -> dict[str, Any]:
    return {
        "path": str(path),
        "damaged": report.damaged,
        "bytes": report.bytes,
        "records": report.records,
        "images": report.images,
        "identities": report.identities,
        "totals": report.totals,
        "counts": report.counts,
        "findings": [{**asdict(finding), "file": str(finding.file)} for finding in report.findings],
    }


def _listed(report: "Report") -> list[str]:
    """The findings by severity and code, the first of each code spelt out."""
    by_code: defaultdict[str, list[Finding]] = defaultdict(list)
    for finding in report.findings:
        by_code[finding.code].append(finding)
    lines = []
    for severity in SEVERITIES:
        codes = [code for code in report.counts if CODES[code] == severity]
        lines += [f"{severity}: {report.totals[severity]:,}"] if codes else []
        for code in codes:
            shown = by_code[code][:_SHOWN]
            lines.append(f"  {code}: {report.counts[code]:,}")
            lines += [f"    {finding.message}" for finding in shown]
            more = report.counts[code] - len(shown)
            lines += [f"    and {more:,} more"] if more else []
    return lines


def _verdict(path: Path, report: "Report") -> str:
    held = f"{report.records:,} records, {report.images:,} images of {report.identities:,} identities"
    said = ", ".join(f"{report.totals[severity]:,} {severity}(s)" for severity in SEVERITIES if report.totals[severity])
    if report.damaged:
        advice = f"; save what is whole with: recordio repair {path} OUT" if report.records else ""
        if report.of_view:
            first = f"once {report.rec} is sound, " if report.rec.suffix == ".rec" else ""
            advice = f"; {first}make the view anew with: recordio build-lt"
        return f"{path}: DAMAGED: {said} in {held}{advice}"
    return f"{path}: sound: {held}; {said or 'nothing to say against it'}"
