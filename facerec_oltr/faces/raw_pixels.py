"""The floor: faces compared pixel by pixel. A trained network that does not beat it has learned nothing."""

import hashlib

import numpy as np
import numpy.typing as npt

_VERSION = "grey mean of the channels, own mean removed"


class RawPixels:
    """Grey pixels without their mean, at unit length: the dot product is the correlation of two photos.

    It keeps the ``Embedder`` promise.
    """

    name, source = "raw pixels", "raw_pixels"

    def __init__(self, size: int = 32) -> None:
        self.size = size
        self.dimensions = size * size
        self.fingerprint = hashlib.sha256(f"{self.name}|{_VERSION}|{size}".encode()).hexdigest()

    def embed(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embed (N, size, size, 3) uint8 RGB faces to (N, size²) float32 of unit length.

        A face of one single grey, which has nothing left without its mean, becomes the constant vector: it is
        orthogonal to every other face.
        """
        grey = faces.mean(axis=3, dtype=np.float32).reshape(len(faces), self.dimensions)
        grey -= grey.mean(axis=1, keepdims=True)
        length = np.linalg.norm(grey, axis=1, keepdims=True)
        flat = length < 1e-3  # rounding leaves less than this; one pixel one step apart leaves about 1
        constant = np.float32(self.dimensions**-0.5)
        return np.where(flat, constant, grey / np.where(flat, 1, length))
