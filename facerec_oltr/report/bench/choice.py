"""Which target stands in front, and which lines are drawn where there are more than a picture can hold."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from facerec_oltr.bench.results import Group, Part, Point, SearchResult
from facerec_oltr.report.bench.blocks import plain
from facerec_oltr.report.bench.style import STYLES, Style

MOST_LINES = len(STYLES)
COSINE = "cosine"
_LABEL_WIDTH = 17
Key = tuple[str, str]  # model, rule

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


def group_point(group: Group, target: float) -> Point | None:
    """The point of a group whose threshold other people chose, else the one that the strangers chose."""
    of_target = [point for point in group.points if point.target == target and _chosen(point)]
    return next((p for p in of_target if p.chosen_by == "calibration"), next(iter(of_target), None))


def fair_point(search: SearchResult, target: float) -> Point | None:
    """The point whose threshold other people chose; where there were none, the one that these strangers chose."""
    calibrated = search.point(target)
    return calibrated if _chosen(calibrated) else search.point(target, "strangers") or calibrated


def headline_target(searches: Sequence[SearchResult], targets: Sequence[float]) -> float:
    """The lowest FPIR that everywhere both those who chose a threshold and the strangers judged can show.

    Where there is none, the highest.
    """
    return min((target for target in targets if _shown(searches, target)), default=max(targets))


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
    rows = textwrap.wrap(text, _LABEL_WIDTH) or [""]
    return rows if len(rows) <= 2 else [rows[0], "…" + text[-_LABEL_WIDTH + 1 :]]
