"""Vectors of images by key, in a folder that grows while they are made and that a killed process leaves whole.

    facts.json     whose vectors of which images: fingerprints, dimensions
    vectors.f32    a row of D float32 an image; 0 where no face was found
    rows.tsv       a line a row: checksum, how many rows of its batch follow, whether there is a face, the key

Rows are added by batches: vectors first, then their lines, each flushed to the disk. What a kill leaves of a batch is
known by its missing end and is cut off; so who goes on makes the batches, and with them the last bits, of an unbroken
run. One process at a time adds; the others wait, and then find the rows there.
"""

import fcntl
import json
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import DataError
from recordio_tools.whole import flush_folder, write_whole

Vectors = npt.NDArray[np.float32]

FORMAT, VERSION = "facerec features", 1
FACTS, VECTORS, ROWS, LOCK = "facts.json", "vectors.f32", "rows.tsv", "lock"
_ALL = frozenset({FACTS, VECTORS, ROWS, LOCK})
_CHECKED_BYTES = 1 << 24  # of vectors compared with their checksums at once


@dataclass(frozen=True)
class StoreFacts:
    """What a store is of.

    Attributes:
        source: fingerprint of where the images are.
        model: fingerprint of what made the vectors, the detector included.
        dimensions: D.
    """

    source: str
    model: str
    dimensions: int

    @property
    def folder(self) -> str:
        """What its folder is called among others."""
        return f"{self.model[:16]}-{self.source[:16]}"


