"""What a training step of a head costs as the classes grow: seconds and memory, against a plain linear classifier.

    OMP_NUM_THREADS=1 python benchmarks/class_scaling.py --classes 1000 10000 100000 --rounds 5 --ranks
    OMP_NUM_THREADS=1 python benchmarks/class_scaling.py --classes 1000000 --rounds 3

A step is the engine's own (StageRun): the head on features that need a gradient (a layer of D × D lies before them),
the loss, backward, SGD with momentum and weight decay, and the training accuracy that is reported. The peer is
F.linear, F.cross_entropy and torch's SGD, nothing else. B = 128, D = 512, float32.

Each measurement has a process of its own, and the heads take turns. A round's figure is the mean of its steps after
one that warms up, a row's the median of the rounds. Peak memory is what the process holds at most over what it held
before it built anything, after a step of another, tiny head. Under Linux the high-water mark can be set back, so that
building a head and training it are told apart. "Predicted" is `predicted`, as docs/scaling.md derives it.

Results join those of other sizes in class_scaling.json; class_scaling_plot.py draws them.
"""

import argparse
import json
import multiprocessing
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from facerec_oltr.config import load_experiment
from facerec_oltr.engine.model import build_model
from facerec_oltr.engine.stage import Done, StageRun

B, D, WARM = 128, 512, 1
LIMIT = 20e9  # bytes; a row that would need more is left out
OUT = Path(__file__).with_suffix(".json")
_COSINE = '{kind="cosine", scale=64.0SAMPLE}'
_MARGIN, _CE = '[{loss={kind="margin"}}]', '[{loss={kind="cross_entropy"}}]'
HEADS = {
    "linear": None,
    "cosine": (_COSINE.replace("SAMPLE", ""), _MARGIN),
    "cosine, sample 0.1": (_COSINE.replace("SAMPLE", ", sample=0.1"), _MARGIN),
    "meta-embedding": ('{kind="meta_embedding"}', _CE),
}

MOMENTS = {
    "linear": ((2, 3), (3, 2), (4, 0)),
    "cosine": ((2, 4), (3, 3), (4, 1)),
    "meta-embedding": ((5, 5), (6, 4), (7, 3), (8, 1)),
}
"""How many (C, D) and (B, C) matrices lie in memory at the moments of a step that may be its largest; see the docs."""


def predicted(name: str, classes: float, batch: int = B, ranks: int = 1) -> float:
    """The bytes of a rank at the largest moment of a step."""
    kind, _, sample = name.partition(", sample ")
    matrix, logits = 4 * classes / ranks * D, 4 * classes / ranks * batch
    largest = max(matrices * matrix + several * logits for matrices, several in MOMENTS[kind])
    return 2 * matrix + float(sample) * largest if sample else largest


class Vectors:
    """A training split of random features, in memory, of labels drawn at random."""

    def __init__(self, count: int, classes: int) -> None:
        rng = np.random.default_rng(0)
        self.vectors = rng.standard_normal((count, D), np.float32)
        self.labels: npt.NDArray[np.int64] = rng.integers(0, classes, count)
        self.classes, self.shape, self.fingerprint = classes, (D,), "random"
        self.stand_ins = MappingProxyType({})

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, positions: npt.NDArray[np.int64], crop: object = None) -> npt.NDArray[Any]:
        """The features at `positions`."""
        return self.vectors[positions]

    def name(self, position: int) -> str:
        """Of a vector, for messages."""
        return f"vector {position}"


def ours(name: str, classes: int, steps: int) -> Callable[[], object]:
    """A step of the engine's; a memory is random, since it would be made by a pass over all images."""
    choices = HEADS[name]
    assert choices is not None
    head, losses = choices
    overrides = [f"stages.0.head={head}", f"stages.0.losses={losses}", f"stages.0.fc_add={D}"]
    overrides += [f"schedule={{epochs=1, batch_size={B}, learning_rate=0.1, validate_every=0}}"]
    experiment = load_experiment("plain", "lfw_features", overrides=overrides)
    data = Vectors(B * steps, classes)
    model = build_model(experiment, experiment.stages[0], shape=data.shape, classes=classes, seed=0)
    if model.head.memory is not None:
        model.head.memory.normal_()
    if dist.is_initialized():
        model.head.split(classes)
    run = StageRun(experiment, 0, model, [], data, torch.device("cpu"))
    run.go_on(Done(), run.state())
    training = run.train()
    return lambda: next(training)


