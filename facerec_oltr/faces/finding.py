"""A detector and an embedder as one embedder of whole photos, for measurements that take squares."""

import hashlib

import numpy as np
import numpy.typing as npt

from facerec_oltr.faces.extractor import Extractor

_RULE = "largest face, else the whole square"


class FindingEmbedder:
    """Embeds the largest face of each photo; where none is found, the whole photo is taken as the face.

    It keeps the ``Embedder`` promise.

    Args:
        extractor: with a detector.
        size: side in pixels to which photos are fitted before a face is looked for.

    Attributes:
        found: (N,) whether a face was found in each photo of the last call of ``embed``.
    """

    def __init__(self, extractor: Extractor, size: int) -> None:
        self._extractor = extractor
        self.size, self.dimensions = size, extractor.dimensions
        self.name = extractor.name
        self.source = extractor.source
        facts = f"{extractor.fingerprint} {extractor.detector_fingerprint} {size} {_RULE}"
        self.fingerprint = hashlib.sha256(facts.encode()).hexdigest()
        self.found: npt.NDArray[np.bool_] = np.empty(0, bool)

    def embed(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embed photos (N, size, size, 3) uint8 RGB to (N, D) float32 of unit length."""
        cutouts = [self._extractor.find(photo) for photo in faces]
        self.found = np.array([len(own) > 0 for own in cutouts], bool)
        chosen = [own[:1] or [self._extractor.whole(photo)] for own, photo in zip(cutouts, faces, strict=True)]
        vectors = [own[0].vector for own in self._extractor.embed(chosen)]
        return np.array(vectors, np.float32).reshape(len(faces), self.dimensions)
