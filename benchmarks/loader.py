"""From records to a normalised batch, beside arcface_torch's loader: make bench-loader, which prints Markdown.

Both read the same random images of the same set, flip half of them and end with (128, 3, 112, 112) float batches in
[−1, 1]. Theirs is the pattern of arcface_torch's dataset.py (commit 7fadd42), restated since torchvision does not load
beside a CPU torch 2.13: a Dataset over mxnet's reader and decoder whose items each go through ToPILImage,
RandomHorizontalFlip, ToTensor and Normalize, and torch's DataLoader. Ours is what a stage of training does:
``RecordIOFaces.batch``, ``to_input``, ``augment``, read ahead by ``prefetch``.

Each contender runs in a process of its own with one thread for each library, the contenders take turns, and a round
does the same images for all. The first table tells images per second of CPU time without workers. The second tells
images per second by the clock with 0, 1 and 2 workers; theirs are processes, ours are threads.
"""

import os
import platform
import statistics
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.recordio import Child, Result, Work, mxnet_reader, whole_mxnet, write_set

B, S = 128, 112
BATCHES = 8  # a round
ROUNDS = 11
GOAL = 4


# ---- theirs


def arcface_torch(folder: Path) -> Work:
    """Reader and decoder of mxnet, a transform each sample."""
    return _arcface_torch(folder, workers=0)


def arcface_torch_1(folder: Path) -> Work:
    """The same in one worker process."""
    return _arcface_torch(folder, workers=1)


def arcface_torch_2(folder: Path) -> Work:
    """The same in two."""
    return _arcface_torch(folder, workers=2)


def arcface_torch_cv2(folder: Path) -> Work:
    """The same with OpenCV in place of mxnet's decoder, as who knows that to be slow has it."""
    return _arcface_torch(folder, workers=0, with_cv2=True)


class Order:
    """A sampler whose order is set anew each round, so that workers live on."""

    keys: list[int]

    def __iter__(self) -> Iterator[int]:
        return iter(self.keys)

    def __len__(self) -> int:
        return len(self.keys)


def _arcface_torch(folder: Path, workers: int, with_cv2: bool = False) -> Work:
    from torch.utils.data import DataLoader

    _one_thread()
    order: Any = Order()
    items: Any = FaceItems(folder, with_cv2)
    loader = DataLoader(
        items,
        B,
        sampler=order,
        num_workers=workers,
        drop_last=True,
        persistent_workers=workers > 0,
        multiprocessing_context="fork" if workers else None,  # Linux's own; a contender is itself spawned
    )

    def work(keys: np.ndarray) -> int:
        order.keys = keys.tolist()
        return sum(_counted(images) for images, _ in loader)

    return work


class FaceItems:
    """A map from key to (image, label), image by image, as MXFaceDataset is."""

    def __init__(self, folder: Path, with_cv2: bool, flip: float = 0.5) -> None:
        self.mx, self.reader, self.flip = whole_mxnet(), mxnet_reader(folder), flip
        self.decode = self._with_cv2 if with_cv2 else self._with_mxnet

    def __getitem__(self, key: int) -> tuple[Any, Any]:
        import torch

        header, encoded = self.mx.recordio.unpack(self.reader.read_idx(key))
        label = header.label if isinstance(header.label, float) else header.label[0]
        # theirs without int(), which torch 2.13 refuses for MS1M's labels, numpy's float32
        return self.transform(self.decode(encoded)), torch.tensor(int(label), dtype=torch.long)

    def transform(self, pixels: np.ndarray) -> Any:
        """What torchvision's four transforms do with uint8 RGB, step by step."""
        import torch
        from PIL import Image

        picture = Image.fromarray(pixels)
        if torch.rand(1) < self.flip:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        tensor = torch.from_numpy(np.array(picture, np.uint8, copy=True))
        tensor = tensor.view(picture.height, picture.width, 3).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
        mean, deviation = (torch.as_tensor([0.5, 0.5, 0.5], dtype=torch.float32).view(-1, 1, 1) for _ in range(2))
        return tensor.clone().sub_(mean).div_(deviation)

    def _with_mxnet(self, encoded: bytes) -> np.ndarray:
        return self.mx.image.imdecode(encoded).asnumpy()

    def _with_cv2(self, encoded: bytes) -> np.ndarray:
        import cv2

        image: Any = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
        return image


# ---- ours


def ours(folder: Path) -> Work:
    """Batches decoded to uint8, normalised and flipped once a batch."""
    return _ours(folder, workers=0)


def ours_1(folder: Path) -> Work:
    """The same, decoded ahead by one thread."""
    return _ours(folder, workers=1)


def ours_2(folder: Path) -> Work:
    """The same, by two."""
    return _ours(folder, workers=2)


