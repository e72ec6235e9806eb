"""LFW's vectors and Omniglot's characters, dealt to splits.

The test photos and the test strangers are the same for every seed, and nothing is ever chosen by them; each seed deals
the rest anew to training, validation, calibration and cohort.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt


EMBEDDING = "emb_foamliu"
TEST_STRANGERS, CALIBRATION_STRANGERS = 1500, 1500

Ints = npt.NDArray[np.int64]


def source(name: str) -> Path:
    """A file of the folder that FACEREC_DATA names."""
    path = Path(os.environ.get("FACEREC_DATA", "../shared/data")) / name
    if not path.exists():
        sys.exit(f"{path}: not there; set FACEREC_DATA to the folder that holds {name}")
    return path


def lfw(out: Path, seed: int) -> Path:
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
    return out


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
