"""Photos that a protocol is drawn from: a folder of one folder a person, or a face set."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import DataError
from facerec_oltr.protocols.records import Protocol, Source
from facerec_oltr.protocols.templates import Int64s, TemplateList
from recordio_tools import FaceSet
from recordio_tools.images import list_people, read_image_file
from recordio_tools.set_writer import VIEW

Progress = Callable[[int, int], None]  # called with the number of photos read, and of all


def quiet(done: int, total: int) -> None:
    """No progress."""


@dataclass(frozen=True, eq=False)
class Photos:
    """N photos of people.

    Attributes:
        source: where they are.
        keys: (N,) of the images.
        owners: (N,) whose each one is: a place in `people`.
        people: their names, all different.
        sha256: (N,) hex digests of the images' bytes.
    """

    source: Source
    keys: tuple[str, ...]
    owners: Int64s
    people: tuple[str, ...]
    sha256: tuple[str, ...]

    def list_of(self, positions: npt.ArrayLike) -> TemplateList:
        """One template a photo, of these photos."""
        places = np.asarray(positions, np.int64).tolist()
        return TemplateList.of_photos(
            [self.keys[place] for place in places],
            [self.people[self.owners[place]] for place in places],
            [self.sha256[place] for place in places],
        )

    def distinct(self) -> tuple[Int64s, int, int]:
        """Positions of photos of which no two have the same bytes, and how many went.

        Of several that one person has, the first stays; one that several people have is wrong for all but one of
        them, and goes everywhere.

        Returns:
            Positions, ascending; how many photos of one person were left out; and how many of several people.
        """
        return distinct(self.sha256, self.owners)


def distinct(sha256: Sequence[str], owners: Int64s) -> tuple[Int64s, int, int]:
    """As ``Photos.distinct``, of any digests and owners; "" is no digest and is kept."""
    owner_of: dict[str, int] = {}
    shared: set[str] = set()
    for digest, owner in zip(sha256, owners.tolist(), strict=True):
        if owner_of.setdefault(digest, owner) != owner:
            shared.add(digest)
    shared.discard("")
    kept, seen, several = [], set(), 0
    for place, digest in enumerate(sha256):
        if digest in shared:
            several += 1
        elif digest not in seen:
            kept.append(place)
            if digest:
                seen.add(digest)
    return np.array(kept, np.int64), len(sha256) - several - len(kept), several


def read_photos(path: str | Path, progress: Progress = quiet) -> Photos:
    """All photos of a folder of one folder a person, or of a face set; every one is read for its hash.

    Raises:
        SourceError: it is not there, holds nobody, or a photo cannot be read.
        RecordIOError: a face set is broken.
    """
    return _of_set(FaceSet(path), progress) if is_face_set(path) else _of_folder(Path(path), progress)


def is_face_set(path: str | Path) -> bool:
    """Whether `path` is a record file, or a folder that has one or looks into one."""
    path = Path(path)
    return path.is_file() or (path / "train.rec").exists() or (path / VIEW).exists()


def people_names(faces: FaceSet) -> list[str]:
    """What to call each class of a face set: by name where all names differ, else by number."""
    present = np.flatnonzero(faces.counts()).tolist()
    names = faces.names
    if names is not None and len({names[label] for label in present} - {"", "-"}) == len(present):
        return names
    return [str(label) for label in range(faces.classes)]


def hashes(faces: FaceSet, positions: Int64s, progress: Progress = quiet) -> list[str]:
    """Digests of the encoded images at these positions."""
    found = []
    for position in positions.tolist():
        found.append(hashlib.sha256(faces.encoded(position)).hexdigest())
        progress(len(found), len(positions))
    return found


def file_hashes(paths: Sequence[Path], progress: Progress = quiet) -> list[str]:
    """Digests of image files' bytes.

    Raises:
        SourceError: one cannot be read.
    """
    found = []
    for path in paths:
        found.append(hashlib.sha256(read_image_file(path)).hexdigest())
        progress(len(found), len(paths))
    return found


def set_source(faces: FaceSet) -> Source:
    """A face set as a protocol's source."""
    return Source("face_set", faces.fingerprint, len(faces), int((faces.counts() > 0).sum()))


