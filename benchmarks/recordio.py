"""recordio_tools against real mxnet 1.9.1, on the same files: make bench-recordio, which prints the table in Markdown.

Each contender runs in a process of its own, the two of a row take turns, and each turn does the same work in the same
order. A round's speed-up is their time in that round over ours; its median is told with the smallest and the largest,
once by CPU time, which a busy machine disturbs less, and once by the clock.
Memory is the peak of the process above what it had before it opened the file; pages of the mapped file, which the
system shares and takes back at will, are told apart.
"""

import importlib
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

IMAGES, PEOPLE = 20_000, 2_000
LINES = 5_272_942  # of MS1MV3's train.idx
ROUNDS = 15
FEW_ROUNDS = 5
DECODED = 1_000  # images a round
COLD = 4_000  # records a round

Work = Callable[[np.ndarray], int]


class Result(NamedTuple):
    """One round: seconds, and MB that the process grew by."""

    wall: float
    cpu: float
    peak: float
    mapped: float


# ---- the contenders: open what is asked for, and return what a round does with its keys


def mxnet_fetch(folder: Path) -> Work:
    """`read_idx`: bytes."""
    reader = mxnet_reader(folder)

    def work(keys: np.ndarray) -> int:
        return sum(len(reader.read_idx(key)) for key in keys.tolist())

    return work


def our_fetch(folder: Path) -> Work:
    """`Reader.read`: bytes."""
    from recordio_tools import Reader

    reader = Reader(folder / "train.rec")

    def work(keys: np.ndarray) -> int:
        return sum(len(reader.read(key)) for key in keys.tolist())

    return work


def our_view(folder: Path) -> Work:
    """`Reader.view`: the record without a copy."""
    from recordio_tools import Reader

    reader = Reader(folder / "train.rec")

    def work(keys: np.ndarray) -> int:
        return sum(len(reader.view(key)) for key in keys.tolist())

    return work


def mxnet_unpack(folder: Path) -> Work:
    """`read_idx` and `unpack`."""
    reader = mxnet_reader(folder)
    unpack = sys.modules["mxnet.recordio"].unpack

    def work(keys: np.ndarray) -> int:
        return sum(len(unpack(reader.read_idx(key))[1]) for key in keys.tolist())

    return work


def our_unpack(folder: Path) -> Work:
    """`FaceSet.record`: header, and the image without a copy."""
    from recordio_tools import FaceSet

    faces = FaceSet(folder)

    def work(keys: np.ndarray) -> int:
        return sum(len(faces.record(key - 1)[1]) for key in keys.tolist())

    return work


def mxnet_decode(folder: Path) -> Work:
    """`read_idx`, `unpack` and `mx.image.imdecode`: pixels in RGB."""
    mx = whole_mxnet()
    reader = mxnet_reader(folder)

    def work(keys: np.ndarray) -> int:
        return sum(
            mx.image.imdecode(mx.recordio.unpack(reader.read_idx(key))[1]).asnumpy().size for key in keys.tolist()
        )

    return work


def mxnet_cv2(folder: Path) -> Work:
    """`read_idx`, `unpack` and OpenCV's `imdecode`, as who knows mxnet's decoder to be slow does it."""
    import cv2

    reader = mxnet_reader(folder)
    unpack = sys.modules["mxnet.recordio"].unpack

    def work(keys: np.ndarray) -> int:
        total = 0
        for key in keys.tolist():
            image = np.frombuffer(unpack(reader.read_idx(key))[1], np.uint8)
            pixels: Any = cv2.imdecode(image, cv2.IMREAD_COLOR)
            total += cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).size
        return total

    return work


def our_decode(folder: Path) -> Work:
    """`FaceSet.image`: pixels in RGB."""
    from recordio_tools import FaceSet

    faces = FaceSet(folder)

    def work(keys: np.ndarray) -> int:
        return sum(faces.image(key - 1).size for key in keys.tolist())

    return work


def mxnet_stream(folder: Path) -> Work:
    """`MXRecordIO.read` until None: mxnet's fastest way through a file."""
    from tests.oracle.real_mxnet import recordio

    def work(_: np.ndarray) -> int:
        reader = recordio.MXRecordIO(str(folder / "train.rec"), "r")
        return sum(len(record) for record in iter(reader.read, None))

    return work


def our_stream(folder: Path) -> Work:
    """`for key, payload in reader`."""
    from recordio_tools import Reader

    reader = Reader(folder / "train.rec")

    def work(_: np.ndarray) -> int:
        return sum(len(record) for _, record in reader)

    return work


