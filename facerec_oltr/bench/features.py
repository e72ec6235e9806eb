"""Images → vectors, each image once for each model, however many protocols, rules and calls ask for it."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol as TypingProtocol

import numpy as np
import numpy.typing as npt

from facerec_oltr.bench.sources import Read
from facerec_oltr.bench.store import FeatureStore, StoreFacts
from facerec_oltr.faces.extractor import Cutout, Extractor
from facerec_oltr.faces.photos import ahead
from recordio_tools.errors import SourceError
from recordio_tools.images import Image, decode_photo

Vectors = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]  # called with (images done, images in all)

BATCH = 32
_RULE = "largest face"  # of several in one photo; it belongs to what made a vector


class Features(TypingProtocol):
    """Vectors of images by key."""

    def find(self, keys: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """The rows (n,) of keys, and whether each has a face; what a row without one holds means nothing."""
        ...

    def vectors(self) -> Vectors:
        """(rows, D) of unit length, perhaps mapped from a file."""
        ...


def extractor_fingerprint(extractor: Extractor) -> str:
    """What a vector depends on beside its image: the embedder, the detector and which face is taken."""
    if extractor.detector is None:
        return extractor.fingerprint
    facts = f"{extractor.fingerprint} {extractor.detector_fingerprint} {_RULE}"
    return hashlib.sha256(facts.encode()).hexdigest()


def store_facts(extractor: Extractor, source: str) -> StoreFacts:
    """Whose store it is: of this extractor, and of a source of this fingerprint."""
    return StoreFacts(source, extractor_fingerprint(extractor), extractor.dimensions)


def embed_into(
    store: FeatureStore,
    extractor: Extractor,
    keys: Sequence[str],
    read: Read,
    *,
    on_progress: Progress = lambda done, total: None,
    on_unreadable: Callable[[str], None] = lambda reason: None,
) -> None:
    """Embed the images that a store lacks; what was done before stays, whenever this is stopped.

    Of several faces in a picture the largest is taken. A picture without one, or one that cannot be decoded, is
    remembered as such.

    Args:
        store: open.
        extractor: makes the vectors.
        keys: of the images.
        read: gives an image's bytes.
        on_progress: called with (keys that have a row, of all) after each batch.
        on_unreadable: called with why an image cannot be decoded.

    Raises:
        DataError: an image is not what the protocol says, or the embedder broke its promise.
    """
    each, missing = len(dict.fromkeys(keys)), store.missing(keys)

    def picture(key: str) -> tuple[str, Image | None, str]:
        content = read(key)
        try:
            return key, decode_photo(content, key), ""
        except SourceError as error:
            return key, None, str(error)

    with ThreadPoolExecutor(1) as pool:
        batch: list[tuple[str, list[Cutout]]] = []
        for done, (key, image, reason) in enumerate(ahead(pool, picture, missing), each - len(missing) + 1):
            if image is None:
                on_unreadable(reason)
            batch.append((key, extractor.find(image)[:1] if image is not None else []))
            if len(batch) == BATCH:
                _add(store, extractor, batch)
                batch = []
                on_progress(done, each)
        if batch:
            _add(store, extractor, batch)
    on_progress(each, each)


def _add(store: FeatureStore, extractor: Extractor, batch: list[tuple[str, list[Cutout]]]) -> None:
    faces = extractor.embed([cutouts for _, cutouts in batch])
    vectors = np.zeros((len(batch), extractor.dimensions), np.float32)
    for row, found in enumerate(faces):
        if found:
            vectors[row] = found[0].vector
    store.add([key for key, _ in batch], vectors, np.array([len(found) > 0 for found in faces], bool))
