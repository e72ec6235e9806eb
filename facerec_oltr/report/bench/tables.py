"""The tables of a benchmark's report."""

from collections.abc import Callable, Sequence

from facerec_oltr.bench.results import Figure, Group, PairResult, Point, SearchResult
from facerec_oltr.report.bench.blocks import Table
from facerec_oltr.report.bench.choice import Key, fair_point, group_point, key_of, part

NOTHING = "–"
ABOVE, FLATTERS, FEW = "▲", "†", "‡"

Cell = Callable[[SearchResult, Point | None], str]


def rate(figure: Figure | None, *, digits: int = 1, sign: bool = False) -> str:
    """Per cent, such as ``93.1 [91.9, 94.2]``; without bounds where there are none."""
    if figure is None or figure.value is None:
        return NOTHING
    form = f"{'+' if sign else ''}.{digits}f"
    text = format(100 * figure.value, form)
    if figure.low is not None and figure.high is not None:
        text += f" [{100 * figure.low:{form}}, {100 * figure.high:{form}}]"
    return text.replace("-", "−")


def per_cent(share: float) -> str:
    """A target, such as ``0.1 %``."""
    return f"{100 * share:g} %"


def exceeds(point: Point | None) -> bool:
    """Whether the realised FPIR is above the wanted one beyond its interval."""
    return point is not None and point.fpir.low is not None and point.fpir.low > point.target


def by_set(searches: Sequence[SearchResult]) -> dict[str, list[SearchResult]]:
    """Results by search set, in their order."""
    sets: dict[str, list[SearchResult]] = {}
    for search in searches:
        sets.setdefault(search.search_set, []).append(search)
    return sets


def chosen_by_strangers(searches: Sequence[SearchResult], target: float) -> bool:
    """Whether the best that there is are thresholds of the strangers who are then judged by them."""
    points = [point for search in searches if (point := fair_point(search, target)) and point.threshold is not None]
    return bool(points) and all(point.chosen_by == "strangers" for point in points)


def main_table(searches: Sequence[SearchResult], target: float) -> Table:
    """Model × rule: rank-1, and in each search set TPIR and realised FPIR at one target."""
    sets = by_set(searches)
    columns: list[tuple[str, str, Cell]] = []  # search set, head, what stands in it
    same_rank = _same_rank_1(searches)
    for name, of_set in sets.items():
        if not same_rank or not columns:
            columns.append((name, "rank-1", _rank_1))
        columns.append((name, "TPIR", _tpir))
        if any(part(search, "strangers").templates for search in of_set):
            columns.append((name, "realised FPIR", _fpir))
    held = {(search.search_set, *key_of(search)): search for search in searches}
    some = {key_of(search): search for search in reversed(searches)}
    rows, marks = [], set()
    for number, key in enumerate(dict.fromkeys(map(key_of, searches))):
        row = list(key)
        for name, _, cell in columns:
            search = some[key] if same_rank and cell is _rank_1 else held.get((name, *key))
            text = NOTHING if search is None else cell(search, fair_point(search, target))
            if text.endswith(ABOVE):
                marks.add((number, len(row)))
            row.append(text)
        rows.append(tuple(row))
    heads = [head for _, head, _ in columns]
    groups = [(name, sum(1 for one, _, _ in columns[same_rank:] if one == name)) for name in sets]
    groups = [
        (f"{name} {FLATTERS}" if chosen_by_strangers(sets[name], target) else name, width) for name, width in groups
    ]
    above = (*((("any score", 1),) if same_rank else ()), *groups)
    return Table(_main_caption(target, rows, above, bool(marks)), above, ("model", "rule", *heads), tuple(rows),
                 marks=frozenset(marks))  # fmt: skip


def _rank_1(search: SearchResult, point: Point | None) -> str:
    return rate(dict(search.ranks).get(1))


def _tpir(search: SearchResult, point: Point | None) -> str:
    return NOTHING if point is None else rate(point.tpir) + _few(point)


