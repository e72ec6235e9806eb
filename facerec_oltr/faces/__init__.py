"""From photos to vectors, by embedders as ``facerec_oltr.embedder`` defines them.

- ``raw_pixels``: the floor that a trained network must beat.
- ``dlib_resnet``: the ceiling, a network trained on millions of photos (extra ``dlib``).
- ``embed_set``: the images of a face set, with progress and a cache.
- ``pairs``: a verification pack's pairs, scored and measured.
- ``att``: the AT&T face photos (extra ``demo``).

Trained runs become embedders in ``facerec_oltr.engine.embedder``.
"""
