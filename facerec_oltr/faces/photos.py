"""Photos → faces → vectors, in batches, whatever is wrong with single photos.

A photo is taken as an aligned crop of one face.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facerec_oltr.embedder import Embedder
from facerec_oltr.errors import DataError
from recordio_tools.errors import SourceError
from recordio_tools.images import IMAGE_SUFFIXES, decode_rgb, fit_square, list_people

Progress = Callable[[int, int], None]  # called with the number of photos done, and of all

_BATCH = 64  # photos read and embedded at once, whoever they show


@dataclass(frozen=True, eq=False)
class EmbeddedPhoto:
    """A photo on its way through: a vector, an owner who makes one needless, or why there is none."""

    path: Path
    sha256: str = ""
    vector: npt.NDArray[np.float32] | None = None
    owner: str | None = None
    reason: str | None = None


def people_in(folder: str | Path) -> list[tuple[str, Sequence[Path]]]:
    """Names and photos of a folder of one folder a person.

    Raises:
        DataError: the folder is missing or holds nobody.
    """
    try:
        return [(person.name, person.paths) for person in list_people(Path(folder))]
    except SourceError as error:
        raise DataError(str(error)) from error


def find_photos(paths: Sequence[str | Path]) -> list[Path]:
    """Photos as they are given, and of a folder all photos in it, at any depth, sorted.

    Raises:
        DataError: nothing is there, or a folder holds no photo.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES) if path.is_dir() else [path]
        if not inside:
            raise DataError(
                f"{path}: found no photo in this folder, expected some ({' '.join(sorted(IMAGE_SUFFIXES))})"
            )
        found += inside
    if not found:
        raise DataError("no photo was given; give at least one")
    return found


def embed_photos(
    embedder: Embedder, paths: Iterable[Path], *, owner_of: Callable[[str], str | None] | None = None
) -> Iterator[EmbeddedPhoto]:
    """Read and embed photos in batches, in order, whatever is wrong with single ones.

    Args:
        embedder: makes the vectors.
        paths: the photos; read one batch ahead.
        owner_of: tells of a SHA-256 digest who owns that photo already; such photos are not embedded.
    """
    remaining = iter(paths)
    while batch := list(islice(remaining, _BATCH)):
        read = [_read(path, embedder.size, owner_of) for path in batch]
        faces = [face for _, face in read if face is not None]
        vectors = iter(embedder.embed(np.stack(faces)) if faces else ())
        for photo, face in read:
            yield photo if face is None else EmbeddedPhoto(photo.path, photo.sha256, next(vectors))


def _read(
    path: Path, size: int, owner_of: Callable[[str], str | None] | None
) -> tuple[EmbeddedPhoto, npt.NDArray[np.uint8] | None]:
    """A photo and, unless it is unreadable or owned, its face (size, size, 3)."""
    try:
        # Hashed and decoded from the same bytes: the file may be replaced meanwhile.
        data = path.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        owner = owner_of(sha256) if owner_of is not None else None
        if owner is not None:
            return EmbeddedPhoto(path, sha256, owner=owner), None
        return EmbeddedPhoto(path, sha256), fit_square(decode_rgb(data, str(path)), size)
    except OSError as error:
        return EmbeddedPhoto(path, reason=f"{path}: {error.strerror or error}"), None
    except SourceError as error:
        return EmbeddedPhoto(path, reason=str(error)), None
