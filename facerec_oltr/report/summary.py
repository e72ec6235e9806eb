"""Evaluations of several splits → figures with their spread, differences to the floor, DET curves.

A figure is averaged over the draws of a split first; mean and spread are then taken over the splits, because
draws of one split share a trained network and are not independent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facerec_oltr.metrics.intervals import Spread, spread
from facerec_oltr.report.results import Evaluation

Floats = npt.NDArray[np.float64]
Key = tuple[str | int, ...]  # where a figure stands in a draw's table

RANK_1: Key = ("rank_1",)
AUROC: Key = ("auroc",)
ENOUGH_SPLITS = 3  # with fewer, being ahead in all of them is too likely by chance
CALIBRATED = ("fpir", "tpir", "fnir", "misidentification")


@dataclass(frozen=True)
class Paired:
    """How far a model is from the floor, split by split.

    Attributes:
        difference: model minus floor.
        ahead: in how many splits the model is higher.
        behind: in how many it is lower.
    """

    difference: Spread
    ahead: int
    behind: int

    @property
    def clearly_above(self) -> bool:
        """Ahead in every split, of three or more, and by more than the spread."""
        return self._clear(self.ahead, self.difference.mean)

    @property
    def clearly_below(self) -> bool:
        """Behind in every split, of three or more, and by more than the spread."""
        return self._clear(self.behind, -self.difference.mean)

    def _clear(self, times: int, distance: float) -> bool:
        splits = self.difference.splits
        return splits >= ENOUGH_SPLITS and times == splits and distance > self.difference.sd


@dataclass(frozen=True, eq=False)
class Band:
    """A DET curve on the evaluations' grid of FPIR.

    Attributes:
        mean: (K,) FNIR over all draws of all splits.
        low: (K,) that of the best split at each FPIR; the mean itself where there is one split.
        high: (K,) that of the worst split.
    """

    mean: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class ModelSummary:
    """One model over all splits.

    Attributes:
        name: as it was evaluated.
        role: floor, trained or ceiling.
        figures: by key; see ``RANK_1``, ``AUROC``, ``own_tpir``, ``calibrated``.
        against_floor: the same for the keys of ``Summary.compared``; empty for the floor or without one.
        det: its DET curve.
        high_fpir: for each target, the realised FPIR that one draw in ten exceeds.
        faces_not_found: photos in which its detector found no face, of those of all splits.
    """

    name: str
    role: str
    figures: dict[Key, Spread]
    against_floor: dict[Key, Paired]
    det: Band
    high_fpir: tuple[float, ...]
    faces_not_found: int


@dataclass(frozen=True, eq=False)
class Summary:
    """All models over all splits, and how they were measured.

    Attributes:
        models: in the order of the evaluations.
        splits: number of training splits.
        draws: of each split.
        targets: wanted FPIRs.
        fpir_grid: (K,) of the DET curves.
        stranger_photos: fewest and most test strangers' photos in a draw.
        mated_photos: fewest and most mated probes in a draw.
        calibration_photos: fewest and most photos that chose a threshold.
        open_photos: photos of people not trained on, of all splits together.
        unmeasurable: the targets below 1 / stranger photos in some draw.
    """

    models: tuple[ModelSummary, ...]
    splits: int
    draws: int
    targets: tuple[float, ...]
    fpir_grid: Floats
    stranger_photos: tuple[int, int]
    mated_photos: tuple[int, int]
    calibration_photos: tuple[int, int]
    open_photos: int
    unmeasurable: tuple[float, ...]

    @property
    def floor(self) -> ModelSummary | None:
        """The model that needs no training, if it was evaluated."""
        return next((model for model in self.models if model.role == "floor"), None)

    @property
    def compared(self) -> tuple[Key, ...]:
        """The figures in which models are compared with the floor."""
        return compared(len(self.targets))


def own_tpir(target: int) -> Key:
    """TPIR at the target of this place, with the threshold set on the test strangers themselves."""
    return "own", target, "tpir"


def calibrated(target: int, figure: str) -> Key:
    """``fpir``, ``tpir``, ``fnir`` or ``misidentification`` with the threshold chosen by other people."""
    return "calibrated", target, figure


def compared(targets: int) -> tuple[Key, ...]:
    """The keys of table (a): those that do not depend on how a threshold was calibrated."""
    return RANK_1, AUROC, *(own_tpir(place) for place in range(targets))


def summarise(results: Sequence[Evaluation]) -> Summary:
    """Average evaluations that were made alike, one a training split."""
    first = results[0]
    targets = len(first["targets"])
    floor = next((name for name, facts in first["models"].items() if facts["role"] == "floor"), None)
    photos = [draw["photos"] for result in results for draw in result["draws"]]
    fewest_strangers = min(each["strangers"] for each in photos)

    def extent(part: str) -> tuple[int, int]:
        return min(each[part] for each in photos), max(each[part] for each in photos)

    return Summary(
        tuple(_model(results, name, floor, targets) for name in first["models"]),
        len(results),
        len(first["draws"]),
        tuple(first["targets"]),
        np.array(first["fpir_grid"]),
        extent("strangers"),
        extent("mated"),
        extent("calibration"),
        sum(person["images"] for result in results for person in result["open"]),
        tuple(target for target in first["targets"] if target * fewest_strangers < 1 - 1e-9),
    )


def per_split(results: Sequence[Evaluation], model: str, key: Key) -> Floats:
    """(S,) a figure of a model in each split, averaged over its draws."""
    return np.array([float(np.mean([_figure(draw, model, key) for draw in result["draws"]])) for result in results])


def _model(results: Sequence[Evaluation], name: str, floor: str | None, targets: int) -> ModelSummary:
    keys = [*compared(targets), *(calibrated(place, figure) for place in range(targets) for figure in CALIBRATED)]
    against = {}
    if floor is not None and name != floor:
        against = {
            key: _paired(per_split(results, name, key) - per_split(results, floor, key)) for key in compared(targets)
        }
    return ModelSummary(
        name,
        results[0]["models"][name]["role"],
        {key: spread(per_split(results, name, key)) for key in keys},
        against,
        _band(results, name),
        tuple(
            float(np.quantile(_every_draw(results, name, calibrated(place, "fpir")), 0.9)) for place in range(targets)
        ),
        sum(result["models"][name]["faces_not_found"] for result in results),
    )


def _paired(differences: Floats) -> Paired:
    tiny = 1e-12  # sums in another order are not a difference
    return Paired(spread(differences), int((differences > tiny).sum()), int((differences < -tiny).sum()))


def _band(results: Sequence[Evaluation], model: str) -> Band:
    of_splits = np.array(
        [np.mean([_figure(draw, model, ("det_fnir",)) for draw in result["draws"]], axis=0) for result in results]
    )
    return Band(of_splits.mean(axis=0), of_splits.min(axis=0), of_splits.max(axis=0))


def _every_draw(results: Sequence[Evaluation], model: str, key: Key) -> list[Any]:
    return [_figure(draw, model, key) for result in results for draw in result["draws"]]


def _figure(draw: Evaluation, model: str, key: Key) -> Any:
    value = draw["figures"][model]
    for step in key:
        value = value[step]
    return value
