"""A view: a face set of a few MB that is an index over the records of another set, which are not copied.

A view's folder has `view.npz` instead of `train.rec`, and its manifest says under `view` where the records are:

    records      the record file, relative to the view's folder
    bytes        its size
    index        SHA-256 of its index: all keys, then all offsets, as little-endian int64
    fingerprint  of the set that it belongs to
    sha256       of view.npz

`view.npz` holds two arrays, uint32 or int64: `keys`, the key in the record file of each image, and `counts`, the
number of images of each class; the images of class 0 come first, then those of class 1. The arrays are stored as
they are, with no compression and no time of day, so that the same view has the same bytes everywhere.
"""

import hashlib
import io
import json
import os
import struct
import tokenize
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recordio_tools.errors import FaceSetError, SourceError
from recordio_tools.header import FLOAT32_EXACT
from recordio_tools.index import Int64s
from recordio_tools.reader import Reader
from recordio_tools.set_writer import MANIFEST, VIEW

_ARRAYS = ("keys", "counts")
_DTYPES = ("<u4", "<i8")
_BROKEN = (ValueError, KeyError, EOFError, SyntaxError, struct.error, RuntimeError, zipfile.BadZipFile)
"""All that zipfile and numpy raise on bytes that are no archive, or no array."""


@dataclass(frozen=True, slots=True)
class Records:
    """The record file that a view looks into, as it was when the view was made.

    Attributes:
        path: Where it is.
        size: In bytes.
        index: Digest of its index, see the module.
        fingerprint: Of the face set that it belongs to.
    """

    path: Path
    size: int
    index: str
    fingerprint: str

    @classmethod
    def of(cls, reader: Reader, fingerprint: str) -> "Records":
        """Those of `reader`."""
        return cls(reader.path, len(reader.buffer), _index_digest(reader), fingerprint)

    def check(self, reader: Reader, view: Path) -> None:
        """Compare with what is there now, by size and index; the records themselves are not read.

        Raises:
            FaceSetError: The file has changed since the view was made.
        """
        size = len(reader.buffer)
        if size != self.size:
            found = f"{self.path} has {size:,} bytes, expected the {self.size:,} of when the view was made"
        elif _index_digest(reader) != self.index:
            found = f"{reader.index.path} is not the index of when the view was made"
        else:
            return
        raise FaceSetError(f"{view}: {found}; put the old set back, or make the view anew with: recordio build-lt")


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a view's folder says.

    Attributes:
        keys: The key of each image in the record file, class after class.
        counts: Number of images of each class, 1 or more.
        records: Where they are.
    """

    keys: Int64s
    counts: Int64s
    records: Records

    @property
    def labels(self) -> Int64s:
        """The class of each image."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the fingerprint of the records' set, the keys and the counts."""
        digest = hashlib.sha256(f"recordio_tools: a view of {self.records.fingerprint}\n".encode())
        for array in (self.keys, self.counts):
            digest.update(b"%d\n" % len(array))
            digest.update(array.astype("<i8").data)
        return digest.hexdigest()

    def write(self, folder: Path, out: Path) -> dict[str, Any]:
        """Write `view.npz` into `folder`, which shall become `out`; the manifest's entry `view`."""
        data = _to_npz(self.keys, self.counts)
        (folder / VIEW).write_bytes(data)
        return {
            "records": path_from(out, self.records.path),
            "bytes": self.records.size,
            "index": self.records.index,
            "fingerprint": self.records.fingerprint,
            "sha256": hashlib.sha256(data).hexdigest(),
        }


def is_view(folder: Path) -> bool:
    """Whether `folder` holds a view and no records of its own."""
    return (folder / VIEW).is_file() and not (folder / "train.rec").exists()


def view_folder(path: Path) -> Path | None:
    """The folder of the view that `path` names, by its folder or its file; None where it names none."""
    folder = path.parent if path.name == VIEW else path
    return folder if is_view(folder) else None


