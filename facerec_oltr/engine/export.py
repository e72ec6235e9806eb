"""A trained network as an ONNX file that ONNX Runtime runs and insightface takes for a recognition model.

    faces (batch, 3, S, S) float32: RGB, (x − 127.5) / 127.5   →   embedding (batch, D) float32 of unit length

A file holds one embedding, since insightface refuses a recognition model with two outputs. It is that of a single view.
``RunEmbedder`` adds the features of the mirrored face before it normalises, so the vectors of both are alike but not
the same, and a gallery should hold those of one of them only.

Files are of opset 18, the lowest that torch's exporter writes, so that older runtimes read them too.
"""

import hashlib
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facerec_oltr.engine.embedder import choose_embedding
from facerec_oltr.engine.finished import FinishedRun
from facerec_oltr.engine.model import Model
from facerec_oltr.errors import ExportError
from facerec_oltr.extras import extra_folder
from facerec_oltr.faces.onnx_embedder import INPUT, OnnxEmbedder
from recordio_tools.whole import write_whole

if TYPE_CHECKING:
    import onnx

OPSET = 18
TOLERANCE = 1e-4
_BATCHES = (1, 3, 5)
_MOST_BYTES = 2**31 - 2**24  # a protobuf ends at 2 GiB, and the nodes want a place in it


@dataclass(frozen=True, eq=False)
class ExportedModel:
    """A network as the bytes of an ONNX file, checked.

    Attributes:
        model: the file.
        embedder: the file, run by ONNX Runtime.
        embedding: which of the head's embeddings it gives.
        precision: of its weights and products.
        difference: from torch, the largest of any number of a unit vector; of int8 it says how far off it is.
    """

    model: bytes
    embedder: OnnxEmbedder
    embedding: str
    precision: Literal["float32", "int8"]
    difference: float

    def write(self, out: Path) -> None:
        """Put the file at `out`, whole or not at all."""
        write_whole(out, self.model)


def check_place(out: Path, *, force: bool) -> None:
    """Look, before the work begins, whether the file could be written.

    Raises:
        ExportError: the name does not end in .onnx; there is no such folder, or it may not
            be written to; there is something already, and `force` is not given or it is no file.
    """
    if out.suffix != ".onnx":
        raise ExportError(f"{out}: expected a name that ends in .onnx, by which insightface finds a model")
    if not out.parent.is_dir():
        raise ExportError(f"{out}: its folder {out.parent} does not exist; make it first, or give another place")
    if not os.access(out.parent, os.W_OK):
        raise ExportError(f"{out}: its folder {out.parent} may not be written to; give another place")
    if out.is_dir():
        raise ExportError(f"{out}: is a folder, expected a file to write; give another name")
    if out.exists() and not force:
        raise ExportError(f"{out}: exists already; replace it with --force, or give another name")


