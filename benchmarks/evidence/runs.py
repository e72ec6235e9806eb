"""Every run of a list: trained, or gone on with where it stopped, and measured once."""

import json
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.evidence.configurations import GALLERY
from benchmarks.evidence.gallery import measure_gallery
from benchmarks.evidence.measure import VERSION, Ints, Measured, measure_run
from facerec_oltr.config import load_experiment
from facerec_oltr.engine.finished import load_run
from facerec_oltr.engine.run import train
from facerec_oltr.engine.stage import known_classes, plan
from facerec_oltr.experiment import Experiment as FacerecExperiment
from recordio_tools.whole import write_whole

if TYPE_CHECKING:
    from benchmarks.evidence.experiments import Experiment

_OF_PEOPLE = ("right", "found", "found10")

SplitsMeasured = dict[str, dict[str, Measured]]


def measured_runs(
    out: Path, experiment: "Experiment", seeds: Iterable[int], only: Collection[str] | None = None
) -> None:
    """Train and measure what is not yet measured, seed after seed, into OUT/NAME-SEED.

    Stages that several share are trained once. Stopped at any moment, the same call goes on.
    """
    for seed in seeds:
        found = experiment.deal(out / f"data-{seed}", seed)
        for one in experiment.configurations:
            run, began = out / f"{one.name}-{seed}", time.monotonic()
            if is_measured(run) or (only is not None and one.name not in only):
                continue
            if one.method == GALLERY:
                run.mkdir(parents=True, exist_ok=True)
                write_measured(run, measure_gallery(out / f"data-{seed}"), 0)
            else:
                made = load_experiment(
                    one.method, experiment.dataset, seed=seed, overrides=(*found, *experiment.settings, *one.settings)
                )
                train(made, run, stage_cache=out / "stages")
                write_measured(run, measure_run(load_run(run), experiment.bins), budget(made))
            print(f"{run.name}: {time.monotonic() - began:.0f} s", flush=True)


def is_measured(run: Path) -> bool:
    """Whether a run has figures of this version."""
    path = run / "measured.json"
    return path.exists() and json.loads(path.read_text(encoding="utf-8")).get("version") == VERSION


def training_counts(out: Path, experiment: "Experiment") -> Ints:
    """The training photos of each person, (C,): the same for every seed, whichever photos they are."""
    method = next(one.method for one in experiment.configurations if one.method != GALLERY)
    overrides = (*experiment.deal(out / "data-0", 0), *experiment.settings)
    return np.bincount(load_experiment(method, experiment.dataset, overrides=overrides).data.build().labels)


def budget(made: FacerecExperiment) -> int:
    """How many images the network sees while it is trained, all stages together."""
    data = made.data.build()
    counts = np.bincount(data.labels)
    total = 0
    for stage in made.stages:
        known = known_classes(made, stage, data)
        total += plan(made, stage, data).epochs * int(counts[known].sum())
    return total


def write_measured(run: Path, measured: SplitsMeasured, images: int) -> None:
    """Keep a run's figures, and each person's share, in ``measured.json`` and ``measured.npz``."""
    figures = {split: {rule: one.figures for rule, one in rules.items()} for split, rules in measured.items()}
    arrays = {
        f"{split}|{rule}|{name}": getattr(one, name).astype(np.float32)
        for split, rules in measured.items()
        for rule, one in rules.items()
        for name in _OF_PEOPLE
    }
    with (beside := run / ".measured.npz").open("wb") as file:
        np.savez_compressed(file, **arrays)
    beside.replace(run / "measured.npz")
    write_whole(run / "measured.json", (json.dumps({"version": VERSION, "images": images, **figures}) + "\n").encode())


def read_measured(run: Path) -> tuple[SplitsMeasured, int]:
    """What ``write_measured`` wrote."""
    table = json.loads((run / "measured.json").read_text(encoding="utf-8"))
    images, _ = table.pop("images"), table.pop("version")
    with np.load(run / "measured.npz") as arrays:
        return {
            split: {
                rule: Measured(figures, *(arrays[f"{split}|{rule}|{name}"].astype(float) for name in _OF_PEOPLE))
                for rule, figures in rules.items()
            }
            for split, rules in table.items()
        }, images