def peer(classes: int, steps: int) -> Callable[[], object]:
    """A step of a linear classifier, behind a layer as ours has it."""
    layer, weight = nn.Linear(D, D), nn.Parameter(torch.randn(classes, D).mul_(D**-0.5))
    optimizer = torch.optim.SGD([*layer.parameters(), weight], lr=0.1, momentum=0.9, weight_decay=5e-4)
    data = Vectors(B * steps, classes)
    batches = iter(np.arange(B * steps).reshape(steps, B))

    def step() -> float:
        positions = next(batches)
        features, labels = torch.relu(layer(torch.from_numpy(data.batch(positions)))), data.labels[positions]
        loss = F.cross_entropy(F.linear(features, weight), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def build(name: str, classes: int, steps: int) -> Callable[[], object]:
    """The step of a row."""
    return peer(classes, steps) if HEADS[name] is None else ours(name, classes, steps)


def held(mark: str) -> int:
    """Bytes in memory: now (VmRSS), or at most since the mark was set back (VmHWM)."""
    found = re.search(rf"{mark}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    assert found is not None
    return int(found[1]) * 1024


def set_back() -> None:
    """Set the high-water mark back to what is held now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def measure(name: str, classes: int, steps: int, rank: int = 0, ranks: int = 1, meet: str = "") -> dict[str, float]:
    """Seconds of a step by CPU time and by the clock, and peak MB of building and of training, of this process."""
    if ranks > 1:
        dist.init_process_group("gloo", f"file://{meet}", world_size=ranks, rank=rank)
    warm = build(name, 16 * ranks, WARM)
    warm()
    set_back()
    before = held("VmRSS")
    step = build(name, classes, WARM + steps)
    building = held("VmHWM") - before
    set_back()
    for _ in range(WARM):
        step()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        step()
    wall, cpu = (time.perf_counter() - wall) / steps, (time.process_time() - cpu) / steps
    training = held("VmHWM") - before
    if ranks > 1:
        dist.destroy_process_group()
    return {"cpu": cpu, "wall": wall, "peak_mb": training / 1e6, "building_mb": building / 1e6}


def alone(name: str, classes: int, steps: int) -> dict[str, float]:
    """A measurement in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (name, classes, steps))


def together(name: str, classes: int, ranks: int = 2) -> list[dict[str, float]]:
    """The same measurement in processes that train together, one after another in the list."""
    with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(ranks) as pool:
        tasks = [(name, classes, 2, rank, ranks, f"{folder}/meet") for rank in range(ranks)]
        return pool.starmap(measure, tasks, chunksize=1)


def rows_of(classes: int, rounds: int, names: list[str]) -> list[dict[str, Any]]:
    """A row for each head at one size, measured in turns."""
    steps = max(1, min(20, 50_000 // classes))
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names if predicted(name, classes) <= LIMIT}
    for number in range(rounds):
        for name, figures in found.items():
            figures.append(alone(name, classes, steps))
            print(f"C = {classes:,}, round {number + 1}, {name}: {figures[-1]}", flush=True)
    rows = []
    for name, figures in found.items():
        row: dict[str, Any] = {"classes": classes, "head": name, "rounds": rounds, "steps": steps}
        row |= {key: statistics.median(figure[key] for figure in figures) for key in figures[0]}
        ratios = [own["cpu"] / other["cpu"] for own, other in zip(figures, found["linear"], strict=True)]
        row["ratio"] = [statistics.median(ratios), min(ratios), max(ratios)]
        rows.append(row | {"predicted_mb": predicted(name, classes) / 1e6})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = ["| C | head | CPU s | by the clock | times linear | peak MB | predicted | building |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for row in rows:
        middle, low, high = row["ratio"]
        lines.append(
            f"| {row['classes']:,} | {row['head']} | {row['cpu']:.3g} | {row['wall']:.3g} | {middle:.2f} ({low:.2f} to "
            f"{high:.2f}) | {row['peak_mb']:,.0f} | {row['predicted_mb']:,.0f} | {row['building_mb']:,.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, add to what is known, print all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--classes", type=int, nargs="+", default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--heads", nargs="+", choices=HEADS, default=list(HEADS), help="with the peer, linear")
    parser.add_argument("--ranks", action="store_true", help="measure two processes together too, at 100,000 classes")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    known: dict[str, Any] = {"rows": []}
    if arguments.out.exists():
        known = json.loads(arguments.out.read_text(encoding="utf-8"))
    for classes in arguments.classes:
        new = rows_of(classes, arguments.rounds, arguments.heads)
        replaced = {(row["classes"], row["head"]) for row in new}
        kept = [row for row in known["rows"] if (row["classes"], row["head"]) not in replaced]
        known["rows"] = sorted(kept + new, key=lambda row: (row["classes"], list(HEADS).index(row["head"])))
        arguments.out.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    if arguments.ranks:
        names = [name for name in HEADS if name != "linear"]
        known["two_ranks"] = {name: together(name, 100_000) for name in names}
        arguments.out.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    print(table(known["rows"]))
    for name, figures in known.get("two_ranks", {}).items():
        print(name, *(f"rank {rank}: {figure['peak_mb']:,.0f} MB" for rank, figure in enumerate(figures)))


if __name__ == "__main__":
    main()
