"""The whole way on real faces: photos → RecordIO → long tail → training → gallery → decisions → report.

Every step is what one command of `recordio` or `facerec` does, and is said as that command. A step whose result is
there is not done again, so a demo that was killed goes on where it stopped.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facerec_oltr.calibrate import calibrate
from facerec_oltr.config import load_experiment
from facerec_oltr.engine.checkpoint import write_json
from facerec_oltr.engine.reporting import Reporter
from facerec_oltr.engine.run import train
from facerec_oltr.enroll import enroll_folder
from facerec_oltr.evaluate import TEMPLATES, OpenPeople, evaluate, write_evaluation
from facerec_oltr.faces.att import CREDIT, copy_att_faces
from facerec_oltr.faces.photos import find_photos
from facerec_oltr.gallery import Gallery
from facerec_oltr.identify import Decision, identify
from facerec_oltr.models import open_extractor, open_model
from facerec_oltr.protocols.draw import OpenSetRule, deal_often
from facerec_oltr.report import Picture, read_evaluations, write_report
from facerec_oltr.report.summary import Summary, summarise
from recordio_tools import FaceSet
from recordio_tools.build import build_longtail
from recordio_tools.longtail import Rule
from recordio_tools.packing import pack_folder

DATASET = "att_lt"
RULE = Rule("exponential", images=120, identities=25, imbalance=10.0, maximum=10)
PARTS = OpenSetRule(enrolled=5, calibration=5, strangers=5, templates=TEMPLATES)
DRAWS = 20
TARGET_FPIR = 0.1

Bar = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


@dataclass(frozen=True)
class Teller:
    """How the demo shows what it does.

    Attributes:
        say: takes a line.
        bar: opens a progress bar of that label, to be fed with (done, in all).
        display: opens a display of training.
    """

    say: Callable[[str], None]
    bar: Bar
    display: Callable[[], AbstractContextManager[Reporter]]


@dataclass(frozen=True)
class DemoResult:
    """What the demo came to: the figures, some decisions of the gallery, and the report's path."""

    summary: Summary
    decisions: list[Decision]
    report: Path


@dataclass(frozen=True)
class _Split:
    """One cut of the face set into people to train on and people left out, and what is made of it."""

    folder: Path
    seed: int

    @property
    def faces_lt(self) -> Path:
        return self.folder / "faces-lt"

    @property
    def manifest(self) -> Path:
        return self.faces_lt / "manifest.json"

    @property
    def evaluation(self) -> Path:
        return self.folder / "evaluation.json"

    def run(self, method: str) -> Path:
        return self.folder / ("run" if method == "oltr" else f"run-{method}")


def run_demo(out: Path, teller: Teller, *, splits: int = 4, overrides: Sequence[str] = ()) -> DemoResult:
    """Run the demo into the folder `out`, or go on with one that was stopped there.

    Args:
        out: everything is written here; the report is ``out/report.md``.
        teller: is told what happens.
        splits: how many seeded cuts are trained and measured; the first lies in `out`, the others below it.
        overrides: change the experiments, as ``facerec train --set`` does.

    Raises:
        DataError: the extra ``demo`` or ``dlib`` is not installed, or `out` holds something else.
        FaceRecError, RecordIOError: as the steps raise them.
    """
    photos, packed = out / "photos", out / "faces"
    out.mkdir(parents=True, exist_ok=True)
    copy_att_faces(photos)
    if not packed.exists():
        teller.say(f"$ recordio pack {photos} {packed}")
        with teller.bar("packing") as bar:
            pack_folder(photos, packed, progress=bar)
    faces = FaceSet(packed)
    cuts = [_Split(out if seed == 0 else out / "splits" / str(seed), seed) for seed in range(splits)]
    for split in cuts:
        _train_split(split, packed, overrides, teller)
    gallery = out / "gallery.db"
    people = _cast(out / "people", photos, faces, cuts[0])
    _enrol_and_calibrate(gallery, cuts[0], people, teller)
    decisions = _decide(gallery, cuts[0], people, out, teller)
    for split in cuts:
        _evaluate_split(split, faces, out / "embeddings", teller)
    evaluations = read_evaluations([split.evaluation for split in cuts])
    report = out / "report.md"
    teller.say(f"$ facerec report {' '.join(str(split.evaluation) for split in cuts)} --out {report}")
    write_report(
        evaluations,
        report,
        faces=faces,
        pictures=[
            Picture(cuts[0].faces_lt / "images_per_identity.png", "The long tail that the first network learns from")
        ],
        facts=_facts(cuts[0], decisions),
        credits=[CREDIT],
        examples_of=open_model(str(cuts[0].run("oltr"))).name,  # the model of the gallery
    )
    return DemoResult(summarise(evaluations), decisions, report)


def _train_split(split: _Split, packed: Path, overrides: Sequence[str], teller: Teller) -> None:
    split.folder.mkdir(parents=True, exist_ok=True)
    if not split.faces_lt.exists():
        teller.say(
            f"$ recordio build-lt {packed} {split.faces_lt} --identities {RULE.identities} --images {RULE.images} "
            f"--law {RULE.law} --imbalance {RULE.imbalance:g} --max {RULE.maximum} --seed {split.seed}"
        )
        build_longtail(packed, split.faces_lt, RULE, split.seed)
    settings = [f"data.path={split.faces_lt}", *overrides]
    words = " ".join(f"--set {setting}" for setting in settings)
    for method in ("oltr", "plain"):
        if (split.run(method) / "model.safetensors").exists():
            continue
        teller.say(f"$ facerec train {method} --on {DATASET} {words} --seed {split.seed} --out {split.run(method)}")
        experiment = load_experiment(method, DATASET, seed=split.seed, overrides=settings)
        with teller.display() as reporter:
            train(experiment, split.run(method), reporter=reporter)


