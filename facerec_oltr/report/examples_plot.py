"""Example decisions as a picture: the probe, the most similar enrolled photo, and what the threshold made of it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from facerec_oltr.report.drawing import png
from facerec_oltr.report.results import Evaluation

Images = Callable[[int], npt.NDArray[np.uint8]]  # position in the face set → (height, width, 3) uint8 RGB

GOOD, BAD = "#1b7837", "#b2182b"
KINDS = {  # kind: (heading, explanation, verdict, colour)
    "correct_accept": ("Correct accept", "an enrolled person,\nrecognised", "accepted", GOOD),
    "correct_reject": ("Correct reject", "a stranger,\nturned away", "unknown", GOOD),
    "false_accept": ("False accept", "a stranger, taken for\nan enrolled person", "accepted", BAD),
    "false_reject": ("False reject", "an enrolled person,\nturned away", "unknown", BAD),
    "wrong_name": ("Wrong name", "an enrolled person,\ntaken for another", "accepted", BAD),
}
_COLUMNS = 4


def gather_examples(results: Sequence[Evaluation], model: str) -> dict[str, list[dict[str, Any]]]:
    """The first examples of each kind over the splits, as many as fit a row."""
    return {kind: [one for result in results for one in result["examples"][model][kind]][:_COLUMNS] for kind in KINDS}


def examples_png(examples: dict[str, list[dict[str, Any]]], image: Images, title: str) -> bytes:
    """Draw a row a kind; a wrong name gets a row only if there is one.

    Args:
        examples: what ``gather_examples`` returned.
        image: gives the photo at a position.
        title: says whose decisions they are.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [kind for kind in KINDS if examples[kind] or kind != "wrong_name"]
    figure = Figure(figsize=(12, 1.8 * len(rows) + 0.6), dpi=110)
    FigureCanvasAgg(figure)
    figure.text(0.015, 1 - 0.25 / figure.get_figheight(), title, fontsize=13, weight="bold", va="center")
    top = 1 - 0.5 / figure.get_figheight()
    height = top / len(rows)
    for row, kind in enumerate(rows):
        heading, explanation, _, colour = KINDS[kind]
        base = top - (row + 1) * height
        figure.text(0.015, base + 0.66 * height, heading, fontsize=14, weight="bold", color=colour)
        figure.text(0.015, base + 0.60 * height, explanation, fontsize=10.5, color="#333333", va="top")
        if not examples[kind]:
            figure.text(0.2, base + 0.53 * height, "none occurred", fontsize=12, color="#777777", style="italic")
        for column, example in enumerate(examples[kind]):
            _draw_cell(figure, (0.17 + 0.2075 * column, base, 0.2, height), kind, example, image)
    return png(figure)


def _draw_cell(
    figure: Any, box: tuple[float, float, float, float], kind: str, example: dict[str, Any], image: Images
) -> None:
    left, base, width, height = box
    _, _, verdict, colour = KINDS[kind]
    for place, (position, caption) in enumerate(((example["probe"], "probe"), (example["best"], "best in gallery"))):
        axes = figure.add_axes((left + place * width / 2, base + 0.2 * height, 0.47 * width, 0.66 * height))
        axes.imshow(image(position), interpolation="bilinear")
        axes.set_title(caption, fontsize=8.5, color="#555555", pad=4)
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set(color=colour, linewidth=2.5)
    sign = "≥" if verdict == "accepted" else "<"
    words = f"{verdict}: score {example['score']:.3f} {sign} {example['threshold']:.3f}"
    figure.text(left + 0.485 * width, base + 0.1 * height, words, ha="center", va="center", fontsize=10, color=colour)
