"""The experiments by name: their data, their configurations, and whom they are held against."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.evidence import data
from benchmarks.evidence.configurations import ABLATION, CIFAR, FROZEN, OMNIGLOT, Configuration
from benchmarks.evidence.measure import FACES, OBJECTS, Bins

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Experiment:
    """What is run, and how it is dealt.

    Attributes:
        dataset: of configs/datasets, or the path of such a file.
        deal: folder and seed → the settings by which the data are found.
        configurations: in the order of the table.
        references: names of those that the others are held against.
        seeds: how many, if nothing else is said.
        bins: of people by training photos.
        settings: for all, as for ``--set``.
        chosen_by: the figure of validation by which each configuration's score is chosen: FNIR at FPIR 1 %, or at 10 %
            where at 1 % next to nobody is found by anything.
    """

    dataset: str
    deal: Callable[[Path, int], tuple[str, ...]]
    configurations: tuple[Configuration, ...]
    references: tuple[str, ...]
    seeds: int
    bins: Bins = field(default_factory=lambda: FACES)
    settings: tuple[str, ...] = ()
    chosen_by: str = "fnir all"


ALL: Mapping[str, Experiment] = {
    "frozen": Experiment("lfw_features", data.lfw, FROZEN, ("oltr.whole",), 10),
    "ablation": Experiment("lfw_features", data.lfw, ABLATION, ("oltr.random-start",), 5),
    "omniglot": Experiment(
        str(_HERE / "omniglot.toml"), data.omniglot, OMNIGLOT, ("oltr.whole", "oltr_arcface"), 3, chosen_by="fnir10 all"
    ),
    "cifar": Experiment(
        "cifar100_lt", data.cifar, CIFAR, ("oltr",), 1, OBJECTS, ("schedule.epochs=20",), chosen_by="fnir10 all"
    ),
}
