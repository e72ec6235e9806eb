"""`facerec train`: an experiment into a run folder."""

from pathlib import Path
from typing import Annotated

import typer

from recordio_tools.door import say


def train(
    method: Annotated[str, typer.Argument(help="A method's name, or the path of its .toml.")],
    on: Annotated[str, typer.Option("--on", help="A data set's name, or the path of its .toml.")],
    out: Annotated[Path, typer.Option(help="The run folder; an unfinished run of the same experiment goes on.")],
    seed: Annotated[int, typer.Option(min=0, help="All chance of the run follows from it.")] = 0,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the experiment; may be repeated.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda.")] = "auto",
) -> None:
    """Train a method on a data set; killed at any moment, the same command goes on where it stopped."""
    from facerec_oltr.cli._training_display import display
    from facerec_oltr.config import load_experiment
    from facerec_oltr.engine.checkpoint import read_facts
    from facerec_oltr.engine.device import choose_device
    from facerec_oltr.engine.finished import WEIGHTS_FILES
    from facerec_oltr.engine.run import train as train_run

    experiment = load_experiment(method, on, seed=seed, overrides=overrides or ())
    with display() as reporter:
        model = train_run(experiment, out, device=choose_device(device), reporter=reporter)
    say(f"{model}: finished; metrics in {out / 'metrics.jsonl'}, checkpoints in {out / 'checkpoints'}")
    if (best := out / WEIGHTS_FILES["best"]).exists():
        facts = read_facts(best)
        accuracy = float(facts["validation_accuracy"])
        say(
            f"{best}: epoch {facts['epoch']} of {facts['epochs']} of the last stage, validation accuracy {accuracy:.1%}"
        )
    if "test" in experiment.data.splits():
        say(f"next: facerec evaluate {out}")
    else:
        say(f"next: facerec enroll --gallery gallery.db --model {out} FOLDER")
