"""The face-set convention: which records of a file are images, whose they are, and how many people there are.

A set is a folder with `train.rec`, `train.idx`, `property` ("classes,height,width") and perhaps `train.lst`.
Its writers left three layouts (InsightFace's repository):

    face2rec2   images under keys 1..N, labels [class, aligned]; a header record under key 0 that holds
                [N+1, N+1+K); K identity records that each hold the range of keys of one person's images
    RecBuilder  the same, but an image's label is one number
    plain       images only, under any keys (SeqRecBuilder, shuffled sets)

An image with two labels under key 0 looks like a header record to InsightFace's own loader. Here key 0 is a
header only if it has two labels, no image bytes, 2 <= label[0] < label[1], and the record it points to is an
identity.

A folder with `view.npz` and no `train.rec` is a set too: a view, whose images are some of another set's, see
`view`. Its keys are those that the images have there, and `record` shows the headers that they have there; its
labels, names and paths are its own.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recordio_tools import images
from recordio_tools._fingerprint import fingerprint_of
from recordio_tools._listed import ListedPaths
from recordio_tools._tables import labels_of_ranges, read_property, read_ranges, whole_labels
from recordio_tools._words import positions
from recordio_tools.errors import DamageError, FaceSetError, SourceError
from recordio_tools.header import Header, unpack
from recordio_tools.index import Index, Int64s
from recordio_tools.reader import Access, Reader
from recordio_tools.set_writer import MANIFEST, VIEW
from recordio_tools.view import View, is_view, read_view, view_folder


class FaceSet:
    """The images of a face set, by position 0 … len - 1 in the order of their keys' appearance in the set.

    >>> faces = FaceSet("ms1m")
    >>> pixels, label = faces.image(0), faces.labels[0]

    Safe to share with worker processes and threads, as its Reader is.

    Args:
        path: The folder, a record file, or a view's `view.npz`.
        access: How records are read, see `Reader`: "mapped", or "positioned" for random images of a cold file. Opening
            a set reads its tables from the mapped file either way.
        cache: Keep the parsed index beside its text for the next time, see `Index.load`.

    Attributes:
        path: The folder, or the record file that was given.
        reader: The record file.
        keys: The key of each image.
        labels: The class of each image, whole numbers from 0.
        ranges: [start, end) of the image keys of each identity record, in their order; None in a plain set and
            in a view.
        notes: What the file cannot say exactly and how it was found, a sentence each; see `_tables.read_ranges`.
        view: What the set looks into; None for a set with records of its own.
        classes: Number of classes: what `property` says, else the highest label + 1.
        size: (height, width) as `property` says, else None.

    Raises:
        SourceError: The folder or a file of it is missing.
        RecordIOError: There is no such `access`.
        FaceSetError: The set's own tables contradict each other.
        DamageError, IndexMismatchError: As Reader.
    """

    def __init__(self, path: str | Path, *, access: Access = "mapped", cache: bool = False) -> None:
        self.path = Path(path).parent if Path(path).name == VIEW else Path(path)
        self._cache = cache
        self.notes: tuple[str, ...] = ()
        self.view = read_view(self.path) if is_view(self.path) else None
        if self.view is not None:
            self.reader = self._look_through(self.view, access)
            self.property = read_property(self.path / "property")
            self.ranges, self.keys, self.labels = None, self.view.keys, self.view.labels
        else:
            self.reader = Reader(record_file(self.path), access=access, cache=cache)
            self.property = read_property(self.reader.path.with_name("property"))
            ranges = read_ranges(self.reader)
            self.ranges, self.notes = (None, ()) if ranges is None else ranges
            if self.ranges is None:
                self.keys = self.reader.keys
                self.labels = whole_labels(self.reader, self.keys)
            else:
                self.keys = np.arange(1, self.ranges[-1, 1])
                self.labels = labels_of_ranges(self.reader, self.ranges)
        self._positions = positions(self.reader, self.keys)
        self.classes, self.size = self._check_property()

    def __len__(self) -> int:
        return len(self.keys)

    def offsets(self) -> Int64s:
        """Byte offset of each image's record in the record file."""
        return self.reader.index.offsets[self._positions]

    def find(self, keys: Int64s) -> Int64s:
        """The position of each key's image; -1 where the set has no image of that key."""
        if self.ranges is None:
            return self.reader.index.positions(keys)
        return np.where((keys >= 1) & (keys <= len(self)), keys - 1, -1)

    @property
    def layout(self) -> str:
        """Which of the three layouts it is: face2rec2, RecBuilder or plain; or view."""
        if self.view is not None:
            return "view"
        if self.ranges is None:
            return "plain"
        return "face2rec2" if self.record(0)[0].flag else "RecBuilder"

    def record(self, position: int) -> tuple[Header, memoryview]:
        """The header and the encoded image at `position`, the image as a view of the file.

        Raises:
            DamageError: The record breaks the format.
        """
        place = int(self._positions[position])
        view = self.reader.view_at(place)
        try:
            return unpack(view)
        except DamageError as error:
            raise self.reader.damage(error, place) from None

    def encoded(self, position: int) -> memoryview:
        """The image at `position` as it is stored, JPEG or PNG or another format."""
        return self.record(position)[1]

    def image(self, position: int) -> NDArray[np.uint8]:
        """The image at `position`, decoded: (height, width, 3) uint8 RGB.

        Raises:
            SourceError: The bytes are not an image, or OpenCV cannot be loaded.
        """
        return images.decode_rgb(self.encoded(position), f"{self.reader.path}: key {self.keys[position]}")

    @cached_property
    def fingerprint(self) -> str:
        """What this set is known by, 64 hexadecimal digits.

        Up to 64 MiB it is the SHA-256 of the record file. A larger set is known by its size, the key, place and
        label of every image and a sixteenth of its bytes, see `_fingerprint`. A view is known by the fingerprint
        of its records' set, its keys and its labels.

        Raises:
            FaceSetError: The records of a view are no longer those that it was made for.
        """
        if self.view is not None:
            records = self.view.records
            if FaceSet(records.path, cache=self._cache).fingerprint != records.fingerprint:
                raise FaceSetError(
                    f"{self.path}: {records.path} is not the file of when the view was made; put the old one "
                    "back, or make the view anew with: recordio build-lt"
                )
            return self.view.fingerprint
        return fingerprint_of(self.reader.buffer, self.keys, self.offsets(), self.labels)

    @property
    def paths(self) -> ListedPaths | None:
        """Where each image came from, as the packer wrote it; None where there is no `train.lst`."""
        return self._listed[1] if self._listed else None

    @property
    def names(self) -> list[str] | None:
        """The name of each class, empty for a class without images; None where there is no `train.lst`."""
        return self._listed[0] if self._listed else None

    def counts(self) -> Int64s:
        """Number of images of each class."""
        return np.bincount(self.labels, minlength=self.classes)

    def summary(self) -> dict[str, Any]:
        """What the set holds, ready for JSON."""
        counts = self.counts()
        present = counts[counts > 0]
        each = np.quantile(present, (0, 0.5, 1)) if len(present) else np.zeros(3)
        return {
            "path": str(self.reader.path if self.view is None else self.path),
            **({} if self.view is None else {"looks_into": str(self.reader.path)}),
            "layout": self.layout if len(self) else "plain",
            "images": len(self),
            "classes": self.classes,
            "classes_with_images": len(present),
            "size": None if self.size is None else list(self.size),
            "images_per_identity": {
                "min": int(each[0]),
                "median": float(each[1]),
                "max": int(each[2]),
            },
            "records": len(self.reader),
            "bytes": len(self.reader.buffer) if self.view is None else (self.path / VIEW).stat().st_size,
            "notes": list(self.notes),
        }

    @cached_property
    def _listed(self) -> tuple[list[str], ListedPaths] | None:
        """(names, paths) from the listing, once it is known to be this set's."""
        if self.view is not None:
            return self._listed_through(self.view)
        path = self.reader.path.with_suffix(".lst")
        if not path.exists():
            return None
        listing = ListedPaths(path)
        if len(listing) != len(self):
            raise FaceSetError(
                f"{path}: lists {len(listing):,} images but {self.reader.path} has {len(self):,}; "
                "remove it if it belongs to another set"
            )
        apart = np.flatnonzero(listing.labels != self.labels)
        if len(apart):
            line = int(apart[0])
            raise FaceSetError(
                f"{path}: line {line + 1:,} gives label {listing.labels[line]} but the image has "
                f"{self.labels[line]}; remove it if it belongs to another set"
            )
        return listing.names(self.classes), listing

    def _look_through(self, view: View, access: Access) -> Reader:
        """A reader of the images of `view` alone, once its records are known to be those it was made for."""
        source = FaceSet(view.records.path, cache=self._cache)
        view.records.check(source.reader, self.path)
        places = source.find(view.keys)
        missing = np.flatnonzero(places < 0)
        if len(missing):
            raise FaceSetError(
                f"{self.path}: {source.reader.path} has no image of key {view.keys[missing[0]]}; "
                "make the view anew with: recordio build-lt"
            )
        ends = source.reader.index.ends(view.records.size)[source._positions][places]
        index = Index(view.keys, source.offsets()[places], self.path / VIEW, ends)
        return Reader(view.records.path, index, access=access)

    def _listed_through(self, view: View) -> tuple[list[str], ListedPaths] | None:
        """(names, paths) as the listing beside the records has them."""
        source = FaceSet(view.records.path, cache=self._cache)
        if source._listed is None:
            return None
        names, paths = source._listed
        places = source.find(view.keys)
        firsts = places[np.cumsum(view.counts) - view.counts]
        return [names[label] for label in source.labels[firsts].tolist()], paths.take(places)

    def _check_property(self) -> tuple[int, tuple[int, int] | None]:
        """(classes, size), after comparing `property` with what the records say."""
        highest = int(self.labels.max(initial=-1))
        if self.property is None:
            return highest + 1, None
        claimed = self.property
        if highest >= claimed.classes:
            raise FaceSetError(
                f"{claimed.path}: says {claimed.classes:,} classes but label {highest:,} occurs in {self.reader.path}"
            )
        if self.view is not None and claimed.classes != len(self.view.counts):
            raise FaceSetError(
                f"{claimed.path}: says {claimed.classes:,} classes but the view beside it has "
                f"{len(self.view.counts):,}; make the view anew with: recordio build-lt"
            )
        if claimed.images is not None and claimed.images != len(self):
            raise FaceSetError(
                f"{claimed.path}: says {claimed.images:,} images but {self.reader.path} has {len(self):,}"
            )
        return claimed.classes, (claimed.height, claimed.width)


def open_records(path: Path) -> Reader:
    """The records of a set's folder or of any record file; of a view, named by its folder or file, its images' alone.

    Raises:
        SourceError: It is not there.
        FaceSetError, DamageError, IndexMismatchError: It is broken; as Reader, and of a view as FaceSet.
    """
    return Reader(record_file(path)) if view_folder(path) is None else FaceSet(path).reader


def record_file(path: Path) -> Path:
    """The record file of a set: `train.rec` in a folder, or `path` itself.

    Raises:
        SourceError: It is not there.
    """
    if path.is_dir():
        rec = path / "train.rec"
        if not rec.exists() and is_view(path):
            raise SourceError(f"{path}: is a view, its records lie in the set that its {MANIFEST} names; give that one")
        if not rec.exists():
            raise SourceError(f"{path}: has no train.rec, expected a face set; make one with: recordio pack")
        return rec
    if not path.exists():
        raise SourceError(f"{path}: not there; expected a face set's folder or a .rec file")
    return path
