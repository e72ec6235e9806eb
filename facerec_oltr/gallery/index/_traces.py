"""Whether anything of a vector is left in the files of an index."""

import mmap
from pathlib import Path

from facerec_oltr.gallery.index._rows import rounded
from facerec_oltr.gallery.records import Vectors


def count_traces(folder: Path, vectors: Vectors) -> int:
    """How often the bytes of vectors (n, D), in single or half precision, stand anywhere in the files of a folder.

    A vector of zeros is not looked for: it is what an erased one looks like.
    """
    sought = {row.astype(dtype).tobytes() for row in vectors if row.any() for dtype in ("<f4",)}
    sought |= {rounded(row).tobytes() for row in vectors if rounded(row).any()}
    found = 0
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.stat().st_size:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                found += sum(_occurrences(data, pattern) for pattern in sought)
    return found


def _occurrences(data: mmap.mmap, pattern: bytes) -> int:
    count, at = 0, data.find(pattern)
    while at >= 0:
        count, at = count + 1, data.find(pattern, at + 1)
    return count
