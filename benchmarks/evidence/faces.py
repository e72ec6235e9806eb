"""ArcFace alone and with the memory on top, on LFW from scratch: what other benchmarks measured, as tables.

The figures are those of lfw_first_run.json (20 draws, or folds, and their 95 % bounds; in per cent) and of
lfw_open_set.json (people drawn anew; shares).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.evidence.tables import markdown

Summary = Mapping[str, Any]

NAMES = {
    "raw pixels": "raw pixels",
    "arcface": "`arcface`, 20 epochs",
    "arcface stage": "`arcface`, 14 epochs, where the memory began",
    "oltr direct": "`oltr_arcface`, direct",
    "oltr meta": "`oltr_arcface`, meta",
    "dlib": "dlib, of millions of photos",
}
"""Models by their name in lfw_first_run.json."""

PAIRS = {"accuracy": "accuracy", "eer": "EER", "tar_at_far_0.1": "TAR at FAR 10 %", "tar_at_far_0.01": "TAR at FAR 1 %"}
SEARCHES = {
    "rank_1": "rank 1",
    "auroc": "AUROC",
    "tpir_at_fpir_0.1": "TPIR at FPIR 10 %",
    "tpir_at_fpir_0.01": "TPIR at FPIR 1 %",
    "calibrated_0.1_tpir": "TPIR, threshold by others",
    "calibrated_0.1_fpir": "its FPIR",
}
OURS = ("arcface", "oltr")
COLOURS = {"arcface stage": "#999999", "oltr direct": "#2166ac", "oltr meta": "#c1440e"}


def pairs(faces: Summary) -> str:
    """1:1: two photos of test people, the same person or not."""
    return _first_run(faces["first_run"]["test_pairs"], "pairs", PAIRS)


def searches(faces: Summary) -> str:
    """1:N: some of the test people enrolled, the others strangers."""
    return _first_run(faces["first_run"]["test_searches"], "searches", SEARCHES)


def _first_run(measured: Mapping[str, Any], title: str, columns: Mapping[str, str]) -> str:
    rows = []
    for name, words in NAMES.items():
        rows.append([words, *(_bounded(measured[name]["figures"][key]) for key in columns)])
        if name in COLOURS:
            less = measured[name]["minus_arcface"]
            rows.append(["– less `arcface`", *(_bounded(less[key], "+") for key in columns)])
    return markdown([title, *columns.values()], rows)


def _bounded(values: Sequence[float], sign: str = "") -> str:
    value, low, high = (round(one, 1) + 0.0 for one in values)
    return f"{value:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"


def protocol(faces: Summary) -> str:
    """LFW's open-set protocol on the test people, thresholds by further people, under every rule."""
    found = [
        search
        for part in faces["open_set"].values()
        for search in part["searches"]
        if search["model"] in OURS and search["search_set"] == "O3"
    ]
    rules = list(dict.fromkeys(search["rule"] for search in found))
    cells = {(search["model"], search["rule"]): search for search in found}
    names = {"arcface": "`arcface`", "oltr": "`oltr_arcface`"}
    head = ["rule", *(f"{names[model]}: {figure}" for model in OURS for figure in ("AUROC", "at 1 %", "at 10 %"))]
    rows = [
        [_in_words(rule), *(text for model in OURS for text in _protocol_cells(cells[model, rule]))] for rule in rules
    ]
    return markdown(head, rows)


def _in_words(rule: str) -> str:
    """``extreme_value:tail=50`` as a person would say it."""
    name, *choices = rule.replace("_", " ").replace("=", " ").split(":")
    return f"{name} ({', '.join(choices)})" if choices else name


def _protocol_cells(search: Mapping[str, Any]) -> list[str]:
    points = {point["target"]: point for point in search["points"] if point["chosen_by"] == "calibration"}
    return [_interval(search["auroc"]), *(_interval(points[at]["tpir"]) for at in (0.01, 0.1))]


def _interval(share: Mapping[str, float]) -> str:
    return _bounded([100 * share[key] for key in ("value", "low", "high")])


def draw(faces: Summary) -> Figure:
    """What the memory's stage changes: each figure less that of ArcFace alone."""
    first = faces["first_run"]
    shown = [("test_pairs", key, f"pairs: {PAIRS[key]}") for key in PAIRS if key != "eer"]
    shown += [("test_searches", key, f"searches: {SEARCHES[key]}") for key in list(SEARCHES)[:4]]
    figure = Figure(figsize=(9, 4.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for row, (of, key, _) in enumerate(reversed(shown)):
        for place, (name, colour) in enumerate(COLOURS.items()):
            value, low, high = first[of][name]["minus_arcface"][key]
            label = NAMES[name].replace("`", "") if row == 0 else None
            axes.errorbar(
                value,
                row + 0.22 * (1 - place),
                xerr=[[value - low], [high - value]],
                fmt="o",
                color=colour,
                markersize=5,
                capsize=2,
                label=label,
            )
    axes.axvline(0, color="#333333", linewidth=1)
    axes.set_yticks(range(len(shown)), [words for *_, words in reversed(shown)])
    axes.set_xlabel("difference to ArcFace alone for all 20 epochs, in points (right of the line: better)")
    axes.grid(color="#dddddd", linewidth=0.6, axis="x")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure
