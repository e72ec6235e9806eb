"""Where unfinished training stands, on disk: a folder for each moment that was kept, with a checksum of each file.

    checkpoints/progress-NNNNNN/model.safetensors   the network
    checkpoints/progress-NNNNNN/state.pt            the optimiser, the loss's scale and memory
    checkpoints/progress-NNNNNN/place.json          stage, epochs, steps, and the SHA-256 of the other two

The number counts the steps of the whole run. A folder appears whole, under its name, after its files are on the disk;
then older ones go, but for as many as are to be kept. Between two stages there are no weights of the next to keep.
"""

import hashlib
import io
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch

from facerec_oltr.engine.checkpoint import load_weights, read_json, save_weights, write_json
from facerec_oltr.engine.model import State
from facerec_oltr.errors import CheckpointError
from recordio_tools.whole import flush_folder, write_whole

_MODEL, _STATE, _PLACE = "model.safetensors", "state.pt", "place.json"


class Progress(NamedTuple):
    """Where training stands.

    Attributes:
        stage: index of the stage under way.
        epochs: of it that are whole.
        steps: of the epoch after them.
        sums: of those steps, see ``Done`` in stage.py.
        lines: of metrics.jsonl that belong to the work done.
        best: epoch and validation accuracy of the best weights so far; None where there are none.
        number: of the moment; the next is higher.
        model: weights, or None where the stage has not begun.
        state: of what moves them, or None where the stage has not begun.
    """

    stage: int = 0
    epochs: int = 0
    steps: int = 0
    sums: Mapping[str, float] = MappingProxyType({})
    lines: int = 0
    best: tuple[int, float] | None = None
    number: int = 0
    model: State | None = None
    state: dict[str, Any] | None = None


def save_progress(folder: Path, progress: Progress, keep: int = 1) -> None:
    """Put a moment into `folder`, and remove all but the `keep` newest."""
    out = folder / f"progress-{progress.number:06}"
    beside = folder / f".{out.name}.tmp"
    for left in (out, beside):  # a run that was killed here left it
        shutil.rmtree(left, ignore_errors=True)
    beside.mkdir()
    try:
        place = {name: value for name, value in progress._asdict().items() if name not in ("model", "state")}
        place["sums"] = dict(progress.sums)
        if progress.model is not None:
            save_weights(beside / _MODEL, progress.model, {})
            buffer = io.BytesIO()
            torch.save(progress.state, buffer)
            write_whole(beside / _STATE, buffer.getbuffer().tobytes())
            place["sha256"] = {name: _sha256(beside / name) for name in (_MODEL, _STATE)}
        write_json(beside / _PLACE, place)
        beside.rename(out)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    flush_folder(folder)
    for older in _moments(folder)[:-keep]:
        shutil.rmtree(older)


def load_progress(folder: Path) -> Progress | None:
    """Read the newest moment in `folder`; None where there is none.

    Raises:
        CheckpointError: it is damaged.
    """
    moments = _moments(folder)
    if not moments:
        return None
    newest, before = moments[-1], f"the moment before it ({moments[-2].name})" if moments[1:] else "the beginning"
    remedy = f"remove that folder to go on from {before}"
    try:
        place = read_json(newest / _PLACE)
        sums = place.pop("sha256", {})
        for name, known in sums.items():
            if (found := _sha256(newest / name)) != known:
                raise CheckpointError(f"{newest / name}: has SHA-256 {found[:12]}…, expected {known[:12]}…")
        best = place.pop("best")
        progress = Progress(best=None if best is None else (int(best[0]), float(best[1])), **place)
        if not sums:
            return progress
        state = torch.load(newest / _STATE, map_location="cpu", weights_only=True)
        return progress._replace(model=load_weights(newest / _MODEL), state=state)
    except CheckpointError as error:
        raise CheckpointError(f"{str(error).split(';')[0]}; {remedy}") from None
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{newest}: is damaged ({str(error).splitlines()[0]}); {remedy}") from None


def best_epochs(folder: Path) -> set[int]:
    """The epochs that the moments in `folder` know as the best."""
    known = (read_json(moment / _PLACE)["best"] for moment in _moments(folder))
    return {int(best[0]) for best in known if best is not None}


def forget_progress(folder: Path) -> None:
    """Remove every moment: the run is finished."""
    for moment in _moments(folder):
        shutil.rmtree(moment)


def _moments(folder: Path) -> list[Path]:
    return sorted(folder.glob("progress-*"), key=lambda path: (len(path.name), path.name))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
