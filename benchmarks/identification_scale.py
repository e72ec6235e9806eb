"""Open-set identification of many probes in a large gallery, side by side with numpy's own float32 matrix product.

python benchmarks/identification_scale.py [--gallery 50000] [--probes 2000] [--dimensions 512] [--rounds 3] [--out FILE]
python benchmarks/identification_scale.py --plot docs/identification.png [--out FILE]

The peer multiplies the same probes with the same gallery into one buffer and looks at nothing: in blocks of several
shapes, of which the fastest counts, because nobody can hold 1,000,000 × 10,000 scores. Ours reads the gallery from a
memory-mapped file and leaves all that the figures need: `ranks`, for one gallery; `nested`, for galleries of 100,
1,000, 10,000 … at once, with 50 candidates each; `binned`, the same with all scores counted in 128 bins.

Each run is a process of its own, so that its peak memory is its own; they take turns, and medians are told. Half of
the probes are strangers; the scores of mates lie between 0.12 and 0.7, so that many of them rank low. Ours runs with
another block in every round, and all runs of a row must agree to the last bit.
"""

import argparse
import hashlib
import json
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from facerec_oltr.metrics.identification import rank_k, tpir_at_fpir
from facerec_oltr.metrics.sweep import Sweep, sweep

OUT = Path(__file__).with_suffix(".json")
OURS: dict[str, dict[str, Any]] = {"ranks": {}, "nested": {"best": 50}, "binned": {"best": 50, "bins": 128}}
SHAPES = ((2_048, 16_384), (2_048, 4_096), (1_024, 8_192))  # of the product: probes, templates
BLOCKS = ((2_048, 16_384), (2_000, 15_000), (1_536, 17_001))  # of ours, in turns


