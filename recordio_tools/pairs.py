"""Opens verification packs in every form, and converts those that are pickles.

InsightFace distributes its benchmarks (`lfw.bin`, `cfp_fp.bin`, `agedb_30.bin` …) as a pickle of
(images, flags): 2 P encoded images, of which 2k and 2k + 1 are pair k, and P flags. A pickle can run a program;
here it is read by a machine that cannot (`_pickle_reader`), and written once into a form that needs none
(`pack_folder`).
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from recordio_tools._pickle_names import Array
from recordio_tools._pickle_reader import read_pickle
from recordio_tools.errors import FaceSetError, SourceError
from recordio_tools.pack_folder import new_pack, read_pack, write_pack
from recordio_tools.set_writer import MANIFEST
from recordio_tools.verification import VerificationPack, gather

__all__ = ["VerificationPack", "convert_pack", "open_pack", "source_of"]


def open_pack(path: str | Path) -> VerificationPack:
    """The pack at `path`: a pickle as InsightFace distributes it, or a folder that `convert_pack` made.

    Raises:
        SourceError: It is not there, or a folder without a pack.
        DamageError: A file breaks its format. Nothing that it holds is run.
        FaceSetError: Images, pairs and flags do not fit together.
    """
    path = Path(path)
    if path.is_dir():
        return read_pack(path)
    if not path.is_file():  # a pipe would have us wait for a writer
        what = "is not a file" if path.exists() else "not there"
        raise SourceError(f"{path}: {what}; expected a verification pack: lfw.bin, or a folder made of it")
    match read_pickle(path):
        case (list(entries), list() | Array() as flags):
            same = np.array([_flag(flag, path) for flag in _items(flags)], bool)
            return gather(path, (_image(entry, number, path) for number, entry in enumerate(entries)), same)
    raise FaceSetError(f"{path}: is a pickle, but not of (images, flags); expected a verification pack")


def convert_pack(
    path: str | Path,
    out: str | Path,
    *,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> VerificationPack:
    """Write the pack at `path` to the folder `out`, whole or not at all, and return it.

    Args:
        path: As `open_pack`.
        out: The folder; made with its parents.
        force: Replace `out` if this package wrote a pack there.
        progress: Called with (images written, images in all).

    Raises:
        SourceError: The pack is not there, or `out` may not be replaced.
        DamageError, FaceSetError: As `open_pack`.
    """
    made = open_pack(path)
    source = source_of(made.path)
    with new_pack(Path(out), force=force) as folder:
        write_pack(made, folder, "recordio pairs convert", source, progress)
    return made


def source_of(path: Path) -> dict[str, Any]:
    """What a manifest says about the file, or the pack's folder, at `path`: its name, and SHA-256 of its bytes."""
    place = path / MANIFEST if path.is_dir() else path
    with place.open("rb") as file:
        return {"name": path.resolve().name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _items(flags: list[object] | Array) -> list[Any]:
    return flags if isinstance(flags, list) else flags.numbers()


def _flag(value: object, path: Path) -> bool:
    """A flag: True, 1, or numpy's own."""
    if isinstance(value, Array) and value.shape == ():
        value = value.numbers()[0]
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise FaceSetError(f"{path}: has {_shown(value)} for a flag, expected true or false for each pair; get it again")


def _image(value: object, number: int, path: Path) -> bytes:
    """An encoded image: bytes, or an array of them as OpenCV makes it."""
    if isinstance(value, Array) and value.code == "u1" and value.shape:
        value = value.data
    if isinstance(value, bytes):
        return value
    raise FaceSetError(f"{path}: entry {number:,} is {_shown(value)}, expected an encoded image; get the pack again")


def _shown(value: object) -> str:
    if isinstance(value, Array):
        return f"an array of {value.code}"
    return f"{value:,}" if isinstance(value, int) else f"a {type(value).__name__}"
