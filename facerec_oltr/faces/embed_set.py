"""The images of a face set as vectors, with progress and a cache that survives the run."""

import hashlib
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from facerec_oltr.embedder import Embedder
from facerec_oltr.faces.embed_images import embed_images
from recordio_tools import FaceSet
from recordio_tools.whole import write_whole

Progress = Callable[[int, int], None]  # called with the number of photos done, and of all


@dataclass(frozen=True, eq=False)
class Embeddings:
    """The vectors of some images of a face set.

    Attributes:
        positions: (N,) which images, rising, no two alike.
        vectors: (N, D) float32 of unit length.
        found: (N,) whether the embedder's detector found the face; all True without a detector.
    """

    positions: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32]
    found: npt.NDArray[np.bool_]

    def at(self, positions: npt.NDArray[np.int64]) -> Self:
        """Those of these images, which must all be here, in this order."""
        rows = np.searchsorted(self.positions, positions)
        assert np.array_equal(self.positions[rows], positions), "every image asked for is embedded"
        return type(self)(positions, self.vectors[rows], self.found[rows])


def embed_set(
    embedder: Embedder,
    faces: FaceSet,
    positions: npt.NDArray[np.int64],
    *,
    cache: Path | None = None,
    on_progress: Progress | None = None,
) -> Embeddings:
    """Embed images of a face set.

    Args:
        embedder: the images are fitted to its size as enrolment does it.
        faces: the set.
        positions: (N,) which images, no two alike.
        cache: a folder, made if missing, that keeps a file for each embedder and set: only images that are not
            in it are embedded. A damaged file is made anew.
        on_progress: called after each batch.

    Raises:
        RecordIOError: an image is damaged.
        DataError: the embedder broke its promise: wrong shape, or a vector that is not of unit length.
    """
    path = None if cache is None else cache / f"{embedder.fingerprint[:16]}-{faces.fingerprint[:16]}.npz"
    known = _load(path, embedder, faces) if path is not None else _none(embedder)
    missing = np.setdiff1d(positions, known.positions)
    if len(missing):
        made = _embed(embedder, faces, missing, len(positions), on_progress)
        known = _merge(known, made)
        if path is not None:
            _save(path, known, embedder, faces)
    if on_progress is not None:
        on_progress(len(positions), len(positions))
    return known.at(positions)


def _embed(
    embedder: Embedder, faces: FaceSet, positions: npt.NDArray[np.int64], total: int, on_progress: Progress | None
) -> Embeddings:
    before = total - len(positions)  # those that the cache had
    vectors, found = embed_images(
        embedder,
        len(positions),
        lambda place: faces.image(int(positions[place])),
        lambda done, _: None if on_progress is None else on_progress(before + done, total),
    )
    return Embeddings(positions, vectors, found)


def _none(embedder: Embedder) -> Embeddings:
    return Embeddings(np.empty(0, np.int64), np.empty((0, embedder.dimensions), np.float32), np.empty(0, bool))


def _merge(one: Embeddings, other: Embeddings) -> Embeddings:
    positions = np.concatenate([one.positions, other.positions])
    order = np.argsort(positions)
    vectors, found = np.concatenate([one.vectors, other.vectors]), np.concatenate([one.found, other.found])
    return Embeddings(positions[order], vectors[order], found[order])


def _load(path: Path, embedder: Embedder, faces: FaceSet) -> Embeddings:
    """What a cache file holds; nothing if it is missing, damaged or of another embedder or set."""
    with suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        file = np.load(BytesIO(path.read_bytes()))  # np.load leaves a damaged file open
        kept = Embeddings(file["positions"], file["vectors"], file["found"])
        if str(file["check"]) == _check(kept, embedder, faces):
            return kept
    return _none(embedder)


def _save(path: Path, kept: Embeddings, embedder: Embedder, faces: FaceSet) -> None:
    buffer = BytesIO()
    check = np.array(_check(kept, embedder, faces))
    np.savez(buffer, positions=kept.positions, vectors=kept.vectors, found=kept.found, check=check)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())


def _check(kept: Embeddings, embedder: Embedder, faces: FaceSet) -> str:
    """A digest of all that a cache file says and of whom it says it."""
    digest = hashlib.sha256(f"{embedder.fingerprint} {faces.fingerprint}".encode())
    for array in (kept.positions, kept.vectors, kept.found):
        digest.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()
