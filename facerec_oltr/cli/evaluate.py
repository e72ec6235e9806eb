"""`facerec evaluate`: runs measured on the test splits of their own data set."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from recordio_tools.door import data, progress_bar, say


class WhichWeights(StrEnum):
    """The weights that a run keeps."""

    last = "last"
    best = "best"


def evaluate(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Finished runs of facerec train.")],
    weights: Annotated[
        WhichWeights, typer.Option(help="Those that training ended with, or those that validated best.")
    ] = WhichWeights.last,
    force: Annotated[bool, typer.Option("--force", help="Measure anew what was measured.")] = False,
    replicates: Annotated[
        int, typer.Option(min=0, help="Resamples of the test images, for intervals; 0 for none.")
    ] = 1000,
    device: Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON on stdout, a list.")] = False,
) -> None:
    """Measure runs as classifiers: closed set by shots, and open set under every rule. People: see evaluate-faces.

    Each run keeps its figures in RUN/classification.json, those of its best weights in RUN/classification-best.json;
    facerec compare makes one table of either, the latter when it is given the files. The table that is printed decides
    by the cosine to the nearest class mean, as facerec compare does; the figures of every other rule are kept too.
    """
    from facerec_oltr.classification import FEWEST, compare, measure_run, read_measurements, write_measurement
    from facerec_oltr.engine.device import choose_device
    from facerec_oltr.engine.finished import load_run
    from facerec_oltr.errors import DataError

    name = "classification.json" if weights is WhichWeights.last else "classification-best.json"
    if 0 < replicates < FEWEST:
        raise DataError(f"found --replicates {replicates}, expected {FEWEST} or more, or 0 for no intervals")
    for path in runs:
        out = path / name
        if out.exists() and not force:
            say(f"{out}: already measured; measure anew with --force")
            continue
        run = load_run(path, choose_device(device), weights.value)
        with progress_bar(f"measuring {path.name}") as progress:
            measured = measure_run(run, on_progress=progress)
        with progress_bar(f"resampling {path.name}") as progress:
            write_measurement(out, measured, replicates, on_progress=progress)
        say(f"{out}: {run.experiment.method} on {run.experiment.dataset}, seed {run.experiment.seed}")
    measured = read_measurements([path / name for path in runs])
    if as_json:
        data(measured)
    else:
        for table in compare(measured):
            typer.echo(table.markdown())