def find_images(protocol: Protocol, path: str | Path, *, contents: bool = False, progress: Progress = quiet) -> None:
    """Look for every image of a protocol in a folder or a face set.

    Args:
        protocol: whose images.
        path: the folder to which their paths are relative, or the face set of which they are keys.
        contents: read them too, and compare their hashes where the protocol has them.
        progress: called with (images looked at, images in all).

    Raises:
        DataError: an image is missing or has other contents, or the source is of another kind or another set.
        RecordIOError: a face set is broken.
    """
    path = Path(path)
    trained_on = () if protocol.trained_on is None else (protocol.trained_on,)  # ahead of lists that may have hashes
    expected = {
        image: digest
        for templates in (*trained_on, *protocol.lists.values())
        for image, digest in zip(templates.images, templates.sha256, strict=True)
    }
    if is_face_set(path) != (protocol.source.kind == "face_set"):
        raise DataError(
            f"{path}: is {'a face set' if is_face_set(path) else 'no face set'}, but {protocol.name} was drawn from "
            f"{'one' if protocol.source.kind == 'face_set' else 'a folder'}; give that one"
        )
    if protocol.source.kind == "face_set":
        read = _reader_of_set(protocol, path, list(expected))
    else:
        missing = [image for image in expected if not (path / image).is_file()]
        if missing:
            raise DataError(
                f"{path / missing[0]}: not there{_more(missing)}, but {protocol.name} names it; give the folder that "
                "it was drawn from"
            )
        read = _reader_of_folder(path)
    for done, (image, digest) in enumerate(expected.items(), 1):
        if contents and digest and hashlib.sha256(read(image)).hexdigest() != digest:
            raise DataError(
                f"{path}: image {image!r} has other contents than when {protocol.name} was drawn; bring the old one "
                "back, or draw anew"
            )
        progress(done, len(expected))


def _reader_of_set(protocol: Protocol, path: Path, images: list[str]) -> Callable[[str], bytes | memoryview]:
    faces = FaceSet(path)
    if faces.fingerprint != protocol.source.fingerprint:
        raise DataError(
            f"{path}: is another set (fingerprint {faces.fingerprint[:12]}) than {protocol.name} was drawn from "
            f"({protocol.source.fingerprint[:12]}); give that one"
        )
    if bad := [image for image in images if not (image.isdecimal() and len(image) < 19)]:
        raise DataError(f"{protocol.name}: found the image {bad[0]!r}, expected a key of a face set: a whole number")
    places = faces.find(np.array(images, np.int64))
    if (places < 0).any():
        missing = [images[at] for at in np.flatnonzero(places < 0).tolist()]
        raise DataError(f"{path}: has no image of key {missing[0]}{_more(missing)}, but {protocol.name} names it")
    place_of = dict(zip(images, places.tolist(), strict=True))
    return lambda image: faces.encoded(place_of[image])


def _reader_of_folder(folder: Path) -> Callable[[str], bytes | memoryview]:
    return lambda image: read_image_file(folder / image)


def _of_folder(folder: Path, progress: Progress) -> Photos:
    people = list_people(folder)
    paths = [path for person in people for path in person.paths]
    digests = file_hashes(paths, progress)
    keys = tuple(path.relative_to(folder).as_posix() for path in paths)
    known_by = hashlib.sha256()
    for key, digest in sorted(zip(keys, digests, strict=True)):
        known_by.update(key.encode(errors="surrogateescape") + b"\0" + digest.encode() + b"\n")
    return Photos(
        Source("folder", known_by.hexdigest(), len(keys), len(people)),
        keys,
        np.repeat(np.arange(len(people)), [len(person.paths) for person in people]),
        tuple(person.name for person in people),
        tuple(digests),
    )


def _of_set(faces: FaceSet, progress: Progress) -> Photos:
    names, present = people_names(faces), np.flatnonzero(faces.counts())
    return Photos(
        set_source(faces),
        tuple(map(str, faces.keys.tolist())),
        np.searchsorted(present, faces.labels),
        tuple(names[label] for label in present.tolist()),
        tuple(hashes(faces, np.arange(len(faces)), progress)),
    )


def _more(found: list[str]) -> str:
    return f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
