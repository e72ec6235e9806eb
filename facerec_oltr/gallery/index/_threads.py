"""The same over parts, side by side: FAISS lets go of Python's lock while it scans.

Never by FAISS's own threads, which are OpenMP's: in a process forked after they ran, they hang.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import faiss

T = TypeVar("T")
R = TypeVar("R")


def threads() -> int:
    """How many threads to use: as many as FAISS would, which OMP_NUM_THREADS sets."""
    return faiss.omp_get_max_threads()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """What FAISS does for this thread, it does in this thread."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def side_by_side(function: Callable[[T], R], parts: Sequence[T]) -> list[R]:
    """The function of every part, in order."""
    workers = min(threads(), len(parts))
    if workers < 2:
        return [function(part) for part in parts]
    # A pool for each call, some 0.1 ms: one that is kept would hang in a process forked from this.
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, parts))
