"""Search over the vectors of a gallery: kinds of index, and the one that follows a store.

Every kind promises what ``facerec_oltr.gallery.protocols.Index`` says, and is one file with one class:

- ``exact``: equal to brute force.
- ``compressed``: 4-bit codes, then the best compared exactly; no mate is lost.
- ``graph``: HNSW, which loses mates, and ``lost_mates`` says how many; never chosen unasked.

``Derived`` keeps one of them up to date with a store, in files beside it or in memory.
"""

from facerec_oltr.gallery.index._kind import Kind
from facerec_oltr.gallery.index.compressed import CompressedIndex
from facerec_oltr.gallery.index.derived import Derived
from facerec_oltr.gallery.index.exact import ExactIndex
from facerec_oltr.gallery.index.graph import GraphIndex
from facerec_oltr.gallery.index.kinds import KINDS, choose_kind
from facerec_oltr.gallery.index.lost_mates import LostMates, lost_mates

__all__ = [
    "KINDS",
    "CompressedIndex",
    "Derived",
    "ExactIndex",
    "GraphIndex",
    "Kind",
    "LostMates",
    "choose_kind",
    "lost_mates",
]
