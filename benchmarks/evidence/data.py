"""LFW's vectors and Omniglot's characters, dealt to splits.

What tests, known or stranger, is the same for every seed, and nothing is ever chosen by it; each seed deals the rest
anew to training, validation, calibration and cohort. Every deal gives the settings by which an experiment finds it.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

EMBEDDING = "emb_foamliu"
TEST_STRANGERS, CALIBRATION_STRANGERS = 1500, 1500
SIDE, MOST_SHOTS, OF_A_STRANGER = 20, 15, 5

Ints = npt.NDArray[np.int64]
Settings = tuple[str, ...]


def source(name: str) -> Path:
    """A file of the folder that FACEREC_DATA names."""
    path = Path(os.environ.get("FACEREC_DATA", "../shared/data")) / name
    if not path.exists():
        sys.exit(f"{path}: not there; set FACEREC_DATA to the folder that holds {name}")
    return path


def lfw(out: Path, seed: int) -> Settings:
    """Deal the photos of LFW as vectors into ``out``, as data of kind ``features``, with the cohort beside them.

    People with two photos and more are known, those with one are strangers. Of a person's photos a quarter, at least
    one, tests; of three and more a quarter, at least one, validates; the rest trains.
    """
    with np.load(source("lfw/lfw_landmarks_embeddings.npz")) as table:
        vectors, paths = table[EMBEDDING].astype(np.float32), table["path"]
    people, person = np.unique([name.split("/")[0] for name in paths], return_inverse=True)
    counts = np.bincount(person)
    known = np.flatnonzero(counts >= 2)
    label = np.full(len(people), -1)
    label[known] = np.arange(len(known))
    splits = deal_photos([np.flatnonzero(person == one) for one in known], seed)
    splits |= deal_strangers(np.flatnonzero(counts[person] == 1), seed)
    out.mkdir(parents=True, exist_ok=True)
    for split, photos in splits.items():
        with (beside := out / f".{split}.npz").open("wb") as file:
            np.savez(file, features=vectors[photos], labels=label[person[photos]])
        beside.replace(out / f"{split}.npz")
    return (f"data.path={out}",)


def deal_photos(of_person: list[Ints], seed: int) -> dict[str, Ints]:
    """Each person's photos to ``test``, the same for every seed, and to ``val`` and ``train``."""
    fixed, rng = np.random.default_rng(0), np.random.default_rng(seed + 1)
    parts: dict[str, list[Ints]] = {"test": [], "val": [], "train": []}
    for photos in of_person:
        quarter = max(1, round(len(photos) / 4))
        test, rest = np.split(fixed.permutation(photos), [quarter])
        val, train = np.split(rng.permutation(rest), [quarter if len(photos) > 2 else 0])
        for split, chosen in (("test", test), ("val", val), ("train", train)):
            parts[split].append(chosen)
    return {split: np.concatenate(chosen) for split, chosen in parts.items()}


def deal_strangers(photos: Ints, seed: int) -> Mapping[str, Ints]:
    """Strangers to ``open_test``, the same for every seed, to ``open_val`` (calibration) and ``cohort``."""
    test, rest = np.split(np.random.default_rng(0).permutation(photos), [TEST_STRANGERS])
    calibration, cohort = np.split(np.random.default_rng(seed + 1).permutation(rest), [CALIBRATION_STRANGERS])
    return {"open_test": test, "open_val": calibration, "cohort": cohort}


def cifar(out: Path, seed: int) -> Settings:
    """CIFAR-100-LT as configs/datasets/cifar100_lt.toml deals it: 80 classes known, 20 strangers; by no seed."""
    return (f"data.path={source('cifar100_lt/cifar100_lt.npz')}",)


def omniglot(out: Path, seed: int) -> Settings:
    """Deal Omniglot's characters into folders of small images, as data of kind ``image_folder``.

    The 964 characters of the background alphabets are known: 1 to 15 drawings of each train, by an exponential law
    whose order among the characters is the same for every seed, 2 validate and 3 test. Strangers are characters of
    alphabets that nobody trains on, of half of these for calibration, of the other half for the test: 5 drawings each.
    """
    settings = (f"data.root={out}",)
    if out.exists():
        return settings
    with np.load(source("omniglot/omniglot.npz")) as table:
        ink = np.unpackbits(table["packed_bits"], axis=1)[:, :11025].reshape(-1, 105, 105)
        label, alphabet = table["label"].astype(np.int64), table["class_alphabet"]
        known = table["class_split"] == "images_background"
    fixed, rng = np.random.default_rng(0), np.random.default_rng(seed + 1)
    shots = exponential_counts(int(known.sum()), MOST_SHOTS)[fixed.permutation(int(known.sum()))]
    strange = fixed.permutation(np.unique(alphabet[~known]))
    splits: dict[tuple[str, int], Ints] = {}
    for place, character in enumerate(np.flatnonzero(known)):
        test, rest = np.split(fixed.permutation(np.flatnonzero(label == character)), [3])
        val, rest = np.split(rng.permutation(rest), [2])
        for split, drawings in (("test", test), ("val", val), ("train", rest[: shots[place]])):
            splits[split, place] = drawings
    for split, alphabets in zip(("open_val", "open_test"), np.array_split(strange, 2), strict=True):
        for character in np.flatnonzero(~known & np.isin(alphabet, alphabets)).tolist():
            splits[split, character] = fixed.permutation(np.flatnonzero(label == character))[:OF_A_STRANGER]
    building = out.with_name(f".{out.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    _write_drawings(building, splits, ink)
    building.rename(out)
    return settings


def exponential_counts(classes: int, most: int) -> Ints:
    """So many images of each of C classes, from `most` down to one: most^(1 − i/(C − 1)), rounded."""
    return np.rint(most ** (1 - np.arange(classes) / (classes - 1))).astype(np.int64)


def _write_drawings(out: Path, splits: Mapping[tuple[str, int], Ints], ink: npt.NDArray[np.uint8]) -> None:
    import cv2

    for (split, character), drawings in splits.items():
        folder = out / split / f"{character:04}"
        folder.mkdir(parents=True)
        for drawing in drawings.tolist():
            small = cv2.resize(255 * ink[drawing], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(folder / f"{drawing}.png"), small)
