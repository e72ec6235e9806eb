"""The gallery's search against FAISS's IndexFlatIP: time, mates, memory; opening, adding and removing too.

python benchmarks/search.py [rows [rounds [folder]]]

The vectors are synthetic: of length 1, anisotropic so that the cosines of two people have a standard deviation of .056;
a mate's cosine is of N(.58, .12), and hard below .45. Without clusters, they are nearly the worst case for graphs and
inverted lists. Ours lies in files, as a gallery's does, read as memory; they and the vectors take 7.2 kB a row.

Searches take turns, one search of each in a round, in one process; ratios are of the rounds, told as median, smallest
and largest. CPU is the ratio of processor time, of all threads together. Memory is measured in a process for each:
anonymous, and mapped from files, which the system shares and can take back. Writes search.json beside it.
"""

import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from facerec_oltr.gallery.index import Derived, ExactIndex, GraphIndex, lost_mates
from facerec_oltr.gallery.index.lost_mates import HARD, mates_of
from facerec_oltr.gallery.records import Block, Delta, Fusion, GalleryState

D, K, BATCH = 512, 8, 256
DEVIATION = 0.056  # of two people's cosine
PROBES = 2000
FEW = 20_000  # rows for the graph and the inverted lists, which take long to build
ADDED = 10_000
OUT = Path(__file__).with_suffix(".json")


def spread() -> np.ndarray:
    """The standard deviation of each number of a vector, a power law that gives cosines theirs."""
    low, high = 0.0, 1.0
    for _ in range(60):
        power = (low + high) / 2
        variances = np.arange(1, D + 1) ** (-2 * power)
        found = np.sqrt((variances**2).sum()) / variances.sum()
        low, high = (power, high) if found < DEVIATION else (low, power)
    return (np.arange(1, D + 1) ** -low).astype(np.float32)


def people(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Vectors of different people."""
    vectors = rng.standard_normal((rows, D), np.float32) * spread()
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class ArrayStore:
    """A store of a vector file and what is enrolled and erased afterwards; one template a person."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.path = Path("array")
        self.vectors, self.more = vectors, np.empty((0, D), np.float32)
        self.changes, self.gone = 1, []  # (change, template)

    def enrol(self, vectors: np.ndarray) -> None:
        """See the protocol Store, as far as an index needs it."""
        self.more, self.changes = np.concatenate([self.more, vectors]), self.changes + 1

    def erase(self, template: int) -> None:
        """Remove a template and its person."""
        self.changes += 1
        self.gone.append((self.changes, template))

    def state(self) -> GalleryState:
        """See Store."""
        count = self._last() - len(self.gone)
        return GalleryState(self.changes, count, count)

    def follow(self, changes: int, last: int) -> Delta:
        """See Store."""
        gone = np.array([t for change, t in self.gone if change > changes], np.int64)
        none = np.empty(0, np.int64)
        return Delta(self.state(), self._last(), gone, gone, none, none, none)

    def blocks(self, after: int, up_to: int, *, rows: int = 65_536) -> Iterator[Block]:
        """See Store."""
        for held, first in ((self.vectors, 1), (self.more, len(self.vectors) + 1)):
            low, high = max(after - first + 1, 0), min(up_to - first + 1, len(held))
            for start in range(low, high, rows):
                numbers = np.arange(start, min(start + rows, high)) + first
                yield Block(numbers, numbers, np.asarray(held[numbers - first]), np.ones(len(numbers)))

    def _last(self) -> int:
        return len(self.vectors) + len(self.more)


def store_of(folder: Path) -> Any:
    """The store of the benchmark's vectors."""
    return ArrayStore(np.load(folder / "vectors.npy", mmap_mode="r"))


def opened(folder: Path, kind: str) -> Derived:
    """The index that lies in the folder, made if it is not there."""
    store = store_of(folder)
    index = Derived("bench", D, Fusion.MAX, folder / kind, kind)
    index.refresh(store)
    assert not index.notes, index.notes
    return index


def memory() -> dict[str, float]:
    """GB of this process: its own, mapped from files, and the peak of its own as far as it is known."""
    told = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: round(int(told[key].split()[0]) * 1024 / 1e9, 2) for name, key in
            (("anonymous", "RssAnon"), ("mapped", "RssFile"), ("peak", "VmHWM"))}  # fmt: skip