def mxnet_index(folder: Path) -> Work:
    """Opening an `MXIndexedRecordIO`, which reads the index."""
    from tests.oracle.real_mxnet import recordio

    def work(_: np.ndarray) -> int:
        reader = recordio.MXIndexedRecordIO(str(folder / "long.idx"), str(folder / "train.rec"), "r")
        return reader.idx[LINES // 2]

    return work


def our_index(folder: Path) -> Work:
    """`Index.load` and the first look-up, which makes the table from key to position."""
    from recordio_tools.index import Index

    def work(_: np.ndarray) -> int:
        index = Index.load(folder / "long.idx")
        return int(index.offsets[index.position(LINES // 2)])

    return work


def mxnet_reader(folder: Path) -> Any:
    """Open the set with mxnet's reader."""
    from tests.oracle.real_mxnet import recordio

    return recordio.MXIndexedRecordIO(str(folder / "train.idx"), str(folder / "train.rec"), "r")


def whole_mxnet() -> Any:
    """Import all of mxnet, not `mxnet.recordio` alone."""
    np.bool = bool  # without it `import mxnet` fails since numpy 1.24
    return importlib.import_module("mxnet")


# ---- measuring


class Row(NamedTuple):
    """A line of the table: what is done, by whom, and the goal as a multiple of mxnet's speed, 0 for none."""

    name: str
    theirs: Callable[[Path], Work]
    ours: Callable[[Path], Work]
    goal: float
    keys: int
    rounds: int = ROUNDS
    fresh: bool = False  # a new process each round
    cold: bool = False  # the file is dropped from the page cache before each round


ROWS = (
    Row("random records by key, as bytes", mxnet_fetch, our_fetch, 5, IMAGES),
    Row("random records by key, without a copy", mxnet_fetch, our_view, 10, IMAGES),
    Row("random records, header and image bytes", mxnet_unpack, our_unpack, 0, IMAGES),
    Row("random images, decoded to RGB", mxnet_decode, our_decode, 4, DECODED),
    Row("the same, mxnet with OpenCV's decoder", mxnet_cv2, our_decode, 0, DECODED),
    Row("all records in file order, as bytes", mxnet_stream, our_stream, 0, IMAGES),
    Row(f"an index of {LINES:,} lines", mxnet_index, our_index, 6, 1, FEW_ROUNDS, fresh=True),
    Row(f"{COLD:,} random records, cold", mxnet_fetch, our_fetch, 0, COLD, FEW_ROUNDS, fresh=True, cold=True),
)


def contender(make: Callable[[Path], Work], folder: Path, pipe: Connection) -> None:
    """The child: one round for each array of keys that comes down the pipe, until None."""
    if make is mxnet_decode:
        whole_mxnet()
    elif make.__name__.startswith("mxnet"):
        import tests.oracle.real_mxnet  # noqa: F401
    if make in (mxnet_cv2, our_decode):
        import cv2

        cv2.setNumThreads(1)
    import recordio_tools  # noqa: F401

    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    before = _memory()
    work = None
    while (keys := pipe.recv()) is not None:
        work = work or make(folder)
        start, cpu = time.perf_counter(), time.process_time()
        assert work(keys) > 0
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        after = _memory()
        pipe.send(Result(wall, cpu, after["VmHWM"] - before["VmRSS"], max(0.0, after["RssFile"] - before["RssFile"])))


def _memory() -> dict[str, float]:
    """MB by name, of this process."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {words[0][:-1]: int(words[1]) / 1e3 for words in lines if words[-1] == "kB"}


class Child:
    """A contender in a process of its own."""

    def __init__(self, make: Callable[[Path], Work], folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=contender, args=(make, folder, other))
        self._process.start()
        other.close()

    def round(self, keys: np.ndarray) -> Result:
        """One round's times and the memory until then."""
        self._pipe.send(keys)
        return self._pipe.recv()

    def end(self) -> None:
        """Let the process end."""
        self._pipe.send(None)
        self._process.join()


def measure(row: Row, folder: Path) -> list[tuple[Result, Result]]:
    """(theirs, ours) of each round; a first round, which warms both up, is not told."""
    rng = np.random.default_rng(0)
    children: list[Child] = []
    rounds = []
    for number in range(row.rounds + 1):
        keys = rng.permutation(np.arange(1, IMAGES + 1))[: row.keys]
        results = []
        for side, make in enumerate((row.theirs, row.ours)):
            if row.cold:
                _drop(folder / "train.rec")
            if row.fresh:
                child = Child(make, folder)
                results.append(child.round(keys))
                child.end()
            else:
                if number == 0:
                    children.append(Child(make, folder))
                results.append(children[side].round(keys))
        if number:
            rounds.append((results[0], results[1]))
    for child in children:
        child.end()
    return rounds


def _drop(path: Path) -> None:
    """Ask the system to forget the file's pages; nobody may have it mapped."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


# ---- the files


def write_set(folder: Path) -> None:
    """A face set by real mxnet, laid out as MS1M is: 112 × 112 JPEGs of quality 95, of 6.6 kB on average."""
    import cv2

    from tests.oracle.real_mxnet import recordio

    writer = recordio.MXIndexedRecordIO(str(folder / "train.idx"), str(folder / "train.rec"), "w")

    def write(key: int, label: list[float], image: bytes) -> None:
        writer.write_idx(key, recordio.pack(recordio.IRHeader(0, label, key, 0), image))

    each = IMAGES // PEOPLE
    sizes = []
    for key, image in enumerate(_jpegs(cv2), 1):
        write(key, [float((key - 1) // each), 1.0], image)
        sizes.append(len(image))
    first = IMAGES + 1
    write(0, [float(first), float(first + PEOPLE)], b"")
    for person in range(PEOPLE):
        write(first + person, [1.0 + person * each, 1.0 + (person + 1) * each], b"")
    writer.close()
    (folder / "property").write_text(f"{PEOPLE},112,112\n")
    print(f"{IMAGES:,} JPEGs of {statistics.mean(sizes):,.0f} bytes on average", file=sys.stderr)


def _jpegs(cv2: Any) -> Iterator[bytes]:
    """Blurred colours with a little noise, which makes them as large as photos of faces."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 6, (64, 112, 112, 3))
    for number in range(IMAGES):
        smooth = cv2.resize(rng.uniform(30, 225, (8, 8, 3)), (112, 112), interpolation=cv2.INTER_CUBIC)
        pixels = np.clip(smooth + np.roll(noise[number % 64], number // 64, axis=0), 0, 255).astype(np.uint8)
        yield cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def write_long_index(path: Path) -> None:
    """As many lines as MS1MV3's, in its order: images, key 0, identities; records of 5.8 kB on average."""
    images = LINES - 93_432
    keys = np.concatenate([np.arange(1, images + 1), [0], np.arange(images + 1, LINES)])
    offsets = np.cumsum(np.random.default_rng(0).integers(700, 2200, LINES) * 4)
    with path.open("w") as file:
        for start in range(0, LINES, 1 << 16):
            part = zip(
                keys[start : start + (1 << 16)].tolist(), offsets[start : start + (1 << 16)].tolist(), strict=True
            )
            file.writelines(f"{key}\t{offset}\n" for key, offset in part)


def check_same(folder: Path) -> str:
    """Both sides give the same bytes, labels and pixels."""
    from recordio_tools import FaceSet

    mx = whole_mxnet()
    reader = mxnet_reader(folder)
    faces = FaceSet(folder)
    worst = 0
    for key in range(1, IMAGES + 1, 499):
        header, image = mx.recordio.unpack(reader.read_idx(key))
        assert image == faces.encoded(key - 1)
        assert header.label[0] == faces.labels[key - 1]
        theirs = mx.image.imdecode(image).asnumpy().astype(int)
        worst = max(worst, int(np.abs(theirs - faces.image(key - 1)).max()))
    assert worst <= 2, "the decoders' pixels differ"
    return f"the decoded pixels of both differ by {worst} of 255 at most"


# ---- the table


def told(row: Row, rounds: list[tuple[Result, Result]]) -> str:
    """A row in Markdown."""

    def speed(side: int) -> str:
        seconds = statistics.median(results[side].cpu for results in rounds)
        return f"{seconds:.2f} s" if row.keys == 1 else f"{row.keys / seconds:,.0f}/s"

    def memory(side: int) -> str:
        peak, mapped = (max(getattr(results[side], name) for results in rounds) for name in ("peak", "mapped"))
        return f"{peak - mapped:.0f}" + (f" + {mapped:.0f} mapped" if mapped > 20 else "")

    def ratio(name: str) -> str:
        ratios = [getattr(theirs, name) / getattr(ours, name) for theirs, ours in rounds]
        return f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"

    goal = f"{row.goal:g}" if row.goal else ""
    cells = (row.name, speed(0), speed(1), ratio("cpu"), ratio("wall"), goal, memory(0), memory(1))
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Make the files in a temporary folder, measure every row and print the table."""
    whole_mxnet()  # before its recordio alone is asked for
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_set(folder)
        write_long_index(folder / "long.idx")
        same = check_same(folder)
        packages = ", ".join(f"{package} {version(package)}" for package in ("mxnet", "numpy", "opencv-python"))
        print(f"Python {platform.python_version()}, {packages}, {os.cpu_count()} processors; {same}.\n")
        print("| what | mxnet, by CPU time | ours | times as fast | by the clock | goal | mxnet, MB | ours, MB |")
        print("|---|---|---|---|---|---|---|---|")
        for row in ROWS:
            print(told(row, measure(row, folder)), flush=True)


if __name__ == "__main__":
    main()
