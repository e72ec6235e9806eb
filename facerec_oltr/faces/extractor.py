"""Pictures → faces → vectors: a detector, alignment and an embedder as one.

Without a detector a photo is taken as an aligned crop of one face, padded to a square and resized.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facerec_oltr.embedder import Embedder
from facerec_oltr.faces.align import alignment, box_square, cut
from facerec_oltr.faces.detectors import NONE
from facerec_oltr.faces.embed_images import embed_squares
from facerec_oltr.faces.found import Detector, FoundFace, whole_picture
from facerec_oltr.faces.quality import Quality, QualityLimits, measure
from recordio_tools.images import Image, fit_square

_WIDER = 1.5  # than its box is the square of a face whose embedder aligns it itself


@dataclass(frozen=True, eq=False)
class Face:
    """One face of one picture.

    Attributes:
        found: where.
        quality: how good it is.
        vector: (D,) of unit length.
    """

    found: FoundFace
    quality: Quality
    vector: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Cutout:
    """A face on its way to the embedder: aligned, (size, size, 3)."""

    found: FoundFace
    quality: Quality
    square: Image


class Extractor:
    """All that stands between a picture and its vectors.

    It offers the facts of its embedder, see ``EmbedderFacts``.

    Attributes:
        embedder: makes the vectors.
        detector: finds the faces; None for photos that are aligned crops.
        limits: for ``faults``; it extracts every face, whatever its quality.

    Args:
        embedder: as above.
        detector: as above.
        limits: by default those of ``QualityLimits``, and none for crops.
    """

    def __init__(
        self, embedder: Embedder, detector: Detector | None = None, limits: QualityLimits | None = None
    ) -> None:
        self.embedder, self.detector = embedder, detector
        self.limits = limits or (QualityLimits.none() if detector is None else QualityLimits())
        self.name, self.fingerprint, self.source = embedder.name, embedder.fingerprint, embedder.source
        self.dimensions, self.size = embedder.dimensions, embedder.size
        self.detector_source = NONE if detector is None else detector.source
        self.detector_fingerprint = "" if detector is None else detector.fingerprint

    def extract(self, pictures: Sequence[Image]) -> list[list[Face]]:
        """The faces of each picture (height, width, 3) uint8 RGB, the largest first.

        Raises:
            DataError: the embedder broke its promise, or a network cannot be run.
        """
        cutouts = [self.find(picture) for picture in pictures]
        return self.embed(cutouts)

    def find(self, picture: Image) -> list[Cutout]:
        """The faces of one picture, not embedded yet."""
        if self.detector is None:
            return [self.whole(picture)]
        return [
            Cutout(face, measure(picture, face), self._square(picture, face)) for face in self.detector.detect(picture)
        ]

    def whole(self, picture: Image) -> Cutout:
        """A picture that is taken as one face, not embedded yet."""
        face = whole_picture(picture)
        return Cutout(face, measure(picture, face), fit_square(picture, self.size))

    def embed(self, cutouts: Sequence[Sequence[Cutout]]) -> list[list[Face]]:
        """Faces that were found, by picture, with their vectors; all of them are embedded together."""
        squares = [cutout.square for of_picture in cutouts for cutout in of_picture]
        vectors = iter(embed_squares(self.embedder, np.stack(squares)) if squares else ())
        return [[Face(c.found, c.quality, next(vectors)) for c in of_picture] for of_picture in cutouts]

    def _square(self, picture: Image, face: FoundFace) -> Image:
        own = getattr(self.embedder, "aligns_itself", False)
        matrix = box_square(face, self.size, _WIDER) if own else alignment(face, self.size)
        return cut(picture, matrix, self.size, repeat=own or face.points is None)
