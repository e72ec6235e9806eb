"""SCRFD, loaded and run by insightface: the detector of its model packs.

J. Guo, J. Deng, A. Lattas, S. Zafeiriou, "Sample and Computation Redistribution for Efficient Face Detection", ICLR
2022.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from facerec_oltr.errors import DataError
from facerec_oltr.faces import _passes
from facerec_oltr.faces._onnx_file import read_onnx, session_options, told_as_data_error
from facerec_oltr.faces._quiet import quiet
from facerec_oltr.faces.found import FoundFace
from recordio_tools.images import Image

_LEAST_SCORE = 0.5  # insightface's
_SAME_FACE = 0.4  # the same


class ScrfdDetector:
    """A file of the SCRFD family, with or without the five points.

    It keeps the ``Detector`` promise.

    Args:
        path: the file.
        source: how a person names it; the file itself if not given.
        package: the folder of a model pack with a manifest, whose settings are taken then.

    Raises:
        DataError: it is no such file, or takes pictures of one size only.
    """

    def __init__(self, path: Path, *, source: str | None = None, package: Path | None = None) -> None:
        path = path.absolute()
        file = read_onnx(path)
        if file.role() != "scrfd":
            raise DataError(
                f"{path}: has {len(file.outputs)} outputs, expected the 6, 9, 10 or 15 of an SCRFD detector; "
                "give another file"
            )
        (shape,) = file.inputs.values()
        if shape[2] is not None or shape[3] is not None:
            raise DataError(
                f"{path}: takes pictures of {shape[3]} × {shape[2]} only, expected an SCRFD detector of any size; "
                "export it with free sides"
            )
        self.source = source or f"scrfd:{path}"
        settings = f"scrfd {_passes.SETTINGS} score {_LEAST_SCORE} overlap {_SAME_FACE}"
        self.fingerprint = hashlib.sha256(f"{file.digest} {settings}".encode()).hexdigest()
        self._path = path
        self._network = _load(path, package)
        self._find(np.zeros((64, 64, 3), np.uint8))  # what is wrong with it comes out now

    def detect(self, picture: Image) -> list[FoundFace]:
        """See ``Detector``."""
        return _passes.find_faces(picture[..., ::-1], self._find)

    def _find(self, canvas: Image) -> _passes.Rows:
        height, width = canvas.shape[:2]
        with told_as_data_error(self._path):
            boxes, points = self._network.detect(canvas, input_size=(width, height))
            return boxes if points is None else np.hstack([boxes, points.reshape(len(boxes), 10)])


def _load(path: Path, package: Path | None) -> Any:
    network: Any
    with quiet(), told_as_data_error(path):
        from insightface import model_zoo

        options = {
            "providers": ["CPUExecutionProvider"],
            "sess_options": session_options(),
            "static_shape_sessions": False,  # one session for all sizes, instead of one for each
        }
        if package is None:
            network = model_zoo.get_model(str(path), **options)
        else:
            network = model_zoo.get_model(str(package), model_task="detection", **options)
        assert network is not None, "its outputs were counted"
        network.prepare(0, nms_thresh=_SAME_FACE, det_thresh=_LEAST_SCORE)
    return network
