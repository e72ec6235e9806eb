"""Torch files that somebody else wrote: read as weights alone, and held to the names and shapes of our network."""

import hashlib
import io
import pickle
import re
import struct
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from facerec_oltr.errors import CheckpointError

# all that torch's reader was seen to raise over files with broken bytes
_BREAKS = (
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    pickle.UnpicklingError,
    struct.error,
)
_NAMED = 3  # names of weights in an error, of possibly a thousand


def read_foreign(path: Path, expected: str) -> tuple[Any, str]:
    """Read tensors, numbers, strings and their containers from a torch file, and nothing that could run.

    Args:
        path: the file, in any format of torch.save since 2017.
        expected: what it should be and what to do without it, for the errors.

    Returns:
        What it holds, on the processor, and the SHA-256 of the file.

    Raises:
        CheckpointError: the file is missing, no torch file, damaged, or holds more than weights.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file; expected {expected}") from None
    except IsADirectoryError:
        raise CheckpointError(f"{path}: is a folder; expected {expected}") from None
    try:
        with warnings.catch_warnings():  # torch warns of how it reads the files of its own old versions
            warnings.simplefilter("ignore")
            content = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except _BREAKS as error:
        if stranger := re.search(r"(?:GLOBAL|global|class|function) `?([\w.]+\.[\w.]+)`?", str(error)):
            what = f"holds {stranger[1]}, and to read more than weights could run code, so it is refused"
        else:  # what torch says here is long, and advises to read it all the same
            what = "is no torch file of weights, or a damaged one"
        raise CheckpointError(f"{path}: {what}; expected {expected}") from None
    return content, hashlib.sha256(raw).hexdigest()


def misfit(found: Mapping[str, object], expected: Mapping[str, Tensor]) -> str | None:
    """Say what keeps weights from filling a network, or None where they do, name by name and shape by shape.

    Nobody needs a batch norm's ``num_batches_tracked``, and files of PyTorch before 0.4.1 have none: it may be missing.
    """
    missing = [name for name in expected if name not in found and not name.endswith(".num_batches_tracked")]
    unexpected = [str(name) for name in found if name not in expected]
    if missing or unexpected:
        parts = [f"lacks {_named(missing)}"] if missing else []
        parts += [f"has {_named(unexpected)}, which the network lacks"] if unexpected else []
        return " and ".join(parts)
    for name, value in found.items():
        shape, real = tuple(expected[name].shape), expected[name].is_floating_point()
        if not isinstance(value, Tensor):
            return f"{name} is {type(value).__name__}, expected a tensor {shape}"
        if value.layout is not torch.strided or value.is_meta or value.is_floating_point() != real:
            return f"{name} is a tensor of {value.dtype} ({value.layout}), expected one of {expected[name].dtype}"
        if tuple(value.shape) != shape:
            return f"{name} has shape {tuple(value.shape)}, expected {shape}"
        if not torch.isfinite(value).all():
            return f"{name} holds NaN or infinity, expected numbers"
    return None


def _named(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
