"""Weights and training state on disk: whole or not at all, and nothing in them that could run code.

Weights are safetensors. The state of unfinished training (optimiser, place) is a torch file that is read back with
``weights_only=True``.
"""

import io
import json
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch

from facerec_oltr.engine.model import State
from facerec_oltr.errors import CheckpointError
from recordio_tools.whole import write_whole


class Progress(NamedTuple):
    """Where training stands.

    Attributes:
        stage: index of the stage under way.
        epochs: of it that are done.
        lines: of metrics.jsonl that belong to the work done.
        model: weights, or None where the stage has not begun.
        state: of what moves them (the optimiser, a scale of the loss), or None where the stage has not begun.
        best: epoch and validation accuracy of the best weights so far; None where there are none.
    """

    stage: int
    epochs: int
    lines: int
    model: State | None = None
    state: dict[str, Any] | None = None
    best: tuple[int, float] | None = None


def save_weights(path: Path, state: State, facts: dict[str, str]) -> None:
    """Write weights with `facts` as the file's metadata; the same weights and facts give the same bytes."""
    whole = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    write_whole(path, _with_facts(safetensors.torch.save(whole), facts))


def _with_facts(file: bytes, facts: dict[str, str]) -> list[bytes]:
    """A safetensors file with metadata in its header: safetensors itself writes metadata in random order."""
    length = int.from_bytes(file[:8], "little")
    header = json.dumps({"__metadata__": facts, **json.loads(file[8 : 8 + length])}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return [len(header).to_bytes(8, "little"), header, file[8 + length :]]


def read_facts(path: Path) -> dict[str, str]:
    """The metadata of a weights file.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            return file.metadata() or {}
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there are no weights; train first, or finish the run") from None
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path}: is damaged ({error}); train again") from None


def load_weights(path: Path) -> State:
    """Read weights.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    try:
        return safetensors.torch.load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there are no weights; train first, or finish the run") from None
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path}: is damaged ({error}); train again") from None


def save_progress(path: Path, progress: Progress) -> None:
    """Write the state of unfinished training."""
    buffer = io.BytesIO()
    torch.save(progress._asdict(), buffer)
    write_whole(path, buffer.getvalue())


def load_progress(path: Path) -> Progress | None:
    """Read the state of unfinished training; None where there is none.

    Raises:
        CheckpointError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        return Progress(**torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, EOFError, TypeError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path}: is damaged ({reason}); remove it to start the run afresh") from None


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document, whole or not at all."""
    write_whole(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON document.

    Raises:
        CheckpointError: the file is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file; expected a run folder of facerec train") from None
    except ValueError as error:
        raise CheckpointError(f"{path}: is damaged ({error}); train again into another folder") from None
