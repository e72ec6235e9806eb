"""The figures of a measured run on resamples of its test images, kept beside it for intervals and paired differences.

A run folder gets ``classification-replicates.npz``: ``names`` (F,), each the way to a figure in classification.json
with dots between, ``values`` (R, F), and ``draws``, by which two runs know that they were resampled alike.
How resamples are drawn: see ``metrics/resampled.py``.
"""

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facerec_oltr.classification.measure import Measured
from facerec_oltr.engine.checkpoint import write_json
from facerec_oltr.errors import DataError
from facerec_oltr.metrics.resampled import Figures, Resamples, percentile_interval, replicate
from recordio_tools.whole import write_whole

CONFIDENCE = 0.95
FEWEST = 100
"""Below it the bounds, the 2.5th and 97.5th percentile, rest on two replicates a side or fewer."""


@dataclass(frozen=True)
class Replicates:
    """Figures (R, F) of R resamples.

    Attributes:
        names: of the F figures.
        values: (R, F); NaN where nothing was there to measure.
        draws: fingerprint of what was drawn.
    """

    names: tuple[str, ...]
    values: npt.NDArray[np.float64]
    draws: str

    def of(self, name: str) -> npt.NDArray[np.float64]:
        """The replicates (R,) of one figure; NaN where it was not measured."""
        if name not in self.names:
            return np.full(len(self.values), np.nan)
        return self.values[:, self.names.index(name)]

    def to_bytes(self) -> bytes:
        """The file's content."""
        file = io.BytesIO()
        np.savez_compressed(file, names=np.array(self.names), values=self.values, draws=np.array(self.draws))
        return file.getvalue()


def replicates_of(
    resamples: Resamples,
    figures: Mapping[str, Sequence[Figures]],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Replicates:
    """Compute the replicates of a run's figures.

    Args:
        resamples: of its test images.
        figures: by where they stand in the run's table, with dots between.
        on_progress: called with (resamples done, in all).
    """
    names = [f"{place}.{name}" for place, members in figures.items() for member in members for name in member.names]
    values = replicate(resamples, [member for members in figures.values() for member in members], on_progress)
    return Replicates(tuple(names), values, resamples.fingerprint)


def write_measurement(
    path: Path,
    measured: Measured,
    replicates: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write a run's table with the bounds of each figure, and its replicates beside it.

    Args:
        path: of the table.
        measured: by ``measure_run``.
        replicates: how many resamples; 0 for a table without intervals, and no replicates.
        on_progress: called with (resamples done, in all).
    """
    if not replicates:
        write_json(path, measured.table)
        replicates_path(path).unlink(missing_ok=True)
        return
    found = replicates_of(measured.resamples(replicates), measured.figures, on_progress)
    content = found.to_bytes()
    bounds = {name: percentile_interval(found.of(name), CONFIDENCE) for name in found.names}
    intervals = {
        "drawn": "classes within shot bins, strangers by image",
        "replicates": replicates,
        "confidence": CONFIDENCE,
        "draws": found.draws,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bounds": {name: None if np.isnan(pair[0]) else list(pair) for name, pair in bounds.items()},
    }
    write_whole(replicates_path(path), content)
    write_json(path, measured.table | {"intervals": intervals})


def table_path(measured: Path) -> Path:
    """Where a measured run's table lies: in the run folder, or at the path itself."""
    return measured / "classification.json" if measured.is_dir() else measured


def replicates_path(table: Path) -> Path:
    """Where the replicates of a measured run lie, by the path of its table."""
    return table.with_name(f"{table.stem}-replicates.npz")


def read_replicates(paths: Sequence[Path], tables: Sequence[Mapping[str, Any]]) -> list[Replicates]:
    """Read the replicates that go with measurements; see ``read_measurements``.

    Raises:
        DataError: a run was measured without, or its file is missing, damaged, or of another measurement.
    """
    return [_read(table_path(path), table) for path, table in zip(paths, tables, strict=True)]


def _read(file: Path, table: Mapping[str, Any]) -> Replicates:
    path, again = replicates_path(file), "measure the run anew with: facerec evaluate RUN --force"
    if "intervals" not in table:
        raise DataError(f"{file}: was measured without intervals; {again}")
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != table["intervals"]["sha256"]:
            raise DataError(f"{path}: belongs to another measurement than {file.name} beside it; {again}")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return Replicates(tuple(arrays["names"].tolist()), arrays["values"], str(arrays["draws"]))
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: cannot be read ({reason}), expected the run's resampled figures; {again}") from None
