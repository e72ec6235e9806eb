"""A face set's images in a random order, for readers that go through a file from front to back (NVIDIA DALI).

As InsightFace's `shuffle_rec.py` makes them: images alone, under keys 0..N-1, each with its class as the one
label, no header record and no identity records, which such readers would take for images. Three things differ,
so that the same seed gives the same bytes and the set stands on its own: `property` has no date in a fourth line,
a record's id is its new key (there it is the old one), and `train.lst` comes along.

A file of 28 GB is not read record by record in random order. Two passes, both from front to back: the images go
into a few bucket files beside the output, each with a random part of them; then each bucket is put in order in
memory and appended to the set. That is twice the set's bytes read and twice written, room on the disk for twice
the set while it lasts, and memory for one bucket: 256 MB, or 1/200 of the set where that is more.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from recordio_tools import framing
from recordio_tools._open_lists import list_lines
from recordio_tools.build import size_of
from recordio_tools.errors import LimitError, PlanError, SourceError
from recordio_tools.faces import FaceSet
from recordio_tools.header import HEADER
from recordio_tools.index import Int64s
from recordio_tools.set_writer import new_set, write_manifest
from recordio_tools.whole import refuse_source
from recordio_tools.writer import Writer

BUCKET = 1 << 28
_MOST_BUCKETS = 200  # all of them are open at once
_WRITTEN_AT_ONCE = 1 << 18
_IMAGES_AT_ONCE = 1000


def shuffle_set(
    source: str | Path,
    out: str | Path,
    seed: int,
    *,
    drop_labels: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Make the set `out` of the images of `source` in random order, whole or not at all; return its manifest.

    Nothing is decoded. The same source and seed give the same bytes. Where the source has no `train.lst`, an
    image's line there is `label/source key`.

    Args:
        source: A set's folder or record file.
        out: The set's folder; made with its parents.
        seed: Of the order.
        drop_labels: Allow images with more labels than class and face2rec2's "aligned" (0 or 1); of all labels
            only the class goes into the new set.
        force: Replace `out` if this package wrote it.
        progress: Called with (images moved, moves in all); every image is moved twice.

    Raises:
        PlanError: The seed is negative.
        LimitError: An image has further labels, which a shuffled set cannot hold.
        SourceError: The source is missing or has no image, or `out` may not be replaced.
        DamageError, FaceSetError, IndexMismatchError: The source is broken.
    """
    out = Path(out)
    if seed < 0:
        raise PlanError(f"seed {seed} was given, expected 0 or more")
    faces = FaceSet(source)
    if not len(faces):
        raise SourceError(f"{source}: no image in it, expected some to shuffle")
    refuse_source(out, faces.reader.path, Path(source))
    height, width = size_of(faces)
    order = np.random.default_rng(seed).permutation(len(faces))
    with new_set(out, force=force) as folder:
        buckets = _Buckets(folder, faces, order)
        buckets.fill(drop_labels, progress)
        with Writer(folder / "train.rec") as writer, (folder / "train.lst").open("wb") as listing:
            key = 0
            for positions, data, offsets in buckets.in_order(progress):
                writer.write_framed(range(key, key + len(positions)), data, offsets)
                key += len(positions)
                listing.write(list_lines(faces, positions, faces.labels[positions].tolist()))
        (folder / "property").write_text(f"{faces.classes},{height},{width}\n{len(faces)}\nshuffled\n")
        manifest = _manifest(faces, str(source), seed, FaceSet(folder))
        write_manifest(folder, manifest)
    return manifest


class _Buckets:
    """Files that each take the images of a stretch of the new order, in the order in which they are read.

    Args:
        folder: Where to put them; all are gone when the last image of `in_order` was taken.
        faces: The source.
        order: The position in `faces` of each image of the new set.
    """

    def __init__(self, folder: Path, faces: FaceSet, order: Int64s) -> None:
        self._faces, self._order = faces, order
        wanted = -(-len(faces.reader.buffer) // BUCKET)
        count = max(1, min(wanted, _MOST_BUCKETS, len(faces)))
        self._paths = [folder / f"bucket-{number}" for number in range(count)]
        self._ends = [len(faces) * (number + 1) // count for number in range(count)]
        self._starts = np.zeros(len(faces), np.int64)  # where each image lies in its bucket
        self._lengths = np.zeros(len(faces), np.int32)

    def fill(self, drop_labels: bool, progress: Callable[[int, int], None]) -> None:
        """Read the source from front to back, and put each image's new record into its bucket."""
        keys = np.empty(len(self._order), np.int64)
        keys[self._order] = np.arange(len(self._order))
        buckets = np.searchsorted(np.array(self._ends), keys, "right")
        key_of, bucket_of, starts, lengths = keys.data, buckets.data, self._starts.data, self._lengths.data
        files: list[BinaryIO] = []
        try:
            files.extend(path.open("xb", buffering=_WRITTEN_AT_ONCE) for path in self._paths)
            filled = [0] * len(files)
            for done, position in enumerate(np.argsort(self._faces.offsets(), kind="stable").tolist(), 1):
                chunks = framing.encode(_record(self._faces, position, key_of[position], drop_labels))
                bucket, length = bucket_of[position], sum(map(len, chunks))
                files[bucket].writelines(chunks)
                starts[position], lengths[position] = filled[bucket], length
                filled[bucket] += length
                progress(done, 2 * len(keys))
        finally:
            for file in files:
                file.close()

    def in_order(self, progress: Callable[[int, int], None]) -> Iterator[tuple[Int64s, memoryview, Int64s]]:
        """(positions, their records, where each starts in those) of a few images at a time, in the new order."""
        start = 0
        for path, end in zip(self._paths, self._ends, strict=True):
            data = memoryview(path.read_bytes())
            path.unlink()
            for first in range(start, end, _IMAGES_AT_ONCE):
                positions = self._order[first : min(end, first + _IMAGES_AT_ONCE)]
                lengths = self._lengths[positions].astype(np.int64)
                places = zip(self._starts[positions].tolist(), lengths.tolist(), strict=True)
                records = b"".join([data[at : at + length] for at, length in places])
                yield positions, memoryview(records), np.cumsum(lengths) - lengths
                progress(len(self._order) + first + len(positions), 2 * len(self._order))
            start = end


def _record(faces: FaceSet, position: int, key: int, drop_labels: bool) -> bytes:
    header, image = faces.record(position)
    if header.flag > 1 and not drop_labels:
        further = np.ravel(header.label)[1:].tolist()
        if len(further) > 1 or further[0] not in (0, 1):
            raise LimitError(
                f"{faces.reader.path}: key {faces.keys[position]}: found {header.flag:,} labels, but a shuffled set "
                "holds the class alone; leave the others out with --drop-labels"
            )
    return HEADER.pack(0, float(faces.labels[position]), key, 0) + image


def _manifest(faces: FaceSet, given: str, seed: int, made: FaceSet) -> dict[str, Any]:
    identities = int((faces.counts() > 0).sum())
    return {
        "format": "recordio_tools face set",
        "version": 1,
        "made_by": "recordio shuffle",
        "seed": seed,
        "source": {
            "path": given,
            "fingerprint": faces.fingerprint,
            "images": len(faces),
            "identities": identities,
        },
        "output": {"fingerprint": made.fingerprint, "images": len(made), "identities": identities},
    }
