"""Vectors that somebody has made and published: an .npz with the images' paths and an array of a row each.

``FILE.npz`` or ``FILE.npz:ARRAY``, where the file has several. ``path`` holds the images' keys: paths relative to the
folder of photos, or keys of a face set. An image without a face is left out of the file, and is missing then.
"""

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import DataError

PATHS = "path"
UNIT = 1e-2  # how far from 1 a length may be: half-precision numbers are rounded to so much
_SUFFIX = ".npz"


def is_feature_file(source: str) -> bool:
    """Whether `source` names such a file."""
    return _split(source)[0].endswith(_SUFFIX)


class FeatureFile:
    """The vectors of a file, all of length 1.

    It keeps the ``Features`` promise.

    Attributes:
        name: the array's.
        fingerprint: hex digest of the file's paths and vectors.
        dimensions: D.

    Args:
        source: as above.

    Raises:
        DataError: there is no such file or array, the arrays do not fit together, a path is there twice, or a vector
            is NaN, 0 or not of length 1.
    """

    def __init__(self, source: str) -> None:
        file, wanted = _split(source)
        self._path = Path(file)
        paths, self.name, vectors = _read(self._path, wanted)
        self._rows = {path: row for row, path in enumerate(paths)}
        if len(self._rows) < len(paths):
            twice = next(path for row, path in enumerate(paths) if self._rows[path] != row)
            raise DataError(f"{file}: has {twice!r} twice in {PATHS!r}, expected each image once; remove one of them")
        self._vectors = _unit(vectors, paths, f"{file}: {self.name}")
        self.dimensions = self._vectors.shape[1]
        digest = hashlib.sha256("\n".join(paths).encode(errors="surrogateescape"))
        digest.update(f"{self._vectors.shape}".encode() + self._vectors.tobytes())
        self.fingerprint = digest.hexdigest()

    def check(self, keys: Sequence[str], protocol: str, advice: str = "or make them with a model") -> None:
        """Refuse a file that lacks an image.

        Args:
            keys: of the images.
            protocol: what names them.
            advice: what to do but for giving another file.

        Raises:
            DataError: which, and how many more.
        """
        if missing := [key for key in dict.fromkeys(keys) if key not in self._rows]:
            more = f" (and {len(missing) - 1:,} more)" if len(missing) > 1 else ""
            raise DataError(
                f"{self._path}: has no vector of {missing[0]!r}{more}, but {protocol} names it; give the file of these "
                f"images, {advice}"
            )

    def find(self, keys: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """See ``Features``; every key must be here."""
        return np.array([self._rows[key] for key in keys], np.int64), np.ones(len(keys), bool)

    def vectors(self) -> npt.NDArray[np.float32]:
        """See ``Features``."""
        return self._vectors


def _split(source: str) -> tuple[str, str | None]:
    name, colon, array = source.rpartition(":")
    return (name, array) if colon and name.endswith(_SUFFIX) else (source, None)


def _read(file: Path, wanted: str | None) -> tuple[list[str], str, npt.NDArray]:
    """The paths, the array's name, and the array."""
    try:
        with file.open("rb") as opened, np.load(opened) as held:  # np.load leaves a damaged file open
            if PATHS not in held.files:
                raise DataError(f"{file}: has no array {PATHS!r}, which names the image of each row; add it")
            paths = held[PATHS]
            there = sorted(set(held.files) - {PATHS})
            asked = [name for name in held.files if name != PATHS and wanted in (None, name)]
            found: dict[str, npt.NDArray] = {name: held[name] for name in asked}
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror or error}); expected a file of features") from None
    except (ValueError, EOFError, zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError):
        raise DataError(
            f"{file}: is no whole .npz of plain arrays; features of several models, or of images of several sizes of "
            "vector, cannot stand in one array"
        ) from None
    fitting = {name: held for name, held in found.items() if held.ndim == 2 and held.dtype.kind == "f"}
    if wanted is None:
        fitting = {name: held for name, held in fitting.items() if len(held) == len(paths)}
    if len(fitting) != 1:
        names = ", ".join(sorted(fitting) or there) or "none"
        told = f"no array {wanted!r} of vectors" if wanted else f"{len(fitting)} arrays that may be vectors"
        raise DataError(f"{file}: found {told}, expected one (n, D) of numbers; found {names}: name one as FILE:ARRAY")
    name, vectors = next(iter(fitting.items()))
    if paths.ndim != 1 or paths.dtype.kind not in "UiuS" or len(paths) != len(vectors):
        raise DataError(
            f"{file}: found {PATHS!r} of shape {paths.shape} and {name!r} of shape {vectors.shape}, expected a path "
            "for each row"
        )
    texts = [item.decode(errors="surrogateescape") if isinstance(item, bytes) else str(item) for item in paths.tolist()]
    return texts, name, vectors


def _unit(vectors: npt.NDArray, paths: Sequence[str], where: str) -> npt.NDArray[np.float32]:
    made = vectors.astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(np.einsum("nd,nd->n", made, made))
    if len(broken := np.flatnonzero(~np.isfinite(lengths))):
        raise DataError(
            f"{where}: the vector of {paths[broken[0]]!r} holds NaN or infinity (and {len(broken) - 1:,} more); make "
            "it anew"
        )
    if len(wrong := np.flatnonzero(np.abs(lengths - 1) > UNIT)):
        length = lengths[wrong[0]]
        advice = "leave images without a face out" if not length else "normalise the vectors"
        raise DataError(
            f"{where}: the vector of {paths[wrong[0]]!r} has length {length:.3g} (and {len(wrong) - 1:,} more), "
            f"expected 1; {advice}"
        )
    return made / lengths[:, None]
