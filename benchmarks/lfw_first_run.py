"""ArcFace, then the OLTR memory, on 2,000 people of LFW packed as MS1M is, measured on people never seen.

    FACEREC_DATA=… python benchmarks/lfw_first_run.py OUT       # the whole run; killed, the same line goes on

LFW's authors divide its people in two (peopleDevTrain.txt, peopleDevTest.txt). Of the first, 1,000 with two photos and
more and 1,000 with one are trained on, and the other 184 with two and more choose settings (validation). All of the
second are for the test. Everything goes through the commands that a user would type; they are printed.
"""

import argparse
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facerec_oltr.faces.align import TEMPLATE, similarity
from facerec_oltr.faces.pairs import measure_pairs, similarities
from facerec_oltr.metrics.verification import equal_error_rate, tar_at_far
from facerec_oltr.models import open_model
from recordio_tools.images import decode_rgb, encode_rgb
from recordio_tools.pairs import open_pack
from recordio_tools.whole import whole_folder, write_whole

SIZE, QUALITY = 112, 95
MANY, SINGLE = 1000, 1000  # people trained on: with two photos and more, and with one
SHORT = ("schedule.epochs=5", "stages.0.share=0.6", "stages.1.share=0.4", "backbone.width=8")
OPEN = ("--enrolled", "80", "--calibration", "400", "--strangers", "1000", "--draws", "20")


def people_of(list_path: Path) -> dict[str, int]:
    """Names and numbers of photos of one of LFW's lists of people."""
    rows = (line.split() for line in list_path.read_text(encoding="utf-8").splitlines()[1:])
    return {name: int(count) for name, count in rows}


def parts(source: Path) -> dict[str, list[str]]:
    """Who is trained on, who chooses settings, and who is only tested: names, sorted."""
    rng = np.random.default_rng(0)
    first, second = (people_of(source / f"peopleDev{part}.txt") for part in ("Train", "Test"))
    many = rng.permutation(sorted(name for name, count in first.items() if count > 1)).tolist()
    single = rng.permutation(sorted(name for name, count in first.items() if count == 1)).tolist()
    assert not first.keys() & second.keys()
    return {
        "train": sorted(many[:MANY] + single[:SINGLE]),
        "validation": sorted(many[MANY:]),
        "test": sorted(second),
    }


def align(source: Path, out: Path, names: Iterable[str]) -> None:
    """Aligned photos of these people, a folder each, whole or not at all."""
    if out.exists():
        return
    print(f"aligning into {out}", flush=True)
    with np.load(source / "lfw_landmarks_embeddings.npz") as file:
        landmarks = dict(zip(file["path"].tolist(), file["landmarks5"].astype(np.float64), strict=True))
    wanted = set(names)
    with whole_folder(out, frozenset(), "none", force=False) as folder:
        for archive in ("lfw_ids_ge2.zip", "lfw_ids_single.zip"):
            with zipfile.ZipFile(source / archive) as photos:
                for path in (name for name in photos.namelist() if name.split("/")[0] in wanted):
                    pixels = decode_rgb(photos.read(path), path)
                    onto = similarity(landmarks[path], TEMPLATE)
                    assert onto is not None, f"{path}: its landmarks lie in one point"
                    face = cv2.warpAffine(pixels, onto, (SIZE, SIZE)).astype(np.uint8, copy=False)
                    (folder / path).parent.mkdir(exist_ok=True)
                    (folder / path).write_bytes(encode_rgb(face, ".jpg", QUALITY))


def prepare(source: Path, out: Path) -> None:
    """The face set, the training set cut from it, and a pack of pairs of people for each of the other parts."""
    who = parts(source)
    for folder, names in (("", who["train"] + who["test"]), ("-validation", who["validation"])):
        align(source, out / f"photos{folder}", names)
        if not (out / f"faces{folder}").exists():
            recordio("pack", out / f"photos{folder}", out / f"faces{folder}", "--as-is", "--size", SIZE)
    if not (out / "train").exists():
        write_whole(out / "trained.txt", ("\n".join(who["train"]) + "\n").encode())
        listed = ("--list", out / "trained.txt", "--list-of", "names")
        recordio("build-lt", out / "faces", out / "train", *listed, "--view")
    if not (out / "pairs-validation").exists():
        recordio("pairs", "draw", out / "faces-validation", out / "pairs-validation", "--each", 30)
    if not (out / "pairs-test").exists():
        left_out = ("--open", out / "train/manifest.json")
        recordio("pairs", "draw", out / "faces", out / "pairs-test", *left_out, "--each", 100)


def train(out: Path) -> None:
    """ArcFace and then the memory; ArcFace alone for as many epochs; and ArcFace as it was when the memory came."""
    settings = ("--set", f"data.path={out / 'train'}", "--set", f'watch.verify=["{out / "pairs-validation"}"]')
    facerec("train", "oltr_arcface", "--on", "lfw_faces", *settings, "--out", out / "oltr")
    alike = [f"stages.0.{what}" for what in ("head.scale=32.0", "losses.0.loss.scale=32.0", "losses.0.loss.m2=0.3")]
    same = [word for setting in alike for word in ("--set", setting)]
    facerec("train", "arcface", "--on", "lfw_faces", *settings, *same, "--out", out / "arcface")
    if not (out / "arcface-stage").exists():
        end_of_first_stage(out / "oltr", out / "arcface-stage")


