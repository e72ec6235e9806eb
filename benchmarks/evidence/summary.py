"""Figures of several seeds → mean, spread and paired differences, as the JSON that is committed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.evidence.configurations import Configuration
from benchmarks.evidence.measure import Bins, Floats, Ints, Measured, people_by_photos
from benchmarks.evidence.runs import SplitsMeasured, is_measured, read_measured
from recordio_tools.whole import write_whole

REPLICATES = 1000

_FIELDS = {"rank1": "right", "fnir": "found", "fnir10": "found10"}
"""Which shares of people a figure is the mean of."""


def summarise(
    out: Path,
    configurations: Sequence[Configuration],
    seeds: range,
    counts: Ints,
    references: Sequence[str],
    bins: Bins,
    chosen_by: str = "fnir all",
) -> dict[str, Any]:
    """All figures of all that is finished for every seed.

    Each configuration's score is the one whose mean `chosen_by` on the validation photos is lowest; differences are
    between two configurations, each with its own, on the same seed.

    Args:
        out: where the runs lie, as NAME-SEED.
        configurations: in the order of the table.
        seeds: all of which a configuration must have.
        counts: (C,) training photos of each person.
        references: names of the configurations that the others are held against.
        bins: of people by them.
        chosen_by: a figure that is the better the lower.
    """
    runs: dict[str, list[SplitsMeasured]] = {}
    images: dict[str, int] = {}
    for one in configurations:
        folders = [out / f"{one.name}-{seed}" for seed in seeds]
        if all(map(is_measured, folders)):
            read = [read_measured(folder) for folder in folders]
            runs[one.name], images[one.name] = [measured for measured, _ in read], max(seen for _, seen in read)
    rows = [
        {"name": name, "score": score, "images": images[name], **_row(_scores(of, score))}
        for name, of in runs.items()
        for score in of[0]["test"]
    ]
    validation = {
        name: {score: _mean_of(of, "val", score, chosen_by) for score in of[0]["val"]} for name, of in runs.items()
    }
    chosen = {name: min(scores, key=scores.__getitem__) for name, scores in validation.items()}
    return {
        "seeds": len(seeds),
        "people": {name: int(mask.sum()) for name, mask in people_by_photos(counts, bins).items()},
        "chosen_by": chosen_by,
        "validation": validation,
        "chosen": chosen,
        "rows": rows,
        "differences": [
            {
                "name": name,
                "against": reference,
                **difference(_scores(of, chosen[name]), _scores(runs[reference], chosen[reference]), counts, bins),
            }
            for reference in references
            if reference in runs
            for name, of in runs.items()
            if name != reference
        ],
    }


def _scores(runs: Sequence[SplitsMeasured], score: str) -> list[Measured]:
    return [run["test"][score] for run in runs]


def _mean_of(runs: Sequence[SplitsMeasured], split: str, score: str, figure: str) -> float:
    return float(np.mean([run[split][score].figures[figure] for run in runs]))


def _row(measured: Sequence[Measured]) -> dict[str, Any]:
    values = {name: [one.figures[name] for one in measured] for name in measured[0].figures}
    return {
        "mean": {name: float(np.mean(of)) for name, of in values.items()},
        "sd": {name: spread(of) for name, of in values.items()},
    }


def spread(values: Sequence[float]) -> float | None:
    """Standard deviation over seeds, divisor n − 1; None for one seed."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def difference(these: Sequence[Measured], those: Sequence[Measured], counts: Ints, bins: Bins) -> dict[str, Any]:
    """Paired by seed: the mean and the spread of each figure's difference, and of those that count people the bounds.

    The bounds are the 2.5th and 97.5th percentile over resamples of the people, within the bins of training photos; of
    each person the share is the mean over the seeds.
    """
    result: dict[str, Any] = {}
    masks = people_by_photos(counts, bins)
    fewest = next(iter(bins))
    for name in [f"{kind} {group}" for kind in _FIELDS for group in ("all", fewest)] + ["auroc"]:
        paired = [a.figures[name] - b.figures[name] for a, b in zip(these, those, strict=True)]
        result[name] = {"mean": float(np.mean(paired)), "sd": spread(paired)}
        kind, _, group = name.partition(" ")
        if (field := _FIELDS.get(kind)) is not None:
            of_person = np.mean(
                [getattr(a, field) - getattr(b, field) for a, b in zip(these, those, strict=True)], axis=0
            )
            low, high = bounds(of_person, list(masks.values()) if group == "all" else [masks[group]])
            result[name] |= {"low": low, "high": high} if kind == "rank1" else {"low": -high, "high": -low}
    return result


def bounds(values: Floats, strata: Sequence[npt.NDArray[np.bool_]], seed: int = 0) -> tuple[float, float]:
    """95 % bounds of the mean of a value (C,) over people, who are drawn anew within each stratum; NaN is nobody."""
    rng, sums, people = np.random.default_rng(seed), np.zeros(REPLICATES), 0
    for mask in strata:
        there = values[mask]
        there = there[~np.isnan(there)]
        if there.size:
            drawn = rng.multinomial(there.size, np.full(there.size, 1 / there.size), size=REPLICATES)
            sums += drawn @ there
            people += there.size
    low, high = np.percentile(sums / max(people, 1), (2.5, 97.5))
    return float(low), float(high)


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write it with a line a row, in per cent to two places, so that a change can be read."""
    parts = []
    for key, value in summary.items():
        if isinstance(value, list):
            rows = ",\n  ".join(json.dumps(_per_cent(row)) for row in value)
            parts.append(f' "{key}": [\n  {rows}\n ]')
        else:
            parts.append(f' "{key}": {json.dumps(_per_cent(value))}')
    write_whole(path, ("{\n" + ",\n".join(parts) + "\n}\n").encode())


def _per_cent(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _per_cent(item) for key, item in value.items()}
    if isinstance(value, float):
        return None if np.isnan(value) else round(100 * value, 2)
    return value
