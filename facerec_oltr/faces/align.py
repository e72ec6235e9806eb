"""A face in a picture → the square that networks are trained on.

With five points: the similarity transform that brings them nearest to ArcFace's template, by least squares (S. Umeyama,
"Least-squares estimation of transformation parameters between two point patterns", TPAMI 1991). In the plane it is the
complex line w = a z + b. Without points: the square around the box.
"""

import numpy as np
import numpy.typing as npt

from facerec_oltr.faces.found import FoundFace, Points
from recordio_tools.images import Image

TEMPLATE: npt.NDArray[np.float64] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where the five points of an aligned face of 112 × 112 pixels lie, of J. Deng et al., "ArcFace", CVPR 2019."""

Matrix = npt.NDArray[np.float64]
"""(2, 3): pixels of the picture → pixels of the square."""


def template(size: int) -> npt.NDArray[np.float64]:
    """(5, 2) the template at another size: as insightface has it for multiples of 112 and of 128, else in proportion.

    At multiples of 128 the face is as large as at 112, with 8 pixels more on the left and right and 16 below.
    """
    if size % 112 and not size % 128:
        return (TEMPLATE + np.array([8.0, 0.0])) * (size / 128)
    return TEMPLATE * (size / 112)


def similarity(points: Points, target: npt.ArrayLike) -> Matrix | None:
    """The rotation, scale and shift that bring points (5, 2) nearest to others; None where they all lie in one."""
    z, w = (np.asarray(p, np.float64) @ [1, 1j] for p in (points, target))
    z_mean, w_mean = z.mean(), w.mean()
    spread = np.sum(np.abs(z - z_mean) ** 2)
    if not spread > 1e-6:
        return None
    a = np.sum(np.conj(z - z_mean) * (w - w_mean)) / spread
    b = w_mean - a * z_mean
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def box_square(face: FoundFace, size: int, widen: float = 1.0) -> Matrix:
    """The square around a box, `widen` times as large as its longer side."""
    scale = size / (max(face.width, face.height) * widen)
    middle = np.array([face.box[0] + face.box[2], face.box[1] + face.box[3]]) / 2
    return np.column_stack([np.eye(2) * scale, size / 2 - scale * middle])


def alignment(face: FoundFace, size: int) -> Matrix:
    """Of a face for a network of this size: by its points, else by its box."""
    matrix = None if face.points is None else similarity(face.points, template(size))
    return box_square(face, size) if matrix is None else matrix


def cut(picture: Image, matrix: Matrix, size: int, *, repeat: bool = False) -> Image:
    """The square (size, size, 3) of a picture.

    Where the picture ends it is black, as networks of ArcFace's kind know it, or its border pixels are repeated.

    A face of more than twice the size is shrunk by areas first, since the pixels between would be skipped.
    """
    import cv2

    step = int(1 / np.hypot(matrix[0, 0], matrix[1, 0]))
    if step >= 2:
        picture, matrix = _shrunk(picture, matrix, size, step)
    border = cv2.BORDER_REPLICATE if repeat else cv2.BORDER_CONSTANT
    return cv2.warpAffine(picture, matrix, (size, size), borderMode=border).astype(np.uint8, copy=False)


def inside(shape: tuple[int, ...], face: FoundFace) -> float:
    """The share of a face that lies in a picture of this shape: of its aligned square, or of its box without points."""
    if face.points is None:
        left, top, right, bottom = face.box
        seen = max(0.0, min(right, shape[1]) - max(left, 0)) * max(0.0, min(bottom, shape[0]) - max(top, 0))
        return seen / (face.width * face.height)
    steps = (np.arange(20) + 0.5) * (112 / 20)
    grid = np.stack([*np.meshgrid(steps, steps), np.ones((20, 20))]).reshape(3, -1)
    x, y = _inverse(alignment(face, 112)) @ grid
    return float(np.mean((x >= 0) & (y >= 0) & (x <= shape[1]) & (y <= shape[0])))


def _inverse(matrix: Matrix) -> Matrix:
    turned = np.linalg.inv(matrix[:, :2]).astype(np.float64)
    return np.column_stack([turned, -turned @ matrix[:, 2]])


def _shrunk(picture: Image, matrix: Matrix, size: int, step: int) -> tuple[Image, Matrix]:
    """The part of a picture that a square shows, shrunk by a whole number, and the matrix from there."""
    import cv2

    corners = _inverse(matrix) @ np.array([[0, size, size, 0], [0, 0, size, size], [1, 1, 1, 1]], np.float64)
    low = np.clip(np.floor(corners.min(axis=1)).astype(int) - step, 0, None)
    high = np.minimum(np.ceil(corners.max(axis=1)).astype(int) + step, picture.shape[1::-1])
    wide, tall = (high - low) // step
    if wide < 1 or tall < 1:
        return picture, matrix
    part = picture[low[1] : low[1] + tall * step, low[0] : low[0] + wide * step]
    small = cv2.resize(part, (int(wide), int(tall)), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    linear = matrix[:, :2] * step
    centre = (step - 1) / 2  # of the pixels that became the first one
    return small, np.column_stack([linear, matrix[:, :2] @ (low + centre) + matrix[:, 2]])
