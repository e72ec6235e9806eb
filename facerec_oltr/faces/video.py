"""A video as pictures, one every so often."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facerec_oltr.errors import DataError
from facerec_oltr.faces._quiet import quiet
from recordio_tools.images import MOST_PIXELS, Image

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ts"}
)


def is_video(path: Path) -> bool:
    """Whether a file is taken as a video, by its suffix."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def frames(path: str | Path, every_seconds: float = 1.0) -> Iterator[tuple[float, Image]]:
    """Frames of a video with their times in seconds: the first one, and then one from each further `every_seconds` on.

    One frame is in memory at a time. The frames between are decoded, since most are differences to others.

    Args:
        path: the video; a file, never an address or a pattern of names.
        every_seconds: 0 for every frame.

    Raises:
        DataError: it cannot be read, holds no picture, or its pictures are too large.
    """
    path = Path(path)
    if not every_seconds >= 0:
        raise DataError(f"every {every_seconds} seconds a frame was asked for, expected 0 (all of them) or more")
    with _opened(path) as video:
        due, seconds, number = 0.0, 0.0, 0
        while video.grab():
            seconds = max(seconds, _time(video, number))
            number += 1
            if seconds + 1e-6 < due:
                continue
            picture = _picture(video)
            if picture is None:
                continue  # a damaged frame: players go on as well
            due = seconds + every_seconds
            yield seconds, picture
        if number == 0:
            raise DataError(f"{path}: no picture can be read from this video; convert it to MP4 (H.264), or remove it")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import cv2

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg writes to stderr by itself
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    with file, quiet():
        # by its number, because OpenCV takes a name with % in it for many files, and cannot spell every name
        video = cv2.VideoCapture(f"/proc/self/fd/{file.fileno()}", cv2.CAP_FFMPEG)
    try:
        if not video.isOpened():
            raise DataError(f"{path}: cannot be read as a video; convert it to MP4 (H.264), or remove it")
        width, height = (int(video.get(what)) for what in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MOST_PIXELS:
            raise DataError(
                f"{path}: frames of {width:,} × {height:,} pixels, expected {MOST_PIXELS // 1_000_000} million at most"
            )
        yield video
    finally:
        video.release()


def _time(video: Any, number: int) -> float:
    """Of the frame that was grabbed last; counted where the file does not tell."""
    import cv2

    seconds = video.get(cv2.CAP_PROP_POS_MSEC) / 1000
    rate = video.get(cv2.CAP_PROP_FPS)
    return seconds if seconds > 0 or not 0 < rate < 1000 else number / rate


def _picture(video: Any) -> Image | None:
    import cv2

    try:
        whole, picture = video.retrieve()
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) if whole else None
    except cv2.error:
        return None
