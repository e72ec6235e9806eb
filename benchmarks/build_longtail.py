"""`recordio build-lt` against `cp`: the same number of bytes put on the same disk, with the source in the page cache.

python benchmarks/build_longtail.py [megabytes [rounds [folder]]]

The source is a face set of random bytes, about 6 kB an image and 20 images a person; seven tenths of its images are
kept. `cp` copies a file of the output's size, and both end with their bytes flushed to the disk (`cp` is followed by
`sync` of its file, as build-lt flushes its own). They take turns, and medians are told. The start of Python and its
libraries, which does not grow with the set, is told apart. What is no copying is told by `--view`, which does all the
rest (opening, drawing lots, the picture, fingerprints, the manifest): the last row is the one less the other. Memory is
the most anonymous memory (RssAnon) that was seen; the mapped source is not in it.

Each turn removes the output of the turn before right before it starts, so that both get the memory for their pages
from it: a virtual machine gives memory that lies free for two seconds back to its host, and then each new page costs
ten times a page's copy.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from recordio_tools import FaceSet
from recordio_tools.set_writer import SetWriter

IMAGE, EACH, KEPT = 6000, 20, 0.7
CHILD = """
import subprocess, sys, time
began = time.perf_counter()
import matplotlib.backends.backend_agg, matplotlib.figure, matplotlib.ticker
from recordio_tools.build import build_longtail
from recordio_tools.longtail import Rule
source, out, images, view = sys.argv[1:]
ready = time.perf_counter()
subprocess.run(["sh", "-c", 'rm -rf "$0"; sync -f .', out], check=True)
start = time.perf_counter()
build_longtail(source, out, Rule("uniform_images", int(images)), 0, view=view == "view")
print(time.perf_counter() - start, ready - began)
"""
COPY = """
import subprocess, sys, time
source, out = sys.argv[1:]
subprocess.run(["sh", "-c", 'rm -rf "$0"; sync -f .', out], check=True)
start = time.perf_counter()
subprocess.run(["sh", "-c", 'cp "$0" "$1" && sync "$1"', source, out], check=True)
print(time.perf_counter() - start, 0)
"""


def make_source(folder: Path, megabytes: int) -> int:
    """A face set of about that size; its number of images."""
    rng = np.random.default_rng(0)
    pool = memoryview(rng.integers(0, 200, 1 << 22, np.uint8).tobytes())  # no byte of the magic's first
    people = megabytes * 1_000_000 // (IMAGE * EACH)
    folder.mkdir()
    with SetWriter(folder, 112, 112) as faces:
        for person in range(people):
            for photo, size in enumerate(rng.integers(IMAGE // 2, IMAGE * 3 // 2, EACH).tolist()):
                start = int(rng.integers(0, len(pool) - size))
                faces.add(person, pool[start : start + size], f"m{person}/{photo}.jpg")
    return people * EACH


def timed(command: list[str], room: Path) -> tuple[float, float, float]:
    """(seconds, seconds of its start, peak anonymous MB) of one turn."""
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=room) as process:
        while process.poll() is None:
            peak = max(peak, anonymous(process.pid))
            time.sleep(0.01)
        assert process.stdout is not None
        printed = process.stdout.read()
        assert process.returncode == 0, command
    seconds, starting = map(float, printed.split())
    return seconds, starting, peak / 1000


def anonymous(process: int) -> int:
    """Its anonymous memory in kB; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


def main() -> None:
    """Measure in turns and print the table."""
    megabytes, rounds = (
        int(sys.argv[place]) if len(sys.argv) > place else usual for place, usual in ((1, 1000), (2, 5))
    )
    with tempfile.TemporaryDirectory(dir=sys.argv[3] if len(sys.argv) > 3 else None) as name:
        room = Path(name)
        images = str(int(KEPT * make_source(room / "source", megabytes)))
        build = [sys.executable, "-c", CHILD, str(room / "source")]
        subprocess.run([*build, str(room / "first"), images, "copy"], check=True, stdout=subprocess.DEVNULL)
        moved = sum(path.stat().st_size for path in (room / "first").iterdir())
        with (room / "bytes").open("wb") as file:
            file.write((room / "first" / "train.rec").read_bytes())
            file.truncate(moved)
        commands = {
            "cp, sync": [sys.executable, "-c", COPY, str(room / "bytes"), str(room / "out")],
            "build-lt": [*build, str(room / "out"), images, "copy"],
            "build-lt --view": [*build, str(room / "out"), images, "view"],
        }
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                found[name].append(timed(command, room))
        source = FaceSet(room / "source")
        size = source.reader.path.stat().st_size
        load = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        print(
            f"source {size / 1e6:,.0f} MB, {len(source):,} images, {source.classes:,} people; "
            f"output {moved / 1e6:,.0f} MB; {rounds} rounds in turns, medians; {load}"
        )
        print(f"{'':16}{'seconds':>9}{'MB/s':>8}{'of cp':>7}{'start':>8}{'anon MB':>9}")
        floor = statistics.median(seconds for seconds, _, _ in found["cp, sync"])
        for name, figures in found.items():
            seconds, starting, memory = (statistics.median(column) for column in zip(*figures, strict=True))
            line = f"{name:16}{seconds:9.2f}{moved / 1e6 / seconds:8.0f}{floor / seconds:7.2f}"
            print(line if name.startswith("cp") else f"{line}{starting:8.2f}{memory:9.0f}")
        turns = zip(*(found[name] for name in commands), strict=True)
        copying, ratio = (
            statistics.median(column)
            for column in zip(
                *((copy[0] - view[0], cp[0] / (copy[0] - view[0])) for cp, copy, view in turns), strict=True
            )
        )
        print(f"{'copying alone':16}{copying:9.2f}{moved / 1e6 / copying:8.0f}{ratio:7.2f}")


if __name__ == "__main__":
    main()
