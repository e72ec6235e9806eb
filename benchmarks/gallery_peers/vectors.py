"""What is measured on vectors: random ones of length 1, ten to a person."""

import hashlib
import importlib
import json
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gallery_peers.answers import traces
from benchmarks.gallery_peers.processes import finish, seconds, worker

SEED = 0
VECTORS = ((50_000, 128), (20_000, 512))
OF_A_PERSON, A_CALL, PROBES, COSINE = 10, 1000, 64, 0.6


def measure_vectors(pythons: dict[str, Path], out: Path, rounds: int) -> list[dict[str, Any]]:
    """Rounds in turns, every size."""
    found = []
    for n, d in VECTORS:
        turns: dict[str, list[dict[str, Any]]] = {name: [] for name in pythons}
        for _ in range(rounds):
            for name, python in pythons.items():
                home = out / f"vectors-{name}"
                shutil.rmtree(home, ignore_errors=True)
                home.mkdir()
                figures: dict[str, Any] = {}
                for step in ("insert", "search"):
                    process = worker(python, "vectors_of", name, step, home, n, d)
                    figures |= json.loads(finish(process).splitlines()[-1])
                turns[name].append(figures)
                print(f"{n} × {d}: {name}: {figures}", file=sys.stderr, flush=True)
        found.append({"vectors": n, "dimensions": d, "rounds": turns})
    return found


def vectors_of(name: str, step: str, home: str, n: str, d: str) -> None:
    """A process with vectors: insert, search, or open what another has open; figures as JSON on stdout."""
    folder, dimensions = Path(home), int(d)
    held, probes, which = drawn(int(n), dimensions)
    right = which // OF_A_PERSON
    took, backend = seconds(lambda: BACKENDS[name](folder, dimensions))
    figures: dict[str, Any] = {}
    if step == "second":
        assert backend.search(probes[:1]) == [right[0]]
    elif step == "insert":
        figures["insert"] = seconds(lambda: backend.insert(held))[0]
    else:
        figures["open and first search"] = took + seconds(lambda: backend.search(probes[:1]))[0]
        singles = [seconds(lambda p=p: backend.search(p[None])) for p in probes]
        figures["search, batch 1"] = statistics.median(took for took, _ in singles)
        batches = [seconds(lambda: backend.search(probes)) for _ in range(5)]
        figures["search, batch 64"] = statistics.median(took for took, _ in batches)
        figures["right"] = sum(bool(a == b) for (_, [a]), b in zip(singles, right, strict=True))
        new = [(int(n) + OF_A_PERSON * i, held[OF_A_PERSON * i : OF_A_PERSON * (i + 1)]) for i in range(50)]
        figures["add a person"] = statistics.median(
            seconds(lambda f=f, v=v: backend.insert_person(f, v))[0] for f, v in new
        )
        second = worker(sys.executable, "vectors_of", name, "second", home, n, d)
        _, err = second.communicate()
        figures["second process"] = err.strip().splitlines()[-1][:200] if second.returncode else "answers"
        gone = held[:OF_A_PERSON]
        figures["vectors of the removed"] = {"before": vectors_in(folder, gone)}
        # The fifty were copies of the first fifty people, and would be found in place of the first.
        for first, _ in new:
            backend.remove(first // OF_A_PERSON)
        figures["remove a person"] = seconds(lambda: backend.remove(0))[0]
        figures["vectors of the removed"]["after"] = vectors_in(folder, gone)
    backend.close()
    if step == "search":
        figures["vectors of the removed"]["closed"] = vectors_in(folder, held[:OF_A_PERSON])
    print(json.dumps(figures))


def vectors_in(home: Path, vectors: np.ndarray) -> int:
    """How many of these are in any file, as float32; compressed Parquet files are read as such."""
    found = {i for i, v in enumerate(vectors) if traces(home, [v.tobytes()])}
    for path in home.rglob("*.parquet"):
        table = importlib.import_module("pyarrow.parquet").read_table(path)
        if "vector" in table.column_names:
            held = np.array(table["vector"].to_pylist(), np.float32)
            found |= {i for i, v in enumerate(vectors) if (held == v).all(axis=1).any()}
    return len(found)


def drawn(n: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors (n, d), probes (64, d) at a cosine of about 0.6 to one each, and which."""
    rng = np.random.default_rng([SEED, n, d])
    held = rng.standard_normal((n, d)).astype(np.float32)
    held /= np.linalg.norm(held, axis=1, keepdims=True)
    noise = rng.standard_normal((PROBES, d)).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    which = rng.choice(n, PROBES, replace=False)
    probes = held[which] + noise * float((COSINE**-2 - 1) ** 0.5)
    return held, probes / np.linalg.norm(probes, axis=1, keepdims=True), which


class OurVectors:
    """`facerec_oltr.gallery.Gallery`: one call a person, on the disk when it returns."""

    def __init__(self, home: Path, d: int) -> None:
        from facerec_oltr.gallery import Gallery
        from facerec_oltr.gallery.records import RecordedEmbedder

        facts = RecordedEmbedder("random", "0" * 64, dimensions=d, size=1, source="random")
        self.gallery = Gallery.open_or_create(home / "gallery.db", facts)

    def insert(self, vectors: np.ndarray) -> None:
        """All of them, person by person."""
        for first in range(0, len(vectors), OF_A_PERSON):
            self.insert_person(first, vectors[first : first + OF_A_PERSON])

    def insert_person(self, first: int, vectors: np.ndarray) -> None:
        """One more person."""
        from facerec_oltr.gallery.records import NewTemplate

        photos = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(first, first + len(vectors))]
        own = [NewTemplate(v, photo, "") for v, photo in zip(vectors, photos, strict=True)]
        self.gallery.enrol(str(first // OF_A_PERSON), own)

    def search(self, probes: np.ndarray) -> list[int]:
        """The best person of each."""
        return [int(found[0].name) for found in self.gallery.search(probes, k=2)]

    def remove(self, person: int) -> None:
        """Remove a person."""
        self.gallery.erase(str(person))

    def close(self) -> None:
        """Close it."""
        self.gallery.close()


class MilvusVectors:
    """A collection as `create_collection(name, dimension)` makes it: AUTOINDEX, cosine."""

    def __init__(self, home: Path, d: int) -> None:
        self.client = importlib.import_module("pymilvus").MilvusClient(str(home / "milvus.db"))
        if self.client.has_collection("people"):
            self.client.load_collection("people")
        else:
            self.client.create_collection("people", dimension=d)

    def insert(self, vectors: np.ndarray) -> None:
        """All of them, 1,000 a call."""
        for first in range(0, len(vectors), A_CALL):
            self.insert_person(first, vectors[first : first + A_CALL])

    def insert_person(self, first: int, vectors: np.ndarray) -> None:
        """One more person, or several."""
        rows = [{"id": i, "vector": v, "person": i // OF_A_PERSON} for i, v in enumerate(vectors, first)]
        self.client.insert("people", rows)

    def search(self, probes: np.ndarray) -> list[int]:
        """The best person of each."""
        found = self.client.search("people", data=probes.tolist(), limit=2, output_fields=["person"])
        return [hits[0]["entity"]["person"] for hits in found]

    def remove(self, person: int) -> None:
        """Remove a person."""
        self.client.delete("people", filter=f"person == {person}")

    def close(self) -> None:
        """Close it."""
        self.client.close()


BACKENDS = {"ours": OurVectors, "milvus-lite": MilvusVectors}
