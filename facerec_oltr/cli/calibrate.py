"""`facerec calibrate`: the threshold."""

from pathlib import Path
from typing import Annotated

import typer

from facerec_oltr.cli._gallery import AsJson, Detector, GalleryPath, KeyFile, Model, open_both, say_notes
from recordio_tools.door import data, progress_bar, say


def calibrate(
    gallery: GalleryPath,
    strangers: Annotated[
        Path | None,
        typer.Option(
            help="People who are not enrolled: a folder of one folder a person, or of photos of different people. "
            "Without it the enrolled people stand in, each searched among the others."
        ),
    ] = None,
    fpir: Annotated[float, typer.Option(help="The share of strangers' searches that may be accepted, at most.")] = 0.01,
    rule: Annotated[
        str, typer.Option(help="What makes a score of cosines; see facerec evaluate-faces --rules.")
    ] = "cosine",
    keep: Annotated[
        bool, typer.Option(help="Keep the strangers' vectors, so that the threshold follows when the gallery grows.")
    ] = True,
    model: Model = None,
    detector: Detector = None,
    key: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Choose the gallery's threshold by strangers, and keep it in the gallery with all that it holds for."""
    from facerec_oltr.calibrate import calibrate as run
    from facerec_oltr.calibrate import calibrate_by_gallery, cautions
    from facerec_oltr.cli._gallery import open_gallery
    from facerec_oltr.errors import DataError

    unreadable: tuple[str, ...] = ()
    if strangers is None:
        if rule != "cosine":
            raise DataError(f"the rule {rule!r} needs strangers; give some with --strangers")
        with open_gallery(gallery, key) as opened:
            chosen = calibrate_by_gallery(opened, fpir)
            opened.save_calibration(chosen)
            say_notes(opened)
    else:
        opened, extractor = open_both(gallery, model, detector, key)
        with opened, progress_bar("searching strangers") as progress:
            report = run(opened, extractor, strangers, fpir, rule=rule, keep=keep, on_progress=progress)
        chosen, unreadable = report.calibration, report.unreadable
    for line in (*unreadable, *(f"caution: {line}" for line in cautions(chosen))):
        say(line)
    if as_json:
        facts = {name: value for name, value in vars(chosen).items() if name not in ("maxima", "state")}
        data({"gallery": str(gallery), **facts, **vars(chosen.state), "left_out": list(unreadable)})
        return
    who = "strangers" if chosen.source == "strangers" else "enrolled people"
    bound = "" if chosen.upper_fpir is None else f"; with 95 % confidence the FPIR is at most {chosen.upper_fpir:.3g}"
    say(
        f"{gallery}: accept at a score of {chosen.threshold:.4f} or more; {chosen.achieved_fpir:.3g} of "
        f"{chosen.searches:,} photos of {chosen.strangers:,} {who} reach it (at most {chosen.target_fpir:g} "
        f"wanted){bound}"
    )