def _ours(folder: Path, workers: int) -> Work:
    import time

    import torch

    from facerec_oltr.data import AugmentConfig, RecordIOFacesConfig, augment
    from facerec_oltr.engine.model import to_input
    from facerec_oltr.engine.prefetch import prefetch

    _one_thread()
    data, choices = RecordIOFacesConfig(path=folder, size=S).build(), AugmentConfig()
    generator = torch.Generator().manual_seed(0)

    def work(keys: np.ndarray) -> int:
        steps = np.split(keys - 1, len(keys) // B)  # positions: key 1 is the first image
        found = prefetch(steps, data.batch, workers=workers, ahead=4, clock=time.monotonic)
        return sum(_counted(augment(to_input(torch.from_numpy(item.value)), choices, generator)) for item in found)

    return work


def _counted(images: Any) -> int:
    assert images.shape == (B, 3, S, S), images.shape
    return len(images)


def _one_thread() -> None:
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


# ---- measuring


def check_same(folder: Path) -> float:
    """The largest difference of pixels in [−1, 1] between the two, unflipped."""
    import torch

    from facerec_oltr.data import RecordIOFacesConfig
    from facerec_oltr.engine.model import to_input

    data, items = RecordIOFacesConfig(path=folder, size=S).build(), FaceItems(folder, with_cv2=False, flip=0)
    positions = np.arange(0, len(data), len(data) // 100)
    images, labels = zip(*(items[position + 1] for position in positions.tolist()), strict=True)
    assert [int(label) for label in labels] == data.labels[positions].tolist()
    return (to_input(torch.from_numpy(data.batch(positions))) - torch.stack(images)).abs().max().item()


def measure(folder: Path, makes: tuple[Callable[[Path], Work], ...]) -> list[list[Result]]:
    """Results of each contender in each round; a first round, which warms all up, is not told."""
    from facerec_oltr.data import RecordIOFacesConfig

    images = len(RecordIOFacesConfig(path=folder, size=S).build())
    rng = np.random.default_rng(0)
    children = [Child(make, folder) for make in makes]
    rounds = []
    for _ in range(ROUNDS + 1):
        keys = rng.permutation(np.arange(1, images + 1))[: BATCHES * B]
        rounds.append([child.round(keys) for child in children])
    for child in children:
        child.end()
    return rounds[1:]


def speed(rounds: list[list[Result]], side: int, seconds: str) -> str:
    """The median of images a second."""
    return f"{BATCHES * B / statistics.median(getattr(results[side], seconds) for results in rounds):,.0f}/s"


def ratio(rounds: list[list[Result]], side: int, seconds: str) -> str:
    """How many times as fast the last contender is as that of `side`: median, smallest and largest round."""
    ratios = [getattr(results[side], seconds) / getattr(results[-1], seconds) for results in rounds]
    return f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"


def tell(name: str, folder: Path) -> None:
    """Both tables of a set."""
    print(f"{name}: pixels of both, in [−1, 1], differ by {check_same(folder):.1g} at most.\n")
    rounds = measure(folder, (arcface_torch, arcface_torch_cv2, ours))
    print("| images a CPU-second | theirs | ours | times as fast | goal |")
    print("|---|---|---|---|---|")
    for side, what, goal in ((0, "arcface_torch's pattern", f"{GOAL}"), (1, "the same with OpenCV's decoder", "")):
        cells = (what, speed(rounds, side, "cpu"), speed(rounds, 2, "cpu"), ratio(rounds, side, "cpu"), goal)
        print(f"| {' | '.join(cells)} |", flush=True)
    print("\n| images a second, by the clock | theirs | ours | times as fast |")
    print("|---|---|---|---|")
    pairs = ((arcface_torch, ours), (arcface_torch_1, ours_1), (arcface_torch_2, ours_2))
    for workers, pair in enumerate(pairs):
        rounds = measure(folder, pair)
        cells = (speed(rounds, 0, "wall"), speed(rounds, 1, "wall"), ratio(rounds, 0, "wall"))
        print(f"| workers: {workers} | {' | '.join(cells)} |", flush=True)
    print()


def lfw(source: Path, folder: Path) -> Path:
    """LFW's people with two photos and more, packed at 112 pixels."""
    from recordio_tools.packing import pack_folder

    with zipfile.ZipFile(source) as photos:
        photos.extractall(folder / "photos")
    people = next(path.parent.parent for path in sorted((folder / "photos").rglob("*_0001.jpg")))
    pack_folder(people, folder / "set", size=S)
    return folder / "set"


def main() -> None:
    """Measure the synthetic set, and LFW where FACEREC_DATA has it."""
    packages = ("mxnet", "numpy", "opencv-python", "pillow", "torch")
    print(f"Python {platform.python_version()}, {', '.join(f'{p} {version(p)}' for p in packages)}, ", end="")
    print(f"{os.cpu_count()} processors; B = {B}, {BATCHES * B:,} images a round, {ROUNDS} rounds.\n")
    whole_mxnet()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_set(folder)
        tell("Synthetic JPEGs", folder)
        source = Path(os.environ.get("FACEREC_DATA", "../shared/data")) / "lfw/lfw_ids_ge2.zip"
        if source.exists():
            tell("LFW", lfw(source, folder))
        else:
            print(f"{source}: not there; set FACEREC_DATA to the folder that holds lfw/", file=sys.stderr)


if __name__ == "__main__":
    main()
