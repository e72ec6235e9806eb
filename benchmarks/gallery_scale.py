"""A gallery of a million templates, store and index together: opening it, adding to it, erasing from it.

    python benchmarks/gallery_scale.py FOLDER [--templates 1000000] [--rounds 5]    # 7.5 GB in FOLDER for a million

Opening is the time of a fresh process from ``Gallery.open`` to its first answer. Adding is 500 people of 20 templates,
a transaction each as a command makes it, and the search that sees them; the same to an empty gallery in the same round.
Erasing one person is timed with and without the proof, which reads every file. Writes gallery_scale.json beside it.
"""

import argparse
import hashlib
import json
import multiprocessing
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facerec_oltr.gallery import Gallery
from facerec_oltr.gallery.records import NewTemplate
from recordio_tools.whole import write_whole

D, OF_A_PERSON, ADDED = 512, 20, 10_000


@dataclass(frozen=True)
class Drawn:
    """Says of itself what a gallery remembers of an embedder; the vectors are drawn."""

    name: str = "drawn"
    fingerprint: str = "0" * 64
    dimensions: int = D
    size: int = 112
    source: str = "drawn"


def people(first: int, count: int, each: int) -> Iterator[tuple[str, list[NewTemplate]]]:
    """People with random templates of length 1."""
    for number in range(first, first + count):
        vectors = np.random.default_rng(number).normal(size=(each, D)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        yield (
            f"person {number}",
            [
                NewTemplate(vector, hashlib.sha256(vector).hexdigest(), f"{number}/{row}.jpg", 1.0)
                for row, vector in enumerate(vectors)
            ],
        )


def enrol(gallery: Gallery, first: int, templates: int, each: int = OF_A_PERSON) -> float:
    """Seconds to enrol so many, and to search among them."""
    ready = list(people(first, templates // each, each))
    begun = time.perf_counter()
    for name, own in ready:
        gallery.enrol(name, own)
    found = gallery.search(ready[-1][1][0].vector[None], 1)
    seconds = time.perf_counter() - begun
    assert found[0][0].name == ready[-1][0]
    return seconds


def build(path: Path, templates: int) -> float:
    """Seconds to fill it, a hundred thousand at a time."""
    begun, step = time.perf_counter(), 100_000
    with Gallery.create(path, Drawn()) as gallery:
        for start in range(0, templates, step):
            enrol(gallery, 1_000_000 + start, min(step, templates - start), each=100)
            print(f"  {min(start + step, templates):,} templates, {time.perf_counter() - begun:.0f} s", flush=True)
    return time.perf_counter() - begun


def opening(path: Path) -> tuple[float, str]:
    """Seconds to the first answer, and the kind of index that gave it."""
    probe = next(people(0, 1, 1))[1][0].vector[None]
    begun = time.perf_counter()
    with Gallery.open(path, Drawn()) as gallery:
        gallery.search(probe, 2)
        return time.perf_counter() - begun, gallery.index.kind


def adding(path: Path, first: int) -> float:
    """Seconds to add to it."""
    with Gallery.open_or_create(path, Drawn()) as gallery:
        gallery.search(np.eye(1, D, dtype=np.float32), 1)  # whatever it takes to open has been paid
        return enrol(gallery, first, ADDED)


def erasing(path: Path, name: str, prove: bool) -> float:
    """Seconds to erase one person."""
    with Gallery.open(path, Drawn()) as gallery:
        gallery.search(np.eye(1, D, dtype=np.float32), 1)
        begun = time.perf_counter()
        gallery.erase(name, prove=prove)
        return time.perf_counter() - begun


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call it in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def spread(values: list[float]) -> list[float]:
    """Median, smallest, largest."""
    return [round(x, 4) for x in (statistics.median(values), min(values), max(values))]


def main() -> None:
    """Fill a gallery, measure, and write what came of it."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--templates", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=5)
    given = arguments.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    large, empty = given.folder / "large.db", given.folder / "empty.db"
    told: dict[str, Any] = {"templates": given.templates, "dimensions": D}
    told["filling_s"] = round(apart(build, large, given.templates))
    opened = [apart(opening, large) for _ in range(given.rounds + 1)][1:]
    told |= {"index": opened[0][1], "opening_s": spread([seconds for seconds, _ in opened])}
    added: list[tuple[float, float]] = []
    for number in range(given.rounds):
        for beside in given.folder.glob("empty.db*"):
            shutil.rmtree(beside) if beside.is_dir() else beside.unlink()
        pair = [(path, apart(adding, path, number * ADDED)) for path in (large, empty)[:: (-1) ** number]]
        added.append((dict(pair)[large], dict(pair)[empty]))
    told["adding_s"] = {"large": spread([a for a, _ in added]), "empty": spread([b for _, b in added])}
    told["adding_ratio"] = spread([a / b for a, b in added])
    for prove, first in ((False, 0), (True, given.rounds)):
        times = [apart(erasing, large, f"person {n}", prove) for n in range(first, first + given.rounds)]
        told["erasing_with_proof_s" if prove else "erasing_s"] = spread(times)
    sizes = {path.name: path.stat().st_size for path in given.folder.rglob("large.db*") if path.is_file()}
    told["store_gb"] = round(sum(sizes.values()) / 1e9, 2)
    index = sum(path.stat().st_size for path in (given.folder / "large.db.index").rglob("*") if path.is_file())
    told["index_gb"] = round(index / 1e9, 2)
    print(json.dumps(told, indent=1))
    write_whole(Path(__file__).with_suffix(".json"), (json.dumps(told, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
