"""How far a packer has come, so that the next one goes on there: a small file beside the unfinished records.

It is written after the records it speaks of are on the disk, and in one go. It says which photos they were (a
hash of their names, classes, sizes and times of change, and of the options), so what comes after them may change
between two runs: a broken photo is mended, a person is added at the end. And it holds a checksum of the images,
so that records are only taken over if they are what was written.
"""

import hashlib
import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from recordio_tools import framing
from recordio_tools._mapped import map_file
from recordio_tools.errors import DamageError
from recordio_tools.header import unpack
from recordio_tools.index import Int64s
from recordio_tools.photos import Photos
from recordio_tools.whole import write_whole

NAME = "checkpoint.json"
UNFINISHED = "train.rec.unfinished"
_VERSION = 1


@dataclass
class Checkpoint:
    """What is done.

    Attributes:
        photos: Number of photos done, from the first on.
        left_out: Places of those among them that could not be read.
        bytes: Length of their records.
        checksum: CRC-32 of the images, one after another.
        of: SHA-256 of what they were and how they were encoded.
    """

    photos: int
    left_out: list[int]
    bytes: int
    checksum: int
    of: str

    def save(self, folder: Path) -> None:
        """Put it into `folder`, in place of an older one."""
        write_whole(folder / NAME, json.dumps(asdict(self)).encode())

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """The one in `folder`; None where there is none, or not a sound one."""
        try:
            said: dict[str, Any] = json.loads((folder / NAME).read_bytes())
            return cls(**said)
        except (FileNotFoundError, ValueError, TypeError):
            return None


class Progress:
    """Counts and hashes photos as they are done."""

    def __init__(self, photos: Photos, options: str) -> None:
        self._photos = photos
        self._hash = hashlib.sha256(f"{_VERSION} {options}\n".encode())
        self.done = 0
        self.left_out: list[int] = []
        self.checksum = 0

    def step(self, image: bytes | memoryview | None) -> None:
        """The next photo is done; None if it was left out."""
        if image is None:
            self.left_out.append(self.done)
        else:
            self.checksum = zlib.crc32(image, self.checksum)
        self._pass(1)

    def checkpoint(self, length: int) -> Checkpoint:
        """What to write down when the records so far have `length` bytes."""
        return Checkpoint(self.done, self.left_out, length, self.checksum, self._hash.hexdigest())

    def places(self) -> Int64s:
        """The photos that are done and not left out."""
        return np.delete(np.arange(self.done), self.left_out)

    def go_on(self, folder: Path, *, may_leave_out: bool) -> Int64s | None:
        """Go to the checkpoint in `folder`; None where there is none that fits these photos and options.

        After None this object is of no more use.

        Returns:
            Where each image's record starts in the unfinished file, and then where the last one ends.
        """
        found = Checkpoint.load(folder)
        rec = folder / UNFINISHED
        if not rec.exists() and (folder / "train.rec").exists():
            (folder / "train.rec").rename(rec)  # killed after the records were whole
        if found is None or not rec.exists() or not 0 < found.photos <= len(self._photos):
            return None
        self._pass(found.photos)
        if self._hash.hexdigest() != found.of or (found.left_out and not may_leave_out):
            return None
        self.left_out = found.left_out
        offsets = self._walk(map_file(rec), self._photos.labels[self.places()])
        return offsets if self.checkpoint(int(offsets[-1])) == found else None

    def _pass(self, count: int) -> None:
        sources, labels, stamps = self._photos.sources, self._photos.labels, self._photos.stamps
        for place in range(self.done, self.done + count):
            line = f"{labels[place]}\t{sources[place]}\t{stamps[place, 0]}\t{stamps[place, 1]}\n"
            self._hash.update(line.encode(errors="surrogateescape"))
        self.done += count

    def _walk(self, records: memoryview, labels: Int64s) -> Int64s:
        """Offsets of the records of images with these labels, as far as they are what `SetWriter.add` writes."""
        offsets = np.zeros(len(labels) + 1, np.int64)
        for place, label in enumerate(labels.tolist()):
            try:
                record, end = framing.decode(records, int(offsets[place]))
                header, image = unpack(memoryview(record))
            except DamageError:
                break
            if header != (2, [label, 1.0], place + 1, 0):
                break
            self.checksum = zlib.crc32(image, self.checksum)
            offsets[place + 1] = end
        return offsets
