"""`facerec demo`: the whole way on real faces, in one command."""

from pathlib import Path
from typing import Annotated

import typer

from recordio_tools.door import progress_bar, say


def demo(
    out: Annotated[Path, typer.Option(help="Everything is written here; the report is OUT/report.md.")] = Path("demo"),
    splits: Annotated[int, typer.Option(min=1, help="Seeded splits to train and measure.")] = 4,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the training; may be repeated.")
    ] = None,
) -> None:
    """Pack the AT&T faces, cut a long tail, train, enrol, identify, reject strangers, and report how well.

    Needs the extras: pip install 'facerec-oltr[demo,dlib]'. Killed at any moment, the same command goes on where it
    stopped.
    """
    from facerec_oltr.cli._training_display import display
    from facerec_oltr.cli.evaluate_faces import print_tables
    from facerec_oltr.cli.identify import print_decisions
    from facerec_oltr.demo import Teller, run_demo

    result = run_demo(out, Teller(say, progress_bar, display), splits=splits, overrides=overrides or ())
    again = [d for d in result.decisions if "again" in d.photo.parts]
    strangers = [d for d in result.decisions if "strangers" in d.photo.parts]
    say("\nsome of the gallery's decisions, on people who are enrolled (again) and on strangers:")
    print_decisions([*again[::10], *strangers[::10]])
    print_tables(result.summary)
    say(f"\nread the report: {result.report}")