class FeatureStore:
    """A store whose rows have been compared with their checksums.

    Attributes:
        facts: what it is of.
    """

    def __init__(self, folder: Path, facts: StoreFacts) -> None:
        self._folder, self.facts = folder, facts
        self._keys, self._has_face = _read_rows(folder, facts)
        self._rows = {key: row for row, key in enumerate(self._keys)}

    @classmethod
    @contextmanager
    def open(
        cls, cache: Path, facts: StoreFacts, on_wait: Callable[[Path], None] = lambda folder: None
    ) -> Iterator["FeatureStore"]:
        """The store of these facts in a cache folder, made if it is missing; nobody else has it open meanwhile.

        Args:
            cache: the folder of all stores.
            facts: whose vectors.
            on_wait: called with the store's folder where another process has it open, before it is waited for.

        Raises:
            DataError: the folder is damaged, or holds something else; it is left as it is.
        """
        folder = cache / facts.folder
        folder.mkdir(parents=True, exist_ok=True)
        if foreign := sorted({path.name for path in folder.iterdir() if path.suffix != ".tmp"} - _ALL):
            raise DataError(f"{folder}: holds {foreign[0]!r}, which is no part of features; give another --cache")
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait(folder)
                fcntl.flock(lock, fcntl.LOCK_EX)
            _begin(folder, facts)
            _cut_torn(folder, facts)
            yield cls(folder, facts)
        finally:
            os.close(lock)

    def __len__(self) -> int:
        return len(self._keys)

    def missing(self, keys: Sequence[str]) -> list[str]:
        """Those of the keys that have no row yet, in order, each once."""
        return [key for key in dict.fromkeys(keys) if key not in self._rows]

    def add(self, keys: Sequence[str], vectors: Vectors, has_face: npt.NDArray[np.bool_]) -> None:
        """Add a batch: keys without tab or line break that have no row yet, and rows (B, D); 0 without a face."""
        assert vectors.shape == (len(keys), self.facts.dimensions) and vectors.dtype == np.float32
        assert not any(key in self._rows for key in keys) and not vectors[~has_face].any()
        with (self._folder / VECTORS).open("ab") as file:
            file.write(np.ascontiguousarray(vectors).tobytes())
            file.flush()
            os.fsync(file.fileno())
        lines = [
            _line(key, len(keys) - 1 - place, bool(face), vector.tobytes())
            for place, (key, face, vector) in enumerate(zip(keys, has_face.tolist(), vectors, strict=True))
        ]
        with (self._folder / ROWS).open("ab") as file:
            file.write(b"".join(lines))
            file.flush()
            os.fsync(file.fileno())
        self._rows |= {key: len(self._keys) + place for place, key in enumerate(keys)}
        self._keys += keys
        self._has_face += has_face.tolist()

    def find(self, keys: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """The rows (n,) of keys that all have one, and whether each has a face."""
        rows = np.array([self._rows[key] for key in keys], np.int64)
        return rows, np.array(self._has_face, bool)[rows]

    def vectors(self) -> Vectors:
        """(rows, D), mapped from the file."""
        if not self._keys:
            return np.empty((0, self.facts.dimensions), np.float32)
        return np.memmap(self._folder / VECTORS, np.float32, "r", shape=(len(self._keys), self.facts.dimensions))


def _begin(folder: Path, facts: StoreFacts) -> None:
    """Write the facts of a new store, or compare those of an old one."""
    place = folder / FACTS
    if not place.exists():
        if (folder / ROWS).exists() or (folder / VECTORS).exists():
            raise DataError(f"{folder}: holds features but no {FACTS}, which says whose; remove the folder")
        write_whole(place, json.dumps({"format": FORMAT, "version": VERSION, **asdict(facts)}, indent=1).encode())
        flush_folder(folder.parent)
    try:
        held = json.loads(place.read_bytes())
        found = StoreFacts(**{name: held[name] for name in asdict(facts)})
        kind = held["format"], held["version"]
    except (ValueError, TypeError, LookupError):
        raise DataError(f"{place}: is damaged; remove the folder, and its images are embedded anew") from None
    if kind != (FORMAT, VERSION):
        raise DataError(f"{place}: found {kind[0]!r}, version {kind[1]!r}, expected {FORMAT!r}, {VERSION}; remove it")
    if found != facts:
        raise DataError(
            f"{place}: holds vectors of model {found.model[:12]} of source {found.source[:12]} in {found.dimensions} "
            f"dimensions, expected {facts.model[:12]}, {facts.source[:12]} and {facts.dimensions}; two models' vectors "
            "are never mixed: give another --cache"
        )


def _cut_torn(folder: Path, facts: StoreFacts) -> None:
    """Cut off what a kill left of a batch."""
    rows, vectors = folder / ROWS, folder / VECTORS
    text = rows.read_bytes() if rows.exists() else b""
    end = text.rfind(b"\n") + 1
    while end:  # back over the lines of a batch without an end
        start = text.rfind(b"\n", 0, end - 1) + 1
        if text[start:end].split(b"\t", 2)[1:2] == [b"0"] or text[start:end].count(b"\t") != 3:
            break  # a line that is no line is damage, and is told of when rows are read
        end = start
    held = vectors.stat().st_size if vectors.exists() else 0
    wanted = text.count(b"\n", 0, end) * 4 * facts.dimensions
    if held < wanted:
        raise DataError(
            f"{vectors}: has {held:,} bytes, but its rows are {wanted:,}; it was cut short: remove {folder}, and its "
            "images are embedded anew"
        )
    for path, now, right in ((rows, len(text), end), (vectors, held, wanted)):
        if now > right:
            with path.open("r+b") as file:
                file.truncate(right)
                os.fsync(file.fileno())


def _read_rows(folder: Path, facts: StoreFacts) -> tuple[list[str], list[bool]]:
    """All keys and whether they have a face, once each vector has the checksum of its line."""
    rows, width = folder / ROWS, 4 * facts.dimensions
    keys: list[str] = []
    has_face: list[bool] = []
    if not rows.exists():
        return keys, has_face
    per_read = max(1, _CHECKED_BYTES // width)
    with rows.open("rb") as lines, (folder / VECTORS).open("rb") as vectors:
        block = b""
        for number, line in enumerate(lines):
            at = number % per_read
            if not at:
                block = vectors.read(per_read * width)
            parts = line[:-1].split(b"\t", 3)
            if len(parts) != 4 or _line_of(parts, block[at * width : (at + 1) * width]) != line:
                raise DataError(
                    f"{rows}: line {number + 1:,} does not fit its vector; one of them is damaged: remove {folder}, "
                    "and its images are embedded anew"
                )
            keys.append(parts[3].decode(errors="surrogateescape"))
            has_face.append(parts[2] == b"1")
    if len(set(keys)) < len(keys):
        raise DataError(f"{rows}: has a key twice; remove {folder}, and its images are embedded anew")
    return keys, has_face


def _line(key: str, left: int, face: bool, vector: bytes) -> bytes:
    return _line_of([b"", str(left).encode(), b"1" if face else b"0", key.encode(errors="surrogateescape")], vector)


def _line_of(parts: Sequence[bytes], vector: bytes) -> bytes:
    rest = b"\t".join(parts[1:])
    return b"%08x\t%s\n" % (zlib.crc32(vector, zlib.crc32(rest)), rest)
