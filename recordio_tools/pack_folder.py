"""The plain form of a verification pack: a folder that needs no pickle. Mirror images: write and read.

    pairs.rec, pairs.idx   every different image once, under the keys 0, 1, 2 …; whose face it is, a pack does not
                           say, so an image's label is its own key
    manifest.json          the pairs as [key, key, same], where they came from, and a fingerprint of it all

The fingerprint is compared whenever a pack is opened, so files of two packs cannot be mixed, nor damage pass.
"""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from recordio_tools.errors import DamageError, FaceSetError, SourceError
from recordio_tools.header import Header, pack, unpack
from recordio_tools.reader import Reader
from recordio_tools.set_writer import MANIFEST, write_manifest
from recordio_tools.verification import VerificationPack
from recordio_tools.whole import whole_folder
from recordio_tools.writer import Writer

_RECORDS = "pairs.rec"
_FILES = frozenset({_RECORDS, "pairs.idx", MANIFEST})
_FORMAT = "recordio_tools verification pack"
_ADVICE = "make the folder again with: recordio pairs convert"


def new_pack(out: Path, *, force: bool) -> contextlib.AbstractContextManager[Path]:
    """A folder to write a pack into; it becomes `out`, whole or not at all. See `whole_folder`."""
    return whole_folder(out, _FILES, MANIFEST, force=force)


def write_pack(
    made: VerificationPack,
    folder: Path,
    made_by: str,
    source: dict[str, Any],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write a pack into an empty folder; the same pack gives the same bytes.

    Args:
        made: The pack; its images are copied as they are.
        folder: From `new_pack`.
        made_by: The command or function that calls, for the manifest.
        source: What the manifest says about the source.
        progress: Called with (images written, images in all).

    Raises:
        LimitError: An image, or their number, is more than a record file can hold.
    """
    with Writer(folder / _RECORDS) as records:
        for key, image in enumerate(made.images):
            records.write(key, pack(Header(0, key, key), image))
            progress(key + 1, len(made.images))
    write_manifest(
        folder,
        {
            "format": _FORMAT,
            "version": 1,
            "made_by": made_by,
            "source": source,
            "images": len(made.images),
            "same": int(made.same.sum()),
            "different": int((~made.same).sum()),
            "fingerprint": made.fingerprint(),
            "pairs": [[*pair, same] for pair, same in zip(made.pairs.tolist(), made.same.tolist(), strict=True)],
        },
    )


def read_pack(folder: Path) -> VerificationPack:
    """The pack in `folder`.

    Raises:
        SourceError, DamageError, IndexMismatchError, FaceSetError: A file is missing, broken or another pack's.
    """
    place = folder / MANIFEST
    if not (folder / _RECORDS).exists() or not place.exists():
        raise SourceError(f"{folder}: has no {_RECORDS} and {MANIFEST}; make them with: recordio pairs convert")
    try:
        manifest = json.loads(place.read_bytes())
        if (manifest["format"], manifest["version"]) != (_FORMAT, 1):
            raise ValueError
        pairs = np.array([[int(first), int(second)] for first, second, _ in manifest["pairs"]], np.int64)
        same = np.array([{True: True, False: False}[same] for _, _, same in manifest["pairs"]], bool)
        claimed = str(manifest["fingerprint"])
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
        raise FaceSetError(f"{place}: is no manifest of a verification pack, version 1; {_ADVICE}") from None
    encoded = _read_images(folder / _RECORDS)
    if pairs.size and not 0 <= pairs.min() <= pairs.max() < len(encoded):
        raise FaceSetError(
            f"{place}: a pair names image {pairs.max() if pairs.min() >= 0 else pairs.min()}, expected 0 to "
            f"{len(encoded) - 1} as in {folder / _RECORDS}; {_ADVICE}"
        )
    made = VerificationPack(folder, encoded, pairs.reshape(-1, 2), same)
    if made.fingerprint() != claimed:
        raise FaceSetError(
            f"{folder}: images and pairs have the fingerprint {made.fingerprint()}, expected {claimed[:64]} as in "
            f"{MANIFEST}; {_ADVICE}"
        )
    return made


def _read_images(path: Path) -> tuple[bytes, ...]:
    with Reader(path) as reader:
        found = []
        for key in range(len(reader)):
            place = reader.index.position(key)
            try:
                found.append(bytes(unpack(reader.view_at(place))[1]))
            except DamageError as error:
                raise (error if error.path else reader.damage(error, place)) from None
    return tuple(found)
