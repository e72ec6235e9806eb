r"""The arrays of an index kept beside its text, so that 5 million lines need not be parsed anew.

    NAME.idx.cache := 8 bytes "recidx1\n" | SHA-256 of the text | SHA-256 of the arrays | keys | offsets

Keys and offsets are int64, little-endian. The text stays the truth: it is read and hashed at every load, which takes a
tenth of parsing it, and a cache with another hash, or one that is damaged, counts as none and is made anew. So a cache
that does not fit its text is never used, whatever the times of the two files say. Where the folder cannot be written
to, there is no cache and everything works as without.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recordio_tools.whole import write_whole

Columns = tuple[NDArray[np.int64], NDArray[np.int64]]

_MAGIC = b"recidx1\n"
_DIGEST = hashlib.sha256().digest_size
_HEAD = len(_MAGIC) + 2 * _DIGEST


def cache_of(path: Path) -> Path:
    """Where the cache of the index `path` lies."""
    return path.with_name(f"{path.name}.cache")


def load(path: Path, parse: Callable[[Path], Columns]) -> Columns:
    """The keys and offsets of `path`, from its cache or by `parse`, which then makes the cache."""
    with path.open("rb") as file:
        text = hashlib.file_digest(file, "sha256").digest()
    if (known := _read(cache_of(path), text)) is not None:
        return known
    keys, offsets = parse(path)
    arrays = [np.ascontiguousarray(column, "<i8").data.cast("B") for column in (keys, offsets)]
    with suppress(OSError):  # a read-only folder or a full disk: the index is no worse without its cache
        write_whole(cache_of(path), [_MAGIC, text, _digest(*arrays), *map(bytes, arrays)])
    return keys, offsets


def _read(cache: Path, text: bytes) -> Columns | None:
    """The columns, if the cache is whole and was made from the text with that hash."""
    try:
        with cache.open("rb") as file:
            head = file.read(_HEAD)
            if head[: len(_MAGIC) + _DIGEST] != _MAGIC + text:
                return None
            columns = np.fromfile(file, "<i8")
    except OSError:
        return None
    if len(columns) % 2 or _digest(columns.data.cast("B")) != head[-_DIGEST:]:
        return None
    keys, offsets = columns.reshape(2, -1)
    return keys, offsets


def _digest(*parts: memoryview) -> bytes:
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    return total.digest()
