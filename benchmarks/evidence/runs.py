"""Every run of a list: trained, or gone on with where it stopped, and measured once."""

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.evidence.measure import Measured, measure_run
from facerec_oltr.config import load_experiment
from facerec_oltr.engine.finished import load_run
from facerec_oltr.engine.run import train
from facerec_oltr.engine.stage import known_classes, plan
from facerec_oltr.experiment import Experiment
from recordio_tools.whole import write_whole

SplitsMeasured = dict[str, dict[str, Measured]]


class Configuration(NamedTuple):
    """A method, or a variant of one, by name.

    Attributes:
        name: in tables and folders.
        method: of configs/methods.
        settings: what it changes, as for ``--set``.
    """

    name: str
    method: str
    settings: tuple[str, ...] = ()


def measured_runs(
    out: Path, dataset: str, configurations: Iterable[Configuration], seeds: range, deal: Callable[[Path, int], Path],
    settings: tuple[str, ...] = (),
) -> None:
    """Train and measure what is not yet measured, seed after seed, into OUT/NAME-SEED.

    Stages that several share are trained once. Stopped at any moment, the same call goes on.
    """
    for seed in seeds:
        data = deal(out / f"data-{seed}", seed)
        for one in configurations:
            run, began = out / f"{one.name}-{seed}", time.monotonic()
            if (run / "measured.npz").exists():
                continue
            changes = (f"data.path={data}", *settings, *one.settings)
            experiment = load_experiment(one.method, dataset, seed=seed, overrides=changes)
            train(experiment, run, stage_cache=out / "stages")
            write_measured(run, measure_run(load_run(run)), budget(experiment))
            print(f"{run.name}: {time.monotonic() - began:.0f} s", flush=True)


def budget(experiment: Experiment) -> int:
    """How many images the network sees while it is trained, all stages together."""
    data = experiment.data.build()
    counts = np.bincount(data.labels)
    total = 0
    for stage in experiment.stages:
        known = known_classes(experiment, stage, data)
        total += plan(experiment, stage, data).epochs * int(counts[known].sum())
    return total


def write_measured(run: Path, measured: SplitsMeasured, images: int) -> None:
    """Keep a run's figures, and each person's share, in ``measured.json`` and ``measured.npz``."""
    figures = {split: {rule: one.figures for rule, one in rules.items()} for split, rules in measured.items()}
    write_whole(run / "measured.json", (json.dumps({"images": images, **figures}) + "\n").encode())
    arrays = {
        f"{split}|{rule}|{name}": getattr(one, name).astype(np.float32)
        for split, rules in measured.items()
        for rule, one in rules.items()
        for name in ("found", "right")
    }
    with (beside := run / ".measured.npz").open("wb") as file:
        np.savez_compressed(file, **arrays)
    beside.replace(run / "measured.npz")


def read_measured(run: Path) -> tuple[SplitsMeasured, int]:
    """What ``write_measured`` wrote."""
    table = json.loads((run / "measured.json").read_text(encoding="utf-8"))
    images = table.pop("images")
    with np.load(run / "measured.npz") as arrays:
        return {
            split: {
                rule: Measured(figures, *(arrays[f"{split}|{rule}|{name}"].astype(float) for name in ("found", "right")))
                for rule, figures in rules.items()
            }
            for split, rules in table.items()
        }, images
