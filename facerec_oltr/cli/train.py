"""`facerec train`: an experiment into a run folder."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recordio_tools.door import say

if TYPE_CHECKING:
    from facerec_oltr.experiment import Experiment

STOPPED = 75  # the code of sysexits.h for "not now, try again": a scheduler may start the same command later


def train(
    method: Annotated[str, typer.Argument(help="A method's name, or the path of its .toml.")],
    on: Annotated[str, typer.Option("--on", help="A data set's name, or the path of its .toml.")],
    out: Annotated[Path, typer.Option(help="The run folder; an unfinished run of the same experiment goes on.")],
    seed: Annotated[int, typer.Option(min=0, help="All chance of the run follows from it.")] = 0,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the experiment; may be repeated.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda.")] = "auto",
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard's scalars too, into OUT/tensorboard (an extra).")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing while it trains.")] = False,
    readers: Annotated[int, typer.Option(min=0, help="Threads that read images ahead, of each process.")] = 2,
    keep_last: Annotated[int, typer.Option(min=1, help="Moments of an unfinished run to keep.")] = 1,
    stage_cache: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Finished stages: taken from there, and put there for others.")
    ] = None,
    patience: Annotated[
        float, typer.Option(min=1, help="Seconds after which a process that does not answer the others counts as dead.")
    ] = 600.0,
) -> None:
    """Train a method on a data set; killed at any moment, the same command goes on where it stopped.

    Every epoch's figures go into OUT/metrics.jsonl, a JSON object a line.
    On a terminal a few live lines show how it goes; elsewhere a line is written every ten seconds.
    Under torchrun several processes train one run, and the first alone speaks; any number of them may go on with it:
    torchrun --nproc-per-node 2 --no-python facerec train oltr --on att_lt --out demo/run

    SIGTERM and Ctrl-C save the step under way and leave with exit code 75 and 130.
    """
    from facerec_oltr.cli._training_display import display, speaks
    from facerec_oltr.config import load_experiment
    from facerec_oltr.engine.device import choose_device
    from facerec_oltr.engine.parallel import joined
    from facerec_oltr.engine.reporting import Several
    from facerec_oltr.engine.run import train as train_run
    from facerec_oltr.engine.tensorboard import FOLDER, TensorBoardReporter
    from facerec_oltr.errors import StoppedError

    experiment = load_experiment(method, on, seed=seed, overrides=overrides or ())
    with asked_to_stop() as signals, ExitStack() as stack:
        here = stack.enter_context(joined(choose_device(device), patience))
        writers = [stack.enter_context(closing(TensorBoardReporter(out / FOLDER)))] if tensorboard and speaks() else []
        reporter = Several(*writers, stack.enter_context(display(quiet)))
        try:
            train_run(
                experiment,
                out,
                device=here,
                reporter=reporter,
                stop=lambda: bool(signals),
                keep_last=keep_last,
                readers=readers,
                stage_cache=stage_cache,
            )
        except StoppedError as stopped:
            stack.close()  # the live lines, before anything else is said
            if speaks():
                say(str(stopped))
            raise typer.Exit(128 + signal.SIGINT if signal.SIGINT in signals else STOPPED) from None
    if speaks():
        _tell_what_next(experiment, out)


@contextmanager
def asked_to_stop() -> Iterator[list[int]]:
    """The signals that have asked to stop so far, SIGTERM and the first SIGINT; a second SIGINT interrupts at once."""
    asked: list[int] = []

    def hear(number: int, _: object) -> None:
        if number in asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, hear) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell_what_next(experiment: "Experiment", out: Path) -> None:
    """Where everything is, and the next command to type."""
    from facerec_oltr.engine.checkpoint import read_facts
    from facerec_oltr.engine.finished import WEIGHTS_FILES
    from facerec_oltr.engine.tensorboard import FOLDER

    say(
        f"{out / WEIGHTS_FILES['last']}: finished; metrics in {out / 'metrics.jsonl'}, "
        f"checkpoints in {out / 'checkpoints'}"
    )
    if (best := out / WEIGHTS_FILES["best"]).exists():
        facts = read_facts(best)
        accuracy = float(facts["validation_accuracy"])
        say(
            f"{best}: epoch {facts['epoch']} of {facts['epochs']} of the last stage, validation accuracy {accuracy:.1%}"
        )
    if (scalars := out / FOLDER).exists():
        say(f"{scalars}: TensorBoard's scalars; to see them: tensorboard --logdir {scalars}")
    if "test" in experiment.data.splits():
        say(f"next: facerec evaluate {out}")
    else:
        say(f"next: facerec enroll --gallery gallery.db --model {out} FOLDER")
