"""What the commands about a gallery share: their options, and how a gallery and its model are opened."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recordio_tools.door import say

if TYPE_CHECKING:
    from facerec_oltr.faces.extractor import Extractor
    from facerec_oltr.gallery import Gallery
    from facerec_oltr.gallery.encryption import Key
    from facerec_oltr.gallery.records import Fusion

GalleryPath = Annotated[Path, typer.Option("--gallery", "-g", help="The gallery's file.")]
Model = Annotated[
    str | None,
    typer.Option(
        help="RUN or RUN:meta, FILE.onnx[:PREPROCESSING], an insightface pack (folder or name), dlib, raw_pixels; the "
        "gallery's own if not given."
    ),
]
Detector = Annotated[
    str | None,
    typer.Option(
        help="What finds faces: a YuNet or SCRFD .onnx, a pack, dlib; none: photos are aligned crops of one face. "
        "The gallery's own if not given; at its making the pack's, or none."
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option("--key", help="The key file of an encrypted gallery; or FACEREC_GALLERY_KEY in the environment."),
]
IndexKind = Annotated[
    str | None, typer.Option("--index", help="exact, compressed or graph (loses mates); chosen by size if not given.")
]
AsJson = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]


def key_of(file: Path | None) -> "Key | None":
    """The key that a person gave, by file or by the environment."""
    from facerec_oltr.gallery.encryption import key_from_environment, read_key

    return read_key(file) if file is not None else key_from_environment()


def open_gallery(path: Path, key: Path | None = None, *, index: str | None = None, readonly: bool = False) -> "Gallery":
    """A gallery without a model, for what needs none."""
    from facerec_oltr.gallery import Gallery

    return Gallery.open(path, key=key_of(key), index=index, readonly=readonly)


def open_both(
    path: Path,
    model: str | None,
    detector: str | None,
    key: Path | None,
    *,
    create: bool = False,
    fusion: "Fusion | None" = None,
    index: str | None = None,
) -> "tuple[Gallery, Extractor]":
    """The gallery, and the model and detector that made it, or those given."""
    from facerec_oltr.errors import DataError, GalleryError
    from facerec_oltr.gallery import Gallery
    from facerec_oltr.models import open_extractor

    if not path.exists():
        if not create:
            raise GalleryError(f"{path}: no such gallery; make one with: facerec enroll --gallery {path} --model ...")
        if model is None:
            raise GalleryError(
                f"{path}: there is no such gallery yet; say with --model which model it is to be made by"
            )
        extractor = open_extractor(model, detector)
        return Gallery.open_or_create(path, extractor, fusion=fusion, key=key_of(key), index=index), extractor
    opened = Gallery.open(path, key=key_of(key), index=index)
    try:
        opened.check_fusion(fusion)
        made_by = opened.embedder
        try:
            extractor = open_extractor(model or made_by.source, detector or made_by.detector)
        except DataError as error:
            if model is not None:
                raise
            raise DataError(
                f"{path}: was made with {made_by.source}, detector {made_by.detector}, which cannot be opened "
                f"({error}); say with --model and --detector where they are now"
            ) from error
        opened.check_embedder(extractor)
    except BaseException:
        opened.close()
        raise
    return opened, extractor


def say_notes(gallery: "Gallery") -> None:
    """What the index had to say about itself."""
    for line in gallery.index.notes:
        say(f"note: {line}")