def _cast(folder: Path, photos: Path, faces: FaceSet, split: _Split) -> Path:
    """Folders of the unseen people as a user would have them: whom to enrol, who comes again, and strangers."""
    if folder.exists():
        return folder
    positions = np.flatnonzero(np.isin(faces.labels, OpenPeople.read(split.manifest, faces).labels))
    dealt = next(deal_often(faces.labels[positions], PARTS, DRAWS))
    assert faces.paths is not None, "the set was packed from a folder, so it knows its photos"
    building = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(building, ignore_errors=True)  # left by a demo that was killed
    parts = {"enrolled": dealt.gallery, "again": dealt.mated}
    parts |= {"calibration": dealt.calibration, "strangers": dealt.strangers}
    for part, places in parts.items():
        for place in positions[places].tolist():
            target = building / part / faces.paths[place]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(photos / faces.paths[place], target)
    building.rename(folder)
    return folder


def _enrol_and_calibrate(gallery: Path, split: _Split, people: Path, teller: Teller) -> None:
    extractor = open_extractor(str(split.run("oltr")))
    teller.say(f"$ facerec enroll --gallery {gallery} --model {split.run('oltr')} {people / 'enrolled'}")
    with Gallery.open_or_create(gallery, extractor) as opened:
        with teller.bar("enrolling") as bar:
            enroll_folder(opened, extractor, people / "enrolled", on_progress=bar).raise_if_failed()
        known = opened.calibration(TARGET_FPIR)
        if known is None or opened.is_stale(known):
            strangers = people / "calibration"
            teller.say(f"$ facerec calibrate --gallery {gallery} --strangers {strangers} --fpir {TARGET_FPIR:g}")
            with teller.bar("searching strangers") as bar:
                calibrate(opened, extractor, strangers, TARGET_FPIR, on_progress=bar)


def _decide(gallery: Path, split: _Split, people: Path, out: Path, teller: Teller) -> list[Decision]:
    """The gallery's answers to every photo of those who come again, and of strangers."""
    extractor = open_extractor(str(split.run("oltr")))
    teller.say(f"$ facerec identify --gallery {gallery} {people / 'again'} {people / 'strangers'}")
    with Gallery.open(gallery, extractor) as opened:
        decisions = identify(opened, extractor, find_photos([people / "again", people / "strangers"]))
    write_json(out / "decisions.json", [decision.to_json() for decision in decisions])
    return decisions


def _evaluate_split(split: _Split, faces: FaceSet, cache: Path, teller: Teller) -> None:
    runs = [str(split.run("plain")), f"{split.run('oltr')}:direct", f"{split.run('oltr')}:meta"]
    models = " ".join(f"--model {run}" for run in runs)
    teller.say(
        f"$ facerec evaluate-faces {models} --ceiling --faces {faces.path} --open {split.manifest} "
        f"--draws {DRAWS} --cache {cache} --out {split.evaluation}"
    )
    embedders = {embedder.name: embedder for embedder in map(open_model, ("raw_pixels", *runs, "dlib"))}
    floor, *_, ceiling = embedders
    with teller.bar("embedding") as bar:
        result = evaluate(
            embedders,
            faces,
            OpenPeople.read(split.manifest, faces),
            PARTS,
            DRAWS,
            floor=floor,
            ceiling=ceiling,
            cache=cache,
            on_progress=lambda _name, done, total: bar(done, total),
        )
    write_evaluation(result, split.evaluation)


def _facts(split: _Split, decisions: Sequence[Decision]) -> list[str]:
    manifest = json.loads(split.manifest.read_text(encoding="utf-8"))
    kept = sorted((person["kept"] for person in manifest["kept"]), reverse=True)
    again = [d for d in decisions if d.photo.parts[-3] == "again"]
    strangers = [d for d in decisions if d.photo.parts[-3] == "strangers"]
    right = sum(d.decision == "accepted" and d.identity == d.photo.parent.name for d in again)
    wrong = sum(d.decision == "accepted" and d.identity != d.photo.parent.name for d in again)
    rejected = sum(d.decision == "unknown" for d in strangers)
    tail = (
        f"The people learned from have between {kept[-1]} and {kept[0]} photos each "
        f"({', '.join(map(str, kept))} in the first split): a long tail, as in life."
    )
    budget = (
        "OLTR and plain training had the same number of epochs; *direct* and *meta* are two embeddings of one OLTR "
        "network: its features, and its features enriched from the memory of class centroids."
    )
    choice = (
        "The settings were chosen by hand on the same 40 people, mostly on other splits of them, so they may fit "
        "these photos a little better than they would fit others."
    )
    gallery = (
        f"In the gallery that the commands made (`gallery.db`, first split, first draw), {right} of {len(again)} "
        f"photos of enrolled people were accepted under the right name and {wrong} under a wrong one, and {rejected} "
        f"of {len(strangers)} photos of strangers were rejected; `decisions.json` has them all."
    )
    return [tail, budget, choice, gallery]
