"""Which target stands in front, and which lines are drawn where there are more than a picture can hold."""

from collections.abc import Sequence
from dataclasses import dataclass

from facerec_oltr.bench.results import Group, Part, Point, SearchResult
from facerec_oltr.metrics.identification import allowed_searches
from facerec_oltr.protocols.shots import ShotRule
from facerec_oltr.report.bench.blocks import plain
from facerec_oltr.report.bench.style import STYLES, Style

MOST_LINES = len(STYLES)
COSINE = "cosine"
_LABEL_WIDTH = 17
Key = tuple[str, str]  # model, rule

ENOUGH_LET_IN = 10  # with fewer searches at stake, one person more or less moves a threshold far
HEADLINE = (
    f"the lowest wanted FPIR at which {ENOUGH_LET_IN} or more searches may be let in, both of those who chose the "
    "threshold and of the strangers it is judged by"
)
DRAWN = (
    "Drawn are the best rule of each model, then the cosine of each, then the next best, up to "
    f"{MOST_LINES} lines, by TPIR at the target of the first table; all others stand in the tables."
)


@dataclass(frozen=True)
class Line:
    """One model by one rule as every picture of a protocol shows it."""

    key: Key
    label: str
    style: Style


def key_of(search: SearchResult) -> Key:
    """Whose line it is."""
    return search.model, search.rule


def part(search: SearchResult, name: str) -> Part:
    """Who plays a part; nobody where it is not told."""
    return search.parts.get(name, Part(0, 0))


def shots_by(search: SearchResult, rule: ShotRule) -> list[Group]:
    """The shot groups of one rule; results that do not say counted truly."""
    return [group for group in search.shots if (group.counted_by or "true_counts") == rule]


def group_point(group: Group, target: float) -> Point | None:
    """The point of a group whose threshold other people chose, else the one that the strangers chose."""
    of_target = [point for point in group.points if point.target == target and _chosen(point)]
    return next((p for p in of_target if p.chosen_by == "calibration"), next(iter(of_target), None))


def fair_point(search: SearchResult, target: float) -> Point | None:
    """The point whose threshold other people chose; where there were none, the one that these strangers chose."""
    calibrated = search.point(target)
    return calibrated if _chosen(calibrated) else search.point(target, "strangers") or calibrated


def headline_target(searches: Sequence[SearchResult], targets: Sequence[float]) -> float:
    """The lowest FPIR that rests on enough: see ``HEADLINE``; else the lowest that is measurable, else the highest."""
    for test in (_rests_on_enough, _shown):
        if those := [target for target in targets if test(searches, target)]:
            return min(those)
    return max(targets)


def let_in_at(search: SearchResult, target: float, name: str) -> int | None:
    """How many searches of a part may be let in at a target; None where the part is empty."""
    templates = part(search, name).templates
    return allowed_searches(templates, target) if templates else None


def lines(searches: Sequence[SearchResult], target: float) -> list[Line]:
    """What is drawn of a protocol, the best first; see ``DRAWN``."""
    keys = _drawn(searches, target)
    labels = _labels(keys)
    return [Line(key, label, style) for key, label, style in zip(keys, labels, STYLES, strict=False)]


def mean_tpir(searches: Sequence[SearchResult], key: Key, target: float) -> float:
    """Of one model by one rule over the search sets that have it; -1 where nothing was measured."""
    points = [fair_point(search, target) for search in searches if key_of(search) == key]
    values = [point.tpir.value for point in points if point is not None and point.tpir.value is not None]
    return sum(values) / len(values) if values else -1.0


def _chosen(point: Point | None) -> bool:
    return point is not None and point.threshold is not None


def _rests_on_enough(searches: Sequence[SearchResult], target: float) -> bool:
    counts = [let_in_at(search, target, name) for search in searches for name in ("calibration", "strangers")]
    told = [count for count in counts if count is not None]
    return bool(told) and min(told) >= ENOUGH_LET_IN


def _shown(searches: Sequence[SearchResult], target: float) -> bool:
    points = [point for search in searches for point in search.points if point.target == target and _chosen(point)]
    return bool(points) and all(point.measurable for point in points)


def _drawn(searches: Sequence[SearchResult], target: float) -> list[Key]:
    keys = list(dict.fromkeys(map(key_of, searches)))
    ranked = sorted(keys, key=lambda key: -mean_tpir(searches, key, target))
    if len(keys) <= MOST_LINES:
        return ranked
    best = list({model: (model, rule) for model, rule in reversed(ranked)}.values())[::-1]
    first = [key for key in ranked if key in best]
    cosines = [key for key in ranked if key[1] == COSINE]
    return list(dict.fromkeys([*first, *cosines, *ranked]))[:MOST_LINES]


def _labels(keys: Sequence[Key]) -> list[str]:
    """Short enough to stand at the end of a line: only what tells the lines apart."""
    models, rules = ({plain(key[side]) for key in keys} for side in (0, 1))
    labels = []
    for model, rule in keys:
        parts = [model] if len(rules) == 1 else [rule] if len(models) == 1 else [model, rule]
        labels.append("\n".join(row for part in parts for row in _wrapped(plain(part))))
    return labels if len(set(labels)) == len(keys) else [f"{label} ({n})" for n, label in enumerate(labels, 1)]


def _wrapped(text: str) -> list[str]:
    """One row or two, broken behind a space or sign where there is one; the middle of a longer text is left out."""
    if len(text) <= _LABEL_WIDTH:
        return [text]
    breaks = [place for place in range(4, _LABEL_WIDTH + 1) if text[place - 1] in " _-:.,/"]
    place = max(breaks, default=_LABEL_WIDTH)
    rest = text[place:]
    return [text[:place].rstrip(), rest if len(rest) <= _LABEL_WIDTH else "…" + rest[1 - _LABEL_WIDTH :]]
