"""A photo's bytes → the bytes that the set keeps of it, several photos at a time and always in their order.

Threads, not processes: OpenCV gives the interpreter free while it decodes, resizes and encodes, which is nearly
all of the work, so two threads are as fast as two forked processes and start at once; and a thread needs no
fork beside torch's threads, no guard in the caller's script, and dies with its process.
"""

import contextlib
import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeVar

from recordio_tools.errors import SourceError
from recordio_tools.image_header import read_header
from recordio_tools.images import decode_rgb, encode_rgb, fit_square

Format = Literal["jpg", "png"]
Done = TypeVar("Done")

_BATCH = 8  # photos a task: less handing over between threads


@dataclass(frozen=True)
class Encoding:
    """How a photo becomes an image of the set.

    Attributes:
        size: Side of the square images, see `fit_square`.
        image_format: "jpg", or "png" to keep every pixel.
        quality: Of the JPEG, 1 to 100.
        as_is: Keep the file's bytes, see `_kept`; format and quality do not matter then.

    Raises:
        SourceError: A value is out of its range.
    """

    size: int = 112
    image_format: Format = "jpg"
    quality: int = 95
    as_is: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.size <= 4096:
            raise SourceError(f"size {self.size} was given, expected 1 to 4096 pixels")
        if self.image_format not in ("jpg", "png"):
            raise SourceError(f"the image format {self.image_format!r} is unknown, expected jpg or png")
        if not 1 <= self.quality <= 100:
            raise SourceError(f"quality {self.quality} was given, expected 1 to 100")

    def __call__(self, data: bytes, name: str) -> bytes:
        """The image for the photo `data`.

        Raises:
            SourceError: It cannot be decoded.
            MisfitError: It is to be kept as it is and cannot.
        """
        pixels = decode_rgb(data, name)
        if self.as_is:
            return self._kept(data, name, pixels.shape[:2])
        return encode_rgb(fit_square(pixels, self.size), f".{self.image_format}", self.quality)

    def _kept(self, data: bytes, name: str, shape: tuple[int, ...]) -> bytes:
        """`data`, if it is what every reader of face sets takes: a whole JPEG or PNG of the set's size."""
        header = read_header(data)
        assert header, "it was decoded"
        if header.format not in ("JPEG", "PNG") or shape != (self.size, self.size):
            raise MisfitError(
                f"{name}: a {header.format} of {header.width:,} × {header.height:,} pixels, expected a JPEG or PNG of "
                f"{self.size} × {self.size} to keep as it is; leave out --as-is, or give its --size"
            )
        return data


class MisfitError(SourceError):
    """A photo that can be read, but not kept as it is."""


def usable_cores() -> int:
    """The number of processor cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def in_order(work: Callable[[int], Done], places: Sequence[int], workers: int) -> Generator[Done, None, None]:
    """`work` of each of `places`, in their order, done by `workers` threads at once.

    No more than three tasks of a few photos wait for each thread, so memory does not grow with their number. An
    exception in `work` comes out at its place. Close the iterator (`contextlib.closing`) to stop early: what has
    begun is waited for, the rest is dropped.
    """
    if workers == 1:
        yield from map(work, places)
        return

    def some(first: int) -> list[Done]:
        return [work(place) for place in places[first : first + _BATCH]]

    waiting: deque[Future[list[Done]]] = deque()
    with ThreadPoolExecutor(workers) as pool, contextlib.ExitStack() as stop:
        stop.callback(pool.shutdown, wait=False, cancel_futures=True)
        for first in range(0, len(places), _BATCH):
            waiting.append(pool.submit(some, first))
            if len(waiting) == 3 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
