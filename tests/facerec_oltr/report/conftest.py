"""Results of benchmarks as ``facerec bench`` has them: real metrics and score rules on vectors drawn here."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from facerec_oltr.bench.results import (
    BenchResult,
    Curve,
    Example,
    Figure,
    Group,
    Histogram,
    ModelFacts,
    PairResult,
    Part,
    Point,
    ProtocolFacts,
    SearchResult,
    write_results,
)
from facerec_oltr.metrics.identification import (
    Searches,
    Threshold,
    cmc,
    det_curve,
    fnir,
    found,
    fuse_templates,
    operating_point,
    rank_k,
    threshold_at_fpir,
)
from facerec_oltr.metrics.intervals import Interval, bootstrap_by_identity
from facerec_oltr.metrics.ranking import auroc
from facerec_oltr.metrics.verification import equal_error_rate, fold_accuracy, tar_at_far
from facerec_oltr.scoring import GalleryFaces
from facerec_oltr.scoring.named import read_rules

TARGETS = (0.1, 0.01, 0.001)
DIMENSIONS = 16


class Faces(NamedTuple):
    """(n, D) unit vectors and (n,) whom they show."""

    vectors: np.ndarray
    people: np.ndarray


class Sets(NamedTuple):
    """The parts of O1 of LFW's open-set protocol, or fewer of them."""

    gallery: Faces
    mated: Faces
    strangers: Faces
    calibration: Faces


def drawn_sets(seed: int, people: int = 40, noise: float = 0.55, calibration: int = 60) -> Sets:
    """Three templates an enrolled person and some probes; strangers with two photos, as LFW's known unknowns have."""
    rng = np.random.default_rng(seed)

    def faces(first: int, count: int, photos: int, level: float) -> Faces:
        owners = np.repeat(np.arange(first, first + count), photos)
        centres = rng.standard_normal((count, DIMENSIONS))
        vectors = np.repeat(centres, photos, axis=0) + level * rng.standard_normal((count * photos, DIMENSIONS))
        return Faces(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), owners)

    enrolled = faces(0, people, 7, noise)
    first = np.tile(np.arange(7) < 3, people)
    return Sets(
        Faces(enrolled.vectors[first], enrolled.people[first]),
        Faces(enrolled.vectors[~first], enrolled.people[~first]),
        faces(1000, 2 * people, 2, noise),
        faces(5000, calibration, 2, noise),
    )


def searched(sets: Sets, rule: str, identities: np.ndarray | None = None) -> dict[str, Searches]:
    """Searches of the probes, and of the calibration part, in the gallery of some identities."""
    kept = np.isin(sets.gallery.people, sets.gallery.people if identities is None else identities)
    gallery = GalleryFaces(sets.gallery.vectors[kept], sets.gallery.people[kept])
    fitted = read_rules(rule)[rule].fit(gallery)

    def scores(faces: Faces) -> np.ndarray:
        cosines, columns = fuse_templates(faces.vectors @ gallery.vectors.T, gallery.identities)
        return fitted.scores(faces.vectors, columns, cosines)

    ids = np.unique(gallery.identities)
    mated = np.isin(sets.mated.people, ids)
    probes = Faces(
        np.concatenate([sets.mated.vectors[mated], sets.strangers.vectors]),
        np.concatenate([sets.mated.people[mated], sets.strangers.people]),
    )
    return {
        "probes": Searches.from_scores(scores(probes), ids, probes.people),
        "calibration": Searches.from_scores(scores(sets.calibration), ids, sets.calibration.people),
    }


