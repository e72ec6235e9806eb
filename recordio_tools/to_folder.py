"""A face set → a folder of one folder a person, the images as the files that they are.

The way back from `pack`: the names are those of `train.lst` where there is one. That file is data from somewhere,
so its names are checked, all of them, before anything is written: of a path only the last folder and the file's
name are used, and neither may lead anywhere else.
"""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from recordio_tools._made_folder import close_folder, made_folder
from recordio_tools.contents import suffix_of
from recordio_tools.errors import SourceError
from recordio_tools.faces import FaceSet
from recordio_tools.images import IMAGE_SUFFIXES
from recordio_tools.set_writer import MANIFEST
from recordio_tools.whole import refuse_source

_LONGEST_NAME = 255  # bytes of a file's name on every Linux file system
_SAME = {".jpeg": ".jpg"}
_WAY_OUT = "number people and files instead with --numbered"


def to_folder(
    source: str | Path,
    out: str | Path,
    *,
    numbered: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write the images of `source` into `out`, whole or not at all, and return the manifest.

    A person's folder is called as in `train.lst`, and without one by the label; a file as in `train.lst`, and
    without one by the key, numbers with zeros in front. A suffix that the bytes belie is put right: photos packed
    as PNG come out as `.png`, whatever they were; what is neither JPEG nor PNG as `.bin`. No byte of an image
    changes.

    Args:
        source: A set's folder or record file.
        out: The folder; made with its parents.
        numbered: Name by label and key, though there is a `train.lst`.
        force: Replace `out` if this function made it and no name in it has changed.
        progress: Called with (images done, images in all).

    Raises:
        SourceError: The source is missing or has no image, a name may not be used, two people or two images
            would have one name, or `out` may not be replaced.
        DamageError, FaceSetError, IndexMismatchError: The source is broken.
    """
    out = Path(out)
    faces = FaceSet(source)
    if not len(faces):
        raise SourceError(f"{source}: no image in it, expected some to write out")
    refuse_source(out, faces.reader.path, Path(source))
    named = not numbered and faces.paths is not None
    people = _people(faces) if named else _numbers(faces.classes)
    stems = [PurePosixPath(path).name for path in faces.paths or ()] if named else []
    width = len(str(faces.keys.max()))
    others = 0
    with made_folder(out, force=force) as folder:
        for label in np.flatnonzero(faces.counts()).tolist():
            (folder / people[label]).mkdir()
        for position, label in enumerate(faces.labels.tolist()):
            content = faces.encoded(position)
            suffix = suffix_of(content)
            name = _with_suffix(stems[position], suffix) if named else f"{faces.keys[position]:0{width}}{suffix}"
            try:
                with (folder / people[label] / name).open("xb") as file:
                    file.write(content)
            except FileExistsError:
                raise SourceError(f"{source}: two images would be {people[label]}/{name}; {_WAY_OUT}") from None
            others += suffix == ".bin"
            progress(position + 1, len(faces))
        manifest = _manifest(faces, str(source), others)
        close_folder(folder, manifest)
    return manifest


def _people(faces: FaceSet) -> list[str]:
    """The name of each label's folder, after a check of every name in `train.lst`."""
    assert faces.names is not None
    assert faces.paths is not None
    listing = faces.reader.path.with_suffix(".lst")
    for number, path in enumerate(faces.paths, 1):
        fault = _fault_of(path)
        if fault:
            raise SourceError(f"{listing}: line {number:,}: {path[:80]!r} {fault}; {_WAY_OUT}")
    people = [name or number for name, number in zip(faces.names, _numbers(faces.classes), strict=True)]
    owner: dict[str, int] = {MANIFEST: -1}
    for label in np.flatnonzero(faces.counts()).tolist():
        other = owner.setdefault(people[label], label)
        if other < 0:
            raise SourceError(f"{listing}: identity {label} is named {MANIFEST!r}, which is ours; {_WAY_OUT}")
        if other != label:
            raise SourceError(f"{listing}: identities {other} and {label} are both named {people[label]!r}; {_WAY_OUT}")
    return people


def _numbers(classes: int) -> list[str]:
    width = len(str(classes - 1))
    return [f"{label:0{width}}" for label in range(classes)]


def _fault_of(path: str) -> str:
    """What forbids to name a folder and a file after a listed path; empty where nothing does."""
    if "\0" in path:
        return "holds a NUL byte"
    if ".." in path.split("/"):
        return "climbs out of its folder"
    parts = PurePosixPath(path).parts[-2:]
    if not parts or parts[-1] == "/":
        return "names no file"
    if any(part.startswith(".") for part in parts):
        return "names a hidden file or folder"
    if any(len(part.encode(errors="surrogateescape")) > _LONGEST_NAME - len(".jpeg") for part in parts):
        return f"has a name of more than {_LONGEST_NAME - len('.jpeg')} bytes"
    return ""


def _with_suffix(name: str, suffix: str) -> str:
    """`name` with the suffix that its content has, unless its own says the same."""
    stem, dot, own = name.rpartition(".")
    own = f".{own.lower()}"
    if not dot or not stem or own not in IMAGE_SUFFIXES:
        return name + suffix
    return name if _SAME.get(own, own) == suffix else stem + suffix


def _manifest(faces: FaceSet, given: str, others: int) -> dict[str, Any]:
    return {
        "format": "recordio_tools folder of people",
        "version": 1,
        "made_by": "recordio to-folder",
        "source": {"path": given, "fingerprint": faces.fingerprint},
        "images": len(faces),
        "identities": int((faces.counts() > 0).sum()),
        "neither_jpeg_nor_png": others,
    }
