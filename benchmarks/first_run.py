"""A first run of everything: every method on frozen face embeddings of LFW, three seeds, one table.

python benchmarks/first_run.py OUT [--seeds 3]

Needs the folder that FACEREC_DATA names (default ../shared/data), with lfw/lfw_landmarks_embeddings.npz: vectors of
13,233 photos of 5,749 people. People with two photos and more are known, with the natural tail; those with one photo
are strangers. Photos are dealt by seed 0 to training, validation and test; strangers to validation and test.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from facerec_oltr.config import available

EMBEDDING = "emb_foamliu"


def deal(path: Path, out: Path) -> None:
    """Write the splits of `path` into the folder `out`, as data of kind ``features``."""
    with np.load(path) as table:
        vectors, paths = table[EMBEDDING].astype(np.float32), table["path"]
    names = np.array([name.split("/")[0] for name in paths])
    people, person = np.unique(names, return_inverse=True)
    counts = np.bincount(person)
    rng = np.random.default_rng(0)
    parts: dict[str, list[np.ndarray]] = {split: [] for split in ("train", "val", "test", "open_val", "open_test")}
    known = np.flatnonzero(counts >= 2)
    for one in known:
        photos = rng.permutation(np.flatnonzero(person == one))
        test = max(1, round(len(photos) / 4))
        val = round(len(photos) / 4) if len(photos) >= 4 else 0
        for split, chosen in zip(("test", "val", "train"), np.split(photos, [test, test + val]), strict=True):
            parts[split].append(chosen)
    strangers = rng.permutation(np.flatnonzero(np.isin(person, np.flatnonzero(counts == 1))))
    for split, chosen in zip(("open_val", "open_test"), np.array_split(strangers, 2), strict=True):
        parts[split].append(chosen)
    out.mkdir(parents=True, exist_ok=True)
    label = np.full(len(people), -1)
    label[known] = np.arange(len(known))
    for split, chosen in parts.items():
        photos = np.concatenate(chosen)
        np.savez(out / f"{split}.npz", features=vectors[photos], labels=label[person[photos]])
        print(f"{split}: {len(photos):,} photos of {len(np.unique(person[photos])):,} people")


def main() -> None:
    """Deal the photos, train and evaluate every method, and print the table."""
    out, seeds = Path(sys.argv[1]), int(sys.argv[sys.argv.index("--seeds") + 1]) if "--seeds" in sys.argv else 3
    source = Path(os.environ.get("FACEREC_DATA", "../shared/data")) / "lfw/lfw_landmarks_embeddings.npz"
    if not source.exists():
        sys.exit(f"{source}: not there; set FACEREC_DATA to the folder that holds lfw/")
    deal(source, out / "data")
    runs = []
    for seed in range(seeds):
        for method in available("methods"):
            run = out / f"{method}-{seed}"
            settings = ("--set", f"data.path={out / 'data'}", "--seed", str(seed))
            facerec("train", method, "--on", "lfw_features", "--out", str(run), *settings)
            runs.append(str(run))
    facerec("evaluate", *runs)
    facerec("compare", *runs, "--out", str(out / "comparison.md"))


def facerec(*arguments: str) -> None:
    """Run a command of the project as a user would."""
    code = "from facerec_oltr.cli import main; main()"
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)


if __name__ == "__main__":
    main()
