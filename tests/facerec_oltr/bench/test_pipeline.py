"""From vectors to figures against slow loops written from ISO/IEC 19795-1's definitions, on scores that are often tied.

Whoever is searched is compared with each identity in turn; nothing of the package is used but the order in which
identities join galleries of rising size.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from facerec_oltr.bench.arena import Arena, arenas_of, enter
from facerec_oltr.bench.figures import Choices
from facerec_oltr.bench.measuring import Measuring
from facerec_oltr.bench.results import ChosenBy, Example, Point, SearchResult
from facerec_oltr.protocols import PARTS, Protocol, SearchSet, Source, TemplateList, check_protocol
from facerec_oltr.scoring.named import read_rules

TARGETS = (0.2, 0.05)
MODEL, SEED = "made up", 3


@dataclass(eq=False)
class Held:
    """Vectors that are there already."""

    rows: dict[str, int]
    held: np.ndarray
    faces: np.ndarray

    def find(self, keys: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        rows = np.array([self.rows[key] for key in keys], np.int64)
        return rows, self.faces[rows]

    def vectors(self) -> np.ndarray:
        return self.held


def of_people(prefix: str, photos: Mapping[str, int], several: bool = False) -> TemplateList:
    """A template a photo, or one of two media: an image, and two frames."""
    names, people, images, media, starts = [], [], [], [], [0]
    for person, count in photos.items():
        for number in range(count):
            names.append(f"{prefix}-{person}-{number}")
            people.append(person)
            size = 3 if several and number % 2 else 1
            images += [f"{prefix}/{person}/{number}/{image}" for image in range(size)]
            media += [0, 1, 1][:size]
            starts.append(len(images))
    blank = ("",) * len(images)
    return TemplateList(
        tuple(names), tuple(people), tuple(images), blank, np.array(media, np.int64), np.array(starts, np.int64)
    )


def small_world() -> tuple[Protocol, Held]:
    rng = np.random.default_rng(8)
    enrolled = {f"e{n}": 1 + n % 3 for n in range(9)}
    lists = {
        "gallery": of_people("g", enrolled, several=True),
        "mated": of_people("m", dict.fromkeys(enrolled, 4), several=True),
        "near": of_people("s", {f"s{n}": 1 + n % 4 for n in range(14)}),
        "far": of_people("t", {f"t{n}": 2 for n in range(9)}),
        "calibration": of_people("c", {f"c{n}": 3 for n in range(12)}),
        "distractors": of_people("d", {f"d{n}": 1 for n in range(7)}),
    }
    shared = {"gallery": ("gallery",), "mated": ("mated",), "calibration": ("calibration",)}
    searches = {
        "closed": SearchSet(("gallery",), ("mated",)),
        "near": SearchSet(**shared, strangers=("near",), distractors=("distractors",)),
        "both": SearchSet(**shared, strangers=("near", "far"), distractors=("distractors",)),
    }
    training = {"e0": 9, "e1": 3, "e2": 2, "e3": 1, "z": 4}
    protocol = Protocol("world", Source("folder", "1" * 64, 9, 9), lists, searches, training_images=training)
    centres: dict[str, np.ndarray] = {}
    keys, vectors = [], []
    for templates in lists.values():
        for owner, key in zip(templates.owners.tolist(), templates.images, strict=True):
            centre = centres.setdefault(templates.people[owner], rng.normal(size=6))
            vector = np.round(centre + 0.7 * rng.normal(size=6))  # coarse: some people look the same to the last bit
            vectors.append(vector if vector.any() else np.eye(6)[0])
            keys.append(key)
    held = np.array(vectors)
    held = (held / np.linalg.norm(held, axis=1, keepdims=True)).astype(np.float32)
    faces = rng.random(len(keys)) > 0.08
    faces[[place for place, key in enumerate(keys) if key.startswith(("g/e8", "m/e5/0", "s/s3"))]] = False
    held[~faces] = np.nan  # what a row without a face holds means nothing
    return check_protocol(protocol), Held({key: row for row, key in enumerate(keys)}, held, faces)


def pooled_slowly(templates: TemplateList, features: Held) -> list[np.ndarray | None]:
    """Of each template the sum over media of the mean over images, of length 1; None where no image has a face."""
    found: list[np.ndarray | None] = []
    for start, end in zip(templates.starts, templates.starts[1:], strict=False):
        total = np.zeros(6)
        for medium in range(3):
            alive = [
                features.held[features.rows[templates.images[at]]].astype(float)
                for at in range(start, end)
                if templates.media[at] == medium and features.faces[features.rows[templates.images[at]]]
            ]
            if alive:
                total += sum(alive) / len(alive)
        found.append((total / np.linalg.norm(total)).astype(np.float32) if total.any() else None)
    return found


class Slow:
    """One search set, by loops over probes and identities."""

    def __init__(
        self, protocol: Protocol, features: Held, name: str, fusion: str, among: set[str] | None = None
    ) -> None:
        self.parts = {part: protocol.part(name, part) for part in PARTS}
        self.vectors = {part: pooled_slowly(templates, features) for part, templates in self.parts.items()}
        self.gallery: dict[str, list[Any]] = {}
        self.keys: dict[str, list[str]] = {}
        for part in ("gallery", "distractors"):
            for place, (person, vector) in enumerate(zip(self.parts[part].people, self.vectors[part], strict=True)):
                if vector is not None and (among is None or person in among):
                    self.gallery.setdefault(person, []).append(vector)
                    self.keys.setdefault(person, []).append(self.parts[part].names[place])
        self.fusion, self.excluded = fusion, set[tuple[str, str]]()
        self.order: list[str] = []  # of the identities, where equal cosines are told apart

    def cosine(self, probe: np.ndarray, person: str, name: str) -> float:
        templates: list[Any] = [
            v for v, k in zip(self.gallery[person], self.keys[person], strict=True) if (name, k) not in self.excluded
        ]
        if not templates:
            return -math.inf
        if self.fusion == "mean":
            templates = [np.mean(np.array(templates), axis=0, dtype=np.float64).astype(np.float32)]
        return max(
            float(np.float32(sum(float(a) * float(b) for a, b in zip(probe, v, strict=True)))) for v in templates
        )

    def scores(self, part: str, rule: str, candidates: int | None = None) -> list[dict[str, float] | None]:
        """Of each probe of a part the score with each identity; None for a failed one."""
        found: list[dict[str, float] | None] = []
        for name, probe in zip(self.parts[part].names, self.vectors[part], strict=True):
            if probe is None:
                found.append(None)
                continue
            cosines = {person: self.cosine(probe, person, name) for person in self.gallery}
            if candidates is not None:
                best = sorted(cosines, key=lambda person: (-cosines[person], self.order.index(person)))[:candidates]
                cosines = {person: cosines[person] for person in best}
            found.append(self.by_rule(rule, probe, cosines))
        return found

    def by_rule(self, rule: str, probe: np.ndarray, cosines: dict[str, float]) -> dict[str, float]:
        if rule == "cosine":
            return cosines
        if rule == "nac:k=3":
            three = sorted(cosines.values())[-3:]
            total = sum(math.exp(value) for value in three)
            return {p: float(np.float32(math.exp(c) / total)) if c > -math.inf else c for p, c in cosines.items()}
        assert rule == "centroid"
        found = {}
        for person in cosines:
            total = sum(v.astype(float) for v in self.gallery[person])
            found[person] = float(np.float32(probe.astype(float) @ (total / np.linalg.norm(total))))
        return found

    def figures(self, rule: str, candidates: int | None = None) -> dict[str, list]:
        """What of every mated search (own, rank, best other), and the best of every stranger and calibration search."""
        mated = []
        for person, scores in zip(self.parts["mated"].people, self.scores("mated", rule, candidates), strict=True):
            own = -math.inf if scores is None else scores.get(person, -math.inf)
            others = [] if scores is None else [value for other, value in scores.items() if other != person]
            rank = 1 + sum(value >= own for value in others) if own > -math.inf else math.inf
            mated.append((own, rank, max(others, default=-math.inf)))
        best = {
            part: [-math.inf if s is None else max(s.values()) for s in self.scores(part, rule, candidates)]
            for part in ("strangers", "calibration")
        }
        return {"mated": mated, **best}


def slow_threshold(maxima: list[float], target: float) -> float:
    """The lowest number that lets in no more than the target: among those just above each score."""
    fitting = [
        T
        for T in [float(np.nextafter(value, np.inf)) for value in maxima]
        if sum(value >= T for value in maxima if value > -math.inf) <= target * len(maxima) + 1e-12
    ]
    return min(fitting)


def mean(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags)


def check_point(point: Point, mated: list, strangers: list[float], threshold: float, people: int = 2) -> None:
    T = threshold
    assert point.threshold == T
    assert point.fpir.value == mean([value >= T and value > -math.inf for value in strangers])
    assert point.tpir.value == mean([own >= T and own > -math.inf and rank == 1 for own, rank, _ in mated])
    assert point.misidentification.value == mean([rank > 1 and other >= T > -math.inf for _, rank, other in mated])
    for figure in (point.fpir, point.tpir, point.misidentification):
        if figure is not point.fpir and people < 2:  # one person says nothing of others
            assert figure.low is None and figure.high is None
            continue
        assert figure.low is not None and figure.high is not None and figure.value is not None
        assert figure.low <= figure.value + 0.2 and figure.high >= figure.value - 0.2


def check_result(found: SearchResult, slow: dict[str, list], closed: bool) -> None:
    mated, strangers, calibration = slow["mated"], slow["strangers"], slow["calibration"]
    for rank, figure in found.ranks:
        assert figure.value == mean([place <= rank for _, place, _ in mated])
    assert list(found.cmc.y) == [mean([place <= rank for _, place, _ in mated]) for rank in found.cmc.x]
    if closed:
        assert found.auroc.value is None and found.oscr.value is None
        assert [point.threshold for point in found.points] == [None] * len(TARGETS)
        return
    tops = [max(own, other) for own, _, other in mated]
    beaten = [(a > b) + (a == b) / 2 for a in tops for b in strangers]
    assert found.auroc.value == pytest.approx(sum(beaten) / len(beaten), rel=1e-12)
    right = [(own > b) + (own == b) / 2 if rank == 1 else 0 for own, rank, _ in mated for b in strangers]
    assert found.oscr.value == pytest.approx(sum(right) / len(right), rel=1e-12)
    for target in TARGETS:
        choosers: tuple[tuple[ChosenBy, list[float]], ...] = ("strangers", strangers), ("calibration", calibration)
        for chosen_by, maxima in choosers:
            point = found.point(target, chosen_by)
            assert point is not None and point.measurable == (target * len(maxima) >= 1)
            check_point(point, mated, strangers, slow_threshold(maxima, target))
    for x, y in zip(found.det.x[:-1], found.det.y, strict=False):
        T = slow_threshold(strangers, x)
        assert y == pytest.approx(1 - mean([own >= T and rank == 1 for own, rank, _ in mated]), abs=1e-12)
    assert sum(found.histogram.mated) == sum(own > -math.inf for own, _, _ in mated)
    assert sum(found.histogram.strangers) == sum(value > -math.inf for value in strangers)
    edges = found.histogram.edges
    for place in (0, 20, 49):
        assert found.histogram.strangers[place] == sum(edges[place] <= v < edges[place + 1] for v in strangers)


def measured(
    protocol: Protocol, features: Held, rule: str, fusion: str = "max", sizes: Sequence[int] = ()
) -> tuple[list[SearchResult], list[Example]]:
    assert fusion in ("max", "mean")
    work = Measuring(protocol, MODEL, features, Choices(TARGETS, 40, SEED), fusion, sizes)
    return work.searched(rule, read_rules(rule)[rule], 1, lambda done, total: None)


@pytest.mark.parametrize("fusion", ["max", "mean"])
@pytest.mark.parametrize("rule", ["cosine", "nac:k=3", "centroid"])
def test_all_figures_equal_slow_loops(rule: str, fusion: str) -> None:
    protocol, features = small_world()
    results, _ = measured(protocol, features, rule, fusion)
    assert [result.search_set for result in results] == ["closed", "near", "both"]
    for found in results:
        slow = Slow(protocol, features, found.search_set, fusion)
        check_result(found, slow.figures(rule), found.search_set == "closed")
        for part, templates in slow.parts.items():
            failed = sum(vector is None for vector in slow.vectors[part])
            assert (found.parts[part].templates, found.parts[part].failed) == (len(templates), failed)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol, features = small_world()
    before = {rule: measured(protocol, features, rule) for rule in ("cosine", "nac:k=3", "extreme_value:tail=5")}
    for name in ("searches._BLOCK", "templates._BLOCK"):
        monkeypatch.setattr(f"facerec_oltr.bench.{name}", 1)
    assert {rule: measured(protocol, features, rule) for rule in before} == before


def test_beyond_so_many_identities_a_rule_sees_the_best_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facerec_oltr.bench.searches.MOST_IDENTITIES", 10)
    monkeypatch.setattr("facerec_oltr.bench.measuring.MOST_IDENTITIES", 10)
    for name in ("searches", "measuring"):
        monkeypatch.setattr(f"facerec_oltr.bench.{name}.CANDIDATES", 4)
    protocol, features = small_world()
    found = next(one for one in measured(protocol, features, "nac:k=3")[0] if one.search_set == "near")
    assert found.candidates == 4
    slow = Slow(protocol, features, "near", "max")
    slow.order = names_in_order(protocol, features, "near")
    check_result(found, slow.figures("nac:k=3", candidates=4), closed=False)
    own = [scores for scores in slow.scores("mated", "nac:k=3", 4) if scores is not None]
    assert any(person not in scores for person, scores in zip(slow.parts["mated"].people, own, strict=False))


def arena_of(protocol: Protocol, features: Held, name: str) -> Arena:
    enrolled, sets = next((key, sets) for key, sets in arenas_of(protocol).items() if name in sets)
    return enter(protocol, enrolled, sets, features, SEED)


def names_in_order(protocol: Protocol, features: Held, name: str) -> list[str]:
    arena = arena_of(protocol, features, name)
    people = arena.gallery.listed.people
    return [people[int(np.flatnonzero(arena.owners == number)[0])] for number in range(arena.identities)]


@pytest.mark.parametrize("rule", ["cosine", "centroid"])
def test_galleries_of_rising_size_equal_slow_loops_with_fewer_people(rule: str) -> None:
    protocol, features = small_world()
    found = next(one for one in measured(protocol, features, rule, sizes=(3, 11, 500))[0] if one.search_set == "both")
    order = names_in_order(protocol, features, "both")
    assert {name[0] for name in order[:8]} == {"e"} and {name[0] for name in order[8:]} == {"d"}
    assert [group.name for group in found.sizes] == ["3", "11", str(len(order))]
    for group in found.sizes:
        among = set(order[: int(group.name)])
        slow = Slow(protocol, features, "both", "max", among)
        figures = slow.figures(rule)
        # e8 failed to be enrolled: those probes are missed in every gallery; others are looked for where they are.
        looked = [person in among or person not in order for person in slow.parts["mated"].people]
        mated = [one for one, is_looked in zip(figures["mated"], looked, strict=True) if is_looked]
        assert group.probes == len(mated)
        assert group.rank_1.value == mean([rank == 1 for _, rank, _ in mated])
        for point in group.points:
            check_point(point, mated, figures["strangers"], slow_threshold(figures[point.chosen_by], point.target))
    assert found.sizes[-1].points == found.points


def test_shot_groups_are_parts_of_the_whole_at_its_thresholds() -> None:
    protocol, features = small_world()
    found = measured(protocol, features, "cosine")[0][2]
    figures = Slow(protocol, features, "both", "max").figures("cosine")
    people = {"many": {"e0"}, "few": {"e1", "e2"}, "one_shot": {"e3"}, "zero_shot": {f"e{n}" for n in range(4, 9)}}
    assert [group.name for group in found.shots] == list(people)
    for group in found.shots:
        chosen = [
            one
            for one, person in zip(figures["mated"], protocol.part("both", "mated").people, strict=True)
            if person in people[group.name]
        ]
        assert (group.people, group.probes) == (len(people[group.name]), len(chosen))
        for point, whole in zip(group.points, found.points, strict=True):
            assert whole.threshold is not None
            check_point(point, chosen, figures["strangers"], whole.threshold, group.people)


def test_shot_groups_by_similarity_count_images_like_the_probe() -> None:
    """By a loop over pairs; those without a face, on either side, are like nothing."""
    protocol, features = small_world()
    trained_on = of_people("x", {f"x{n}": 5 for n in range(8)})
    rng = np.random.default_rng(2)
    more = np.round(rng.normal(size=(40, 6)))
    more[::2] = np.round(features.held[rng.integers(0, len(features.held), 20)] * 2)  # some are like those searched
    more[~np.nan_to_num(more).any(axis=1)] = np.eye(6)[0]
    more = np.nan_to_num(more, nan=1.0)
    more = (more / np.linalg.norm(more, axis=1, keepdims=True)).astype(np.float32)
    faces = rng.random(40) > 0.1
    more[~faces] = np.nan
    rows = features.rows | {key: len(features.held) + place for place, key in enumerate(trained_on.images)}
    both = Held(rows, np.concatenate([features.held, more]), np.concatenate([features.faces, faces]))
    protocol = check_protocol(replace(protocol, training_images={}, trained_on=trained_on))
    compared: list[tuple[int, int]] = []
    choices = Choices(TARGETS, 20, SEED)
    measuring = Measuring(protocol, MODEL, both, choices, "max", (), lambda *step: compared.append(step))
    found, _ = measuring.searched("cosine", read_rules("cosine")["cosine"], 1, lambda done, total: None)
    assert compared[-1] == (int(faces.sum()), int(faces.sum()))
    counts = []
    for probe in pooled_slowly(protocol.lists["mated"], both):
        alive = [] if probe is None else [float(np.float32(probe.astype(float) @ one.astype(float))) for one in more]
        counts.append(sum(score > 0.7 for score in alive))  # NaN is not above
    bounds = {"many": (5, 999), "few": (2, 4), "one_shot": (1, 1), "zero_shot": (0, 0)}
    expected = {name: sum(low <= n <= high for n in counts) for name, (low, high) in bounds.items()}
    assert min(expected.values()) > 0
    for result in found:
        assert {group.counted_by for group in result.shots} == {"similarity"}
        assert {group.name: group.probes for group in result.shots} == expected
    without = Measuring(protocol, MODEL, both, choices, "max", ()).searched(
        "cosine", read_rules("cosine")["cosine"], 1, lambda done, total: None
    )
    assert not any(result.shots for result in without[0])


def test_where_nobody_is_let_in_the_bound_is_the_rule_of_three_over_people() -> None:
    """By hand: none of the 33 searches of 14 strangers; drawing them anew would find none for certain."""
    protocol, features = small_world()
    point = measured(protocol, features, "cosine")[0][1].point(0.05)
    assert point is not None and (point.fpir.value, point.fpir.low) == (0, 0)
    assert point.fpir.high == pytest.approx(3 / 14)


def test_a_gain_is_paired_with_the_cosine_at_its_own_threshold() -> None:
    protocol, features = small_world()
    cosine, centroid = (measured(protocol, features, rule)[0] for rule in ("cosine", "centroid"))
    assert all(point.gain is None for one in cosine for point in one.points)
    for one, other in zip(cosine[1:], centroid[1:], strict=True):
        for before, after in zip(one.points, other.points, strict=True):
            assert after.gain is not None and after.tpir.value is not None and before.tpir.value is not None
            assert after.gain.value == after.tpir.value - before.tpir.value
    again = measured(protocol, features, "cosine")[0]
    assert again == cosine


@pytest.mark.parametrize("fusion", ["max", "mean"])
@pytest.mark.parametrize("rule", ["cosine", "nac:k=3"])
def test_a_photo_never_finds_itself(rule: str, fusion: str) -> None:
    protocol, features = small_world()
    lists = dict(protocol.lists)
    gallery, mated = lists["gallery"], lists["mated"]
    digests = {"g/e1/0/0": "a" * 64, "g/e4/1/2": "b" * 64, "m/e1/2/0": "a" * 64, "m/e7/1/0": "b" * 64}
    for name in ("gallery", "mated"):
        old = lists[name]
        marks = tuple(digests.get(key, "") for key in old.images)
        lists[name] = TemplateList(old.names, old.people, old.images, marks, old.media, old.starts)
    # Not checked: a checked protocol has no such pair.
    changed = Protocol("world", protocol.source, lists, {"near": protocol.searches["near"]})
    slow = Slow(changed, features, "near", fusion)
    slow.excluded = {("m-e1-2", "g-e1-0"), ("m-e7-1", "g-e4-1")}
    assert {name for name, _ in slow.excluded} <= set(mated.names) and "g-e4-1" in gallery.names
    found = measured(changed, features, rule, fusion)[0][0]
    check_result(found, slow.figures(rule), closed=False)
    with_it = slow.figures(rule)
    slow.excluded = set()
    assert slow.figures(rule) != with_it


def test_the_worst_errors_are_shown_one_of_a_person() -> None:
    protocol, features = small_world()
    results, examples = measured(protocol, features, "cosine")
    found = next(one for one in results if one.search_set == "near")
    some = [one for one in examples if one.search_set == "near"]
    T = found.points[0].threshold or 0.0
    assert {one.threshold for one in some} == {T}
    slow = Slow(protocol, features, "near", "max")
    strangers: list[float] = slow.figures("cosine")["strangers"]
    accepted: dict[str, float] = {}
    for person, best in zip(slow.parts["strangers"].people, strangers, strict=True):
        if best >= T:
            accepted[person] = max(best, accepted.get(person, best))
    shown = [one for one in some if one.kind == "false_accept"]
    assert [one.score for one in shown] == sorted(accepted.values(), reverse=True)[:5]
    for one in shown:
        probe = next(
            v for k, v in zip(slow.parts["strangers"].images, slow.vectors["strangers"], strict=True) if k == one.probe
        )
        person = one.best.split("/")[1]
        assert probe is not None and one.own is None
        assert slow.cosine(probe, person, "") == one.score
    rejected = [one for one in some if one.kind == "false_reject"]
    assert rejected and all(one.score < T and one.own is not None for one in rejected)
    assert [one.score for one in rejected] == sorted(one.score for one in rejected)
    for kind in ("false_accept", "wrong_name", "false_reject"):
        people = [one.probe.split("/")[1] for one in some if one.kind == kind]
        assert len(people) == len(set(people)) <= 5