def _fpir(search: SearchResult, point: Point | None) -> str:
    return NOTHING if point is None else rate(point.fpir, digits=2) + (f" {ABOVE}" if exceeds(point) else "")


def _few(point: Point) -> str:
    return f" {FEW}" if point.threshold is not None and not point.measurable else ""


def _same_rank_1(searches: Sequence[SearchResult]) -> bool:
    """Whether all search sets have the same mated searches in the same gallery, as far as rank-1 tells."""
    values: dict[Key, set[float | None]] = {}
    for search in searches:
        figure = dict(search.ranks).get(1)
        values.setdefault(key_of(search), set()).add(None if figure is None else figure.value)
    return all(len(of_key) == 1 for of_key in values.values())


def _main_caption(
    target: float, rows: Sequence[tuple[str, ...]], groups: Sequence[tuple[str, int]], above: bool
) -> str:
    text = (
        f"Wanted FPIR {per_cent(target)}, the threshold chosen by other people. All in per cent, in brackets 95 %. "
        "TPIR: enrolled people found under their name; FPIR: strangers let in."
    )
    if above:
        text += f" {ABOVE}: above the wanted FPIR, beyond the interval."
    if any(title.endswith(FLATTERS) for title, _ in groups):
        text += (
            f" {FLATTERS}: nobody else was there, so these strangers chose the threshold themselves, which flatters."
        )
    if any(FEW in cell for row in rows for cell in row[2:]):
        text += f" {FEW}: too few searches chose this threshold to show such an FPIR."
    return text


def strangers_table(searches: Sequence[SearchResult], targets: Sequence[float]) -> Table | None:
    """TPIR where the strangers themselves chose the threshold, as most published figures have it."""
    sets = {name: of_set for name, of_set in by_set(searches).items() if any(map(_chose, of_set))}
    if not sets:
        return None
    place = {(search.search_set, *key_of(search)): search for search in searches}
    rows = []
    for key in dict.fromkeys(map(key_of, searches)):
        row = list(key)
        for name in sets:
            for target in targets:
                search = place.get((name, *key))
                point = None if search is None else search.point(target, "strangers")
                row.append(NOTHING if point is None else rate(point.tpir) + _few(point))
        rows.append(tuple(row))
    caption = (
        "TPIR in per cent where the strangers chose the threshold that they are then judged by: for comparison with "
        f"published figures only, it flatters. {FEW}: too few strangers to show such an FPIR; the threshold lies just "
        "above the best of them."
    )
    heads = [f"at FPIR {per_cent(target)}" for _ in sets for target in targets]
    return Table(caption, tuple((name, len(targets)) for name in sets), ("model", "rule", *heads), tuple(rows))


def _chose(search: SearchResult) -> bool:
    """Whether its strangers chose a threshold."""
    return any(point.chosen_by == "strangers" and point.threshold is not None for point in search.points)


def further_table(searches: Sequence[SearchResult], target: float) -> Table:
    """What else was measured: further ranks, wrong names, areas under curves."""
    sets = by_set(searches)
    ranks = sorted({rank for search in searches for rank, _ in search.ranks} - {1})
    heads = [*(f"rank-{rank}" for rank in ranks), "wrong name", "AUROC", "OSCR"]
    place = {(search.search_set, *key_of(search)): search for search in searches}
    rows = []
    for key in dict.fromkeys(map(key_of, searches)):
        row = list(key)
        for name in sets:
            search = place.get((name, *key))
            if search is None:
                row += [NOTHING] * len(heads)
                continue
            held, point = dict(search.ranks), fair_point(search, target)
            row += [rate(held.get(rank)) for rank in ranks]
            row += [rate(None if point is None else point.misidentification, digits=2)]
            row += [rate(search.auroc, digits=2), rate(search.oscr, digits=2)]
        rows.append(tuple(row))
    caption = (
        f"Per cent, in brackets 95 %. Wrong name: enrolled people accepted as somebody else, at the threshold for FPIR "
        f"{per_cent(target)}. AUROC asks only whether an enrolled person's best score is above a stranger's, whoever "
        "it names; OSCR is the area under TPIR against FPIR."
    )
    return Table(
        caption, tuple((name, len(heads)) for name in sets), ("model", "rule", *heads * len(sets)), tuple(rows)
    )


