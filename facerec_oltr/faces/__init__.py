"""From photos to vectors.

- ``embed``: the promise: aligned faces (N, size, size, 3) uint8 RGB → (N, D) float32 of unit length.
- ``raw_pixels``: the floor that a trained network must beat.
- ``dlib_resnet``: the ceiling, a network trained on millions of photos (extra ``dlib``).
- ``embed_set``: the images of a face set, with progress and a cache.
- ``att``: the AT&T face photos (extra ``demo``).

Trained runs become embedders in ``facerec_oltr.engine.embedder``.
"""
