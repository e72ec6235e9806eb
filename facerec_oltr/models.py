"""How a person names a model: a run folder, one embedding of it, or one of the built-in embedders.

demo/run          the embedding that the run's experiment chose
demo/run:meta     another embedding of its head
dlib              dlib's face network (extra `dlib`)
raw_pixels        no model at all: the floor
"""

from pathlib import Path

from facerec_oltr.embedder import Embedder
from facerec_oltr.errors import DataError

BUILT_IN = ("dlib", "raw_pixels")


def open_model(source: str) -> Embedder:
    """Open the model that `source` names; what is opened has the same `source`, with an absolute path.

    Raises:
        DataError: there is no such folder or built-in model.
        CheckpointError, ConfigError: the run cannot be used, or has no such embedding.
    """
    if source == "dlib":
        from facerec_oltr.faces.dlib_resnet import DlibResnet

        return DlibResnet()
    if source == "raw_pixels":
        from facerec_oltr.faces.raw_pixels import RawPixels

        return RawPixels()
    folder, colon, embedding = source.rpartition(":")
    run, wanted = (Path(folder), embedding) if colon else (Path(source), None)
    if Path(source).is_dir():  # a folder whose name has a colon
        run, wanted = Path(source), None
    if not run.is_dir():
        raise DataError(
            f"{source}: found no such model, expected the folder of a run of facerec train (with :direct or :meta to "
            f"choose its embedding), or {' or '.join(BUILT_IN)}"
        )
    from facerec_oltr.engine.embedder import load_embedder  # torch only where a trained network is used

    return load_embedder(run, wanted)