def end_of_first_stage(run: Path, out: Path) -> None:
    """A run folder of the network that the second stage started from."""
    description = json.loads((run / "experiment.json").read_bytes())
    experiment = description["experiment"]
    experiment |= {"stages": experiment["stages"][:1], "method": "arcface, first stage"}
    weights = run / "checkpoints" / f"{experiment['stages'][0]['name']}.safetensors"
    with whole_folder(out, frozenset(), "none", force=False) as folder:
        (folder / "experiment.json").write_text(json.dumps(description, indent=2), encoding="utf-8")
        (folder / "model.safetensors").write_bytes(weights.read_bytes())


def killed_and_resumed(out: Path) -> dict[str, Any]:
    """A short run killed twice, once in each stage, and an unbroken one: where, and whether they end with one file."""
    if (out / "killed.json").exists():
        return json.loads((out / "killed.json").read_bytes())
    settings = [word for setting in SHORT for word in ("--set", setting)]
    watch = ("--set", f'watch.verify=["{out / "pairs-validation"}"]')
    words = ("train", "oltr_arcface", "--on", "lfw_faces", "--set", f"data.path={out / 'train'}", *settings, *watch)
    unbroken, killed = out / "short", out / "short-killed"
    facerec(*words, "--out", unbroken)
    kills: list[str] = []
    for lines in (2, 4):  # of five epochs, three of ArcFace and two of the memory
        if (killed / "model.safetensors").exists():
            break
        process = subprocess.Popen([*program("facerec_oltr"), *map(str, words), "--out", str(killed)])
        while process.poll() is None and len(epochs(killed)) < lines:
            time.sleep(0.1)
        time.sleep(2)  # into the next epoch
        process.kill()
        assert process.wait() == -signal.SIGKILL, "it had not ended by itself"
        kills.append("{stage}, after epoch {epoch}".format(**epochs(killed)[-1]))
        print(f"killed in the stage {kills[-1]}", flush=True)
    facerec(*words, "--out", killed)
    digests = [hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest() for run in (unbroken, killed)]
    same_figures = [
        [{**line, "images_per_second": 0, "waiting": 0} for line in epochs(run)] for run in (unbroken, killed)
    ]
    result = {
        "changed": list(SHORT),
        "killed": kills,
        "sha256_unbroken": digests[0],
        "sha256_killed": digests[1],
        "same_metrics": same_figures[0] == same_figures[1],
    }
    write_whole(out / "killed.json", json.dumps(result).encode())
    return result


