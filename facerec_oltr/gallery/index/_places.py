"""Where an index lies: in a folder that several processes share, or in the memory of one.

In a folder, whoever reads holds a shared lock for as long as a search takes, whoever writes an exclusive one: rows are
never searched while they change. A second lock is held while waiting for the first, so that a stream of readers cannot
keep a writer out. Locks end with the process that holds them. They are no use on file systems without ``flock``, and a
place is not carried across ``fork``.
"""

import contextlib
import fcntl
import functools
import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np

from facerec_oltr.gallery.index._coder import Coder, size
from facerec_oltr.gallery.index._columns import Column, FileColumn, MemoryColumn
from facerec_oltr.gallery.index._head import PAGE, Head
from facerec_oltr.gallery.index._rows import Rows

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Place(Protocol):
    """Where head and columns are."""

    writable: bool

    def shared(self) -> contextlib.AbstractContextManager[None]:
        """Nobody changes it meanwhile."""
        ...

    def exclusive(self) -> contextlib.AbstractContextManager[None]:
        """Nobody else looks at it meanwhile."""
        ...

    def head(self) -> Head | None:
        """What it says of itself; None where it says nothing that can be used."""
        ...

    def write(self, head: Head) -> None:
        """Put a head in place of the other."""
        ...

    def column(self, name: str, dtype: str, width: int) -> Column:
        """A column by name, made where it is missing."""
        ...

    def take_up(self, rows: Rows, head: Head) -> bool:
        """Let rows be what the head says; False where the files do not bear it out."""
        ...

    def clear(self) -> None:
        """Remove all that only some kinds have, whether it is in use or left over."""
        ...

    def keep_centroids(self, coder: Coder | None) -> int | None:
        """Put centroids there, or remove them; their checksum."""
        ...

    def sync(self, rows: Rows) -> None:
        """All of it is on the disk when this returns."""
        ...


class InMemory:
    """For an index of one process, which is gone when it ends."""

    writable = True

    def __init__(self) -> None:
        self._head: Head | None = None

    def shared(self) -> contextlib.AbstractContextManager[None]:
        """See Place."""
        return contextlib.nullcontext()

    exclusive = shared

    def head(self) -> Head | None:
        """See Place."""
        return self._head

    def write(self, head: Head) -> None:
        """See Place."""
        self._head = head

    def column(self, name: str, dtype: str, width: int) -> Column:
        """See Place."""
        return MemoryColumn(dtype, width)

    def take_up(self, rows: Rows, head: Head) -> bool:
        """See Place."""
        rows.count, rows.dead, rows.longest = head.count, head.dead, head.longest
        return True

    def clear(self) -> None:
        """See Place."""

    def keep_centroids(self, coder: Coder | None) -> int | None:
        """See Place."""
        return None

    def sync(self, rows: Rows) -> None:
        """See Place."""


class FolderGoneError(OSError):
    """The folder was removed or replaced while it was in use."""


class Folder:
    """A folder shared by processes.

    Args:
        path: made if it is missing.

    Raises:
        OSError: it can be neither made nor read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: list[int] = []
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)  # its owner's alone, as the gallery's file
            self._open(os.O_RDWR | os.O_CREAT)
            self.writable = True
        except OSError as error:
            self._close()
            try:
                self._open(os.O_RDONLY)
            except OSError:
                self._close()
                raise error from None
            self.writable = False

    def __del__(self) -> None:
        self._close()

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """See Place."""
        with self._locked(fcntl.LOCK_SH):
            yield

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """See Place."""
        with self._locked(fcntl.LOCK_EX):
            yield

    def head(self) -> Head | None:
        """See Place."""
        head = Head.of_page(os.pread(self._head, PAGE, 0))
        return None if head is None or head.unsynced not in ("", boot()) else head

    def write(self, head: Head) -> None:
        """See Place."""
        os.pwrite(self._head, head.page(), 0)

    def column(self, name: str, dtype: str, width: int) -> FileColumn:
        """See Place."""
        return FileColumn(self.path / name, dtype, width, writable=self.writable)

    def take_up(self, rows: Rows, head: Head) -> bool:
        """See Place."""
        if rows.layout != head.layout or rows.trained_on != head.trained_on:
            for name in ("halves", "codes"):
                rows.detach(name)
            if head.kind == "exact":
                rows.attach("halves")
            if head.centroids_sum is not None:
                coder = self._coder(head)
                if coder is None:
                    return False
                rows.attach("codes", coder)
        files = [column for column in rows.columns().values() if isinstance(column, FileColumn)]
        if any(file.rows() < head.count for file in files):
            return False
        if rows.layout != head.layout:
            for file in files:
                file.forget()
        rows.count, rows.dead, rows.longest = head.count, head.dead, head.longest
        rows.layout, rows.trained_on = head.layout, head.trained_on
        return True

    def clear(self) -> None:
        """See Place."""
        for name in ("halves", "codes", "centroids"):
            (self.path / name).unlink(missing_ok=True)

    def keep_centroids(self, coder: Coder | None) -> int | None:
        """See Place."""
        path = self.path / "centroids"
        if coder is None:
            path.unlink(missing_ok=True)
            return None
        data = coder.centroids().astype("<f4").tobytes()
        path.write_bytes(data)
        return zlib.crc32(data)

    def sync(self, rows: Rows) -> None:
        """See Place."""
        waits = [column.sync for column in rows.columns().values()]
        waits.append(lambda: os.fsync(self._head))
        with ThreadPoolExecutor(len(waits)) as pool:  # side by side a disk is waited for once
            for wait in [pool.submit(wait) for wait in waits]:
                wait.result()

    def _coder(self, head: Head) -> Coder | None:
        try:
            data = (self.path / "centroids").read_bytes()
        except FileNotFoundError:
            return None
        if zlib.crc32(data) != head.centroids_sum or len(data) != 4 * size(head.dimensions):
            return None
        return Coder.of_centroids(head.dimensions, np.frombuffer(data, "<f4"))

    def _open(self, flags: int) -> None:
        for name in ("waiting", "lock", "head"):
            self._files.append(os.open(self.path / name, flags | os.O_CLOEXEC, 0o666))
        self._waiting, self._lock, self._head = self._files

    def _close(self) -> None:
        for file in self._files:
            os.close(file)
        self._files = []

    @contextlib.contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        fcntl.flock(self._waiting, how)
        try:
            fcntl.flock(self._lock, how)
        finally:
            fcntl.flock(self._waiting, fcntl.LOCK_UN)
        try:
            self._check_there()
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _check_there(self) -> None:
        try:
            there = (self.path / "lock").stat().st_ino == os.fstat(self._lock).st_ino
        except OSError:
            there = False
        if not there:
            raise FolderGoneError(f"{self.path} was removed or replaced")


@functools.cache
def boot() -> str:
    """Which start of the machine this is; what an earlier one left unsynced is not to be trusted."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return "unknown"
