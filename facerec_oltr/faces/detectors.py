"""How a person names a detector.

none                       photos are aligned crops of one face
FILE.onnx                  YuNet or SCRFD, told apart by their outputs; also yunet:FILE and scrfd:FILE
PACK                       the detector of a model pack: a folder with .onnx files, or a pack's name such as buffalo_l
dlib                       dlib's (extra `dlib`)
"""

from pathlib import Path

from facerec_oltr.errors import DataError
from facerec_oltr.faces.found import Detector
from facerec_oltr.faces.packs import open_pack, pack_folder

NONE = "none"
_KINDS = ("yunet", "scrfd")


def open_detector(source: str) -> Detector | None:
    """Open the detector that `source` names; None for ``none``.

    Raises:
        DataError: there is none of this name, or it cannot be used.
    """
    if source == NONE:
        return None
    if source == "dlib":
        from facerec_oltr.faces.dlib_hog import DlibHogDetector

        return DlibHogDetector()
    kind, colon, rest = source.partition(":")
    path = Path(rest if colon and kind in _KINDS else source)
    if path.suffix == ".onnx" or path.is_file():
        return _open_file(path, kind if colon and kind in _KINDS else None)
    folder = pack_folder(source)
    if folder is None:
        raise DataError(
            f"{source}: found no such detector, expected a YuNet or SCRFD file (.onnx), a model pack's folder or name, "
            f"dlib, or {NONE} for photos that are aligned crops"
        )
    return open_pack(folder).detector()


def _open_file(path: Path, kind: str | None) -> Detector:
    from facerec_oltr.faces._onnx_file import read_onnx

    kind = kind or read_onnx(path).role()
    if kind == "yunet":
        from facerec_oltr.faces.yunet import YunetDetector

        return YunetDetector(path)
    if kind == "scrfd":
        from facerec_oltr.faces.scrfd import ScrfdDetector

        return ScrfdDetector(path)
    raise DataError(f"{path}: is no face detector, expected YuNet's outputs or the 6, 9, 10 or 15 of SCRFD")
