"""Photos and videos → faces → vectors, in batches, whatever is wrong with single photos."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from facerec_oltr.errors import DataError
from facerec_oltr.faces.extractor import Cutout, Extractor, Face
from facerec_oltr.faces.video import VIDEO_SUFFIXES, frames, is_video
from recordio_tools.errors import SourceError
from recordio_tools.images import (
    IMAGE_SUFFIXES,
    Image,
    decode_photo,
    list_people,
    read_image_file,
)

Progress = Callable[[int, int], None]  # called with the number of photos done, and of all

Owner = Callable[[str], str | None]  # tells of a SHA-256 digest who owns that photo already
Item = TypeVar("Item")
Done = TypeVar("Done")

_BATCH = 64  # photos read and embedded at once, whoever they show
_FACES = 32  # embedded at once
_EVERY_SECONDS = 1.0


@dataclass(frozen=True, eq=False)
class ExtractedPhoto:
    """A photo, or a frame of a video, and all faces in it.

    Attributes:
        path: the file.
        sha256: hex digest of the file's bytes, of a frame with its time; empty if they cannot be read.
        faces: the largest first; empty where there is none, and where an owner or a reason says why.
        owner: who has this photo already; it was not looked at then.
        reason: why it is unreadable, in one line.
        size: width and height of the picture as decoded; None where it was not.
        time: seconds into a video.
    """

    path: Path
    sha256: str = ""
    faces: tuple[Face, ...] = ()
    owner: str | None = None
    reason: str | None = None
    size: tuple[int, int] | None = None
    time: float | None = None


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
    """Photos and videos as they are given, and of a folder all in it, at any depth, sorted.

    Files in folders are taken by their suffix (IMAGE_SUFFIXES, VIDEO_SUFFIXES), unread.

    Raises:
        DataError: nothing is there, or a folder holds no photo.
    """
    found: list[Path] = []
    known = IMAGE_SUFFIXES | VIDEO_SUFFIXES
    for path in map(Path, paths):
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in known) if path.is_dir() else [path]
        if not inside:
            raise DataError(f"{path}: found no photo in this folder, expected some ({' '.join(sorted(known))})")
        found += inside
    if not found:
        raise DataError("no photo was given; give at least one")
    return found


def extract_photos(
    extractor: Extractor, paths: Iterable[Path], *, owner_of: Owner | None = None, every_seconds: float = _EVERY_SECONDS
) -> Iterator[ExtractedPhoto]:
    """The faces of photos and videos, in order, whatever is wrong with single ones.

    A thread reads and decodes ahead, one photo at a time, so that three pictures are in memory at most (3 × 192 MB, and
    as much again while one is decoded); of pictures that were looked at only the aligned faces stay, until a batch of
    them is embedded.

    Args:
        extractor: finds the faces and makes the vectors.
        paths: photos; a video, told by its suffix, gives one result a frame.
        owner_of: see ``Owner``; such photos and frames are not looked at. Called by this thread.
        every_seconds: between two frames of a video.

    Raises:
        DataError: a network cannot be run.
    """
    waiting: list[tuple[ExtractedPhoto, list[Cutout]]] = []
    faces = 0
    for photo, picture in _pictures(paths, owner_of, every_seconds):
        cutouts = [] if picture is None else extractor.find(picture)
        waiting.append((photo, cutouts))
        faces += len(cutouts)
        if faces >= _FACES or len(waiting) >= _BATCH:
            yield from _embedded(extractor, waiting)
            waiting, faces = [], 0
    yield from _embedded(extractor, waiting)


def _embedded(extractor: Extractor, waiting: list[tuple[ExtractedPhoto, list[Cutout]]]) -> Iterator[ExtractedPhoto]:
    for (photo, _), found in zip(waiting, extractor.embed([cutouts for _, cutouts in waiting]), strict=True):
        yield replace(photo, faces=tuple(found))


def _pictures(
    paths: Iterable[Path], owner_of: Owner | None, every_seconds: float
) -> Iterator[tuple[ExtractedPhoto, Image | None]]:
    """Photos and frames with their picture, or without where there is a reason or an owner."""

    def owned() -> Iterator[tuple[ExtractedPhoto, bytes]]:
        for photo, data in ahead(pool, _bytes_of, paths):
            owner = owner_of(photo.sha256) if owner_of and photo.sha256 and not is_video(photo.path) else None
            yield replace(photo, owner=owner), data

    with ThreadPoolExecutor(1) as pool:
        for photo, picture in ahead(pool, _decoded, owned()):
            if is_video(photo.path) and photo.reason is None:
                yield from _frames(photo, owner_of, every_seconds)
            else:
                yield photo, picture


def ahead(pool: ThreadPoolExecutor, work: Callable[[Item], Done], items: Iterable[Item]) -> Iterator[Done]:
    """`work` of each of `items`, in order, the next one done by the pool while this one is used."""
    waiting: deque[Future[Done]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _bytes_of(path: Path) -> tuple[ExtractedPhoto, bytes]:
    """A photo's bytes, and their hash; of a video, which may be of any size, the hash alone."""
    try:
        if is_video(path):
            with path.open("rb") as file:
                return ExtractedPhoto(path, hashlib.file_digest(file, "sha256").hexdigest()), b""
        data = read_image_file(path)
        return ExtractedPhoto(path, hashlib.sha256(data).hexdigest()), data
    except OSError as error:
        return ExtractedPhoto(path, reason=f"{path}: {error.strerror or error}"), b""
    except SourceError as error:
        return ExtractedPhoto(path, reason=str(error)), b""


def _decoded(photo_and_bytes: tuple[ExtractedPhoto, bytes]) -> tuple[ExtractedPhoto, Image | None]:
    photo, data = photo_and_bytes
    if photo.reason is not None or photo.owner is not None or is_video(photo.path):
        return photo, None
    try:  # the bytes that were hashed: the file may be replaced meanwhile
        picture = decode_photo(data, str(photo.path))
    except SourceError as error:
        return replace(photo, reason=str(error)), None
    return replace(photo, size=(picture.shape[1], picture.shape[0])), picture


def _frames(
    video: ExtractedPhoto, owner_of: Owner | None, every_seconds: float
) -> Iterator[tuple[ExtractedPhoto, Image | None]]:
    try:
        for seconds, picture in frames(video.path, every_seconds):
            sha256 = hashlib.sha256(f"{video.sha256} {seconds:.3f}".encode()).hexdigest()
            owner = owner_of(sha256) if owner_of else None
            size = (picture.shape[1], picture.shape[0])
            yield replace(video, sha256=sha256, owner=owner, size=size, time=seconds), None if owner else picture
    except DataError as error:
        yield replace(video, reason=str(error)), None
