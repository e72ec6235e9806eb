"""Blocks written to a file, and flushed to the disk, while the caller prepares the next one."""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

_FLUSH_AFTER = 1 << 22


class WriteBehind:
    """Writes to `file` in one thread and flushes it in another, so that the flush at the end finds little to do.

    The threads start with the first block; the system does their work, so they need no part of Python's time.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._unflushed = 0
        self._writer: ThreadPoolExecutor | None = None
        self._flusher: ThreadPoolExecutor | None = None
        self._writing: Future[int] | None = None
        self._flushing: Future[None] | None = None

    def write(self, data: memoryview) -> None:
        """Write a block, which must stay as it is until the next call of this class.

        Raises:
            OSError: The block before, or a flush, failed: the disk is full or broken.
        """
        if self._writer is None or self._flusher is None:
            self._writer, self._flusher = ThreadPoolExecutor(1, "write"), ThreadPoolExecutor(1, "flush")
        self.wait()
        self._unflushed += len(data)
        if self._unflushed > _FLUSH_AFTER and (self._flushing is None or self._flushing.done()):
            if self._flushing is not None:
                self._flushing.result()  # the system tells a failed flush only once
            self._flushing = self._flusher.submit(os.fdatasync, self._file.fileno())
            self._unflushed = 0
        self._writing = self._writer.submit(self._file.write, data)

    def wait(self) -> None:
        """Wait until all blocks are written; raises as `write` does."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def close(self) -> None:
        """Wait until the threads are done; raises as `write` does. The file can be used and closed then."""
        if self._writer is None or self._flusher is None:
            return
        self._writer.shutdown()
        self._flusher.shutdown()
        self._writer = self._flusher = None
        self.wait()
        if self._flushing is not None:
            self._flushing.result()
