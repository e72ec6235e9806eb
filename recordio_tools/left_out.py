"""Whom a cut left out: the open people of the manifest that ``recordio build-lt`` wrote."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recordio_tools.errors import FaceSetError, SourceError
from recordio_tools.faces import FaceSet
from recordio_tools.index import Int64s


class LeftOut(NamedTuple):
    """What a manifest says of a cut.

    Attributes:
        labels: Of the people left out, in the source.
        identities: Number of people kept.
        images: Number of their images kept.
    """

    labels: Int64s
    identities: int
    images: int


def read_left_out(manifest: Path, faces: FaceSet) -> LeftOut:
    """Read a manifest and check that it was cut from this set.

    Raises:
        SourceError: It cannot be read.
        FaceSetError: It is none, was cut from another set, or names people of whom the set has no image.
    """
    try:
        table = json.loads(manifest.read_bytes())
        source, output = str(table["source"]["fingerprint"]), table["output"]
        labels = np.array([int(person["source_label"]) for person in table["open"]], np.int64)
        found = LeftOut(labels, int(output["identities"]), int(output["images"]))
    except OSError as error:
        raise SourceError(f"{manifest}: cannot be read ({error.strerror}); expected a manifest.json") from None
    except (ValueError, TypeError, LookupError):
        raise FaceSetError(
            f"{manifest}: is not a manifest of: recordio build-lt; look for manifest.json in the folder it made"
        ) from None
    if source != faces.fingerprint:
        raise FaceSetError(
            f"{manifest}: was cut from another set than {faces.path}, so its numbers name other people; give the set "
            "that it was cut from"
        )
    if not np.isin(labels, faces.labels).all():
        raise FaceSetError(f"{manifest}: names people of whom {faces.path} has no image; cut the set again")
    return found