def build(folder: Path, rows: int) -> dict[str, float]:
    """Write the vectors and make both indexes; seconds."""
    rng = np.random.default_rng(0)
    out = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float32, (rows, D))
    for start in range(0, rows, 50_000):
        out[start : start + 50_000] = people(rng, min(50_000, rows - start))
    out.flush()
    took = {}
    for kind in ("exact", "compressed"):
        start = time.perf_counter()
        opened(folder, kind).close()
        took[kind] = time.perf_counter() - start
    return took


def flat_of(folder: Path) -> faiss.IndexFlatIP:
    """The peer, with the same vectors."""
    index, vectors = faiss.IndexFlatIP(D), np.load(folder / "vectors.npy", mmap_mode="r")
    for start in range(0, len(vectors), 100_000):
        index.add(np.asarray(vectors[start : start + 100_000]))
    return index


def searches(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Batches of 1 and 256 in turns."""
    flat, indexes = flat_of(folder), {kind: opened(folder, kind) for kind in ("exact", "compressed")}
    probes = people(np.random.default_rng(1), BATCH)
    calls: dict[str, Callable[[np.ndarray], Any]] = {"faiss IndexFlatIP": lambda q: flat.search(q, K)}
    for kind, index in indexes.items():
        calls[kind] = lambda q, index=index: index.index.search(q, K)
    rows = []
    for batch, times in ((1, rounds * 10), (BATCH, rounds)):
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
        for n in range(times + 1):
            for name, call in calls.items():
                some = probes[n % BATCH :][:1] if batch == 1 else probes
                wall, cpu = time.perf_counter(), time.process_time()
                call(some)
                if n:  # the first warms up
                    found[name].append((time.perf_counter() - wall, time.process_time() - cpu))
        theirs = found["faiss IndexFlatIP"]
        for name, pairs in found.items():
            rows.append({
                "batch": batch, "index": name, "ms": 1e3 * statistics.median(wall for wall, _ in pairs),
                "times_as_fast": told([t[0] / o[0] for t, o in zip(theirs, pairs, strict=True)]),
                "cpu": told([t[1] / o[1] for t, o in zip(theirs, pairs, strict=True)]),
            })  # fmt: skip
    return rows


def told(ratios: list[float]) -> list[float]:
    """Median, smallest and largest."""
    return [round(value, 2) for value in (statistics.median(ratios), min(ratios), max(ratios))]


def mates(folder: Path) -> dict[str, Any]:
    """Whether a probe's mate comes first, by index; beside IndexFlatIP."""
    rng = np.random.default_rng(2)
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    true = np.sort(rng.choice(len(vectors), PROBES, replace=False))
    held = np.asarray(vectors[true])
    probes = mates_of(held, people(rng, PROBES), rng)
    hard = (probes * held).sum(axis=1) < HARD
    answers = {kind: opened(folder, kind).index.search(probes, K)[1][:, 0] - 1 for kind in ("exact", "compressed")}
    answers["faiss IndexFlatIP"] = flat_of(folder).search(probes, 1)[1][:, 0]
    return {"probes": PROBES, "hard": int(hard.sum())} | {
        name: {"all": float((found == true).mean()), "hard": float((found == true)[hard].mean())}
        for name, found in answers.items()
    }


def lossy(folder: Path) -> dict[str, Any]:
    """What graph and inverted lists lose, of fewer rows."""
    vectors = np.asarray(np.load(folder / "vectors.npy", mmap_mode="r")[:FEW])
    rng = np.random.default_rng(3)
    found = {}
    for name, index in (("exact", ExactIndex(D)), ("graph (HNSW 32, ef 256)", GraphIndex(D))):
        index.add(vectors, np.arange(len(vectors)))
        lost = lost_mates(index, np.random.default_rng(4))
        found[name] = {"lost": lost.lost, "lost_hard": lost.lost_hard}
    true = rng.choice(len(vectors), 1000, replace=False)
    probes = mates_of(vectors[true], people(rng, 1000), rng)
    hard = (probes * vectors[true]).sum(axis=1) < HARD
    exact = faiss.IndexFlatIP(D)
    exact.add(vectors)
    best = exact.search(probes, 1)[1][:, 0]
    quantizer = faiss.IndexFlatIP(D)
    lists: Any = faiss.IndexIVFFlat(quantizer, D, 256, faiss.METRIC_INNER_PRODUCT)
    lists.train(vectors)
    lists.add(vectors)
    lists.nprobe = 16
    lost = lists.search(probes, 1)[1][:, 0] != best
    found["faiss IVF256, 16 lists"] = {"lost": float(lost.mean()), "lost_hard": float(lost[hard].mean())}
    return {"rows": len(vectors)} | found


def memory_of(folder: Path, name: str) -> dict[str, float]:
    """GB of a process that opens an index and searches it."""
    probes = people(np.random.default_rng(1), BATCH)
    before = memory()
    index: Any = flat_of(folder) if name == "faiss IndexFlatIP" else opened(folder, name).index
    index.search(probes[:1], K)
    alone = memory()
    index.search(probes, K)
    return {"before": before["peak"]} | {f"batch_1_{key}": value for key, value in alone.items()} | memory()


def opening(folder: Path, kind: str) -> float:
    """Seconds from nothing to the first answer, libraries loaded."""
    probe = people(np.random.default_rng(1), 1)
    store = store_of(folder)
    start = time.perf_counter()
    index = Derived("bench", D, Fusion.MAX, folder / kind, kind)
    index.refresh(store)
    index.search(probe, 1)
    return time.perf_counter() - start


def changes(folder: Path, kind: str, rounds: int) -> dict[str, Any]:
    """Adding to the large index and to an empty one, in turns; then removing people one by one."""
    rng = np.random.default_rng(5)
    large, store = opened(folder, kind), store_of(folder)
    seconds: dict[str, list[float]] = {"large": [], "empty": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=folder) as empty:
            nothing: Any = ArrayStore(np.empty((0, D), np.float32))
            small = Derived("bench", D, Fusion.MAX, Path(empty), kind)
            small.refresh(nothing)
            more = people(rng, ADDED)
            for name, index, into in (("large", large, store), ("empty", small, nothing)):
                into.enrol(more)
                start = time.perf_counter()
                index.refresh(into)
                seconds[name].append(time.perf_counter() - start)
    removing = []
    for n in range(5 * rounds):
        store.erase(7 + 1000 * n)
        start = time.perf_counter()
        large.refresh(store)
        removing.append(time.perf_counter() - start)
    ratios = [a / b for a, b in zip(seconds["large"], seconds["empty"], strict=True)]
    return {"adding_s": statistics.median(seconds["large"]), "to_empty_s": statistics.median(seconds["empty"]),
            "ratio": told(ratios), "removing_ms": 1e3 * statistics.median(removing),
            "removing_most_ms": 1e3 * max(removing)}  # fmt: skip


def main() -> None:
    """Measure all and print it."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    place = sys.argv[3] if len(sys.argv) > 3 else None

    def apart(function: Callable[..., Any], *arguments: Any) -> Any:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(function, arguments)

    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        figures: dict[str, Any] = {"rows": rows, "dimensions": D, "k": K, "threads": faiss.omp_get_max_threads()}
        figures |= {"faiss": faiss.__version__, "numpy": np.__version__}
        figures["building_s"] = apart(build, folder, rows)
        figures["searches"] = apart(searches, folder, rounds)
        for row in figures["searches"]:
            ratio, cpu = row["times_as_fast"], row["cpu"]
            print(f"batch {row['batch']:3}  {row['index']:18} {row['ms']:9.2f} ms  {ratio[0]:6.2f} times as fast "
                  f"({ratio[1]:.2f} to {ratio[2]:.2f}), {cpu[0]:.2f} by CPU time", flush=True)  # fmt: skip
        figures["mates"] = apart(mates, folder)
        kinds = ("exact", "compressed")
        figures["memory_gb"] = {n: apart(memory_of, folder, n) for n in ("faiss IndexFlatIP", *kinds)}
        figures["opening_s"] = {k: told([apart(opening, folder, k) for _ in range(rounds)]) for k in kinds}
        figures["lossy"] = apart(lossy, folder)
        figures["changes"] = {k: apart(changes, folder, k, rounds) for k in kinds}
        for key in ("mates", "memory_gb", "opening_s", "lossy", "changes", "building_s"):
            print(key, json.dumps(figures[key], indent=1))
    OUT.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
