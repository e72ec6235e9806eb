"""Photos with what was decided written on them: a box a face, and whose it is."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from facerec_oltr.faces.video import frames, is_video
from facerec_oltr.identify import Decision
from recordio_tools.images import Image, decode_photo, encode_rgb, read_image_file
from recordio_tools.whole import write_whole

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
    for decision in decisions:
        if decision.box is None:
            continue
        colour = _COLOURS[decision.decision]
        draw.rectangle(_inside(decision.box, canvas.size), outline=colour, width=width)
        _label(draw, decision, font, colour, canvas.size)
    return np.asarray(canvas)


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


def _label(draw, decision: Decision, font, colour: tuple[int, int, int], size: tuple[int, int]) -> None:
    """Above the box where there is room, else inside it at its top; never out of the picture's side."""
    words = words_of(decision)
    left, top, _, _ = decision.box or (0, 0, 0, 0)
    _, _, right, bottom = draw.textbbox((0, 0), words, font=font)
    x = max(0, min(left, size[0] - right - 4))
    y = top - bottom - 4 if top - bottom - 4 >= 0 else max(0, top)
    draw.rectangle((x, y, x + right + 4, y + bottom + 4), fill=colour)
    draw.text((x + 2, y), words, fill=(0, 0, 0), font=font)


def _inside(box: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    right, bottom = min(right, size[0] - 1), min(bottom, size[1] - 1)
    return min(max(left, 0), right), min(max(top, 0), bottom), right, bottom


def _font() -> str:
    from matplotlib import font_manager

    return font_manager.findfont("DejaVu Sans")
