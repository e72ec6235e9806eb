"""Photos → a face set: decode, fit to a square, encode, write. From a folder of people, or from a `.lst`."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recordio_tools import _checkpoint
from recordio_tools._checkpoint import Checkpoint, Progress
from recordio_tools._encoding import Encoding, Format, MisfitError
from recordio_tools._threads import in_order, workers_of
from recordio_tools.errors import RecordIOError, SourceError
from recordio_tools.images import opencv_version
from recordio_tools.index import Int64s
from recordio_tools.photos import ChangedError, Photos, photos_in_folder, photos_in_listing
from recordio_tools.set_writer import SetWriter, new_set, write_manifest
from recordio_tools.whole import clear

CHECKPOINT = 1000  # photos, about a second's work: what a kill costs; smaller sets leave nothing behind


@dataclass(frozen=True, slots=True)
class Packed:
    """What was packed: the numbers, and the photos that were left out because they could not be read.

    Attributes:
        images: In the set.
        people: Classes of the set.
        skipped: Photos left out.
        resumed: Photos that an earlier, stopped run had done.
    """

    images: int
    people: int
    skipped: tuple[Path, ...]
    resumed: int = 0


@dataclass(frozen=True, slots=True)
class _How:
    """The options that all packers share."""

    encoding: Encoding
    workers: int
    skip_unreadable: bool
    force: bool
    progress: Callable[[int, int], None]
    say: Callable[[str], None]


def pack_folder(
    source: str | Path,
    out: str | Path,
    *,
    size: int = 112,
    image_format: Format = "jpg",
    quality: int = 95,
    as_is: bool = False,
    workers: int | None = None,
    skip_unreadable: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> Packed:
    """Make the face set `out` from the photos in `source`, whole or not at all.

    Class numbers follow the natural order of the people's folders, image keys that of the files; no order of
    the disk, no time, no machine and no number of workers enters, so the same photos give the same bytes.

    A run that is killed or stopped leaves what it has done in a hidden folder beside `out`, once that is
    CHECKPOINT photos; the same call goes on there, and ends with the bytes of an unbroken run.

    Args:
        source: One sub-folder a person, see `list_people`.
        out: The set's folder; made with its parents.
        size: Side of the square images, see `fit_square`.
        image_format: "jpg", or "png" to keep every pixel.
        quality: Of the JPEG, 1 to 100.
        as_is: Keep the files' bytes; each must be a JPEG or PNG of `size` × `size`.
        workers: Photos that are encoded at a time; by default one for each core that may be used.
        skip_unreadable: Leave out photos that cannot be read; a person must keep at least one.
        force: Replace `out` if this package wrote it.
        progress: Called with (photos done, photos in all).
        say: Told in one line where it goes on after a stopped run.

    Raises:
        SourceError: The source is missing, empty or has an unreadable photo, or `out` may not be replaced.
    """
    source, out = Path(source), Path(out)
    how = _how(Encoding(size, image_format, quality, as_is), workers, skip_unreadable, force, progress, say)
    photos = photos_in_folder(source)
    if out.resolve().is_relative_to(source.resolve()):
        raise SourceError(f"{out}: lies in {source}, where it would be taken for a person; give a folder elsewhere")
    return _pack(photos, {"source": str(source)}, out, how)


def pack_listing(
    listing: str | Path,
    out: str | Path,
    root: str | Path,
    *,
    size: int = 112,
    image_format: Format = "jpg",
    quality: int = 95,
    as_is: bool = False,
    workers: int | None = None,
    skip_unreadable: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> Packed:
    """Make the face set `out` from the photos that a `.lst` names, whole or not at all.

    Classes, order and what is refused: see `photos_in_listing`. The manifest gives the list's own labels where
    they are not 0 … K-1 already.

    Args:
        listing: In the face dialect or im2rec's.
        out: The set's folder; made with its parents.
        root: The folder to which the list's paths are relative.
        size: As in `pack_folder`, and so are the others.
        image_format: As there.
        quality: As there.
        as_is: As there.
        workers: As there.
        skip_unreadable: As there; photos that are not there are left out too.
        force: As there.
        progress: As there.
        say: As there.

    Raises:
        SourceError: A photo is missing, unreadable, or out of `root`, or `out` may not be replaced.
        FaceSetError: A line of the list fits neither dialect.
    """
    how = _how(Encoding(size, image_format, quality, as_is), workers, skip_unreadable, force, progress, say)
    photos = photos_in_listing(Path(listing), Path(root), missing_too=skip_unreadable)
    labels = photos.source_labels.tolist()
    renumbered = {"source_labels": labels} if labels != list(range(len(labels))) else {}
    return _pack(photos, {"source": str(listing), "root": str(root), **renumbered}, Path(out), how)


def _how(encoding: Encoding, workers: int | None, *rest: Any) -> _How:
    return _How(encoding, workers_of(workers), *rest)


def _pack(photos: Photos, origin: dict[str, Any], out: Path, how: _How) -> Packed:
    hidden = None
    try:
        with new_set(out, force=how.force, keep_for=_checkpoint.NAME) as folder:
            hidden = folder
            done, offsets = _begin(photos, folder, how)
            resumed = done.done
            side = how.encoding.size
            with SetWriter(folder, side, side, unfinished=folder / _checkpoint.UNFINISHED) as faces:
                if offsets is not None:
                    places = done.places()
                    sources = [photos.sources[place] for place in places]
                    faces.take_over(photos.labels[places], sources, offsets[:-1], int(offsets[-1]))
                _write(photos, faces, folder, done, how)
            left_out = [photos.sources[place] for place in done.left_out]
            write_manifest(folder, _manifest(origin, how.encoding, faces, left_out))
            (folder / _checkpoint.NAME).unlink(missing_ok=True)
    except KeyboardInterrupt:
        if stays := _what_stays(hidden, photos):
            how.say(f"stopped; {stays}")
        raise
    except (RecordIOError, OSError) as error:
        if stays := _what_stays(hidden, photos):
            kind = type(error) if isinstance(error, RecordIOError) else SourceError
            raise kind(f"{error}; {stays}") from error
        raise
    return Packed(faces.images, faces.identities, tuple(photos.root / source for source in left_out), resumed)


def _begin(photos: Photos, folder: Path, how: _How) -> tuple[Progress, Int64s | None]:
    """Where to go on: from a stopped run's checkpoint, and the offsets of its records, or from the start."""
    options = f"{how.encoding} OpenCV {opencv_version()}"
    done = Progress(photos, options)
    offsets = done.go_on(folder, may_leave_out=how.skip_unreadable)
    if offsets is not None:
        clear(folder, frozenset({_checkpoint.NAME, _checkpoint.UNFINISHED}))
        how.say(f"goes on after {done.done:,} of {len(photos):,} photos")
        return done, offsets
    if any(folder.iterdir()):
        how.say("what a stopped run left does not fit these photos and options; starts anew")
        clear(folder)
    return Progress(photos, options), None


