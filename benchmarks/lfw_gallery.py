"""LFW through the commands that a user types: 1:1 on its 6,000 pairs, and a gallery of 901 people who meet strangers.

    FACEREC_DATA=… python benchmarks/lfw_gallery.py OUT       # half an hour on two cores; a part killed is made anew

901 people have three photos or more: the first three of each are enrolled (by file name), all others are mated probes.
The 5,627 photos of everybody else are strangers. Two thresholds for FPIR 1 %:

- **same**: chosen by all strangers and judged by them, as the figures that we compare with were (see README.md);
- **other**: chosen by the strangers of a seeded half of their people, judged by the other half: what a user gets.

The detectors and the network lie in FACEREC_DATA/models. The network's makers do not say whom they trained on, and LFW
may be among them.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facerec_oltr.metrics.identification import Searches, Threshold, operating_point
from facerec_oltr.metrics.intervals import Interval, bootstrap_by_identity
from recordio_tools.whole import write_whole

MODEL = "mobilefacenet_foamliu.onnx:imagenet"
DETECTORS = {"yunet": "yunet_n_dynamic.onnx", "scrfd": "scrfd_2.5g_bnkps.onnx"}
ENROLLED = 3
TARGET = 0.01
REPLICATES = 1000


def facerec(*arguments: object, program: str = "facerec") -> Any:
    """Run a command, show it, and give what it says in JSON."""
    command = [program, *map(str, arguments)]
    print("$", *command, flush=True)
    begun = time.perf_counter()
    code = f"from {'facerec_oltr' if program == 'facerec' else 'recordio_tools'}.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *command[1:]], stdout=subprocess.PIPE, text=True)
    print(f"  {time.perf_counter() - begun:.0f} s, exit code {done.returncode}", flush=True)
    return json.loads(done.stdout) if done.stdout.strip() else {}


def unpack(source: Path, out: Path) -> Path:
    """All photos as NAME/NAME_0001.jpg."""
    folder = out / "lfw"
    if not folder.exists():
        part = out / ".lfw"
        for name in ("lfw_ids_ge2.zip", "lfw_ids_single.zip"):
            with zipfile.ZipFile(source / "lfw" / name) as file:
                file.extractall(part)
        part.rename(folder)
    return folder


def cast(photos: Path, out: Path) -> Path:
    """Folders of links: enrolled, probes, and the strangers in two halves."""
    folder = out / "parts"
    if folder.exists():
        return folder
    people: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(photos.rglob("*.jpg")):
        people[path.parent.name].append(path)
    strangers = sorted(name for name, own in people.items() if len(own) < ENROLLED)
    half = set(np.random.default_rng(0).permutation(strangers)[: len(strangers) // 2].tolist())
    part = out / ".parts"
    for name, own in people.items():
        known = len(own) >= ENROLLED
        for number, path in enumerate(own):
            role = ("enrolled" if number < ENROLLED else "probes") if known else "half" if name in half else "rest"
            for where in (role, *(() if known else ("strangers",))):
                link = part / where / name / path.name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path.resolve())
    part.rename(folder)
    return folder


def searches(decisions: Sequence[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Of the largest face of each photo: whose, whether the best identity is right, its score; photos without one."""
    who, right, best, failed = [], [], [], 0
    for d in decisions:
        if d["face"] not in (None, 1):
            continue
        who.append(Path(d["photo"]).parent.name)
        failed += d["face"] is None
        right.append(d["identity"] == who[-1])
        best.append(-np.inf if d["score"] is None else d["score"])
    return np.array(who), np.array(right), np.array(best), failed


def figures(mated: Sequence[dict[str, Any]], strangers: Sequence[dict[str, Any]], threshold: float) -> dict[str, Any]:
    """TPIR, rank-1 and FPIR with intervals by person; a photo without a face is a miss, or rightly rejected."""
    who, right, best, failed = searches(mated)
    others, _, maxima, failed_strangers = searches(strangers)
    true = np.where(right, best, -np.inf)
    all_searches = Searches(true, np.where(right, 1, 2), np.where(right, -np.inf, best), maxima)
    chosen = Threshold(TARGET, threshold, float("nan"), measurable=True)
    told = {}
    rng = np.random.default_rng(0)
    statistics = {
        "tpir": lambda m, u: operating_point(all_searches.take(m, u), chosen).tpir,
        "fpir": lambda m, u: operating_point(all_searches.take(m, u), chosen).fpir,
        "rank_1": lambda m, u: float(right[m].mean()),
    }
    for name, statistic in statistics.items():
        bounds: Interval = bootstrap_by_identity(statistic, [who, others], rng, replicates=REPLICATES)
        told[name] = [round(100 * value, 2) for value in (bounds.estimate, bounds.low, bounds.high)]
    return told | {
        "probes": len(who),
        "strangers": len(others),
        "no_face": failed,
        "no_face_strangers": failed_strangers,
    }


def measure(detector: Path, model: str, parts: Path, pack: Path, out: Path) -> dict[str, Any]:
    """All figures of one detector, each by its command."""
    gallery = out / f"{detector.stem}.db"
    told: dict[str, Any] = {}
    begun = time.perf_counter()
    enrolled = facerec(
        "enroll",
        "--gallery",
        gallery,
        "--model",
        model,
        "--detector",
        detector,
        "--no-guard",
        parts / "enrolled",
        "--json",
    )
    told["enrolled"] = {"seconds": round(time.perf_counter() - begun), **enrolled["outcomes"]}
    for name, chosen_by, judged_by in (("same", "strangers", "strangers"), ("other", "half", "rest")):
        calibrated = facerec(
            "calibrate", "--gallery", gallery, "--strangers", parts / chosen_by, "--fpir", TARGET, "--json"
        )
        threshold = calibrated["threshold"]
        mated = facerec("identify", "--gallery", gallery, parts / "probes", "--json")
        strangers = facerec("identify", "--gallery", gallery, parts / judged_by, "--json")
        told[name] = {
            "threshold": threshold,
            "expected_fpir": calibrated["expected_fpir"],
            "upper_fpir": calibrated["upper_fpir"],
            **figures(mated, strangers, threshold),
        }
    [pairs] = facerec("evaluate-pairs", pack, "--model", model, "--detector", detector, "--json")
    told["pairs"] = pairs | {"pack": pack.name}
    return told


def main() -> None:
    """Measure both detectors and write what came of it."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--detector", choices=[*DETECTORS, "all"], default="all")
    given = arguments.parse_args()
    source, out = Path(os.environ["FACEREC_DATA"]), given.out
    out.mkdir(parents=True, exist_ok=True)
    photos = unpack(source, out)
    parts, pack = cast(photos, out), out / "pairs"
    if not pack.exists():
        facerec("pairs", "make", source / "lfw/pairs.txt", photos, pack, program="recordio")
    results = Path(__file__).with_suffix(".json")
    told = json.loads(results.read_text()) if results.exists() else {}
    for name, file in DETECTORS.items():
        if given.detector in (name, "all"):
            told[name] = measure(source / "models" / file, str(source / "models" / MODEL), parts, pack, out)
            write_whole(results, (json.dumps(told, indent=2) + "\n").encode())
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
