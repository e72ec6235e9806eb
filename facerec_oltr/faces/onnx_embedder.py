"""Any ONNX file with a face embedding as an embedder, run by ONNX Runtime on the processor.

Of a single view, without the mirrored face that ``RunEmbedder`` adds.
"""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import DataError
from facerec_oltr.faces._onnx_file import OnnxFile, open_session, parse_onnx, read_onnx, told_as_data_error
from facerec_oltr.faces.preprocessing import ARCFACE, PREPROCESSINGS, RAW, Preprocessing

INPUT = "faces"
"""The name of the only input of a graph that facerec exports, (batch, 3, S, S) float32."""
_BATCH = 32


class OnnxEmbedder:
    """The embedding of a single view of a face.

    It keeps the ``Embedder`` promise. A network whose batch is fixed to 1, or that rounds its activations by the range
    of the batch (int8), is given one face at a time: so a vector never depends on the faces beside it.

    Args:
        model: the file's bytes.
        name: what a person calls it.
        source: where it can be loaded from again; the run that it was made of while it is exported.
        preprocessing: of pixels; None for what the file says itself, ``arcface`` where it says nothing.

    Raises:
        DataError: it is no network of this form, or says itself that it takes other pixels.
    """

    def __init__(self, model: bytes, *, name: str, source: str, preprocessing: Preprocessing | None = None) -> None:
        file = parse_onnx(model, Path(source))
        self.size, batch = _input(file)
        self.preprocessing = _preprocessing(file, preprocessing)
        self._session = open_session(file)
        self._path = file.path
        self._input = self._session.get_inputs()[0].name
        self.name, self.source = name, source
        self.fingerprint = hashlib.sha256(f"{file.digest} {self.preprocessing}".encode()).hexdigest()
        alone = batch == 1 or file.facts.get("precision") == "int8" or b"DynamicQuantizeLinear" in model
        self._batch = 1 if alone else batch or _BATCH
        self._fixed = batch
        self.dimensions = self._try()

    @classmethod
    def load(
        cls, path: Path, preprocessing: Preprocessing | None = None, *, source: str | None = None
    ) -> "OnnxEmbedder":
        """Open a file; its source is the absolute path, and the preprocessing behind a colon where it was given.

        Raises:
            DataError: as the class, or it cannot be read.
        """
        path = path.absolute()
        file = read_onnx(path)
        given = f":{preprocessing.name}" if preprocessing is not None and preprocessing.name in PREPROCESSINGS else ""
        embedder = cls(file.data, name=path.stem, source=str(path), preprocessing=preprocessing)
        embedder.source = source or f"{path}{given}"
        return embedder

    def embed(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embed (N, size, size, 3) uint8 RGB faces to (N, D) float32 of unit length."""
        vectors = np.empty((len(faces), self.dimensions), np.float32)
        for start in range(0, len(faces), self._batch):
            pixels = self.preprocessing(faces[start : start + self._batch])
            vectors[start : start + self._batch] = self.vectors(self._filled(pixels))[: len(pixels)]
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (np.isfinite(lengths) & (lengths > 0)).all():
            raise DataError(
                f"{self.source}: gave a vector that is zero or not finite; look for a damaged file, or name the "
                f"preprocessing that it was trained with ({', '.join(PREPROCESSINGS)}) behind a colon"
            )
        return vectors / lengths

    def vectors(self, faces: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Run the graph on (B, 3, size, size) images as the network takes them; what it gives, of any length."""
        with told_as_data_error(self._path):
            return np.asarray(self._session.run(None, {self._input: faces})[0])

    def _filled(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """With as many black faces more as a fixed batch wants."""
        missing = (self._fixed or len(pixels)) - len(pixels)
        return np.pad(pixels, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else pixels

    def _try(self) -> int:
        """D, from the network itself: a file need not say it."""
        made = self.vectors(np.zeros((self._fixed or 1, 3, self.size, self.size), np.float32))
        if made.ndim != 2 or made.shape[0] != (self._fixed or 1) or made.shape[1] < 2 or made.dtype != np.float32:
            raise DataError(
                f"{self.source}: gives {made.dtype} of shape {made.shape} for {self._fixed or 1} faces, expected one "
                "float32 vector a face; give a network that embeds faces"
            )
        return made.shape[1]


def _input(file: OnnxFile) -> tuple[int, int | None]:
    """(side, batch) of the faces that the network takes."""
    inputs = [f"{name} {'×'.join(str(axis or '?') for axis in shape)}" for name, shape in file.inputs.items()]
    expected = "expected one input of batch × 3 × side × side and one output; give a network that embeds faces"
    if len(inputs) != 1 or len(file.outputs) != 1:
        raise DataError(
            f"{file.path}: has {len(inputs)} inputs ({', '.join(inputs)}) and {len(file.outputs)} outputs "
            f"({', '.join(file.outputs)}), {expected}"
        )
    (shape,) = file.inputs.values()
    if len(shape) != 4 or shape[1] not in (3, None) or shape[2] is None or shape[2] != shape[3]:
        raise DataError(f"{file.path}: has the input {inputs[0]}, {expected}")
    return shape[2], shape[0]


def _preprocessing(file: OnnxFile, given: Preprocessing | None) -> Preprocessing:
    """What a file of our own says; else what is given; else what insightface would take."""
    if "facerec_version" in file.facts:
        if given not in (None, ARCFACE):
            raise DataError(f"{file.path}: was exported by facerec and takes arcface, not {given.name}; leave it out")
        return ARCFACE
    return given or (RAW if file.normalises_itself else ARCFACE)
