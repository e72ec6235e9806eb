"""ONNX files as people hand them over: read, told apart and opened, with one clear line where one is unusable."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from facerec_oltr.errors import DataError

if TYPE_CHECKING:
    import onnxruntime

Role = Literal["scrfd", "yunet", "recognition"]
_YUNET = frozenset({"cls_8", "obj_8", "bbox_8", "kps_8"})
_SCRFD_OUTPUTS = (6, 9, 10, 15)
_FIRST_NODES = 8  # in which insightface looks for a graph's own normalisation
_MOST_BYTES = 2**31 - 1  # a protobuf ends there


@dataclass(frozen=True)
class OnnxFile:
    """What a file says of itself, without running it.

    Attributes:
        path: for messages.
        data: its bytes; what is hashed is what is run.
        inputs: shapes by name, an axis of any length is None.
        outputs: their names.
        first_nodes: the names of the graph's first nodes.
        facts: the file's own metadata.
    """

    path: Path
    data: bytes = field(repr=False)
    inputs: dict[str, tuple[int | None, ...]]
    outputs: tuple[str, ...]
    first_nodes: tuple[str, ...]
    facts: dict[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def normalises_itself(self) -> bool:
        """Whether insightface takes it for one of MXNet's graphs, which subtract and multiply first."""
        minus = any(name.startswith(("Sub", "_minus")) for name in self.first_nodes)
        times = any(name.startswith(("Mul", "_mul")) for name in self.first_nodes)
        return minus and times

    def role(self) -> Role | None:
        """What it is for, by the shapes that insightface's router goes by; None for what is of no use here."""
        if set(self.outputs) >= _YUNET:
            return "yunet"
        if len(self.inputs) != 1:
            return None
        (shape,) = self.inputs.values()
        if len(shape) == 4 and len(self.outputs) in _SCRFD_OUTPUTS:
            return "scrfd"
        if len(shape) != 4 or len(self.outputs) != 1 or shape[2] != shape[3] or shape[2] in (None, 96, 192):
            return None  # 96 and 192: age and sex, landmarks
        return "recognition"


def read_onnx(path: Path) -> OnnxFile:
    """Read a file and look at its graph.

    Raises:
        DataError: it cannot be read, is no network, or keeps its weights elsewhere.
    """
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= _MOST_BYTES else b""
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}), expected an ONNX file") from error
    if size > _MOST_BYTES:
        raise DataError(f"{path}: {size:,} bytes, expected an ONNX file below 2 GiB; take a smaller network")
    return parse_onnx(data, path)


def parse_onnx(data: bytes, path: Path) -> OnnxFile:
    """The same of bytes that are read already."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_from_string(data)
    except (DecodeError, ValueError) as error:
        raise DataError(f"{path}: {len(data):,} bytes that are not an ONNX network; fetch the file again") from error
    graph = model.graph
    if not graph.node or not graph.output:
        raise DataError(f"{path}: {len(data):,} bytes that are not an ONNX network; fetch the file again")
    if any(weights.data_location == onnx.TensorProto.EXTERNAL for weights in graph.initializer):
        raise DataError(f"{path}: keeps its weights in another file, expected all of it in one; save it as one file")
    weights = {tensor.name for tensor in graph.initializer}  # older files list them as inputs too
    inputs = {
        value.name: tuple(axis.dim_value or None for axis in value.type.tensor_type.shape.dim)
        for value in graph.input
        if value.name not in weights
    }
    return OnnxFile(
        path,
        data,
        inputs,
        tuple(value.name for value in graph.output),
        tuple(node.name for node in graph.node[:_FIRST_NODES]),
        {entry.key: entry.value for entry in model.metadata_props},
    )


def session_options() -> "onnxruntime.SessionOptions":
    """Quiet, and no more threads than OMP_NUM_THREADS says.

    Threads do not spin for work: a detector and an embedder that take turns would take the processor from each other.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # not even errors: they come as exceptions, and are told once
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdecimal() and int(threads) > 0:
        options.intra_op_num_threads = int(threads)
    return options


def open_session(file: OnnxFile) -> "onnxruntime.InferenceSession":
    """A session on the processor.

    Raises:
        DataError: ONNX Runtime cannot run it.
    """
    import onnxruntime

    with told_as_data_error(file.path):
        return onnxruntime.InferenceSession(file.data, session_options(), providers=["CPUExecutionProvider"])


@contextmanager
def told_as_data_error(path: Path) -> Iterator[None]:
    """What ONNX Runtime raises, which may be anything, as one line."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: ONNX Runtime cannot run it ({said}); fetch or export the file again") from error
