"""Where a protocol's images are: a folder, to which their paths are relative, or a face set, of which they are keys."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from facerec_oltr.errors import DataError
from facerec_oltr.protocols import Protocol
from facerec_oltr.protocols.photos import find_images, is_face_set
from recordio_tools import FaceSet
from recordio_tools.images import read_image_file

Read = Callable[[str], bytes]


def image_reader(protocol: Protocol, path: Path) -> Read:
    """What gives the bytes of an image by its key; every image that the protocol names is there.

    Raises:
        DataError: one is not, or the source is another than the protocol was drawn from; when it is read, an image has
            other contents than its hash in the protocol says.
        RecordIOError: a face set is broken.
    """
    find_images(protocol, path)
    read = _of_set(FaceSet(path)) if is_face_set(path) else (lambda key: read_image_file(path / key))
    digests = {
        key: digest
        for templates in protocol.lists.values()
        for key, digest in zip(templates.images, templates.sha256, strict=True)
        if digest
    }

    def checked(key: str) -> bytes:
        content = read(key)
        if key in digests and hashlib.sha256(content).hexdigest() != digests[key]:
            raise DataError(
                f"{path}: image {key!r} has other contents than when {protocol.name} was drawn; bring the old one "
                "back, or draw anew"
            )
        return content

    return checked


def _of_set(faces: FaceSet) -> Read:
    def read(key: str) -> bytes:
        return bytes(faces.encoded(int(faces.find(np.array([key], np.int64))[0])))

    return read
