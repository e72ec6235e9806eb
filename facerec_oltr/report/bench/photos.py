"""The worst errors as photos: what was searched, what it was taken for, and who it was."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from facerec_oltr.bench.results import Example, Kind
from facerec_oltr.errors import DataError
from facerec_oltr.protocols.photos import is_face_set
from facerec_oltr.report.bench.blocks import Photo, Photos
from facerec_oltr.report.bench.joined import Joined
from recordio_tools import FaceSet
from recordio_tools.images import decode_rgb, read_image_file

Pixels = npt.NDArray[np.uint8]
Reader = Callable[[str], Pixels]

MOST = 6  # of a kind
_SIDE, _GAP = 120, 6
KINDS: dict[Kind, str] = {
    "false_accept": "Strangers accepted. Left the search, right the enrolled person whom it was taken for.",
    "wrong_name": (
        "Enrolled people accepted as somebody else. From left to right the search, whom it was taken for, who it is."
    ),
    "false_reject": (
        "Enrolled people turned away or missed. From left to right the search, the best in the gallery, who it is."
    ),
}


def photo_reader(path: Path, joined: Joined, protocol: str) -> Reader:
    """Gives the image of a key of a protocol's source.

    Raises:
        DataError: the source is of another kind or another set.
        RecordIOError: a face set is broken.
    """
    facts = joined.protocols[protocol]
    if not path.exists():
        raise DataError(f"{path}: not there; expected the images that {protocol} was drawn from")
    if is_face_set(path) != (facts.source_kind == "face_set"):
        raise DataError(
            f"{path}: is {'a face set' if is_face_set(path) else 'no face set'}, but {protocol} was drawn from "
            f"{'one' if facts.source_kind == 'face_set' else 'a folder'}; give that one"
        )
    if facts.source_kind != "face_set":
        return lambda key: _decoded(path, key)
    faces = FaceSet(path)
    if faces.fingerprint != facts.source_fingerprint:
        raise DataError(
            f"{path}: is another set (fingerprint {faces.fingerprint[:12]}) than {protocol} was drawn from "
            f"({facts.source_fingerprint[:12]}); give that one"
        )
    return lambda key: _of_set(faces, key)


def error_photos(examples: Sequence[Example], readers: Mapping[str, Reader], name: str) -> tuple[Photos, ...]:
    """The first few examples of each kind, which stand with the worst first.

    Args:
        examples: of one search set by one model and rule.
        readers: by protocol.
        name: keeps the files apart.

    Raises:
        DataError: an image is missing or cannot be decoded.
    """
    blocks = []
    for kind, caption in KINDS.items():
        chosen = [one for one in examples if one.kind == kind][:MOST]
        if chosen:
            photos = tuple(_photo(one, readers[one.protocol]) for one in chosen)
            blocks.append(Photos(f"{name}-{kind.replace('_', '-')}", caption, photos))
    return tuple(blocks)


def _photo(example: Example, read: Reader) -> Photo:
    keys = [example.probe, example.best, *([] if example.own is None else [example.own])]
    accepted = example.kind != "false_reject"
    told = "at or above" if example.score >= example.threshold else "below"
    words = (
        f"{'accepted' if accepted else 'missed'}: score {example.score:.3f}, {told} the threshold "
        f"{example.threshold:.3f} ({' | '.join(keys)})"
    )
    alt = f"{len(keys)} faces: the search, the best in the gallery" + (", the person's own" if example.own else "")
    tiles: list[Pixels] = []
    for key in keys:
        tiles += [np.full((_SIDE, _GAP, 3), 128, np.uint8), _tile(read(key))]
    return Photo(alt, words, np.hstack(tiles[1:]))


def _tile(image: Pixels) -> Pixels:
    """The image in a square, whole, on grey."""
    height, width = image.shape[:2]
    scale = _SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    tile = np.full((_SIDE, _SIDE, 3), 128, np.uint8)
    top, left = (_SIDE - size[1]) // 2, (_SIDE - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = small
    return tile


def _decoded(folder: Path, key: str) -> Pixels:
    path = folder / key
    if Path(key).is_absolute() or ".." in Path(key).parts:
        raise DataError(f"{folder}: an example names the image {key!r}, which lies outside; run facerec bench again")
    if not path.is_file():
        raise DataError(f"{path}: not there, but an example names it; give the folder that was measured")
    return decode_rgb(read_image_file(path), str(path))


def _of_set(faces: FaceSet, key: str) -> Pixels:
    place = int(faces.find(np.array([int(key)]))[0]) if key.isdecimal() and len(key) < 19 else -1
    if place < 0:
        raise DataError(f"{faces.path}: has no image of key {key!r}, but an example names it; run facerec bench again")
    return faces.image(place)
