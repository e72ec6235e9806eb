"""Who is enrolled: a transactional store, a search index derived from it, and the gallery that joins them.

- ``records``: what goes in and comes out: embedder, enrolment, calibration, candidate.
- ``migrations``: the store's tables, version by version.
- ``store``: SQLite, the only truth; several processes may read and write at once.
- ``index``: exact search over float32 vectors; add, remove, search(vectors, k) -> (scores, ids), equal to
  brute force, ties by lowest id.
- ``gallery``: enrol, remove, search fused per identity, keep calibrations.
"""

from facerec_oltr.gallery.gallery import Gallery

__all__ = ["Gallery"]
