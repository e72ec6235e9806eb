"""A file or a folder appears whole or not at all: written beside, flushed to disk, renamed."""

import ctypes
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from recordio_tools.errors import SourceError

_MOST_LEFT_OVER = 1000


def open_beside(path: Path, *, private: bool = False) -> tuple[BinaryIO, Path]:
    """A new file in `path`'s folder, open for writing, and its name; rename it to `path` when it is whole.

    A private one is its owner's alone from the beginning on.
    """
    mode = 0o600 if private else 0o666
    for attempt in range(_MOST_LEFT_OVER):
        beside = path.with_name(f".{path.name}.{os.getpid()}-{attempt}.tmp")
        with suppress(FileExistsError):
            return os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb"), beside
    raise SourceError(f"{path.parent}: too many left-over temporary files of {path.name}; remove them")


def flush_to_disk(file: BinaryIO) -> None:
    """Everything written to `file` is on the disk when this returns."""
    file.flush()
    os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """The names in `folder` are on the disk when this returns."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, data: bytes | Iterable[bytes], *, private: bool = False) -> None:
    """Put `data`, given at once or in pieces, at `path`; whatever happens, `path` is the old file or the new one.

    A private file is its owner's alone, from its first byte on.
    """
    file, beside = open_beside(path, private=private)
    try:
        with file:
            file.writelines([data] if isinstance(data, bytes) else data)
            flush_to_disk(file)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


@contextmanager
def whole_folder(
    out: Path, made_by_us: frozenset[str], marker: str, *, force: bool, keep_for: str = ""
) -> Iterator[Path]:
    """A hidden folder beside `out` to build in; it becomes `out` when the block ends without an exception.

    One builder at a time: the hidden folder is locked, and what a killed builder left in it is cleared away,
    unless both this builder and that one can go on from there.

    Args:
        out: The folder to make; missing parents are made too.
        made_by_us: The file names that a folder of this kind may hold. An existing `out` with any other
            entry, or without `marker`, is never replaced.
        marker: The file that shows that we made the folder.
        force: Replace an existing folder of ours. An empty one is always replaced.
        keep_for: Name of a file by which a builder knows how to go on. While it is there, the hidden folder
            stays as it is when the block ends by an exception, and when the next such builder begins. The block
            judges what it finds, and removes this file and all that does not belong into `out`.

    Raises:
        SourceError: `out` may not be replaced, or another process is building it.
    """
    _check_replaceable(out, made_by_us, marker, force)
    created = [parent for parent in (out.parent, *out.parent.parents) if not parent.exists()]
    out.parent.mkdir(parents=True, exist_ok=True)
    building = out.with_name(f".{out.name}.building")
    lock = _lock(building, out)
    try:
        if not (keep_for and (building / keep_for).exists()):
            clear(building)
        yield building
        _flush_contents(building)
        _check_replaceable(out, made_by_us, marker, force)  # again: the work took its time
        _put_in_place(building, out)
    except BaseException:
        if not (keep_for and (building / keep_for).exists()):
            shutil.rmtree(building, ignore_errors=True)
            with suppress(OSError):  # a parent that somebody else has begun to use stays
                for parent in created:
                    parent.rmdir()
        raise
    finally:
        os.close(lock)


def clear(folder: Path, keep: frozenset[str] = frozenset()) -> None:
    """Remove all that is in `folder`, except the names in `keep`."""
    for path in folder.iterdir():
        if path.name not in keep:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def refuse_source(out: Path, record_file: Path, given: Path) -> None:
    """Raise where `out` is the folder of `record_file`, or lies in the folder that was `given` as the source.

    Raises:
        SourceError: It is so.
    """
    place = out.resolve()
    if place == record_file.resolve().parent or (given.is_dir() and place.is_relative_to(given.resolve())):
        raise SourceError(f"{out}: is the source itself or lies in it ({given}); give another place")


def _flush_contents(folder: Path) -> None:
    """A flat folder is flushed file by file; where there are folders in it, files may be millions: all at once."""
    paths = list(folder.iterdir())
    if any(path.is_dir() for path in paths):
        _flush_file_system(folder)
        return
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    flush_folder(folder)


def _flush_file_system(folder: Path) -> None:
    """Everything written to the file system of `folder` is on the disk when this returns."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:  # not Linux
        os.sync()
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        if syncfs(handle):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(handle)


def _check_replaceable(out: Path, made_by_us: frozenset[str], marker: str, force: bool) -> None:
    if out.name in ("", ".."):
        raise SourceError(f"{out}: is not a name; give the name of a new or empty folder")
    if not (out.exists() or out.is_symlink()):
        return
    if not out.is_dir():
        raise SourceError(f"{out}: is a file, expected a new or empty folder to write to; give another name")
    entries = {path.name for path in out.iterdir()}
    if not entries:
        return
    foreign = sorted(entries - made_by_us)
    if foreign:
        raise SourceError(f"{out}: holds {foreign[0]!r}, which this tool did not write; give a new or empty folder")
    if marker not in entries:
        raise SourceError(f"{out}: holds files but no {marker}, so this tool did not write it; give another folder")
    if not force:
        raise SourceError(f"{out}: already holds a face set; replace it with --force, or give another folder")


def _lock(building: Path, out: Path) -> int:
    """A descriptor that holds the lock on the folder `building`."""
    building.mkdir(exist_ok=True)
    lock = os.open(building, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # between mkdir and flock another builder may have finished, and renamed the folder we hold
        if building.stat().st_ino != os.fstat(lock).st_ino:
            raise BlockingIOError
    except OSError as error:
        os.close(lock)
        if isinstance(error, BlockingIOError | FileNotFoundError):
            raise SourceError(f"{out}: another process is building it; wait for it or give another name") from None
        raise
    return lock


def _put_in_place(building: Path, out: Path) -> None:
    """Rename `building` to `out`; an older `out` steps aside first and is removed last."""
    aside = out.with_name(f".{out.name}.old")
    shutil.rmtree(aside, ignore_errors=True)  # left by a builder that was killed just here
    if out.exists():
        out.rename(aside)
    try:
        building.rename(out)
    except BaseException:
        if aside.exists():
            aside.rename(out)
        raise
    flush_folder(out.parent)
    shutil.rmtree(aside, ignore_errors=True)
