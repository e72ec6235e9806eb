"""Large and small faces in pictures of any size, with networks that know faces of about 10 to 300 pixels.

A picture is looked at once as a whole, with a margin, because a face that fills the frame is missed without; and, where
it is larger than that, once more with all the detail that a bounded size has. What both find is one face.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from facerec_oltr.faces.found import FoundFace
from recordio_tools.images import Image

Rows = npt.NDArray[np.float32]
"""(n, 5) or (n, 15): left, top, right, bottom, score, and five points as x, y."""

SETTINGS = "256+2x32 and 960, black margin, overlap 0.4"
"""What a detector's fingerprint says of this module."""

_OVERVIEW = 256  # the longer side of the whole picture, and a margin on all sides
_MARGIN = 32
_DETAIL = 960  # the longer side at most; on photos of 4,000 pixels it finds faces of 60
_ENOUGH = 384  # a picture this small has no more detail to show
_MULTIPLE = 32  # of the canvas' sides, the networks' coarsest stride
_SAME_FACE = 0.4  # intersection over union from which on two boxes are of one face


def find_faces(picture: Image, detect: Callable[[Image], Rows]) -> list[FoundFace]:
    """The faces that a network finds in a picture (height, width, 3), the largest first.

    Args:
        picture: in the order of colours that the network takes.
        detect: the network, on a canvas whose sides are multiples of 32; boxes in pixels of the canvas.
    """
    longer = max(picture.shape[:2])
    passes = [(_OVERVIEW / longer, _MARGIN)]
    if longer > _ENOUGH:
        passes.append((min(1.0, _DETAIL / longer), 0))
    found = [_look(picture, scale, margin, detect) for scale, margin in passes]
    rows = _distinct(np.concatenate(found))
    faces = [
        FoundFace(
            (float(row[0]), float(row[1]), float(row[2]), float(row[3])),
            float(min(max(row[4], 0.0), 1.0)),
            row[5:].reshape(5, 2).copy() if len(row) == 15 else None,
        )
        for row in rows
    ]
    return largest_first(faces)


def largest_first(faces: list[FoundFace]) -> list[FoundFace]:
    """Faces by the area of their box, falling."""
    return sorted(faces, key=lambda face: -face.width * face.height)


def _look(picture: Image, scale: float, margin: int, detect: Callable[[Image], Rows]) -> Rows:
    """What is found at a scale, in pixels of the picture."""
    import cv2

    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    canvas = np.zeros((*(_up(side + 2 * margin) for side in (height, width)), 3), np.uint8)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas[margin : margin + height, margin : margin + width] = cv2.resize(picture, (width, height), interpolation=how)
    rows = np.asarray(detect(canvas), np.float32)
    rows = rows[np.isfinite(rows).all(axis=1) & (rows[:, 2] > rows[:, 0]) & (rows[:, 3] > rows[:, 1])]
    places = np.r_[0:4, 5 : rows.shape[1]]
    stretch = np.array([picture.shape[1] / width, picture.shape[0] / height], np.float32)
    rows[:, places] = (rows[:, places] - margin) * np.tile(stretch, len(places) // 2)
    return rows


def _up(side: int) -> int:
    return -(-side // _MULTIPLE) * _MULTIPLE


def _distinct(rows: Rows) -> Rows:
    """Without those that overlap with one of a higher score."""
    rest = rows[np.argsort(-rows[:, 4], kind="stable")]
    kept = []
    while len(rest):
        first, rest = rest[0], rest[1:]
        kept.append(first)
        sides = np.minimum(rest[:, 2:4], first[2:4]) - np.maximum(rest[:, :2], first[:2])
        shared = np.prod(np.maximum(sides, 0), axis=1)
        areas = np.prod(rest[:, 2:4] - rest[:, :2], axis=1) + np.prod(first[2:4] - first[:2])
        rest = rest[shared <= _SAME_FACE * (areas - shared)]
    return np.array(kept, np.float32).reshape(-1, rows.shape[1])
