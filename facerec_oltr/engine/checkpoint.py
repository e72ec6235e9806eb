"""Weights and JSON on disk: whole or not at all, and nothing in them that could run code. Weights are safetensors."""

import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch

from facerec_oltr.engine.model import State
from facerec_oltr.errors import CheckpointError
from recordio_tools.whole import write_whole


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
