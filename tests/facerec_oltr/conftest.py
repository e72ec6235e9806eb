"""What several tests need: small face sets, an experiment that trains in a second, faces to reckon with by hand."""

import json
import math
from collections import OrderedDict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from facerec_oltr.config import load_experiment
from facerec_oltr.experiment import Experiment
from facerec_oltr.faces.extractor import Extractor
from recordio_tools.packing import pack_folder

TINY = (
    "data.size=16",
    "backbone.width=4",
    "backbone.features=8",
    "schedule.epochs=5",
    "schedule.batch_size=8",
)


def write_people(folder: Path, photos: dict[str, int], seed: int = 0) -> Path:
    """Photos of people who look like themselves: one random pattern a person, with a little noise."""
    rng = np.random.default_rng(seed)
    for name, count in photos.items():
        pattern = rng.integers(0, 256, (6, 6)).astype(np.uint8)
        (folder / name).mkdir(parents=True)
        for number in range(count):
            face = cv2.resize(pattern, (32, 32), interpolation=cv2.INTER_CUBIC).astype(int)
            noisy = np.clip(face + rng.integers(-12, 13, face.shape), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / name / f"{number}.png"), noisy)
    return folder


def write_listed(root: Path, split: str, labels: list[int]) -> None:
    """A list file SPLIT.txt and its images, 24 × 32 noise about a grey that follows from the label."""
    rng, lines = np.random.default_rng(len(labels)), []
    for number, label in enumerate(labels):
        path = root / split / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), (60 * (label + 1) % 200 + rng.integers(0, 30, (24, 32, 3))).astype(np.uint8))
        lines.append(f"{split}/{number}.png {label}\n")
    (root / f"{split}.txt").write_text("".join(lines))


def write_blob(path: Path, train: list[int], test: int = 5) -> Path:
    """An .npz of encoded images, 16 × 16: so many training images a class, and `test` test images of each.

    An image of class k is grey, 40 k; its last pixel tells it from the others of its class.
    """
    arrays: dict[str, Any] = {}
    for part, counts in (("train", train), ("test", [test] * len(train))):
        labels = np.repeat(np.arange(len(counts)), counts)
        encoded = []
        for number, label in enumerate(labels):
            image = np.full((16, 16, 3), 40 * label, np.uint8)
            image[-1, -1] = number
            encoded.append(cv2.imencode(".png", image)[1].ravel())
        arrays[f"{part}_png"] = np.concatenate(encoded)
        arrays[f"{part}_offset"] = np.cumsum([0, *map(len, encoded)])
        arrays[f"{part}_label"] = labels.astype(np.int16)
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="session")
def face_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people with 7, 4, 2 and 1 photos."""
    folder = tmp_path_factory.mktemp("faces")
    photos = write_people(folder / "photos", {"ann": 7, "bob": 4, "cem": 2, "dia": 1})
    pack_folder(photos, folder / "set", size=32, image_format="png")
    return folder / "set"


@pytest.fixture
def tiny_oltr(face_set: Path) -> Experiment:
    """OLTR, both stages, on the small set."""
    return load_experiment("oltr", "att_lt", overrides=[*TINY, f"data.path={face_set}"])


class AngleEmbedder:
    """The mean of a face is an angle in degrees: 30 grey is the vector at 30°."""

    name, fingerprint, dimensions, size, source = "angle", "ab" * 32, 2, 4, "angle"

    def embed(self, faces):
        angles = np.radians(faces.reshape(len(faces), -1).mean(axis=1))
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def angles() -> Extractor:
    """Photos as aligned crops whose brightness is an angle."""
    return Extractor(AngleEmbedder(), None)


def write_photo(path, angle):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((4, 4, 3), angle, np.uint8))
    return path


def noise(count: int, phase: int) -> torch.Tensor:
    """Numbers in [−1, 1) that look random and are the same wherever sines are, in float64."""
    return (torch.sin(torch.arange(count, dtype=torch.float64) * 12.9898 + phase) * 43758.5453).remainder(1) * 2 - 1


@torch.no_grad()
def fill(state: dict[str, torch.Tensor]) -> None:
    """Noise for weights: the k-th name in alphabetical order has phase k; batch norms stay near the identity."""
    for k, (name, tensor) in enumerate(sorted(state.items())):
        if tensor.dtype == torch.int64:
            continue
        module, values = f".{name}".split(".")[-2], noise(tensor.numel(), k).view(tensor.shape)
        scaling = name.endswith("weight") and tensor.ndim == 1 and ("bn" in module or module == "1")
        if scaling or name.endswith("running_var"):
            tensor.copy_(1 + 0.1 * values)
        else:
            tensor.copy_(values * (math.sqrt(2 / tensor[0].numel()) if tensor.ndim > 1 else 0.1))


AUTHORS_CHECKPOINTS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "golden/oltr_authors_checkpoints.json").read_text()
)
"""What the OLTR authors' code (commit f50e375) saved and answered for weights as `fill` makes them and seven classes.

`names` and `names_sha256` are of all names with their shapes, as lines `feat_model module.conv1.weight (64, 3, 7, 7)`,
sorted; of the small networks the names are there too. `logits` are in float64, for the images of `authors_images`.
"""


def authors_centroids() -> torch.Tensor:
    return torch.sin(torch.arange(7 * 512, dtype=torch.float64) * 2.1).view(7, 512).float()


def authors_images() -> torch.Tensor:
    """Two images (2, 3, 224, 224), float64, on the scale on which the authors' network takes them."""
    places = torch.arange(3 * 224 * 224, dtype=torch.float64)
    waves = torch.stack([torch.sin(places * 0.377), 2 * torch.sin(places * 0.01)])
    return (noise(2 * len(places), 0).view(2, -1) + waves).view(2, 3, 224, 224)


def authors_checkpoint(case: str) -> dict[str, Any]:
    """What their ``save_model`` puts into a file, made from the names alone."""
    golden, parts = AUTHORS_CHECKPOINTS[case], {}
    for part in ("feat_model", "classifier"):
        kinds = {True: torch.int64, False: torch.float32}
        parts[part] = OrderedDict(
            (name, torch.zeros(shape, dtype=kinds[name.endswith("num_batches_tracked")]))
            for name, shape in golden[part].items()
        )
        fill(parts[part])
    centroids = authors_centroids() if case.endswith("stage_2") else None
    return {"epoch": 30, "best_epoch": 27, "state_dict_best": parts, "best_acc": 0.25, "centroids": centroids}
