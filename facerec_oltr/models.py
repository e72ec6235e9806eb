"""How a person names a model: a run folder, an ONNX file, a model pack, or one of the built-in embedders.

demo/run                the embedding that the run's experiment chose
demo/run:meta           another embedding of its head
FILE.onnx               any network that embeds faces; FILE.onnx:imagenet names what pixels it takes
PACK                    a model pack of insightface: a folder with .onnx files, or a pack's name such as buffalo_l
dlib                    dlib's face network (extra `dlib`)
raw_pixels              no model at all: the floor
"""

from pathlib import Path

from facerec_oltr.embedder import Embedder
from facerec_oltr.errors import DataError
from facerec_oltr.faces.extractor import Extractor
from facerec_oltr.faces.quality import QualityLimits

BUILT_IN = ("dlib", "raw_pixels")
_RUN_FILE = "experiment.json"


def open_extractor(model: str, detector: str | None = None, limits: QualityLimits | None = None) -> Extractor:
    """Open all that stands between a photo and its vectors.

    Args:
        model: as ``open_model`` reads it.
        detector: as ``facerec_oltr.faces.detectors`` reads it. If not given: a pack's own, dlib's own for dlib, else
            none, for photos that are aligned crops of one face.
        limits: of quality, see ``Extractor``.

    Raises:
        DataError, CheckpointError, ConfigError: one of them cannot be used.
    """
    from facerec_oltr.faces.detectors import NONE, open_detector

    embedder = open_model(model)
    if detector is None:
        pack = None if _is_file(model) else _pack(model)
        detector = "dlib" if model == "dlib" else NONE if pack is None else str(pack[0])
    return Extractor(embedder, open_detector(detector), limits)


def open_model(source: str) -> Embedder:
    """Open the model that `source` names; what is opened has the same `source`, with an absolute path.

    Raises:
        DataError: there is no such model, or it cannot be used.
        CheckpointError, ConfigError: the run cannot be used, or has no such embedding.
    """
    if source == "dlib":
        from facerec_oltr.faces.dlib_resnet import DlibResnet

        return DlibResnet()
    if source == "raw_pixels":
        from facerec_oltr.faces.raw_pixels import RawPixels

        return RawPixels()
    if _is_file(source):
        return _open_file(source)
    folder, colon, embedding = source.rpartition(":")
    run, wanted = (Path(folder), embedding) if colon else (Path(source), None)
    if Path(source).is_dir():  # a folder whose name has a colon
        run, wanted = Path(source), None
    pack = _pack(source)
    if pack is not None:
        from facerec_oltr.faces.packs import open_pack
        from facerec_oltr.faces.preprocessing import PREPROCESSINGS

        return open_pack(pack[0]).embedder(PREPROCESSINGS[pack[1]] if pack[1] else None)
    if not run.is_dir():
        raise DataError(
            f"{source}: found no such model, expected the folder of a run of facerec train (with :direct or :meta to "
            f"choose its embedding), an ONNX file, a model pack's folder or name, or {' or '.join(BUILT_IN)}"
        )
    from facerec_oltr.engine.embedder import load_embedder  # torch only where a trained network is used

    return load_embedder(run, wanted)


def _split(source: str) -> tuple[str, str | None]:
    """What stands ahead of the colon, and the preprocessing behind it; a colon of the name's own stays there."""
    name, colon, preprocessing = source.rpartition(":")
    return (source, None) if not colon or Path(source).exists() else (name, preprocessing)


def _is_file(source: str) -> bool:
    return _split(source)[0].endswith(".onnx") and not Path(source).is_dir()


def _open_file(source: str) -> Embedder:
    from facerec_oltr.faces.onnx_embedder import OnnxEmbedder
    from facerec_oltr.faces.preprocessing import PREPROCESSINGS

    path, preprocessing = _split(source)
    if preprocessing is not None and preprocessing not in PREPROCESSINGS:
        raise DataError(
            f"{source}: the preprocessing {preprocessing!r} is unknown, expected {', '.join(PREPROCESSINGS)} behind "
            "the colon"
        )
    return OnnxEmbedder.load(Path(path), PREPROCESSINGS[preprocessing] if preprocessing else None)


def _pack(source: str) -> tuple[Path, str | None] | None:
    """(folder, preprocessing) of the pack that `source` names; None where it names none, or a run."""
    from facerec_oltr.faces.packs import pack_folder
    from facerec_oltr.faces.preprocessing import PREPROCESSINGS

    name, preprocessing = _split(source)
    if name in BUILT_IN or (Path(name) / _RUN_FILE).is_file():  # a run may hold what was exported from it
        return None
    if preprocessing is not None and preprocessing not in PREPROCESSINGS:
        return None  # an embedding of a run
    folder = pack_folder(name)
    return None if folder is None else (folder, preprocessing)