def gains_table(searches: Sequence[SearchResult], target: float) -> Table | None:
    """The differences of the rules to the cosine, paired by search."""
    sets = by_set(searches)
    place = {(search.search_set, *key_of(search)): search for search in searches}
    sides = ("calibration", "strangers")

    def gain(name: str, key: Key, side: str) -> Figure | None:
        search = place.get((name, *key))
        point = (
            None
            if search is None
            else next((p for p in search.points if (p.target, p.chosen_by) == (target, side)), None)
        )
        return None if point is None else point.gain

    keys = [key for key in dict.fromkeys(map(key_of, searches)) if any(gain(n, key, s) for n in sets for s in sides)]
    if not keys:
        return None
    rows = [(*key, *(rate(gain(name, key, side), sign=True) for name in sets for side in sides)) for key in keys]
    heads = ("by other people", "by these strangers") * len(sets)
    caption = (
        f"TPIR at FPIR {per_cent(target)} less the cosine's, in percentage points, paired on the same searches, in "
        "brackets 95 %; the thresholds of both chosen by other people, or by these strangers, who then let in as many "
        "for both."
    )
    return Table(caption, tuple((name, 2) for name in sets), ("model", "rule", *heads), tuple(rows))


def pairs_table(pairs: Sequence[PairResult]) -> Table:
    """1:1: model × pair set."""
    fars = sorted({far for pair in pairs for far, _ in pair.tar}, reverse=True)
    rows = []
    for pair in pairs:
        tar = dict(pair.tar)
        accuracy = NOTHING if pair.accuracy is None else f"{100 * pair.accuracy:.2f}"
        accuracy += "" if pair.sd is None else f" ± {100 * pair.sd:.2f}"
        found = [NOTHING if tar.get(far) is None else f"{100 * (tar[far] or 0):.2f}" for far in fars]
        counts = [f"{pair.same:,}", f"{pair.different:,}", f"{pair.failed:,}"]
        rows.append((pair.pair_set, pair.model, accuracy, f"{100 * pair.eer:.2f}", *found, *counts))
    heads = [f"TAR at FAR {per_cent(far)}" for far in fars]
    caption = (
        "One photo against another, in per cent. Accuracy: mean over the folds ± their standard deviation, each at a "
        "threshold that the others chose. EER and TAR take their thresholds from the same pairs, which flatters."
    )
    columns = ("pairs", "model", "accuracy", "EER", *heads, "same person", "different", "without a face")
    return Table(caption, (), columns, tuple(rows))


def groups_table(searches: Sequence[SearchResult], target: float, which: str) -> Table | None:
    """By shot group or by gallery size: rank-1, TPIR and FPIR of each, as the picture draws them."""
    held = [search for search in searches if getattr(search, which)]
    if not held:
        return None
    rows = []
    for search in held:
        for group in getattr(search, which):
            point = group_point(group, target)
            tpir, fpir = (None, None) if point is None else (point.tpir, point.fpir)
            name = (f"{int(group.name):,}",) if which == "sizes" else _shot_names(group)
            counts = (f"{group.people:,}", f"{group.probes:,}")
            figures = (rate(group.rank_1), rate(tpir), rate(fpir, digits=2))
            rows.append((search.model, search.rule, *name, *counts, *figures))
    what = ("people in the gallery",) if which == "sizes" else ("counted by", "training images")
    caption = f"At FPIR {per_cent(target)}, per cent, in brackets 95 %; people and searches are of those looked for."
    columns = ("model", "rule", *what, "people", "searches", "rank-1", "TPIR", "realised FPIR")
    return Table(caption, (), columns, tuple(rows), names=2 + len(what))


def _shot_names(group: Group) -> tuple[str, str]:
    return (group.counted_by or "true_counts").replace("_", " "), group.name.replace("_", " ")