def export(run: FinishedRun, embedding: str | None = None) -> ExportedModel:
    """Turn a run's network into an ONNX file and hold it to the network, at several sizes of a batch.

    Args:
        run: on the processor.
        embedding: which of the head's embeddings; the experiment's choice if not given.

    Raises:
        DataError: the extra is not installed.
        ConfigError: the run was not trained on images, or its head has no such embedding.
        ExportError: the network is too large for one file, or ONNX Runtime gives something else than torch.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        extra_folder(package, "export", "an ONNX file cannot be made")
    embedding = choose_embedding(run, embedding)
    network = SingleView(run.model, embedding).eval()
    graph = _graph(network, run.shape[0], embedding)
    model = _described(graph, run, embedding, "float32").SerializeToString()
    embedder = OnnxEmbedder(model, name=f"{run.experiment.method} ({embedding}, onnx)", source=str(run.path))
    if not (difference := _difference(network, embedder)) <= TOLERANCE:  # NaN is not within it either
        raise ExportError(
            f"{run.path}: ONNX Runtime differs from torch by {difference:.1e} on vectors of unit length, expected at "
            f"most {TOLERANCE:g}; nothing was written. Look for weights that are not finite"
        )
    return ExportedModel(model, embedder, embedding, "float32", difference)


def quantise(run: FinishedRun, exported: ExportedModel) -> ExportedModel:
    """The same with 8-bit weights, and with activations that are rounded to 8 bits by the range of each batch.

    Convolutions are quantised too. Weights are unsigned: with signed ones ONNX Runtime's convolutions were measured
    three times as slow, and as inexact. The range is the batch's, so a vector depends a little on the faces beside it.
    """
    import tempfile

    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        quantize_dynamic(onnx.load_from_string(exported.model), path, weight_type=QuantType.QUInt8)
        graph = onnx.load(path)
    model = _described(graph, run, exported.embedding, "int8").SerializeToString()
    embedder = OnnxEmbedder(
        model, name=f"{run.experiment.method} ({exported.embedding}, onnx int8)", source=str(run.path)
    )
    difference = _difference(SingleView(run.model, exported.embedding).eval(), embedder)
    return ExportedModel(model, embedder, exported.embedding, "int8", difference)


def insightface_takes(size: int) -> bool:
    """Whether insightface knows a network for faces of that side as a recognition model, and can align faces for it.

    Its model zoo tells what a model is for by the size of its input (112 and more in steps of 16, but for 192), and its
    alignment knows 112 and 128 pixels and their multiples.
    """
    return size % 112 == 0 or size % 128 == 0


class SingleView(nn.Module):
    """Images as backbones take them → an embedding of unit length."""

    def __init__(self, model: Model, embedding: str) -> None:
        super().__init__()
        self.model, self.embedding = model, embedding

    def forward(self, faces: Tensor) -> Tensor:
        """Map (B, 3, S, S) to (B, D)."""
        return F.normalize(self.model.head.embed(self.model.features(faces), self.embedding))


def _graph(network: SingleView, size: int, embedding: str) -> "onnx.ModelProto":
    """The network as ONNX has it, without a word about the machine that it was made on."""
    import onnx

    with _quiet():
        program = torch.onnx.export(
            network,
            (torch.zeros(2, 3, size, size),),  # of a batch of 1 torch would think that it is always 1
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=[INPUT],
            output_names=[embedding],
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    weights = sum(value.const_value.nbytes for value in program.model.graph.initializers.values() if value.const_value)
    if weights > _MOST_BYTES:
        raise ExportError(
            f"the network has {weights / 2**30:.1f} GiB of weights, and an ONNX file ends at 2 GiB; "
            "take --embedding direct, which needs no memory of the classes, or a smaller network"
        )
    model = program.model_proto
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, model.graph):
        part.ClearField("metadata_props")  # torch's: where in which file on this machine each line of code stands
    onnx.checker.check_model(model, full_check=True)
    return model


def _described(
    model: "onnx.ModelProto", run: FinishedRun, embedding: str, precision: Literal["float32", "int8"]
) -> "onnx.ModelProto":
    """With all that somebody who is handed the file has to know."""
    import onnx

    for place, node in enumerate(model.graph.node):
        # insightface takes a first node "Sub…" and a "Mul…" as a sign that pixels are to be fed as they are
        node.name = f"node_{place}_{node.op_type}"
    model.producer_name, model.producer_version = "facerec-oltr", version("facerec-oltr")
    model.doc_string = (
        f"A face embedding of unit length: {run.experiment.method} trained on {run.experiment.dataset}. "
        "Compare two by their dot product."
    )
    facts = {
        "facerec_version": version("facerec-oltr"),
        "method": run.experiment.method,
        "dataset": run.experiment.dataset,
        "trained_on": run.trained_on,
        "embedding": embedding,
        "preprocessing": "aligned face, RGB, NCHW, (x - 127.5) / 127.5",
        "view": "one; facerec itself adds the features of the mirrored face before it normalises",
        "precision": precision,
        "weights": run.which,
        "weights_sha256": hashlib.sha256(run.weights.read_bytes()).hexdigest(),
    }
    onnx.helper.set_model_props(model, facts)
    return model


@torch.no_grad()
def _difference(network: SingleView, embedder: OnnxEmbedder) -> float:
    """The largest difference of any number of a vector, over batches of noise of several sizes."""
    numbers = torch.Generator().manual_seed(0)
    differences = []
    for batch in _BATCHES:
        faces = torch.rand(batch, 3, embedder.size, embedder.size, generator=numbers) * 2 - 1
        differences.append(np.abs(embedder.vectors(faces.numpy()) - network(faces).numpy()).max())
    return float(np.max(differences))


@contextmanager
def _quiet() -> Iterator[None]:
    """What torch and ONNX Runtime say about themselves and to their own developers does not reach a person."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
