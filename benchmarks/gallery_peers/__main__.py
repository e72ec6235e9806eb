"""The command: measure, keep gallery_peers.json, print the tables."""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from benchmarks import gallery_peers
from benchmarks.gallery_peers.photos import SEED, draw
from benchmarks.gallery_peers.processes import finish, start
from benchmarks.gallery_peers.rounds import measure_photos
from benchmarks.gallery_peers.tables import photo_table, vector_table
from benchmarks.gallery_peers.tools import Deepface, FaceRecognition, FaceRecognitionCommand, Ours, Tool
from benchmarks.gallery_peers.vectors import BACKENDS, measure_vectors

ROUNDS = 3
OUT = Path(__file__).parents[1] / "gallery_peers.json"
WEIGHTS = ("dlib_face_recognition_resnet_model_v1.dat", "shape_predictor_5_face_landmarks.dat")


def prepare(peers: Path, out: Path) -> tuple[list[Tool], dict[str, Path]]:
    """The tools that are installed, and the interpreter of each."""
    pythons = {"ours": Path(sys.executable)}
    for name in ("deepface", "face_recognition", "milvus-lite"):
        python = peers / name / "bin" / "python"
        if python.exists():
            pythons[name] = python
        else:
            print(f"{name} is left out: there is no {python}; this file's first lines say how to install it")
    photos = out / "photos"
    tools: list[Tool] = [Ours("ours", out / "ours", photos)]
    if python := pythons.get("deepface"):
        weights = out / "deepface-home" / ".deepface" / "weights"
        weights.mkdir(parents=True)
        models = next(python.parent.parent.glob("lib/python3*/site-packages/face_recognition_models/models"))
        for name in WEIGHTS:
            shutil.copy(models / name, weights)  # where it would download them to
        os.environ["DEEPFACE_HOME"] = str(out / "deepface-home")
        for detector in ("opencv", "dlib"):
            home = out / f"deepface-{detector}"
            tools.append(Deepface(f"deepface, {detector}", home, photos, python, detector))
    if python := pythons.get("face_recognition"):
        tools.append(FaceRecognition("face_recognition, library", out / "fr", photos, python))
        tools.append(FaceRecognitionCommand("face_recognition, command", out / "fr-command", photos, python))
    return tools, pythons


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gallery_peers",
        description=gallery_peers.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("peers", type=Path)
    parser.add_argument("out", type=Path, help="a folder that is not there yet")
    arguments = parser.parse_args()
    peers, out = arguments.peers.resolve(), arguments.out.resolve()
    out.mkdir()
    who = draw(Path(os.environ["FACEREC_DATA"]), out / "photos")
    tools, pythons = prepare(peers, out)
    result: dict[str, Any] = {"seed": SEED, "rounds": ROUNDS, "cores": os.cpu_count(), "load_before": os.getloadavg()}
    result["photos"] = measure_photos(tools, who, ROUNDS)
    (out / "photos.json").write_text(json.dumps(result), encoding="utf-8")  # twenty minutes: not lost if vectors fail
    result["vectors"] = measure_vectors({k: v for k, v in pythons.items() if k in BACKENDS}, out, ROUNDS)
    result |= {"load_after": os.getloadavg(), "python": sys.version.split()[0], "versions": versions(pythons)}
    OUT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print("\n\n".join([photo_table(result["photos"]), *map(vector_table, result["vectors"])]))


def versions(pythons: dict[str, Path]) -> dict[str, Any]:
    """What is installed where."""
    code = (
        "import importlib.metadata as m; print(*sorted(f'{d.name}=={d.version}' for d in m.distributions()), sep='\\n')"
    )
    return {name: finish(start([python, "-c", code])).split() for name, python in pythons.items()}


if __name__ == "__main__":
    main()
