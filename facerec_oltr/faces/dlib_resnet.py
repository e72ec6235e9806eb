"""The ceiling: dlib's face network, trained on about 3 million photos of 7,485 people.

Davis King, "High quality face recognition with deep metric learning" (blog.dlib.net, 2017): a ResNet with 29
convolutions on a 150-pixel chip aligned by five landmarks, 128-D. The weights are CC0.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import DataError
from facerec_oltr.extras import extra_file, extra_folder

_NETWORK = "models/dlib_face_recognition_resnet_model_v1.dat"
_LANDMARKS = "models/shape_predictor_5_face_landmarks.dat"
_PURPOSE = "dlib's face network"
_VERSION = "hog on 336+2x20 edge pixels, largest face else whole square, 5 points, chip 150 padding 0.25"
_MARGIN = 20  # pixels; the detector misses faces that touch the border
_CHIP = 150
_PADDING = 0.25  # with which the network was trained


class DlibResnet:
    """dlib's detector, landmarks and network on squares of 336 pixels, an AT&T photo enlarged three times.

    It keeps the ``Embedder`` promise. Where the detector finds no face, the whole square is taken as the face,
    and ``found`` says so.

    Attributes:
        found: (N,) whether the detector found a face in each square of the last call of ``embed``.

    Raises:
        DataError: the extra ``dlib`` is not installed, or not whole.
    """

    name = source = "dlib"
    size = 336
    dimensions = 128
    aligns_itself = True
    """Squares around a detector's box are enough: it finds the face again in them, and its points."""

    def __init__(self) -> None:
        folder = extra_folder("face_recognition_models", "dlib", _PURPOSE)
        network, landmarks = (extra_file(folder, name, "dlib") for name in (_NETWORK, _LANDMARKS))
        dlib = load_dlib()
        self._chip = dlib.get_face_chip
        self._rectangle = dlib.rectangle
        self._detect = dlib.get_frontal_face_detector()
        self._find_points = dlib.shape_predictor(str(landmarks))
        self._network = dlib.face_recognition_model_v1(str(network))
        self.fingerprint = _digest(network, landmarks)
        self.found: npt.NDArray[np.bool_] = np.empty(0, bool)

    def embed(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embed (N, 336, 336, 3) uint8 RGB faces to (N, 128) float32 of unit length; about 70 ms each."""
        vectors = np.empty((len(faces), self.dimensions), np.float32)
        self.found = np.zeros(len(faces), bool)
        for place, face in enumerate(faces):
            picture = np.pad(face, ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0)), mode="edge")
            boxes = self._detect(picture, 0)
            self.found[place] = len(boxes) > 0
            box = max(boxes, key=lambda box: box.area()) if boxes else self._whole_square()
            chip = self._chip(picture, self._find_points(picture, box), size=_CHIP, padding=_PADDING)
            vectors[place] = self._network.compute_face_descriptor(chip)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def _whole_square(self) -> Any:
        return self._rectangle(_MARGIN, _MARGIN, _MARGIN + self.size - 1, _MARGIN + self.size - 1)


def load_dlib() -> Any:
    """The module.

    Raises:
        DataError: the extra ``dlib`` is not installed.
    """
    try:
        import dlib
    except ImportError as error:
        raise DataError(
            f"{_PURPOSE}: dlib cannot be loaded ({error}); install it with: pip install 'facerec-oltr[dlib]'"
        ) from error
    return dlib


def _digest(*weights: Path) -> str:
    digest = hashlib.sha256(_VERSION.encode())
    for path in weights:
        digest.update(path.read_bytes())
    return digest.hexdigest()