def read_view(folder: Path) -> View:
    """The view in `folder`; nothing in its files is run, and no more memory is taken than they have bytes.

    Raises:
        FaceSetError: `view.npz` or the manifest's entry is damaged, or they are not of one view.
        SourceError: The manifest or the record file is not there.
    """
    path = folder / VIEW
    data = path.read_bytes()
    entry = read_entry(folder)
    entry.check(data, path)
    entry.check_there()
    return View(*read_arrays(data, path), entry.records)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the manifest says of a view: its entry `view`.

    Attributes:
        manifest: The file.
        given: Where the records are, as it is written.
        records: They.
        sha256: Of `view.npz`.
    """

    manifest: Path
    given: str
    records: Records
    sha256: str

    def check(self, data: bytes, path: Path) -> None:
        """Raise FaceSetError where `data`, read from `path`, is not what this speaks of."""
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise FaceSetError(f"{path}: is not the file that {self.manifest} describes; make the view anew")

    def check_there(self) -> None:
        """Raise SourceError where the record file is not there."""
        if not self.records.path.is_file():
            raise SourceError(
                f"{self.manifest}: looks into {self.given}, which is not there; put it back, or write its new place "
                "there under view, records"
            )


def read_entry(folder: Path) -> Entry:
    """The manifest's entry for the view in `folder`.

    Raises:
        FaceSetError: The manifest has no such entry, or one that does not say what it should.
        SourceError: The manifest is not there.
    """
    path, manifest = folder / VIEW, folder / MANIFEST
    try:
        entry = json.loads(manifest.read_text(encoding="utf-8"))["view"]
        texts = [entry[name] for name in ("records", "index", "fingerprint", "sha256")]
        if not all(isinstance(text, str) for text in texts) or type(entry["bytes"]) is not int or "\0" in texts[0]:
            raise ValueError
        if Path(texts[0]).name == VIEW:  # a view of a view looks into the records; of itself, for ever
            raise ValueError
        records = Records(_plain(folder / texts[0]), entry["bytes"], texts[1], texts[2])
    except FileNotFoundError:
        raise SourceError(f"{manifest}: not there, expected the manifest of {path}; make the view anew") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FaceSetError(f"{manifest}: does not say what {path} looks into; make the view anew") from None
    return Entry(manifest, texts[0], records, texts[3])


def read_arrays(data: bytes, path: Path) -> tuple[Int64s, Int64s]:
    """The keys and the counts in `data`, read from `path`.

    Raises:
        FaceSetError: They are not there, or cannot be those of a view.
    """
    try:
        keys, counts = _from_npz(data)
    except _BROKEN:
        raise FaceSetError(
            f"{path}: is damaged, expected the arrays keys and counts as numbers; make the view anew"
        ) from None
    if len(np.unique(keys)) < len(keys) or keys.min(initial=0) < 0:
        raise FaceSetError(f"{path}: a key is negative or stands twice, expected each image once; make the view anew")
    if len(counts) > FLOAT32_EXACT or counts.min(initial=1) < 1 or counts.max(initial=1) > len(keys):
        raise FaceSetError(f"{path}: a class has no image or too many; make the view anew")
    if int(counts.sum()) != len(keys):
        raise FaceSetError(f"{path}: holds {len(keys):,} keys but counts {int(counts.sum()):,}; make the view anew")
    return keys, counts


def path_from(folder: Path, target: Path) -> str:
    """The way from `folder`, which may not exist yet, to `target`: the same from every working directory.

    Links on the way to `target` stay, so that it can be moved behind them; those to `folder` do not, since the
    system leaves a folder by its real parent.
    """
    start = folder.parent.resolve() / folder.name
    return Path(os.path.relpath(_plain(Path.cwd() / target), start)).as_posix()


def _plain(path: Path) -> Path:
    """`path` without its `..`, where that is the same place: behind a link it need not be."""
    plain = Path(os.path.normpath(path))
    return plain if not path.exists() or (plain.exists() and plain.samefile(path)) else path.resolve()


def _index_digest(reader: Reader) -> str:
    digest = hashlib.sha256(reader.index.keys.astype("<i8").data)
    digest.update(reader.index.offsets.astype("<i8").data)
    return digest.hexdigest()


def _to_npz(*arrays: Int64s) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in zip(_ARRAYS, arrays, strict=True):
            dtype = _DTYPES[int(array.max(initial=0) >= 1 << 32)]
            stored = io.BytesIO()
            np.lib.format.write_array(stored, array.astype(dtype), version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), stored.getvalue())  # dated 1980, whenever it is written
    return file.getvalue()


def _from_npz(data: bytes) -> list[Int64s]:
    """The arrays; any of `_BROKEN` where `data` is not what `_to_npz` gives."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        if [entry.filename for entry in entries] != [f"{name}.npy" for name in _ARRAYS]:
            raise ValueError
        if any(entry.compress_type != zipfile.ZIP_STORED or entry.file_size > len(data) for entry in entries):
            raise ValueError  # a few bytes could swell to gigabytes
        return [_array(archive.read(entry)) for entry in entries]


def _array(stored: bytes) -> Int64s:
    file = io.BytesIO(stored)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError
    try:
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    except tokenize.TokenError:
        raise ValueError from None
    if len(shape) != 1 or dtype.str not in _DTYPES or file.tell() + shape[0] * dtype.itemsize != len(stored):
        raise ValueError  # before anything is made of the size that the header claims
    return np.frombuffer(stored, dtype, offset=file.tell()).astype(np.int64)
