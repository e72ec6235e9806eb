"""dlib's detector: histograms of oriented gradients and a linear classifier, compiled into the library.

It finds faces that look at the camera, 80 pixels and more of the detail that it is shown, and no points of theirs:
dlib's own network aligns them itself.
"""

import hashlib
import math
from importlib.metadata import version

import numpy as np

from facerec_oltr.faces import _passes
from facerec_oltr.faces.dlib_resnet import load_dlib
from facerec_oltr.faces.found import FoundFace
from recordio_tools.images import Image


class DlibHogDetector:
    """dlib's frontal face detector.

    It keeps the ``Detector`` promise; its score is the logistic function of the classifier's.

    Raises:
        DataError: the extra ``dlib`` is not installed.
    """

    source = "dlib"

    def __init__(self) -> None:
        self._detector = load_dlib().get_frontal_face_detector()
        settings = f"dlib {version('dlib-bin')} hog, no upsampling, {_passes.SETTINGS}"
        self.fingerprint = hashlib.sha256(settings.encode()).hexdigest()

    def detect(self, picture: Image) -> list[FoundFace]:
        """See ``Detector``."""
        return _passes.find_faces(picture, self._find)

    def _find(self, canvas: Image) -> _passes.Rows:
        boxes, scores, _ = self._detector.run(canvas, 0, 0.0)
        rows = [
            (box.left(), box.top(), box.right() + 1, box.bottom() + 1, 1 / (1 + math.exp(-score)))
            for box, score in zip(boxes, scores, strict=True)
        ]
        return np.array(rows, np.float32).reshape(-1, 5)
