"""Blocks written to a file that is flushed to the disk meanwhile, so that the flush at the end finds little to do."""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

_FLUSH_AFTER = 1 << 22
_PIECE = 1 << 18
"""Bytes written at once. The system gives a longer write larger pages, which it has to take from idle memory."""


class FlushBehind:
    """Writes blocks to `file`; a thread, which starts with the first block, flushes what is written already."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._unflushed = 0
        self._flusher: ThreadPoolExecutor | None = None
        self._flushing: Future[None] | None = None

    def write(self, data: memoryview) -> None:
        """Write a block.

        Raises:
            OSError: This or an earlier block cannot be written: the disk is full or broken.
        """
        for start in range(0, len(data), _PIECE):
            self._file.write(data[start : start + _PIECE])
        self._unflushed += len(data)
        if self._unflushed < _FLUSH_AFTER or (self._flushing is not None and not self._flushing.done()):
            return
        if self._flusher is None:
            self._flusher = ThreadPoolExecutor(1, "flush")
        if self._flushing is not None:
            self._flushing.result()  # the system tells a failed flush only once
        self._unflushed = 0
        self._flushing = self._flusher.submit(os.fdatasync, self._file.fileno())

    def close(self) -> None:
        """Wait for the thread; raises as `write` does. The file itself stays open."""
        if self._flusher is not None:
            self._flusher.shutdown()
            self._flusher = None
            if self._flushing is not None:
                self._flushing.result()