def epochs(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl so far; one that is being written is left out."""
    path = run / "metrics.jsonl"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def measure_pairs_of(out: Path, models: dict[str, str]) -> dict[str, Any]:
    """Figures on the test pairs, with 95 % of a bootstrap over the ten folds, which share no person.

    Every model meets the same resamples, so that differences to `arcface` have their own intervals.
    """
    pack = open_pack(out / "pairs-test")
    scores = {name: similarities(open_model(model), pack) for name, model in models.items()}
    folds = np.arange(len(pack)).reshape(10, -1)
    right = {name: measure_pairs(values, pack.same).accuracy.accuracies for name, values in scores.items()}
    draws = np.random.default_rng(0).integers(0, 10, (2000, 10))

    def figures(name: str, chosen: np.ndarray) -> list[float]:
        places = folds[chosen].ravel()
        genuine, impostor = (scores[name][places][pack.same[places] == flag] for flag in (True, False))
        tars = [tar_at_far(genuine, impostor, far).tar for far in (0.1, 0.01)]
        return [right[name][chosen].mean(), equal_error_rate(genuine, impostor)[0], *tars]

    return with_intervals(
        ("accuracy", "eer", "tar_at_far_0.1", "tar_at_far_0.01"),
        {name: np.array(figures(name, np.arange(10))) for name in models},
        {name: np.array([figures(name, draw) for draw in draws]) for name in models},
    )


def measure_searches_of(out: Path, models: dict[str, str]) -> dict[str, Any]:
    """Open-set identification of the test people: means over the draws, with 95 % of the draws."""
    path = out / "open.json"
    chosen = [word for model in models.values() for word in ("--model", model)]
    where = ("--faces", out / "faces", "--open", out / "train/manifest.json", "--cache", out / "embeddings")
    if not path.exists():
        facerec("evaluate-faces", *chosen, "--no-floor", *where, *OPEN, "--out", path)
    result = json.loads(path.read_bytes())
    names = dict(zip(models, result["models"], strict=True))

    def figures(table: dict[str, Any]) -> list[float]:
        tpir = [table["own"][place]["tpir"] for place in range(2)]
        return [table["rank_1"], table["auroc"], *tpir, *(table["calibrated"][0][part] for part in ("tpir", "fpir"))]

    each = {
        name: np.array([figures(draw["figures"][known]) for draw in result["draws"]]) for name, known in names.items()
    }
    columns = ("rank_1", "auroc", "tpir_at_fpir_0.1", "tpir_at_fpir_0.01", "calibrated_0.1_tpir", "calibrated_0.1_fpir")
    return with_intervals(columns, {name: values.mean(axis=0) for name, values in each.items()}, each)


def with_intervals(
    columns: tuple[str, ...], values: dict[str, np.ndarray], samples: dict[str, np.ndarray]
) -> dict[str, Any]:
    """For each model and figure [value, low, high] in per cent, and the same of the difference to `arcface`."""

    def cells(value: np.ndarray, drawn: np.ndarray) -> dict[str, list[float]]:
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
        rows = np.round(100 * np.stack([value, low, high], axis=1), 2)
        return dict(zip(columns, rows.tolist(), strict=True))

    return {
        name: {
            "figures": cells(values[name], samples[name]),
            "minus_arcface": cells(values[name] - values["arcface"], samples[name] - samples["arcface"]),
        }
        for name in values
    }


def table(title: str, measured: dict[str, Any]) -> str:
    """A Markdown table of one of the two measurements."""
    columns = list(next(iter(measured.values()))["figures"])
    lines = [f"| {title} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, entry in measured.items():
        row = [f"{value:.1f} [{low:.1f}, {high:.1f}]" for value, low, high in entry["figures"].values()]
        lines.append(f"| {name} | {' | '.join(row)} |")
        if name.startswith("oltr"):
            row = [f"{value:+.1f} [{low:+.1f}, {high:+.1f}]" for value, low, high in entry["minus_arcface"].values()]
            lines.append(f"| – less arcface | {' | '.join(row)} |")
    return "\n".join(lines)


def program(package: str) -> list[str]:
    """How a command of the project is started, as its console script does it."""
    return [sys.executable, "-c", f"from {package}.cli import main; main()"]


def command(package: str, *arguments: Any) -> None:
    """Run a command of the project as a user would."""
    words = [str(argument) for argument in arguments]
    print(f"$ {'facerec' if package == 'facerec_oltr' else 'recordio'} {' '.join(words)}", flush=True)
    subprocess.run([*program(package), *words], check=True)


def recordio(*arguments: Any) -> None:
    """A command of recordio."""
    command("recordio_tools", *arguments)


def facerec(*arguments: Any) -> None:
    """A command of facerec."""
    command("facerec_oltr", *arguments)


def main() -> None:
    """Prepare, train, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    source = Path(os.environ.get("FACEREC_DATA", "../shared/data")) / "lfw"
    if not source.exists():
        sys.exit(f"{source}: not there; set FACEREC_DATA to the folder that holds lfw/")
    arguments.out.mkdir(parents=True, exist_ok=True)
    prepare(source, arguments.out)
    train(arguments.out)
    out = arguments.out
    models = {
        "raw pixels": "raw_pixels",
        "arcface": f"{out / 'arcface'}:direct",
        "arcface stage": f"{out / 'arcface-stage'}:direct",
        "oltr direct": f"{out / 'oltr'}:direct",
        "oltr meta": f"{out / 'oltr'}:meta",
        "dlib": "dlib",
    }
    result = {
        "people": {part: len(names) for part, names in parts(source).items()},
        "experiment": json.loads((out / "oltr/experiment.json").read_bytes()),
        "validation_pairs": {run: verification(out / run) for run in ("oltr", "arcface")},
        "test_pairs": measure_pairs_of(out, models),
        "test_searches": measure_searches_of(out, models),
        "killed": killed_and_resumed(out),
    }
    experiment = result["experiment"]["experiment"]
    del experiment["data"]["path"], experiment["watch"], result["experiment"]["made_with"]["git_commit"]
    write_whole(out / "lfw_first_run.json", (summary(result) + "\n").encode())
    print(table("pairs", result["test_pairs"]), table("searches", result["test_searches"]), sep="\n\n")
    print(json.dumps(result["killed"], indent=2))


def verification(run: Path) -> list[dict[str, Any]]:
    """How it went on the validation pairs, epoch by epoch."""
    return [
        {
            "stage": line["stage"],
            "epoch": line["epoch"],
            "loss": round(line["loss"], 3),
            "training_accuracy": round(line["accuracy"], 4),
            **{name.split("/")[1]: round(value, 4) for name, value in line["verification"].items()},
        }
        for line in epochs(run)
    ]


def summary(result: dict[str, Any]) -> str:
    """The numbers as JSON with a line for each smallest table or list."""
    text = json.dumps(result, indent=1)
    return re.sub(r"([\[{])\n\s*([^\[\]{}]*?)\n\s*([\]}])", lambda m: m[1] + re.sub(r"\n\s*", " ", m[2]) + m[3], text)


if __name__ == "__main__":
    main()
