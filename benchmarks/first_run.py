"""A first run of everything: every method on frozen face embeddings of LFW, three seeds, one table.

python benchmarks/first_run.py OUT [--seeds 3]

Every method of configs/methods that has no run in OUT yet is trained, so a method that was added later joins the rest.
The table goes to OUT/comparison.md, and with the bounds of every figure to OUT/comparison.json.

Needs the folder that FACEREC_DATA names (default ../shared/data), with lfw/lfw_landmarks_embeddings.npz: vectors of
13,233 photos of 5,749 people. People with two photos and more are known, with the natural tail; those with one photo
are strangers. Photos are dealt by seed 0 to training, validation and test; strangers to validation and test.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

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
            runs.append(str(run))
            if (run / "model.safetensors").exists():
                continue
            settings = ("--set", f"data.path={out / 'data'}", "--seed", str(seed))
            facerec("train", method, "--on", "lfw_features", "--out", str(run), *settings)
    facerec("evaluate", *runs)
    facerec("compare", *runs, "--out", str(out / "comparison.md"))
    comparison = json.loads(facerec("compare", *runs, "--against", "ncm", "--json", prints=False))
    (out / "comparison.json").write_text(summary(comparison), encoding="utf-8")


def summary(comparison: list[dict[str, Any]]) -> str:
    """The tables as JSON with a line a method, numbers in per cent to two places."""
    rounded = json.loads(json.dumps(comparison), parse_float=lambda number: round(float(number), 2))
    for table in rounded:
        for part in ("rows", "differences"):
            for row in table[part]:
                row.update({name: list(cell.values()) for name, cell in row.items() if isinstance(cell, dict)})
        table["cells"] = ["mean", "spread", "low", "high"]
    text = json.dumps(rounded, ensure_ascii=False)
    return text.replace('{"method"', '\n  {"method"').replace('], "against"', '\n], "against"') + "\n"


def facerec(*arguments: str, prints: bool = True) -> str:
    """Run a command of the project as a user would; what it says on stdout, if it is not to be printed."""
    code = "from facerec_oltr.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, text=True, stdout=None if prints else subprocess.PIPE
    )
    return done.stdout or ""


if __name__ == "__main__":
    main()