def make(folder: Path, gallery: int, probes: int, dimensions: int) -> None:
    """Write both files, part by part."""
    rng = np.random.default_rng(0)

    def unit(rows: np.ndarray) -> np.ndarray:
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    file = np.lib.format.open_memmap(folder / "gallery.npy", "w+", np.float32, (gallery, dimensions))
    for start in range(0, gallery, 1 << 14):
        part = file[start : start + (1 << 14)]
        part[:] = unit(rng.standard_normal(part.shape, np.float32))
    noise = unit(rng.standard_normal((probes, dimensions), np.float32))
    own = rng.integers(0, min(100, gallery), probes // 2)  # in the smallest gallery already
    noise[: len(own)] = unit(file[own] + rng.uniform(1, 8, (len(own), 1)).astype(np.float32) * noise[: len(own)])
    np.save(folder / "probes.npy", noise)
    np.save(folder / "own.npy", np.concatenate([own, np.full(probes - len(own), gallery)]))


def multiply(folder: Path, shape: tuple[int, int]) -> None:
    """The peer."""
    gallery, probes = np.load(folder / "gallery.npy", mmap_mode="r"), np.load(folder / "probes.npy")
    gallery = np.asarray(gallery)
    out = np.empty((min(shape[0], len(probes)), min(shape[1], len(gallery))), np.float32)
    for start in range(0, len(gallery), shape[1]):
        templates = gallery[start : start + shape[1]]
        for first in range(0, len(probes), shape[0]):
            some = probes[first : first + shape[0]]
            np.matmul(some, templates.T, out=out.reshape(-1)[: len(some) * len(templates)].reshape(len(some), -1))


def sizes_of(gallery: int) -> tuple[int, ...]:
    """100, 1,000 … and all."""
    return (*(10**e for e in range(2, 12) if 10**e < gallery), gallery)


def identify(folder: Path, shape: tuple[int, int], options: dict[str, Any]) -> Sweep:
    """Ours."""
    gallery = np.load(folder / "gallery.npy", mmap_mode="r")
    sizes = sizes_of(len(gallery)) if options else None
    probes, own = np.load(folder / "probes.npy"), np.load(folder / "own.npy")
    return sweep(probes, own, gallery, np.arange(len(gallery)), sizes=sizes, block=shape, **options)


def peak_mb() -> float:
    """The most that this process has held, mapped files included; getrusage would tell of who started it, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def measure(name: str, folder: Path, shape: tuple[int, int]) -> dict[str, Any]:
    """One run: seconds by the clock and of CPU, MB at the peak, and what was found."""
    np.matmul(np.ones((64, 64), np.float32), np.ones((64, 64), np.float32))  # the library starts its threads
    clock, cpu = time.perf_counter(), time.process_time()
    found = identify(folder, shape, OURS[name]) if name in OURS else multiply(folder, shape)
    run = {"seconds": time.perf_counter() - clock, "cpu": time.process_time() - cpu}
    run["peak_mb"] = peak_mb()
    return run if found is None else run | {"digest": digest(found), "figures": figures(found)}


def digest(found: Sweep) -> str:
    """Of all that was found."""
    hashed = hashlib.sha256()
    for gallery in found.galleries:
        searches = gallery.searches
        arrays = [searches.true_scores, searches.ranks, searches.best_others, searches.nonmated_maxima]
        arrays += [gallery.best, gallery.best_scores]
        arrays += [gallery.counts.mated, gallery.counts.nonmated] if gallery.counts else []
        for array in arrays:
            hashed.update(np.ascontiguousarray(array).tobytes())
    return hashed.hexdigest()[:16]


def figures(found: Sweep) -> dict[str, list[float]]:
    """Rank 1 and TPIR at FPIR 1 % by size."""
    return {
        f"{gallery.size}": [rank_k(gallery.searches), tpir_at_fpir(gallery.searches, 0.01).tpir]
        for gallery in found.galleries
    }


def compare(gallery: int, probes: int, dimensions: int, rounds: int) -> dict[str, Any]:
    """All runs of one size, and their medians and ratios."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ("product", *OURS)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, gallery, probes, dimensions)
        for turn in range(rounds):
            for row, told in runs.items():
                tries = SHAPES if row == "product" else (BLOCKS[turn % len(BLOCKS)],)
                found = []
                for shape in tries:
                    with multiprocessing.get_context("spawn").Pool(1) as pool:
                        found.append(pool.apply(measure, (row, folder, shape)))
                told.append(min(found, key=lambda run: run["seconds"]))
    return {"gallery": gallery, "probes": probes, "dimensions": dimensions, "rounds": rounds} | {
        row: summary(told, runs["product"]) for row, told in runs.items()
    }


def summary(told: list[dict[str, Any]], product: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of one row, and its share of the product's speed."""
    assert len({run.get("digest") for run in told}) == 1, "runs with other blocks found something else"
    row = {key: statistics.median(run[key] for run in told) for key in ("seconds", "cpu", "peak_mb")}
    for key in ("seconds", "cpu"):
        shares = [own[key] / run[key] for own, run in zip(product, told, strict=True)]
        row[f"share_by_{key}"] = [statistics.median(shares), min(shares), max(shares)]
    return row | {key: told[0][key] for key in ("digest", "figures") if key in told[0]}


def show(result: dict[str, Any]) -> None:
    """Print the table of one size."""
    flop = 2 * result["gallery"] * result["probes"] * result["dimensions"]
    print("{gallery:,} x {probes:,} x {dimensions}, {rounds} rounds in turns, medians".format(**result))
    for name in ("product", *OURS):
        row = result[name]
        shares = "  ".join("{:4.0%} ({:.0%} to {:.0%})".format(*row[f"share_by_{k}"]) for k in ("seconds", "cpu"))
        speed = flop / row["seconds"] / 1e9
        print(
            f"{name:8} {row['seconds']:8.2f} s {row['cpu']:8.2f} CPU s {speed:6.1f} GFLOP/s  "
            f"of the product's speed by clock and CPU: {shares}  {row['peak_mb']:7,.0f} MB at the peak"
        )
    for size, (rank_1, tpir) in result["nested"]["figures"].items():
        print(f"N = {int(size):9,}: rank 1 {rank_1:6.1%}, TPIR at FPIR 1 % {tpir:6.1%}")


def draw(results: list[dict[str, Any]], path: str) -> None:
    """Cost of a probe, and memory, against the size of the gallery."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    colours = dict(zip(("product", *OURS), ("#7f7f7f", "#2166ac", "#c1440e", "#b8860b"), strict=True))
    labels = {"product": "matrix product alone", "ranks": "one gallery", "nested": "nested galleries, best 50"}
    figure = Figure(figsize=(11, 4.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    results = sorted(results, key=lambda result: result["gallery"])
    x = [result["gallery"] for result in results]
    for name, colour in colours.items():
        style = {"color": colour, "marker": "o", "markersize": 5, "label": labels.get(name, "the same, and 128 bins")}
        left.plot(x, [1e3 * result[name]["cpu"] / result["probes"] for result in results], **style)
        right.plot(x, [result[name]["peak_mb"] for result in results], **style)
    right.axhline(4000, color="#555555", linestyle=":", linewidth=1.2)
    right.annotate("goal", (x[0], 4000), xytext=(0, 4), textcoords="offset points", color="#555555", fontsize=9)
    for axes, title, unit in ((left, "Cost of a probe", "CPU ms"), (right, "Peak memory, mapped file included", "MB")):
        axes.set(xscale="log", yscale="log", xlabel="identities in the gallery, N", ylabel=unit)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.yaxis.set_major_formatter("{x:,.10g}")
        axes.set_title(title, loc="left", weight="bold")
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    left.legend(frameon=False)
    probes = " and ".join(f"{n:,}" for n in sorted({result["probes"] for result in results}))
    words = f"{probes} probes, D = {results[0]['dimensions']}, float32, medians"
    figure.supxlabel(words, fontsize=9, color="#555555")
    figure.savefig(path, metadata={"Software": None})


def main() -> None:
    """Measure one size and keep it beside others, or draw what is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("gallery", 50_000), ("probes", 2_000), ("dimensions", 512), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--plot")
    given = parser.parse_args()
    if given.plot:
        draw(json.loads((given.out or OUT).read_text(encoding="utf-8")), given.plot)
        return
    result = compare(given.gallery, given.probes, given.dimensions, given.rounds)
    show(result)
    if given.out:
        kept = json.loads(given.out.read_text(encoding="utf-8")) if given.out.exists() else []
        key = ("gallery", "probes", "dimensions")
        kept = [one for one in kept if [one[k] for k in key] != [result[k] for k in key]]
        given.out.write_text(json.dumps([*kept, result], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
