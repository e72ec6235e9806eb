"""The tables, in Markdown."""

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.gallery_peers.vectors import PROBES

PHOTO_ROWS = {
    "enrol": "enrol 100 people, 200 photos",
    "calibrate": "choose the threshold by 350 strangers",
    "first": "first probe, from starting the process",
    "later": "each later probe of the same process",
    "add": "add one person",
    "remove": "remove one person",
}


def photo_table(found: dict[str, Any]) -> str:
    """The table of the photos, in Markdown; in brackets times of ours."""
    rows: dict[str, list[str]] = {}
    for name, figures in found.items():
        rounds, ours = figures["rounds"], found["ours"]["rounds"]
        for what, row in PHOTO_ROWS.items():
            own, base = [r.get(what) for r in rounds], None if name == "ours" else [r.get(what) for r in ours]
            cell = "–" if own[0] is None else spread(own, base if base and base[0] is not None else None)
            rows.setdefault(row, []).append(cell)
        a, kept, both = rounds[-1]["answers"], rounds[-1].get("enrolled"), figures.get("two_at_once")
        left = rounds[-1].get("vectors_of_the_removed")
        shown = {
            "photos enrolled, of 200": str(kept["photos"]) if kept else "–",
            "strangers accepted as somebody": f"**{a['strangers_accepted'] / a['strangers']:.1%}**",
            "enrolled people told by name": f"{a['right'] / a['mated']:.1%}",
            "– by a wrong name": f"{a['wrong_name'] / a['mated']:.1%}",
            "probes given several names": str(a["several_names"]),
            "probes without a face found": str(a["no_face"]),
            "vectors of a removed person left": " → ".join(map(str, left)) if left else "–",
            "two add at once, 10 times: failed processes": str(both["failed"]) if both else "–",
            "– people not there afterwards": str(both["absent_after"]) if both else "–",
        }
        for row, cell in shown.items():
            rows.setdefault(row, []).append(cell)
    return markdown(["", *found], rows)


def vector_table(case: dict[str, Any]) -> str:
    """The table of a size of vectors."""
    rows: dict[str, list[str]] = {}
    for name, rounds in case["rounds"].items():
        for what, value in rounds[-1].items():
            base = None if name == "ours" else [r[what] for r in case["rounds"]["ours"]]
            if what == "right":
                cell = f"{value} of {PROBES}"
            elif isinstance(value, dict):
                cell = " → ".join(map(str, value.values()))
            else:
                cell = value if isinstance(value, str) else spread([r[what] for r in rounds], base)
            rows.setdefault(what, []).append(cell)
    return markdown([f"{case['vectors']:,} × {case['dimensions']}", *case["rounds"]], rows)


def spread(own: Sequence[float], base: Sequence[float] | None = None) -> str:
    """A median in seconds or milliseconds, and the median ratio of the rounds to ours."""
    middle = statistics.median(own)
    words = f"{middle:.2f} s" if middle >= 0.5 else f"{middle * 1000:.3g} ms"
    return (
        words if base is None else f"{words} ({statistics.median(a / b for a, b in zip(own, base, strict=True)):.2g}×)"
    )


def markdown(head: Sequence[str], rows: dict[str, list[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *([row, *cells] for row, cells in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
