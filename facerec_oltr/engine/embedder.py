"""A trained run as an embedder."""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from facerec_oltr.engine.finished import FinishedRun, load_run
from facerec_oltr.engine.model import Model, to_input
from facerec_oltr.errors import ConfigError

_BATCH = 64
_PREPROCESSING = "rgb (x-127.5)/127.5, sum of face and mirrored face"


class RunEmbedder:
    """The embedding of a trained network: of the face plus that of its mirror image, then of unit length.

    It keeps the `Embedder` promise of embedder.py.
    """

    def __init__(self, model: Model, *, name: str, fingerprint: str, size: int, embedding: str, source: str) -> None:
        self._model = model.eval()
        self._embedding, self._device = embedding, next(model.parameters()).device
        self.name, self.fingerprint, self.size, self.source = name, fingerprint, size, source
        self.dimensions = model.features_size

    @torch.no_grad()
    def embed(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embed (N, size, size, 3) uint8 RGB faces to (N, D) float32 of unit length."""
        vectors = np.empty((len(faces), self.dimensions), np.float32)
        for start in range(0, len(faces), _BATCH):
            images = to_input(torch.from_numpy(faces[start : start + _BATCH]).to(self._device))
            both = [
                self._model.head.embed(self._model.features(view), self._embedding) for view in (images, images.flip(3))
            ]
            vectors[start : start + _BATCH] = torch.nn.functional.normalize(both[0] + both[1]).cpu().numpy()
        return vectors


def load_embedder(run: Path, embedding: str | None = None) -> RunEmbedder:
    """Load a finished run.

    Args:
        run: a run folder of ``facerec train``.
        embedding: which of the head's embeddings to take; the experiment's choice if not given.

    Raises:
        CheckpointError: the run is missing, unfinished or damaged.
        ConfigError: its head has no such embedding.
    """
    finished = load_run(run)
    experiment, model = finished.experiment, finished.model
    embedding = choose_embedding(finished, embedding)
    return RunEmbedder(
        model,
        name=f"{experiment.method} ({embedding})",
        fingerprint=hashlib.sha256(
            finished.weights.read_bytes() + f"{embedding} {_PREPROCESSING}".encode()
        ).hexdigest(),
        size=finished.shape[0],
        embedding=embedding,
        source=f"{run.resolve()}:{embedding}",
    )


def choose_embedding(run: FinishedRun, embedding: str | None) -> str:
    """The name of the embedding that a run is to be used by: the one asked for, or else its experiment's choice.

    Raises:
        ConfigError: its head has no such embedding, or it was not trained on images.
    """
    if len(run.shape) != 3:
        raise ConfigError(
            f"{run.path}: was trained on feature vectors, so it cannot embed photos; take a run that was trained on "
            "images"
        )
    embedding = embedding or run.experiment.embedding
    if embedding not in (offered := run.model.head.embeddings):
        raise ConfigError(f"{run.path}: found no embedding {embedding!r}; its head offers {', '.join(offered)}")
    return embedding
