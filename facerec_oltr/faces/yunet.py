"""YuNet, run by OpenCV: a small detector whose weights are free (Apache-2.0).

W. Wu, H. Peng, S. Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 2023. OpenCV 5
loads the files with free sides and those whose graph says 640 × 640, and runs both at any size.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from facerec_oltr.errors import DataError
from facerec_oltr.faces import _passes
from facerec_oltr.faces._onnx_file import read_onnx
from facerec_oltr.faces._quiet import quiet
from facerec_oltr.faces.found import FoundFace
from recordio_tools.images import Image

_LEAST_SCORE = 0.6
_SAME_FACE = 0.3  # OpenCV's
_MOST_FACES = 5000


class YunetDetector:
    """A YuNet file.

    It keeps the ``Detector`` promise.

    Args:
        path: the file.
        source: how a person names it; the file itself if not given.

    Raises:
        DataError: it is no such file, or this OpenCV cannot run it.
    """

    def __init__(self, path: Path, *, source: str | None = None) -> None:
        path = path.absolute()
        file = read_onnx(path)
        if file.role() != "yunet":
            raise DataError(
                f"{path}: has the outputs {', '.join(file.outputs[:4])} …, expected a YuNet detector's cls_8, obj_8, "
                "bbox_8, kps_8 …; give another file"
            )
        self.source = source or f"yunet:{path}"
        settings = f"yunet {_passes.SETTINGS} score {_LEAST_SCORE} overlap {_SAME_FACE}"
        self.fingerprint = hashlib.sha256(f"{file.digest} {settings}".encode()).hexdigest()
        self._path = path
        self._network = _load(path, file.data)
        self._find(np.zeros((64, 64, 3), np.uint8))  # what is wrong with it comes out now

    def detect(self, picture: Image) -> list[FoundFace]:
        """See ``Detector``."""
        return _passes.find_faces(np.ascontiguousarray(picture[..., ::-1]), self._find)

    def _find(self, canvas: Image) -> _passes.Rows:
        import cv2

        height, width = canvas.shape[:2]
        try:
            self._network.setInputSize((width, height))
            _, rows = self._network.detect(canvas)
        except cv2.error as error:
            raise _unusable(self._path, error) from error
        if rows is None:
            return np.empty((0, 15), np.float32)
        return np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4], rows[:, 14:], rows[:, 4:14]])


def _load(path: Path, data: bytes) -> Any:
    import cv2

    try:
        with quiet():
            return cv2.FaceDetectorYN.create(
                "onnx",
                np.frombuffer(data, np.uint8),
                np.empty(0, np.uint8),
                (64, 64),
                _LEAST_SCORE,
                _SAME_FACE,
                _MOST_FACES,
            )
    except (cv2.error, AttributeError) as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: Exception) -> DataError:
    import cv2

    said = " ".join(str(error).split())[:200]
    return DataError(f"{path}: OpenCV {cv2.__version__} cannot run it ({said}); give another YuNet file")
