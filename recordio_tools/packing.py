"""A folder of one folder a person → a face set: decode, fit to a square, encode, write."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recordio_tools.errors import SourceError
from recordio_tools.images import encode_rgb, fit_square, list_people, read_rgb
from recordio_tools.set_writer import SetWriter, new_set, write_manifest

Format = Literal["jpg", "png"]


@dataclass(frozen=True, slots=True)
class Packed:
    """What `pack_folder` did: the numbers, and the photos that it left out because they could not be read."""

    images: int
    people: int
    skipped: tuple[Path, ...]


def pack_folder(
    source: str | Path,
    out: str | Path,
    *,
    size: int = 112,
    image_format: Format = "jpg",
    quality: int = 95,
    skip_unreadable: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Packed:
    """Make the face set `out` from the photos in `source`, whole or not at all.

    Class numbers follow the natural order of the people's folders, image keys that of the files; no order of
    the disk, no time and no machine enters, so the same photos give the same bytes.

    Args:
        source: One sub-folder a person, see `list_people`.
        out: The set's folder; made with its parents.
        size: Side of the square images, see `fit_square`.
        image_format: "jpg", or "png" to keep every pixel.
        quality: Of the JPEG, 1 to 100.
        skip_unreadable: Leave out photos that cannot be read; a person must keep at least one.
        force: Replace `out` if this package wrote it.
        progress: Called with (photos done, photos in all).

    Raises:
        SourceError: The source is missing, empty or has an unreadable photo, or `out` may not be replaced.
    """
    source, out = Path(source), Path(out)
    if not 1 <= size <= 4096:
        raise SourceError(f"size {size} was given, expected 1 to 4096 pixels")
    if image_format not in ("jpg", "png"):
        raise SourceError(f"the image format {image_format!r} is unknown, expected jpg or png")
    if not 1 <= quality <= 100:
        raise SourceError(f"quality {quality} was given, expected 1 to 100")
    people = list_people(source)
    total = sum(len(person.paths) for person in people)
    done = 0
    skipped: list[Path] = []
    if out.resolve().is_relative_to(source.resolve()):
        raise SourceError(f"{out}: lies in {source}, where it would be taken for a person; give a folder elsewhere")
    with new_set(out, force=force) as folder:
        with SetWriter(folder, size, size) as faces:
            for label, person in enumerate(people):
                before = faces.images
                for path in person.paths:
                    try:
                        image = encode_rgb(fit_square(read_rgb(path), size), f".{image_format}", quality)
                        faces.add(label, image, f"{person.name}/{path.name}")
                    except SourceError:
                        if not skip_unreadable:
                            raise
                        skipped.append(path)
                    done += 1
                    progress(done, total)
                if faces.images == before:
                    raise SourceError(f"{source / person.name}: no photo of this person can be read; remove the folder")
        write_manifest(
            folder,
            {
                "format": "recordio_tools face set",
                "version": 1,
                "made_by": "recordio pack",
                "source": str(source),
                "size": size,
                "image_format": image_format,
                "quality": quality if image_format == "jpg" else None,
                "images": faces.images,
                "identities": len(people),
                "skipped": [str(path.relative_to(source)) for path in skipped],
            },
        )
    return Packed(faces.images, len(people), tuple(skipped))
