"""Batches read ahead by threads, while the network computes.

Threads, not processes: OpenCV decodes outside Python's lock, so they share one reader and one index, nothing is
pickled, and nobody parses an index of millions of lines once for each worker.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


class Loaded(NamedTuple, Generic[Result]):
    """What a job came to.

    Attributes:
        value: its result.
        waited: seconds for which the consumer stood still for it; without workers all that loading took.
    """

    value: Result
    waited: float


def prefetch(
    jobs: Iterable[Job],
    load: Callable[[Job], Result],
    *,
    workers: int,
    ahead: int,
    clock: Callable[[], float],
) -> Generator[Loaded[Result], None, None]:
    """Load jobs ahead of their consumer: strictly in their order, and the same for any number of workers.

    An exception of a job, or of `jobs`, is raised at its place, once all before it is delivered. The threads end with
    the iterator, whether it is exhausted, raises or is closed early (``contextlib.closing``); then the jobs under way
    are waited for, one a worker at most, and those not begun are dropped.

    Args:
        jobs: taken in the consumer's thread, so they may come from a generator with a state.
        load: called by several threads at once; what it gives must follow from the job alone.
        workers: threads; 0 loads in the consumer's own, when it asks.
        ahead: how many results, loaded or being loaded, there are at most beside those that the consumer keeps.
        clock: seconds.
    """
    assert workers >= 0, workers
    assert ahead >= 1, ahead
    if workers == 0:
        for job in jobs:
            yield _timed(lambda job=job: load(job), clock)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="prefetch")
    try:
        rest = _submitted(pool, jobs, load)
        waiting = deque(islice(rest, ahead))
        while waiting:
            yield _first(waiting, rest, clock)
    finally:
        pool.shutdown(cancel_futures=True)


def _first(
    waiting: deque[Future[Result]], rest: Iterator[Future[Result]], clock: Callable[[], float]
) -> Loaded[Result]:
    """The job that is next, and another one begun in its stead, for the threads to work on while the consumer does."""
    loaded = _timed(waiting.popleft().result, clock)
    waiting.extend(islice(rest, 1))
    return loaded


def _timed(result: Callable[[], Result], clock: Callable[[], float]) -> Loaded[Result]:
    began = clock()
    value = result()
    return Loaded(value, clock() - began)


def _submitted(
    pool: ThreadPoolExecutor, jobs: Iterable[Job], load: Callable[[Job], Result]
) -> Iterator[Future[Result]]:
    """One job at a time handed to the pool; where there is an error instead of a job, a job that failed."""
    try:
        for job in jobs:
            yield pool.submit(load, job)
    except Exception as error:
        failed: Future[Result] = Future()
        failed.set_exception(error)
        yield failed
