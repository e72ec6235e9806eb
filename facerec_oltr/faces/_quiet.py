"""What OpenCV, insightface and ONNX Runtime say to their own developers does not reach a person."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No prints, warnings or logs while a network is loaded; exceptions come through."""
    import cv2

    logs = cv2.utils.logging
    before, level = logging.root.manager.disable, logs.getLogLevel()
    logging.disable(logging.WARNING)
    logs.setLogLevel(logs.LOG_LEVEL_SILENT)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        logs.setLogLevel(level)
