"""Whom a training split left out: the people an open-world evaluation may use."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from facerec_oltr.errors import DataError
from recordio_tools import FaceSet
from recordio_tools.errors import FaceSetError, SourceError
from recordio_tools.left_out import read_left_out


@dataclass(frozen=True)
class OpenPeople:
    """Whom a training split left out, and what it trained on, as the manifest of ``recordio build-lt`` says.

    Attributes:
        labels: of the left-out people in the source set.
        trained_identities: number of people trained on; None if unknown.
        trained_images: number of photos trained on; None if unknown.
    """

    labels: tuple[int, ...]
    trained_identities: int | None = None
    trained_images: int | None = None

    @classmethod
    def read(cls, manifest: Path, faces: FaceSet) -> Self:
        """Read a manifest and check that it was cut from this set.

        Raises:
            DataError: it is missing, no such manifest, leaves nobody out, or was cut from another set.
        """
        try:
            labels, *trained = read_left_out(manifest, faces)
        except (SourceError, FaceSetError) as error:
            raise DataError(str(error)) from None
        if not len(labels):
            raise DataError(f"{manifest}: leaves nobody out; cut the set with fewer --identities")
        return cls(tuple(labels.tolist()), *trained)
