"""`facerec import-authors`: a checkpoint of the OLTR authors' code into a run folder."""

from pathlib import Path
from typing import Annotated

import typer

from recordio_tools.door import data, say


def import_authors(
    checkpoint: Annotated[Path, typer.Argument(help="A final_model_checkpoint.pth of the authors' code.")],
    on: Annotated[str, typer.Option("--on", help="The data set that it was trained on, or the path of its .toml.")],
    out: Annotated[Path, typer.Option(help="The run folder to make.")],
    method: Annotated[
        str, typer.Option(help="A method whose last stage has its network: oltr_authors, or plain for stage 1.")
    ] = "oltr_authors",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the experiment; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="What was made as JSON on stdout.")] = False,
) -> None:
    """Make a run of a published OLTR checkpoint, as if it had been trained here; only its weights are read.

    The data set must be there, since a run belongs to one: see facerec data check.
    """
    from facerec_oltr.config import load_experiment
    from facerec_oltr.engine.authors import import_authors as import_checkpoint

    made = import_checkpoint(checkpoint, load_experiment(method, on, overrides=overrides or ()), out)
    experiment = made.experiment
    if as_json:
        data(
            {"run": str(made.run), "method": experiment.method, "dataset": experiment.dataset, "classes": made.classes}
            | {"checkpoint": made.checkpoint}
        )
    say(f"{made.run}: {experiment.method} on {experiment.dataset}, {made.classes:,} classes")
    if "test" in experiment.data.splits():
        say(f"next: facerec evaluate {made.run}")
    else:
        say(f"next: facerec enroll --gallery gallery.db --model {made.run} FOLDER")