def _write(photos: Photos, faces: SetWriter, folder: Path, done: Progress, how: _How) -> None:
    """Encode and write the photos that are not done."""

    def image_of(place: int) -> bytes | None:
        try:
            return how.encoding(photos.read(place), str(photos.path(place)))
        except (ChangedError, MisfitError):
            raise
        except SourceError:
            if how.skip_unreadable:
                return None
            raise

    with contextlib.closing(in_order(image_of, range(done.done, len(photos)), how.workers)) as images:
        for image in images:
            place = done.done
            label = int(photos.labels[place])
            if image is not None:
                faces.add(label, image, photos.sources[place])
            done.step(image)
            how.progress(done.done, len(photos))
            if faces.identities == label and (done.done == len(photos) or photos.labels[done.done] != label):
                raise SourceError(f"{photos.whose(label)}: no photo of this person can be read; remove it")
            if done.done % CHECKPOINT == 0 and done.done < len(photos):
                done.checkpoint(faces.flush()).save(folder)


def _manifest(origin: dict[str, Any], encoding: Encoding, faces: SetWriter, left_out: list[str]) -> dict[str, Any]:
    encoded = not encoding.as_is
    return {
        "format": "recordio_tools face set",
        "version": 1,
        "made_by": "recordio pack",
        **origin,
        "size": encoding.size,
        "image_format": encoding.image_format if encoded else "as the files are",
        "quality": encoding.quality if encoded and encoding.image_format == "jpg" else None,
        "images": faces.images,
        "identities": faces.identities,
        "skipped": left_out,
    }


def _what_stays(hidden: Path | None, photos: Photos) -> str:
    """What to say of the work that is kept for the next run; empty where none is."""
    kept = Checkpoint.load(hidden) if hidden else None
    if not kept:
        return ""
    return f"{kept.photos:,} of {len(photos):,} photos are kept in {hidden}, and the same command goes on there"
