"""LFW's open-set protocol of Günther and Boult, by every score rule, through the commands that a user types.

    FACEREC_DATA=… python -m benchmarks.lfw_open_set OUT [--run arcface=RUN …]    # an hour; killed, it goes on

All of LFW: 610 people enrolled with three photos each, O1, O2 and O3 with their strangers, thresholds chosen by half of
the known unknowns, who are nobody's probes. MobileFaceNet behind YuNet, and dlib's network with its own detector.

Networks of ours were trained on people of LFW. They are measured by the same rule on the 1,711 people of whom
benchmarks/lfw_first_run.py saw nobody (its OUT holds the runs), beside MobileFaceNet.

The page goes to docs/lfw_open_set.html, its figures without curves to lfw_open_set.json; no photo or name is in either.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.lfw_gallery import DETECTORS, MODEL, facerec, unpack
from recordio_tools.whole import write_whole

RULES = (
    "cosine,centroid,reachability,nac,negative_cohort,adaptive_snorm:least_people=100:top=100,extreme_value,"
    "extreme_value:tail=50"
)
ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/lfw_open_set.html"


def second_part(photos: Path, source: Path, out: Path) -> Path:
    """The people of LFW's second part as folders of links."""
    folder = out / "second_part"
    if not folder.exists():
        part = out / ".second_part"
        lines = (source / "lfw/peopleDevTest.txt").read_text().splitlines()[1:]
        for photo in (photo for line in lines for photo in (photos / line.split("\t")[0]).iterdir()):
            link = part / photo.parent.name / photo.name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(photo.resolve())
        part.rename(folder)
    return folder


def draw(name: str, photos: Path, out: Path, *options: str) -> Path:
    """The protocol's folder."""
    folder = out / name
    if not folder.exists():
        facerec("protocol", "lfw-gb", photos, folder, *options, "--json")
    return folder


def measure(protocol: Path, photos: Path, out: Path, models: dict[str, str], detector: Path | None) -> Path:
    """The folder of figures of some models."""
    named = [word for name, model in models.items() for word in ("--model", f"{name}={model}")]
    found = [] if detector is None else ["--detector", detector]
    folder = out / f"{protocol.name}-{'-'.join(models)}"
    facerec(
        "bench", protocol, "--images", photos, *named, *found, "--scores", RULES, "--fpir", "0.01,0.1", "--out", folder,
        "--cache", out / "cache", "--no-faces", "--force", "--json",
    )  # fmt: skip
    if not (folder / "results.json").exists():
        sys.exit(f"{folder}: was not measured")
    return folder


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """A result without its curves, to five places."""
    for search in result["searches"]:
        for curve in ("cmc", "det", "histogram"):
            del search[curve]
    return json.loads(json.dumps(result), parse_float=lambda number: round(float(number), 5))


def main() -> None:
    """Draw, measure and tell."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--run", action="append", default=[], metavar="NAME=RUN", help="of lfw_first_run.py")
    given = arguments.parse_args()
    source, out = Path(os.environ["FACEREC_DATA"]), given.out
    out.mkdir(parents=True, exist_ok=True)
    photos = unpack(source, out)
    detector, network = source / "models" / DETECTORS["yunet"], str(source / "models" / MODEL)
    whole = draw("lfw_gb", photos, out)
    folders = [measure(whole, photos, out, {"mobilefacenet": network}, detector)]
    if given.run:
        part = second_part(photos, source, out)
        half = draw("lfw_gb_second_part", part, out, "--any-people")
        ours = dict(run.split("=", 1) for run in given.run)
        folders.append(measure(half, part, out, {"mobilefacenet": network, **ours}, detector))
    folders.append(measure(whole, photos, out, {"dlib": "dlib"}, None))
    facerec("report", *folders, "--out", PAGE, "--no-faces", "--json")
    figures = {folder.name: summary(json.loads((folder / "results.json").read_text())) for folder in folders}
    write_whole(Path(__file__).with_suffix(".json"), (json.dumps(figures, separators=(",", ":")) + "\n").encode())


if __name__ == "__main__":
    main()
