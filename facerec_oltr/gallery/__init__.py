"""Who is enrolled: a transactional store, a search index derived from it, and the gallery that joins them.

- ``records``: what goes in and comes out: embedder, enrolment, calibration, candidate.
- ``protocols``: what a store and an index promise.
- ``store``: SQLite, the only truth; several processes may read and write at once.
- ``encryption``: keys, and vectors at rest, plain or encrypted.
- ``index``: exact search over float32 vectors; add, remove, search(vectors, k) -> (scores, ids), equal to
  brute force, ties by lowest id.
- ``fusing``: how the templates of an identity make one score.
- ``refusing``: what a face that is said not to be somebody does to a search.
- ``searched``: who is enrolled, and who a probe looks like; ``made_by``: by which embedder and detector.
- ``gallery``: the same opened, and all that changes it: enrol, remove, keep calibrations.
"""

from facerec_oltr.gallery.gallery import Gallery

__all__ = ["Gallery"]
