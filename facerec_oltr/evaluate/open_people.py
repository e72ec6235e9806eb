"""Whom a training split left out: the people an open-world evaluation may use."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from facerec_oltr.errors import DataError
from recordio_tools import FaceSet


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
            table = json.loads(manifest.read_text(encoding="utf-8"))
            labels = tuple(int(person["source_label"]) for person in table["open"])
            source, output = str(table["source"]["fingerprint"]), table["output"]
            trained = int(output["identities"]), int(output["images"])
        except OSError as error:
            raise DataError(f"{manifest}: cannot be read ({error.strerror}); expected a manifest.json") from error
        except (ValueError, KeyError, TypeError):
            raise DataError(
                f"{manifest}: is not a manifest of: recordio build-lt; look for manifest.json in the folder it made"
            ) from None
        if not labels:
            raise DataError(f"{manifest}: leaves nobody out; cut the set with fewer --identities")
        if source != faces.fingerprint:
            raise DataError(
                f"{manifest}: was cut from another set than {faces.path}, so its numbers name other people; "
                "give the set that it was cut from"
            )
        return cls(labels, *trained)
