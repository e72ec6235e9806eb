"""What a detector finds in a picture, and what every detector promises."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from recordio_tools.images import Image

Points = npt.NDArray[np.float32]
"""(5, 2) x and y in pixels: left eye, right eye, nose, left and right mouth corner, as seen in the image."""


@dataclass(frozen=True, eq=False)
class FoundFace:
    """A face in a picture.

    Attributes:
        box: left, top, right, bottom in pixels of the picture as decoded; may reach over its edges.
        score: the detector's confidence, 0 to 1; 1 for a photo that is taken as an aligned crop.
        points: see ``Points``; None where a detector gives none.
    """

    box: tuple[float, float, float, float]
    score: float
    points: Points | None

    @property
    def width(self) -> float:
        """Of the box."""
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        """Of the box."""
        return self.box[3] - self.box[1]


class Detector(Protocol):
    """Finds the faces of a picture.

    Attributes:
        source: how a person names it, with an absolute path; ``facerec_oltr.faces.detectors.open_detector`` reads it.
        fingerprint: hex digest of weights and settings; detectors with the same one find the same.
    """

    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def fingerprint(self) -> str: ...  # noqa: D102

    def detect(self, picture: Image) -> list[FoundFace]:
        """The faces of a picture (height, width, 3) uint8 RGB, the largest first."""
        ...


def whole_picture(picture: Image) -> FoundFace:
    """A photo that is an aligned crop of one face, as a face of its own."""
    height, width = picture.shape[:2]
    return FoundFace((0.0, 0.0, float(width), float(height)), 1.0, None)
