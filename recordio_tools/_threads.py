"""One function of many things, several at a time and always in their order.

Threads, not processes: OpenCV and hashlib give the interpreter free while they decode, encode and hash, which is
nearly all of the work, so two threads are as fast as two forked processes and start at once; and a thread needs no
fork beside torch's threads, no guard in the caller's script, and dies with its process.
"""

import contextlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from recordio_tools.errors import SourceError

Item = TypeVar("Item")
Done = TypeVar("Done")

_BATCH = 8  # items a task: less handing over between threads


def workers_of(given: int | None) -> int:
    """`given`, or one worker for each processor core that this process may run on.

    Raises:
        SourceError: It is below 1.
    """
    if given is None:
        return len(os.sched_getaffinity(0))
    if given < 1:
        raise SourceError(f"{given} workers were given, expected 1 or more")
    return given


def in_order(work: Callable[[Item], Done], items: Iterable[Item], workers: int) -> Generator[Done, None, None]:
    """`work` of each of `items`, in their order, done by `workers` threads at once; items are taken as they are needed.

    No more than three tasks of a few items wait for each thread, so memory does not grow with their number. An
    exception in `work` comes out at its place. Close the iterator (`contextlib.closing`) to stop early: what has
    begun is waited for, the rest is dropped.
    """
    if workers == 1:
        yield from map(work, items)
        return

    def some(batch: list[Item]) -> list[Done]:
        return [work(item) for item in batch]

    rest = iter(items)
    waiting: deque[Future[list[Done]]] = deque()
    with ThreadPoolExecutor(workers) as pool, contextlib.ExitStack() as stop:
        stop.callback(pool.shutdown, wait=False, cancel_futures=True)
        while batch := list(islice(rest, _BATCH)):
            waiting.append(pool.submit(some, batch))
            if len(waiting) == 3 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
