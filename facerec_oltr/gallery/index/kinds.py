"""The kinds of index, and which one a gallery of a size gets."""

from facerec_oltr.gallery.index._kind import Kind
from facerec_oltr.gallery.index.compressed import CompressedIndex
from facerec_oltr.gallery.index.exact import ExactIndex
from facerec_oltr.gallery.index.graph import GraphIndex

KINDS: dict[str, type[Kind]] = {kind.kind: kind for kind in (ExactIndex, CompressedIndex, GraphIndex)}

COMPRESSED_FROM = 200_000  # rows, where an exact search of 512 dimensions takes about 10 ms


def choose_kind(rows: int) -> tuple[str, str]:
    """The kind for so many rows, and why, in one line."""
    if rows >= COMPRESSED_FROM:
        return "compressed", f"{rows:,} rows, from {COMPRESSED_FROM:,} on: 4-bit codes first, the best compared exactly"
    return "exact", f"{rows:,} rows, below {COMPRESSED_FROM:,}: all of them are compared"


def still_fits(kind: str, rows: int) -> bool:
    """Whether an index that was chosen by size may stay; at the edge it is not changed back and forth."""
    return kind == choose_kind(rows)[0] or (kind == "compressed" and 2 * rows >= COMPRESSED_FROM)
