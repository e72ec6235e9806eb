"""Reading ahead: the same results in the same order for any number of threads, and no more of them than was allowed."""

import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from facerec_oltr.data import RandomCrop, RecordIOFacesConfig
from facerec_oltr.engine.prefetch import prefetch

MANY = (0, 1, 2, 5)
SOON = 10.0  # seconds after which a thread that has not moved never will


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    assert not threads()
    yield
    assert not threads()


@pytest.mark.parametrize("workers", MANY)
@pytest.mark.parametrize("ahead", [1, 3, 100])
def test_results_come_in_the_order_of_the_jobs_however_long_each_takes(workers: int, ahead: int) -> None:
    nap = np.random.default_rng(0).uniform(0, 0.004, 40)

    def load(job: int) -> int:
        time.sleep(nap[job])
        return job * job

    found = prefetch(range(40), load, workers=workers, ahead=ahead, clock=time.monotonic)
    assert [item.value for item in found] == [job * job for job in range(40)]


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_of_one_face_set_are_the_same_by_any_number_of_threads(face_set: Path, workers: int) -> None:
    data = RecordIOFacesConfig(path=face_set, size=24).build()
    steps = np.array_split(np.random.default_rng(0).integers(0, len(data), 200), 40)

    def batches(workers: int) -> list[np.ndarray]:
        def load(step: int) -> np.ndarray:
            return data.batch(steps[step], RandomCrop((0.3, 1.0), (0.75, 1.5), (7, step)))

        return [item.value for item in prefetch(range(40), load, workers=workers, ahead=4, clock=time.monotonic)]

    for one, other in zip(batches(0), batches(workers), strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_jobs_no_results() -> None:
    assert list(prefetch([], abs, workers=2, ahead=2, clock=time.monotonic)) == []


def test_threads_work_at_once_and_fill_what_they_may_while_the_consumer_computes() -> None:
    """Two jobs that each wait for the other end only if two threads run them; more are begun while nobody asks."""
    both, begun = threading.Barrier(2), threading.Semaphore(0)

    def load(job: int) -> int:
        if job in (1, 2):
            both.wait(SOON)
        begun.release()
        return job

    with closing(prefetch(range(9), load, workers=2, ahead=4, clock=time.monotonic)) as found:
        assert next(found).value == 0
        for _ in range(5):  # job 0 and the four ahead, though only one was asked for
            assert begun.acquire(timeout=SOON)
        assert not begun.acquire(timeout=0.05)


class Held:
    """A result that can be watched."""


@pytest.mark.parametrize(("workers", "ahead"), [(0, 1), (1, 1), (2, 3), (4, 2)])
def test_no_more_results_are_alive_than_those_ahead_and_the_consumers_one(workers: int, ahead: int) -> None:
    alive: weakref.WeakSet[Held] = weakref.WeakSet()
    lock, most = threading.Lock(), 0

    def load(job: int) -> Held:
        nonlocal most
        held = Held()
        with lock:
            alive.add(held)
            most = max(most, len(alive))
        return held

    for item in prefetch(range(50), load, workers=workers, ahead=ahead, clock=time.monotonic):
        with lock:
            most = max(most, len(alive))
        del item
        time.sleep(0.001)
    assert most <= (1 if workers == 0 else ahead + 1)
    assert len(alive) == 0


@pytest.mark.parametrize("workers", MANY)
def test_an_exception_comes_at_its_place_and_ends_it(workers: int) -> None:
    def load(job: int) -> int:
        if job == 3:
            raise ValueError("job 3")
        time.sleep(0.002)  # the damaged one is known first
        return job

    values = []
    with pytest.raises(ValueError, match="job 3"):
        for item in prefetch(range(9), load, workers=workers, ahead=8, clock=time.monotonic):
            values.append(item.value)  # noqa: PERF401 -- what came before the exception is what is asked
    assert values == [0, 1, 2]


@pytest.mark.parametrize("workers", MANY)
def test_an_exception_of_the_jobs_themselves_comes_at_its_place_too(workers: int) -> None:
    def jobs() -> Iterator[int]:
        yield from (0, 1)
        raise KeyError("jobs")

    values = []
    with pytest.raises(KeyError, match="jobs"):
        for item in prefetch(jobs(), abs, workers=workers, ahead=8, clock=time.monotonic):
            values.append(item.value)  # noqa: PERF401
    assert values == [0, 1]


@pytest.mark.parametrize("way", ["close", "exception", "dropped"])
def test_whoever_stops_early_waits_for_the_jobs_under_way_and_no_more(way: str) -> None:
    begun, done, release = [], [], threading.Event()

    def load(job: int) -> int:
        begun.append(job)
        if job > 0:
            release.wait(SOON)
        done.append(job)
        return job

    found = prefetch(range(100), load, workers=2, ahead=50, clock=time.monotonic)
    assert next(found).value == 0
    while len(begun) < 3:  # both threads are in the middle of a job, 48 wait for one
        time.sleep(0.001)
    threading.Timer(0.3, release.set).start()
    if way == "close":
        found.close()
    elif way == "exception":
        with pytest.raises(ZeroDivisionError), closing(found):
            _ = 1 / 0
    else:
        del found
    assert sorted(done) == sorted(begun)
    assert len(begun) <= 5  # a thread that was let go may have taken one more before it heard
    assert not threads()


def test_an_interrupt_while_it_waits_ends_the_threads_and_the_program() -> None:
    """Ctrl-C, as the system sends it, with the consumer waiting for a slow job and many more behind it."""
    program = """
import time
from facerec_oltr.data import RandomCrop, RecordIOFacesConfig
from facerec_oltr.engine.prefetch import prefetch

def load(job):
    if job:
        print("waiting", flush=True)
        time.sleep(0.5)
    return job

for item in prefetch(range(1000), load, workers=1, ahead=500, clock=time.monotonic):
    pass
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"waiting\n"
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=SOON)  # the thousand jobs would take eight minutes
    assert process.returncode == -signal.SIGINT
    assert told.strip().endswith(b"KeyboardInterrupt")


def test_waiting_is_told_by_the_clock_that_was_given() -> None:
    """Without threads the consumer waits for all of the loading: of job k that is k seconds here."""
    now = [0.0]

    def load(job: int) -> int:
        now[0] += job
        return job

    found = prefetch([3, 1, 2], load, workers=0, ahead=1, clock=lambda: now[0])
    waits = []
    for item in found:
        waits.append(item.waited)
        now[0] += 100  # what the consumer does with it is not waiting
    assert waits == [3, 1, 2]


def test_with_threads_only_standing_still_is_waiting() -> None:
    """The second result is there before it is asked for; the third is let go only once the clock has moved on by 7."""
    now, asked, there = [0.0], threading.Event(), threading.Event()

    def load(job: int) -> int:
        if job == 1:
            there.set()
        if job == 2:
            asked.wait(SOON)
            now[0] += 7
        return job

    def clock() -> float:
        seconds = now[0]  # before the third job may move it
        calls[0] += 1
        if calls[0] == 5:  # two calls a result
            asked.set()
        return seconds

    calls = [0]
    found = prefetch(range(3), load, workers=1, ahead=1, clock=clock)
    next(found)
    assert there.wait(SOON)
    now[0] += 100
    assert next(found).waited == 0
    assert next(found).waited == 7
    assert list(found) == []
