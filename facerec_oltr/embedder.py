"""What an embedder is, and what it promises: aligned faces in, unit vectors out."""

from typing import Protocol

import numpy as np
import numpy.typing as npt


class EmbedderFacts(Protocol):
    """What tells one embedder from another: all that a gallery remembers of it.

    Attributes:
        name: what a person calls it, such as ``dlib`` or a run folder's method.
        fingerprint: hex digest of weights and preprocessing; two embedders with the same fingerprint
            give the same vectors, and a gallery made by one refuses the other.
        dimensions: D, the length of a vector.
        size: side in pixels of the square faces it takes.
        source: where it can be loaded from again, as ``facerec_oltr.models.open_model`` reads it.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def fingerprint(self) -> str: ...  # noqa: D102
    @property
    def dimensions(self) -> int: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def source(self) -> str: ...  # noqa: D102


class Embedder(EmbedderFacts, Protocol):
    """Turns aligned faces into vectors whose dot product is their similarity."""

    def embed(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embed faces.

        Args:
            faces: aligned faces, (N, size, size, 3) uint8 RGB; N may be 0.

        Returns:
            (N, D) float32 vectors of length 1.
        """
        ...
