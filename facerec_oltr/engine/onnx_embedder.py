"""An exported ONNX file as an embedder, run by ONNX Runtime on the processor."""

import hashlib

import numpy as np
import numpy.typing as npt

INPUT = "faces"
"""The name of the graph's only input, (batch, 3, S, S) float32."""


class OnnxEmbedder:
    """The embedding of a single view of a face.

    It keeps the `Embedder` promise of embedder.py, but that nothing can load it again from its `source`.

    Args:
        model: the file's bytes.
        name: what a person calls it.
        source: the run that it was made of.
    """

    def __init__(self, model: bytes, *, name: str, source: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.name, self.source = name, source
        self.fingerprint = hashlib.sha256(model).hexdigest()
        self.size = int(self._session.get_inputs()[0].shape[2])
        self.dimensions = int(self._session.get_outputs()[0].shape[1])

    def embed(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embed (N, size, size, 3) uint8 RGB faces to (N, D) float32 of unit length, each in a batch of its own.

        So the vectors of an int8 file, which depend on the batch, are those that insightface gives.
        """
        vectors = np.empty((len(faces), self.dimensions), np.float32)
        for place, face in enumerate(faces):
            pixels = face.transpose(2, 0, 1)[None].astype(np.float32)
            vectors[place] = self.vectors((pixels - 127.5) / 127.5)[0]
        return vectors

    def vectors(self, faces: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Run the graph on (B, 3, size, size) images as the network takes them."""
        return np.asarray(self._session.run(None, {INPUT: faces})[0])