class Measured:
    """One model by one rule, figure by figure."""

    def __init__(self, sets: Sets, rule: str, replicates: int, cosine: "Measured | None" = None) -> None:
        self.sets, self.rule, self.replicates, self.cosine = sets, rule, replicates, cosine
        both = searched(sets, rule)
        self.searches, self.choosing = both["probes"], both["calibration"].nonmated_maxima
        self.replicates_of: dict[int, tuple[Searches, list[Searches]]] = {}  # the searches are kept, so no id is reused

    def interval(self, statistic: Callable[[Searches], float], searches: Searches | None = None) -> Figure:
        value, low, high = self.bounds(lambda held: np.array([statistic(held)]), searches)[:, 0].tolist()
        return Figure.of(Interval(value, low, high, 0.95))

    def bounds(self, statistic: Callable[[Searches], np.ndarray], searches: Searches | None = None) -> np.ndarray:
        """(3, K) the figures, their lower and upper bounds, over the same replicates for all."""
        held = self.searches if searches is None else searches
        if (drawn := self.replicates_of.get(id(held))) is None:
            drawn = self.replicates_of[id(held)] = held, self._drawn(held)
        figures = np.array([statistic(one) for one in drawn[1]])
        return np.stack([statistic(held), *np.quantile(figures, [0.025, 0.975], axis=0)])

    def _drawn(self, held: Searches) -> list[Searches]:
        """The replicates that ``bootstrap_by_identity`` asks for a figure of."""
        people = [side for side in (self.sets.mated.people[: len(held.ranks)], self.sets.strangers.people) if len(side)]
        drawn: list[Searches] = []

        def keep(mated: np.ndarray, strangers: np.ndarray | None = None) -> float:
            drawn.append(held.take(mated, np.empty(0, np.int64) if strangers is None else strangers))
            return 0.0

        bootstrap_by_identity(keep, people, np.random.default_rng(0), replicates=self.replicates)
        return drawn

    def threshold(self, target: float, side: str, searches: Searches | None = None) -> Threshold:
        held = self.searches if searches is None else searches
        return threshold_at_fpir(self.choosing if side == "calibration" else held.nonmated_maxima, target)

    def point(self, target: float, side: Any) -> Point:
        chosen = self.threshold(target, side)
        if np.isnan(chosen.value):
            return Point(target, side, None, False, Figure(None), Figure(None), Figure(None))

        def at(name: str) -> Figure:
            return self.interval(
                lambda held: getattr(
                    operating_point(held, chosen if side == "calibration" else self.threshold(target, side, held)), name
                )
            )

        gain = None
        if self.cosine is not None:
            own, base = (found(one.searches, one.threshold(target, side).value) for one in (self, self.cosine))
            difference = own.astype(float) - base
            low, high = self._paired(difference)
            gain = Figure(float(difference.mean()), low, high)
        value = None if np.isinf(chosen.value) else chosen.value
        return Point(target, side, value, chosen.measurable, at("fpir"), at("tpir"), at("misidentification"), gain)

    def _paired(self, difference: np.ndarray) -> tuple[float, float]:
        one = bootstrap_by_identity(
            lambda mated: float(difference[mated].mean()),
            [self.sets.mated.people],
            np.random.default_rng(0),
            replicates=self.replicates,
        )
        return one.low, one.high

    def curves(self) -> tuple[Curve, Curve]:
        ranks = tuple(range(1, 21))
        identified = Curve(tuple(map(float, ranks)), *map(tuple, self.bounds(lambda held: cmc(held, 20)).tolist()))
        strangers = len(self.searches.nonmated_maxima)
        if not strangers:
            return identified, Curve((), ())
        grid = np.geomspace(1 / strangers, 1, 24)
        missed = self.bounds(
            lambda held: np.array([fnir(held, threshold_at_fpir(held.nonmated_maxima, f).value) for f in grid])
        )
        return identified, Curve(tuple(grid.tolist()), *map(tuple, missed.tolist()))

    def histogram(self) -> Histogram:
        every = np.concatenate([self.searches.true_scores, self.searches.nonmated_maxima])
        edges = np.linspace(every.min(), np.nextafter(every.max(), np.inf), 41)
        mated, strangers = (
            np.histogram(side, edges)[0] for side in (self.searches.true_scores, self.searches.nonmated_maxima)
        )
        return Histogram(tuple(edges.tolist()), tuple(mated.tolist()), tuple(strangers.tolist()))

    def groups(self, which: str) -> tuple[Group, ...]:
        chosen = [(target, self.threshold(target, "calibration")) for target in TARGETS]
        made = []
        for name, mask, searches in self._parts(which):
            points = tuple(
                Point(
                    target, "calibration", T.value, T.measurable,
                    self.interval(lambda held, T=T: operating_point(held, T).fpir, searches),
                    self.interval(lambda held, T=T: operating_point(held, T).tpir, searches), Figure(0.0),
                )
                for target, T in chosen
            )  # fmt: skip
            people = len(np.unique(self.sets.mated.people[mask]))
            made.append(Group(name, people, int(mask.sum()), self.interval(rank_k, searches), points))
        return tuple(made)

    def _parts(self, which: str) -> list[tuple[str, np.ndarray, Searches]]:
        """Here a person's number says how many training images there are, and who is in a small gallery."""
        people, everybody = self.sets.mated.people, np.unique(self.sets.gallery.people)
        if which == "sizes":
            sizes = [len(everybody) // 4, len(everybody) // 2, len(everybody)]
            return [
                (str(n), people < everybody[n - 1] + 1, searched(self.sets, self.rule, everybody[:n])["probes"])
                for n in sizes
            ]
        names = ("many", "few", "one_shot")
        strangers = np.arange(len(self.sets.strangers.people))
        masks = [people % 3 == place for place in range(3)]
        return [
            (name, mask, self.searches.take(np.flatnonzero(mask), strangers))
            for name, mask in zip(names, masks, strict=True)
        ]


def search_result(
    measured: Measured, model: str, *, name: str = "O1", protocol: str = "lfw_gb_held_out", groups: bool = False
) -> SearchResult:
    sets, searches = measured.sets, measured.searches
    sides = ("calibration", "strangers") if len(sets.calibration.people) else ("strangers",)
    identified, det = measured.curves()
    best = np.maximum(searches.true_scores, searches.best_others)
    area = measured.interval(lambda held: oscr(held)) if len(sets.strangers.people) else Figure(None)
    return SearchResult(
        protocol,
        name,
        model,
        measured.rule,
        {part: Part(len(np.unique(faces.people)), len(faces.people)) for part, faces in sets._asdict().items()},
        tuple((k, measured.interval(lambda held, k=k: rank_k(held, k))) for k in (1, 5, 10)),
        Figure(auroc(best, searches.nonmated_maxima)) if len(sets.strangers.people) else Figure(None),
        area,
        tuple(measured.point(target, side) for side in sides for target in TARGETS),
        identified,
        det,
        measured.histogram(),
        measured.groups("shots") if groups else (),
        measured.groups("sizes") if groups else (),
    )


def oscr(held: Searches) -> float:
    curve = det_curve(held)
    return float(np.trapezoid(1 - curve.fnir, curve.fpir))


def pair_result(sets: Sets, model: str, protocol: str = "lfw_gb_held_out") -> PairResult:
    rng = np.random.default_rng(1)
    first = rng.integers(0, len(sets.mated.people), 400)
    same = np.arange(400) % 2 == 0
    of_person = [np.flatnonzero(sets.mated.people == sets.mated.people[place])[-1] for place in first]
    second = np.where(same, of_person, (first + 37) % len(sets.mated.people))
    scores = (sets.mated.vectors[first] * sets.mated.vectors[second]).sum(axis=1)
    folds, eer = fold_accuracy(scores, same), equal_error_rate(scores[same], scores[~same])[0]
    tar = tuple((far, tar_at_far(scores[same], scores[~same], far).tar) for far in (0.01, 0.001))
    return PairResult(protocol, "pairs", model, 200, 200, 0, folds.mean, folds.sd, eer, (tar[0], (tar[1][0], None)))


def bench_result(
    models: Sequence[tuple[str, float]] = (("mobilefacenet", 0.62), ("dlib", 0.7)),
    rules: Sequence[str] = ("cosine", "nac:k=8", "extreme_value"),
    *,
    replicates: int = 30,
    people: int = 40,
    calibration: int = 60,
    groups: bool = False,
    pairs: bool = False,
) -> BenchResult:
    """Search sets C, without strangers, and O1; models by the noise that they leave in a face."""
    searches, made_pairs = [], []
    for model, noise in models:
        sets = drawn_sets(3, people, noise, calibration)
        nobody = Faces(np.empty((0, DIMENSIONS)), np.empty(0, np.int64))
        for name, here in (("C", sets._replace(strangers=nobody)), ("O1", sets)):
            cosine = None
            for rule in rules:
                measured = Measured(here, rule, replicates, cosine)
                cosine = cosine or measured
                searches.append(search_result(measured, model, name=name, groups=groups and name == "O1"))
        if pairs:
            made_pairs.append(pair_result(sets, model))
    facts = {
        name: ModelFacts(name, f"{place:064x}", DIMENSIONS, 112, "yunet") for place, (name, _) in enumerate(models)
    }
    protocol = ProtocolFacts(
        "a" * 64, "folder", "b" * 64, 13233, 5749, "facerec protocol lfw-gb", 0, {"variant": "held_out"}
    )
    return BenchResult(
        facts, {"lfw_gb_held_out": protocol}, TARGETS, "max", replicates, 0, tuple(searches), tuple(made_pairs),
        versions={"facerec-oltr": "0.1.0", "numpy": "2.4.6"},
    )  # fmt: skip


ANN, BOB, CEM = "Ann_Ok/Ann_Ok_0001.jpg", "Bob_Ox/Bob_Ox_0001.jpg", "Cem_Ur/Cem_Ur_0002.jpg"
_OF = ("lfw_gb_held_out", "O1", "mobilefacenet", "cosine")
EXAMPLES = (
    Example(*_OF, "false_accept", ANN, BOB, None, 0.71, 0.5),
    Example(*_OF, "wrong_name", ANN, BOB, CEM, 0.64, 0.5),
    Example(*_OF, "false_reject", ANN, BOB, CEM, 0.21, 0.5),
)


@pytest.fixture(scope="session")
def result() -> BenchResult:
    return bench_result(groups=True, pairs=True, replicates=12)


def saved(result: BenchResult, folder: Path, examples: tuple[Example, ...] | None = None) -> Path:
    folder.mkdir(parents=True)
    write_results(result, examples, folder)
    return folder
