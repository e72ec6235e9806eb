"""Photos with what was decided written on them: a box a face, and whose it is."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from facerec_oltr.faces.video import frames, is_video
from facerec_oltr.identify import Decision
from recordio_tools.images import Image, decode_photo, encode_rgb, read_image_file
from recordio_tools.whole import write_whole

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels

_COLOURS = {"accepted": (0, 200, 80), "unknown": (255, 190, 0)}  # told apart by brightness too, and by the words
_FONT_SHARE = 0.04  # of the picture's shorter side
_SMALLEST_FONT = 11  # pixels
_QUALITY = 92  # of JPEG


def annotate(picture: Image, decisions: Sequence[Decision]) -> Image:
    """A picture (H, W, 3) with a box and a line of words for each face; the picture given is left as it is.

    Accepted faces get the name and the score, others "unknown" and the score. Whatever script a name is written in is
    drawn as far as the font that comes with matplotlib has it.
    """
    from PIL import Image as Canvas
    from PIL import ImageDraw, ImageFont

    canvas = Canvas.fromarray(np.ascontiguousarray(picture))
    draw = ImageDraw.Draw(canvas)
    size = max(_SMALLEST_FONT, round(_FONT_SHARE * min(canvas.size)))
    font = ImageFont.truetype(_font(), size)
    width = max(1, size // 8)
    boxed = [(decision, decision.box) for decision in decisions if decision.box is not None]
    for decision, box in boxed:
        draw.rectangle(_inside(box, canvas.size), outline=_COLOURS[decision.decision], width=width)
    labels: list[Box] = []
    for decision, box in boxed:
        words = words_of(decision)
        _, _, right, bottom = draw.textbbox((0, 0), words, font=font)
        label = label_place(box, (right + 4, bottom + 4), canvas.size, labels)
        labels.append(label)
        draw.rectangle(label, fill=_COLOURS[decision.decision])
        draw.text((label[0] + 2, label[1]), words, fill=(0, 0, 0), font=font)
    return np.asarray(canvas)


def label_place(box: Box, size: tuple[float, float], canvas: tuple[int, int], labels: Sequence[Box]) -> Box:
    """Where the label of a face stands: above its box, else as near to it as there is room.

    Args:
        box: of the face.
        size: width and height of the label.
        canvas: width and height of the picture; a label never leaves its left and upper side.
        labels: those that stand already; the label is over one of them only where it would be everywhere.
    """
    left, top, right, bottom = box
    width, height = size
    highest, lowest = canvas[1] - height - 1, max(0, min(top - height, canvas[1] - height - 1))
    columns = [max(0, min(x, canvas[0] - width)) for x in (left, right - width)]
    steps = [step * (height + 1) for step in range(1, int(canvas[1] // (height + 1)) + 1)]
    rows = [top - height, bottom + 1, top, bottom - height, *(y for s in steps for y in (lowest - s, bottom + 1 + s))]
    places = [(x, y, x + width, y + height) for y in rows if 0 <= y <= highest for x in columns]
    free = (place for place in places if not any(_meet(place, label) for label in labels))
    fallback = (columns[0], max(0, min(top, max(0, highest))))
    return next(free, places[0] if places else (*fallback, fallback[0] + width, fallback[1] + height))


def write_annotated(picture: Image, decisions: Sequence[Decision], path: Path) -> None:
    """Write it as a PNG or JPEG, by the path's suffix, whole or not at all; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, encode_rgb(annotate(picture, decisions), path.suffix, quality=_QUALITY))


def write_pictures(
    decisions: Sequence[Decision],
    out: Path,
    *,
    every_seconds: float = 1.0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Write a picture for each photo and each frame of a video that was looked at.

    Args:
        decisions: of all faces, photo by photo.
        out: a folder, made if missing. A picture has its photo's name, with the folder's ahead of it where several
            photos have the same, and with the time in seconds behind it where it is a frame.
        every_seconds: as the videos were looked at.
        on_progress: called with the files done, and of all.

    Returns:
        The files written; unreadable photos have none.

    Raises:
        SourceError, DataError: a file is not any more what it was.
    """
    by_path: dict[Path, list[Decision]] = {}
    for decision in decisions:
        if decision.decision != "unreadable":
            by_path.setdefault(decision.photo, []).append(decision)
    names = Counter(path.stem for path in by_path)
    written = []
    for done, (path, own) in enumerate(by_path.items(), 1):
        name = path.stem if names[path.stem] == 1 else "-".join((*path.parts[-2:-1], path.stem))
        for seconds, picture in _pictures(path, every_seconds):
            time = "" if seconds is None else f"-{seconds:08.2f}s"
            target = out / f"{name}{time}.jpg"
            write_annotated(picture, [d for d in own if d.time == seconds], target)
            written.append(target)
        on_progress(done, len(by_path))
    return written


def _pictures(path: Path, every_seconds: float) -> Iterator[tuple[float | None, Image]]:
    if is_video(path):
        yield from frames(path, every_seconds)
    else:
        yield None, decode_photo(read_image_file(path), str(path))


def words_of(decision: Decision) -> str:
    """What stands beside a face."""
    name = decision.identity if decision.decision == "accepted" else "unknown"
    return f"{name} {decision.score:.2f}" if decision.score is not None else f"{name}"


def _meet(one: Box, other: Box) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def _inside(box: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    right, bottom = min(right, size[0] - 1), min(bottom, size[1] - 1)
    return min(max(left, 0), right), min(max(top, 0), bottom), right, bottom


def _font() -> str:
    from matplotlib import font_manager

    return font_manager.findfont("DejaVu Sans")
